"""Tests of training windows, their augmentation and batches."""

import itertools

import numpy as np

from recloop.data.user_sequences import UserSequence, sequences_from_rows
from recloop.training.finetuning.augmentation import Augment, augmented
from recloop.training.finetuning.batches import PAD_TARGET, batches, cut_windows


def test_windows_hold_every_transition_once() -> None:
    windows = cut_windows(sequences_from_rows([np.arange(8)]), length=3)
    transitions = [(int(a), int(b)) for w in windows for a, b in itertools.pairwise(w.rows)]
    assert sorted(transitions) == [(n, n + 1) for n in range(7)]
    assert max(map(len, windows)) == 4


def test_windows_are_cropped_and_reordered() -> None:
    rng, window = np.random.default_rng(0), UserSequence.from_rows(np.arange(12))
    cropped = [augmented(window, Augment(crop=1), rng) for _ in range(50)]
    assert all((np.diff(part.rows) == 1).all() and len(part) >= 6 for part in cropped)
    assert len({len(part) for part in cropped}) > 2
    mixed = [augmented(window, Augment(reorder=1), rng) for _ in range(50)]
    assert all(sorted(part.rows) == window.rows.tolist() for part in mixed)
    assert any((part.rows != window.rows).any() for part in mixed)
    assert augmented(window, Augment(), rng) is window


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
