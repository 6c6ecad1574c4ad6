"""A blend over a catalogue that has grown since it was packaged. Nothing is learned here."""

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.models.blend import NEWCOMER, Blend, combine
from recloop.models.newcomers import Alike, Nearest
from recloop.models.scorer import Asked, Histories, Scores, signals_of


class GrownBlend(Blend):
    """A packaged blend, and items after its own, which stand among them as its newcomers do.

    `nearest` `(new items, …)` are the known ones that speak for them. A new item in a history stands
    for the known one nearest to it.
    """

    def __init__(self, blend: Blend, nearest: Nearest) -> None:
        super().__init__(blend.channels, blend.weights, blend.newcomers)
        own = len(blend.newcomers.known)
        self._alike = Alike(nearest.likeness(own), blend.newcomers.known, blend.newcomers.terms)
        self._stands_for = np.concatenate([np.arange(own), _closest(nearest)])
        self._items = own + len(nearest.rows)

    def parts(self, asked: Asked) -> dict[str, Scores]:
        """What each channel contributes, `(requests, items)` each; of new items, one part alone."""
        found = super().parts(self._known(asked))
        scores = combine({name: part for name, part in found.items() if name != NEWCOMER})
        grown = {name: self._wide(part) for name, part in found.items()}
        newcomers = grown.setdefault(NEWCOMER, np.zeros((len(scores), self._items), np.float32))
        newcomers[:, scores.shape[1] :] = self._alike.place(scores)
        return grown

    def together(self, row: int) -> Scores:
        """What people meet together with an item; a new one has been met with nothing."""
        own = len(self.newcomers.known)
        if row >= own:
            return np.zeros((1, self._items), np.float32)
        scores = super().together(row)
        grown = self._wide(scores)
        grown[:, own:] = self._alike.worth(scores)
        return grown

    def _ask_for_nobody(self, channel: str) -> Scores:
        """Of new items, nothing."""
        return self._wide(super()._ask_for_nobody(channel))

    def _wide(self, scores: Scores) -> Scores:
        wide = np.zeros((len(scores), self._items), np.float32)
        wide[:, : scores.shape[1]] = scores
        return wide

    def _known(self, asked: Asked) -> Asked:
        """The same requests in rows that the channels know."""
        histories = [self._stands_for[history] for history in asked.histories]
        if all((history >= 0).all() for history in histories):
            return Histories(histories, asked.signals, asked.at)
        told = zip(histories, signals_of(asked), strict=True)
        return Histories(
            [history[history >= 0] for history in histories],
            [signals[history >= 0] for history, signals in told],
            asked.at,
        )


def _closest(nearest: Nearest) -> Rows:
    """`(new items,)`: the known item that says most, -1 where there is none."""
    if not nearest.rows.size:
        return np.full(len(nearest.rows), -1, np.int64)
    best: NDArray[np.int64] = nearest.weights.argmax(1)[:, None]
    closest = np.take_along_axis(nearest.rows, best, 1)[:, 0]
    says = np.take_along_axis(nearest.weights, best, 1)[:, 0]
    return np.where(says > 0, closest, -1)
