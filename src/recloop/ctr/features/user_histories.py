"""Histories: the interactions of a user before a row."""

from dataclasses import dataclass

import numpy as np

from recloop.ctr.features.past_state import State, residuals
from recloop.ctr.log import Doubles, Floats, Ints, Log
from recloop.ctr.models.additive import sigmoid


@dataclass(frozen=True)
class Histories:
    """Histories, newest first, `(rows, length)` each; empty positions have item −1 and values 0.

    Attributes:
        items: Item numbers.
        left: Label minus the probability by intercept, user and item.
        item_residual: Label minus the probability by intercept and item.
        labels: Labels.
        size: Logarithm of one plus the number of all earlier rows, `(rows,)`.
    """

    items: Ints
    left: Floats
    item_residual: Floats
    labels: Floats
    size: Doubles


class Timeline:
    """Visible rows of all users, oldest first.

    Args:
        state: Statistics and models of the past.
        visible: Rows of which a row's history holds those with a strictly smaller order; if not
            given, each history holds all past rows of the user.
    """

    def __init__(self, state: State, visible: Log | None) -> None:
        log = state.past if visible is None else visible
        self._log = log = log.take(np.lexsort((np.nan_to_num(log.order), log.users)))
        self._left = residuals(state.bias, log)
        expected = sigmoid(state.bias.intercept + state.bias.item[log.items])
        self._item_residual = (log.labels - expected).astype(np.float32)
        self._ends = np.searchsorted(log.users, np.arange(state.shape[0] + 1))
        self._by_order = visible is not None

    def before(self, rows: Log, length: int) -> Histories:
        """Return the newest `length` visible rows of the user before each row of `rows`."""
        first, end = self._ends[rows.users], self._position(rows)
        at = end[:, None] - 1 - np.arange(length)
        filled = at >= first[:, None]
        at = np.where(filled, at, 0)
        return Histories(
            np.where(filled, self._log.items[at], -1),
            np.where(filled, self._left[at], 0),
            np.where(filled, self._item_residual[at], 0),
            np.where(filled, self._log.labels[at], 0),
            np.log1p(end - first),
        )

    def _position(self, rows: Log) -> Ints:
        """Return the position of each row's order among the user's visible rows, `(rows,)`."""
        if not self._by_order:
            return self._ends[rows.users + 1]
        orders = np.union1d(self._log.order, rows.order)
        visible = self._log.users * len(orders) + np.searchsorted(orders, self._log.order)
        sought = rows.users * len(orders) + np.searchsorted(orders, rows.order)
        return np.searchsorted(visible, sought)
