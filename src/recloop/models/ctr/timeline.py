"""What each user did before a moment."""

from dataclasses import dataclass

import numpy as np

from recloop.models.ctr.bias import sigmoid
from recloop.models.ctr.log import Doubles, Floats, Ints, Log
from recloop.models.ctr.state import State, residuals


@dataclass(frozen=True)
class Histories:
    """`(rows, length)` each, newest first; items are −1 and values 0 where there is nothing.

    `left` is what intercept, user and item leave of the label; `surprise` what intercept and item
    leave. `size` `(rows,)` is the logarithm of how many rows there are, those beyond `length` too.
    """

    items: Ints
    left: Floats
    surprise: Floats
    labels: Floats
    size: Doubles


class Timeline:
    """Every user's visible rows, oldest first: the state's past, or what is handed in.

    Of what is handed in, a row sees what has a strictly smaller order than its own; of the past, all.
    """

    def __init__(self, state: State, visible: Log | None) -> None:
        log = state.past if visible is None else visible
        self._log = log = log.take(np.lexsort((np.nan_to_num(log.order), log.users)))
        self._left = residuals(state.bias, log)
        expected = sigmoid(state.bias.intercept + state.bias.item[log.items])
        self._surprise = (log.labels - expected).astype(np.float32)
        self._ends = np.searchsorted(log.users, np.arange(state.shape[0] + 1))
        self._by_order = visible is not None

    def before(self, asked: Log, length: int) -> Histories:
        """The newest `length` rows before each of `asked`."""
        first, end = self._ends[asked.users], self._moment(asked)
        at = end[:, None] - 1 - np.arange(length)
        known = at >= first[:, None]
        at = np.where(known, at, 0)
        return Histories(
            np.where(known, self._log.items[at], -1),
            np.where(known, self._left[at], 0),
            np.where(known, self._surprise[at], 0),
            np.where(known, self._log.labels[at], 0),
            np.log1p(end - first),
        )

    def _moment(self, asked: Log) -> Ints:
        """Where each row's own order stands among the user's visible rows."""
        if not self._by_order:
            return self._ends[asked.users + 1]
        moments = np.union1d(self._log.order, asked.order)
        mine = self._log.users * len(moments) + np.searchsorted(moments, self._log.order)
        theirs = asked.users * len(moments) + np.searchsorted(moments, asked.order)
        return np.searchsorted(mine, theirs)
