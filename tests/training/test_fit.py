"""Tests that the sequence model learns what the data show."""

import numpy as np
import pytest
import torch

from recloop.data.user_sequences import SIGNAL_WIDTH, UserSequence, step_signals
from recloop.scoring.channels.sasrec import SASRec
from recloop.scoring.scorer import RequestBatch
from recloop.training.device import Compute
from recloop.training.export.onnx_export import export_tower
from recloop.training.finetuning.augmentation import shuffled
from recloop.training.finetuning.fit import fit
from recloop.training.finetuning.sequence_model import FrozenTextVectors
from recloop.training.finetuning.validation import validation_metric
from tests.support.ring import RING_REQUESTS, ring_config, ring_sequences, ring_texts

CPU = Compute(torch.device("cpu"), bf16=False)


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
    text, settings = ring_texts(), ring_config(**changes)
    model, history = fit(
        ring_sequences(), text, settings, CPU, validate=validation_metric(RING_REQUESTS, window=8)
    )
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"]
    assert history.best_quality() == 1.0
    exported = SASRec(export_tower(model.tower, 16, 8), model.vectors(text.vectors).numpy(), 8)
    scores = exported.score(RequestBatch([np.arange(4), np.empty(0, np.int64)]))
    assert scores[0, 4:].argmax() == 0  # of what is new to the user, the next in the ring
    assert scores[1].tolist() == [0.0] * 12


def test_a_seed_gives_the_same_model_twice() -> None:
    text = torch.ones(12, 5)
    runs = [
        fit(ring_sequences(), FrozenTextVectors(text), ring_config(2, seed=n), CPU)[0]
        for n in (1, 1, 2)
    ]
    first, second, other = (run.items.state_dict() for run in runs)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not torch.equal(first["ids"], other["ids"])


def test_patience_ends_training() -> None:
    settings = ring_config(epochs=30, validate_every=1, patience=2)
    _, history = fit(ring_sequences(), ring_texts(), settings, CPU, validate=lambda *_: 0.5)
    assert len(history.epochs) == 3


@pytest.mark.parametrize("epochs", [1, 5, 10])
def test_training_with_few_steps_runs_every_epoch(epochs: int) -> None:
    _, history = fit(ring_sequences()[:8], ring_texts(), ring_config(epochs), CPU)
    assert len(history.epochs) == epochs


def test_bce_without_negatives_is_refused() -> None:
    with pytest.raises(ValueError, match="needs negatives"):
        fit(ring_sequences(), ring_texts(), ring_config(loss="bce"), CPU)


@pytest.mark.slow
def test_the_next_item_may_depend_on_the_time_since_the_last() -> None:
    """The next item of the ring follows within seconds, the one before after a day."""
    rng, text, walks = np.random.default_rng(0), ring_texts(), []
    for _ in range(60):
        quick = rng.random(8) < 0.5
        rows = np.cumsum([int(rng.integers(12)), *np.where(quick, 1, -1)]) % 12
        times = np.cumsum([0.0, *np.where(quick, 1.0, 86_400.0)])
        walk = UserSequence.from_rows(rows)
        walks.append(UserSequence(rows, step_signals(times, np.nan), walk.values, walk.weights))
    model, _ = fit(walks, text, ring_config(), CPU)
    exported = SASRec(export_tower(model.tower, 16, 8), model.vectors(text.vectors).numpy(), 8)
    signals = [step_signals(np.array([0.0]), until) for until in (1.0, 86_400.0)]
    quick, slow = exported.score(RequestBatch([np.array([5])] * 2, signals))
    assert (quick.argmax(), slow.argmax()) == (6, 4)


@pytest.mark.slow
def test_ratings_are_predicted_by_mean_squared_error() -> None:
    """Even items are rated 5, odd ones 1; which items users rated tells nothing."""
    rng, text = np.random.default_rng(0), ring_texts()
    walks = []
    for _ in range(60):
        walk = UserSequence.from_rows(rng.permutation(12))
        rated = np.where(walk.rows % 2 == 0, 5, 1).astype(np.float32)
        walks.append(UserSequence(walk.rows, walk.signals, rated, walk.weights))
    model, _ = fit(walks, text, ring_config(loss="mse"), CPU)
    exported = SASRec(export_tower(model.tower, 16, 8), model.vectors(text.vectors).numpy(), 8)
    scores = exported.score(RequestBatch([np.array([3, 8])]))[0]
    assert scores[0::2].min() > 0.5 > -0.5 > scores[1::2].max()
    with pytest.raises(ValueError, match="needs ratings"):
        fit(ring_sequences(), text, ring_config(loss="mse"), CPU)


@pytest.mark.slow
def test_events_of_weight_zero_are_not_learned() -> None:
    """Half of the users walk forwards, half backwards; only the first half has weight."""
    text, walks = ring_texts(), []
    for start in range(24):
        rows = (start + np.arange(9) * (1 if start % 2 else -1)) % 12
        weights = np.full(9, float(start % 2), np.float32)
        walk = UserSequence.from_rows(rows)
        walks.append(UserSequence(rows, walk.signals, walk.values, weights))
    for changes in ({}, {"negatives": 6}):
        model, _ = fit(walks, text, ring_config(**changes), CPU)
        tower, vectors = export_tower(model.tower, 16, 8), model.vectors(text.vectors).numpy()
        scores = SASRec(tower, vectors, 8).score(RequestBatch([np.array([5])]))[0]
        assert scores[6] > scores[4] + 1


def test_without_an_order_the_history_is_a_set_in_training() -> None:
    plain = ring_config(1).tower
    settings = ring_config(1)
    unordered = settings.model_copy(
        update={"tower": plain.model_copy(update={"order": False, "dropout": 0.0})}
    )
    model, _ = fit(ring_sequences(), ring_texts(), unordered, CPU)
    assert model.tower.positions is None
    model.tower.eval()
    vectors = model.vectors(ring_texts().vectors)
    signals = torch.zeros(1, 4, SIGNAL_WIDTH, dtype=torch.long)
    one, other = (
        model.tower(vectors[rows][None], signals, last_only=True)
        for rows in (torch.tensor([3, 1, 2, 5]), torch.tensor([1, 2, 3, 5]))
    )
    torch.testing.assert_close(one, other)


def test_sequences_are_shuffled_anew_and_keep_their_steps() -> None:
    rng = np.random.default_rng(0)
    sequences = ring_sequences()
    first, second = (shuffled(sequences, rng) for _ in range(2))
    for before, one in zip(sequences, first, strict=True):
        assert sorted(one.rows.tolist()) == sorted(before.rows.tolist())
    assert any((a.rows != b.rows).any() for a, b in zip(first, second, strict=True))
