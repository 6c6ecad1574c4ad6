"""Tests of user sequences and the signals of their steps."""

import numpy as np
import polars as pl

from recloop.columns import Event
from recloop.data.contract import conform_interactions
from recloop.data.interaction_log import TRAIN_PART, InteractionLog
from recloop.data.split import part
from recloop.data.user_sequences import GAP_AFTER, UserSequence, concatenated_signals, step_signals
from recloop.training.finetuning.batches import batches, cut_windows


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
