"""Items that training has not met: worth to a request what those nearest in text are worth to it.

A channel that learns from interactions cannot know them, and whatever it says of them is an accident
of how it is built. So the known items are scored first, by all channels together, and new ones from
those scores.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy import sparse

from recloop.models.scorer import Scores, deviation

# How many known items speak for a new one, and how much more the nearest of them says.
_NEAREST, _SHARPNESS = 20, 2
_CHUNK = 1_024


class NewcomerTerms(BaseModel):
    """How new items stand among known ones.

    `stretch`: a mean over neighbours varies less than they do, and is widened by this much. `shift`:
    what is added, in spreads of a request's known items.
    """

    stretch: float = 1.0
    shift: float = 0.0


class Newcomers:
    """The items that `known` `(items,)` is false for, seen through text vectors `(items, width)`.

    `rows` are theirs in the catalogue.
    """

    def __init__(
        self, text: NDArray[np.float32], known: NDArray[np.bool_], terms: NewcomerTerms
    ) -> None:
        self.known = known
        self.rows = np.flatnonzero(~known)
        self._terms = terms
        self._likeness = _likeness(text, known)
        self._described = np.diff(self._likeness.indptr) > 0

    def place(self, scores: Scores) -> Scores:
        """Scores `(requests, new items)` among `scores` `(requests, items)`, standardised for known ones.

        An item without text comes last.
        """
        terms, lowest = self._terms, scores.min(1, keepdims=True, initial=0.0)
        spread = deviation(scores, self.known)
        placed = terms.stretch * self.worth(scores) + terms.shift * spread
        among: Scores = np.where(self._described, placed, lowest).astype(np.float32)
        return among

    def worth(self, scores: Scores) -> Scores:
        """What the nearest known items' scores say, before they are widened and shifted."""
        worth: Scores = (self._likeness @ scores.T).T
        return worth


def _likeness(text: NDArray[np.float32], known: NDArray[np.bool_]) -> sparse.csr_matrix:
    """`(new items, items)`: the weights of the nearest known ones, 1 together; no text, no weights."""
    described: NDArray[np.bool_] = (text != 0).any(1)
    new = np.flatnonzero(~known)
    met, places = np.flatnonzero(known & described), np.flatnonzero(described[new])
    shape, count = (len(new), len(known)), min(_NEAREST, len(met))
    if not count:
        nothing = (np.zeros(0, np.float32), (new[:0], new[:0]))
        return sparse.csr_matrix(nothing, shape=shape)
    # What all texts have in common makes none of them alike.
    common = text[met].mean(0)
    theirs = _unit(text[met] - common)
    columns = np.zeros((len(places), count), np.int64)
    weights = np.zeros((len(places), count), np.float32)
    for start in range(0, len(places), _CHUNK):
        part = slice(start, start + _CHUNK)
        cosines = _unit(text[new[places[part]]] - common) @ theirs.T
        nearest = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        close = np.maximum(np.take_along_axis(cosines, nearest, 1), 0) ** _SHARPNESS
        columns[part] = met[nearest]
        weights[part] = close / np.maximum(close.sum(1, keepdims=True), 1e-9)
    rows = np.repeat(places, count)
    likeness = sparse.csr_matrix((weights.ravel(), (rows, columns.ravel())), shape=shape)
    likeness.eliminate_zeros()
    return likeness


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(norms, 1e-9)
    return unit
