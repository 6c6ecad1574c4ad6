"""Slices of evaluation requests: by how often training saw the relevant items, and by history."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.evaluation.evaluation_requests import Requests

# Lower bound (included) and upper bound (excluded) of each slice.
_ITEM_COUNTS = {
    "items never seen in training": (0, 1),
    "items seen 1-4 times": (1, 5),
    "items seen 5-19 times": (5, 20),
    "items seen 20 times and more": (20, np.inf),
}
HISTORY_LENGTHS = {
    "no history": (0, 1),
    "history 1-9": (1, 10),
    "history 10-49": (10, 50),
    "history 50 and more": (50, np.inf),
}


@dataclass(frozen=True)
class RequestSlice:
    """Some requests, each with at least one relevant item of a kind.

    Attributes:
        name: Name of the slice.
        rows: Numbers of the requests, ascending, `(selected,)`.
        requests: These requests; only items of the kind count as relevant.
    """

    name: str
    rows: Rows
    requests: Requests


def request_slices(requests: Requests, training: NDArray[np.float32]) -> Iterator[RequestSlice]:
    """Yield all requests, and the slices that are not empty.

    Args:
        requests: The requests.
        training: Interactions of each item in the training data, `(items,)`.
    """
    yield RequestSlice("all", np.arange(len(requests.histories)), requests)
    for name, (low, high) in _ITEM_COUNTS.items():
        inside = (training >= low) & (training < high)
        relevant = [rows[inside[rows]] for rows in requests.relevant]
        chosen = np.flatnonzero([len(rows) > 0 for rows in relevant])
        if len(chosen):
            narrowed = replace(requests, relevant=relevant)
            yield RequestSlice(name, chosen, narrowed.take(chosen))
    lengths = requests.history_lengths()
    for name, (low, high) in HISTORY_LENGTHS.items():
        chosen = np.flatnonzero((lengths >= low) & (lengths < high))
        if len(chosen):
            yield RequestSlice(name, chosen, requests.take(chosen))
