"""A blend over a catalogue that has grown since it was packaged. Nothing is learned here."""

import numpy as np
from numpy.typing import NDArray

from recloop.models.blend import NEWCOMER, Blend, combine
from recloop.models.neighbourhood import Nearest
from recloop.models.newcomers import Alike
from recloop.models.scope import EVERYTHING, Rows, Scope, distinct
from recloop.models.scorer import Asked, Histories, Scores, signals_of


class GrownBlend(Blend):
    """A packaged blend, and items after its own, which stand among them as its newcomers do.

    `nearest` `(new items, …)` are the known ones that speak for them. A new item in a history stands
    for the known one nearest to it.
    """

    def __init__(self, blend: Blend, nearest: Nearest) -> None:
        super().__init__(blend.channels, blend.weights, blend.newcomers, blend.finders)
        own = len(blend.newcomers.known)
        self._own, self._items = own, own + len(nearest.rows)
        self._alike = Alike(
            nearest.likeness(own),
            np.arange(own, self._items),
            blend.newcomers.known,
            blend.newcomers.terms,
        )
        self._stands_for = np.concatenate([np.arange(own), _closest(nearest)])

    def parts(self, asked: Asked) -> dict[str, Scores]:
        """What each channel contributes, `(requests, items in scope)`; of new items, one part alone."""
        scope = asked.scope
        found = super().parts(self._known(asked))
        scores = combine({name: part for name, part in found.items() if name != NEWCOMER})
        grown = {name: self._wide(part, scope) for name, part in found.items()}
        newcomers = grown.setdefault(NEWCOMER, self._wide(np.zeros_like(scores), scope))
        newcomers[:, scores.shape[1] :] = self._alike.within(scope).place(scores)
        return grown

    def find(self, asked: Asked, count: int, *, sampled: bool = False) -> Rows:
        """As of the package, and new items like what that finds."""
        return super().find(self._known(asked), count, sampled=sampled)

    def find_together(self, row: int, count: int) -> Rows:
        """As of the package; with a new one nothing was met."""
        return super().find_together(row, count) if row < self._own else np.empty(0, np.int64)

    def backed(self, found: Rows) -> Rows:
        """These rows, and those by which the new ones among them are judged."""
        return self._alike.backed(super().backed(found))

    def together(self, row: int, scope: Scope = EVERYTHING) -> Scores:
        """What people meet together with an item; a new one has been met with nothing."""
        if row >= self._own:
            return np.zeros((1, scope.size(self._items)), np.float32)
        scores = super().together(row, scope.below(self._own))
        grown = self._wide(scores, scope)
        grown[:, scores.shape[1] :] = self._alike.within(scope).worth(scores)
        return grown

    def _ask_for_nobody(self, channel: str) -> Scores:
        """Of new items, nothing."""
        return self._wide(super()._ask_for_nobody(channel), EVERYTHING)

    def with_new(self, found: Rows, count: int) -> Rows:
        """As of the package, and items after it of which these say most."""
        grown = super().with_new(found, count)
        return distinct(grown, self._alike.raised(grown, count))

    def _wide(self, scores: Scores, scope: Scope) -> Scores:
        wide = np.zeros((len(scores), scope.size(self._items)), np.float32)
        wide[:, : scores.shape[1]] = scores
        return wide

    def _known(self, asked: Asked) -> Asked:
        """The same requests in rows that the channels know."""
        scope = asked.scope.below(self._own)
        if all((history < self._own).all() for history in asked.histories):
            return Histories(asked.histories, asked.signals, asked.at, scope)
        histories = [self._stands_for[history] for history in asked.histories]
        if all((history >= 0).all() for history in histories):
            return Histories(histories, asked.signals, asked.at, scope)
        told = zip(histories, signals_of(asked), strict=True)
        return Histories(
            [history[history >= 0] for history in histories],
            [signals[history >= 0] for history, signals in told],
            asked.at,
            scope,
        )


def _closest(nearest: Nearest) -> Rows:
    """`(new items,)`: the known item that says most, -1 where there is none."""
    if not nearest.rows.size:
        return np.full(len(nearest.rows), -1, np.int64)
    best: NDArray[np.int64] = nearest.weights.argmax(1)[:, None]
    closest = np.take_along_axis(nearest.rows, best, 1)[:, 0]
    says = np.take_along_axis(nearest.weights, best, 1)[:, 0]
    return np.where(says > 0, closest, -1)
