"""Tests of the slices of evaluation requests."""

import numpy as np

from recloop.evaluation.evaluation_requests import Requests
from recloop.evaluation.slices import request_slices


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def test_a_slice_by_training_count_keeps_only_the_relevant_items_of_its_kind() -> None:
    # Items 0 to 3 occur 0, 4, 5 and 20 times in the training data.
    training = np.array([0, 4, 5, 20], np.float32)
    requests = Requests([rows(), rows(3), rows(*[1] * 10)], [rows(0, 3), rows(1), rows(3)])
    found = {part.name: part for part in request_slices(requests, training)}
    assert {name: part.rows.tolist() for name, part in found.items()} == {
        "all": [0, 1, 2],
        "items never seen in training": [0],
        "items seen 1-4 times": [1],
        "items seen 20 times and more": [0, 2],
        "no history": [0],
        "history 1-9": [1],
        "history 10-49": [2],
    }
    relevant = {
        name: [own.tolist() for own in part.requests.relevant] for name, part in found.items()
    }
    assert relevant["items never seen in training"] == [[0]]
    assert relevant["items seen 20 times and more"] == [[3], [3]]
    assert relevant["no history"] == [[0, 3]]
