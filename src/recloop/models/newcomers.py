"""Items that training has not met: worth to a request what those nearest in text are worth to it.

A channel that learns from interactions cannot know them, and whatever it says of them is an accident
of how it is built. So the known items are scored first, by all channels together, and new ones from
those scores.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy import sparse

from recloop.models.scope import Part, Rows, Scope, distinct
from recloop.models.scorer import Scores, deviation
from recloop.models.vector_index import VectorIndex

# How many known items speak for a new one, and how much more the nearest of them says.
_NEAREST, _SHARPNESS = 20, 2
# How many an index names, of which these are the nearest.
_NAMED = 200
_CHUNK = 1_024


class NewcomerTerms(BaseModel):
    """How new items stand among known ones.

    `stretch`: a mean over neighbours varies less than they do, and is widened by this much. `shift`:
    what is added, in spreads of a request's known items.
    """

    stretch: float = 1.0
    shift: float = 0.0


class Alike:
    """New items seen through those that are like them: `likeness` `(new items, items)` of known ones.

    `rows`, ascending, are where the new ones stand; `known` `(items,)` is how often an item counts, 0 for
    new ones.
    """

    def __init__(
        self,
        likeness: sparse.csr_matrix,
        rows: Rows,
        known: NDArray[np.bool_] | Scores,
        terms: NewcomerTerms,
    ) -> None:
        self.rows = rows
        self.known = known
        self.terms = terms
        self._likeness = likeness
        self._described = np.diff(likeness.indptr) > 0

    def within(self, scope: Scope) -> "Alike":
        """Those of the new items that are in scope, seen through what is in scope (see `backed`)."""
        if not isinstance(scope, Part):
            return self
        inside = scope.below(len(self.known))
        chosen = self._among(scope.rows)
        likeness = self._likeness[chosen]
        columns = inside.places(likeness.indices.astype(np.int64))
        weights = np.where(columns >= 0, likeness.data, 0)
        shape = (len(chosen), len(inside.rows))
        cut = sparse.csr_matrix((weights, np.maximum(columns, 0), likeness.indptr), shape=shape)
        known = self.known[inside.rows] * inside.counted
        return Alike(cut, scope.places(self.rows[chosen]), known, self.terms)

    def backed(self, found: Rows) -> Rows:
        """The items found, and the known ones that speak for the new ones among them."""
        return distinct(found, self._likeness[self._among(found)].indices.astype(np.int64))

    def raised(self, found: Rows, at_most: int) -> Rows:
        """The new items of which the items found say most."""
        said = self._speaks[found[found < self._speaks.shape[0]]]
        support = np.bincount(said.indices, said.data, len(self.rows))
        best = np.argsort(-support, kind="stable")[:at_most]
        return self.rows[best[support[best] > 0]]

    def _among(self, found: Rows) -> Rows:
        """Numbers of the new items that are there."""
        if not len(self.rows):
            return self.rows
        numbers = np.minimum(np.searchsorted(self.rows, found), len(self.rows) - 1)
        there: Rows = numbers[self.rows[numbers] == found]
        return there

    @cached_property
    def _speaks(self) -> sparse.csr_matrix:
        return self._likeness.T.tocsr()

    def place(self, scores: Scores) -> Scores:
        """Scores `(requests, new items)` among `scores` `(requests, items)`, standardised for known ones.

        An item without text comes last.
        """
        terms, lowest = self.terms, scores.min(1, keepdims=True, initial=0.0)
        spread = deviation(scores, self.known)
        placed = terms.stretch * self.worth(scores) + terms.shift * spread
        among: Scores = np.where(self._described, placed, lowest).astype(np.float32)
        return among

    def worth(self, scores: Scores) -> Scores:
        """What the nearest known items' scores say, before they are widened and shifted."""
        worth: Scores = (self._likeness @ scores.T).T
        return worth


class Newcomers(Alike):
    """The items that `known` `(items,)` is false for, seen through text vectors `(items, width)`."""

    def __init__(
        self, text: NDArray[np.floating], known: NDArray[np.bool_], terms: NewcomerTerms
    ) -> None:
        super().__init__(_likeness(text, known), np.flatnonzero(~known), known, terms)


@dataclass(frozen=True)
class Nearest:
    """Known items `(new items, at most 20)` and how much each says, 1 together or 0 if none is like it."""

    rows: NDArray[np.int64]
    weights: NDArray[np.float32]

    def likeness(self, items: int) -> sparse.csr_matrix:
        """As a matrix `(new items, items)`."""
        new = np.repeat(np.arange(len(self.rows)), self.rows.shape[1])
        shape = (len(self.rows), items)
        likeness = sparse.csr_matrix((self.weights.ravel(), (new, self.rows.ravel())), shape=shape)
        likeness.eliminate_zeros()
        return likeness


class Neighbourhood:
    """The known items that have a text, to find the nearest of them to other texts."""

    def __init__(self, text: NDArray[np.floating], known: NDArray[np.bool_]) -> None:
        self._met = np.flatnonzero(known & (text != 0).any(1))
        # What all texts have in common makes none of them alike.
        self._common = text[self._met].mean(0) if len(self._met) else np.float32(0)
        self._theirs = _unit(text[self._met] - self._common)

    def nearest(self, text: NDArray[np.floating]) -> Nearest:
        """To each of `text` `(new items, width)`."""
        count = min(_NEAREST, len(self._met))
        columns = np.zeros((len(text), count), np.int64)
        weights = np.zeros((len(text), count), np.float32)
        for start in range(0, len(text) if count else 0, _CHUNK):
            part = slice(start, start + _CHUNK)
            cosines = _unit(text[part] - self._common) @ self._theirs.T
            nearest, weights[part] = _closest(cosines, count)
            columns[part] = self._met[nearest]
        return Nearest(columns, weights)


class IndexedNeighbourhood:
    """The same for so many items that their vectors are left where they are.

    The nearest are looked for among those that `index` names; what all texts have in common is taken
    from the items in `sample`.
    """

    def __init__(
        self,
        text: NDArray[np.floating],
        known: NDArray[np.bool_],
        index: VectorIndex,
        sample: Rows,
    ) -> None:
        self._text = text
        self._known = known
        self._index = index
        told = text[sample].astype(np.float32)
        told = told[told.any(1)]
        self._common = told.mean(0) if len(told) else np.float32(0)

    def nearest(self, text: NDArray[np.float32]) -> Nearest:
        """To each of `text` `(new items, width)`."""
        columns = np.zeros((len(text), _NEAREST), np.int64)
        weights = np.zeros(columns.shape, np.float32)
        for number, vector in enumerate(text):
            near = self._index.nearest(vector[None], _NAMED)
            near = near[self._known[near]]
            theirs = _unit(self._text[near].astype(np.float32) - self._common)
            cosines = _unit(vector[None] - self._common) @ theirs.T
            count = min(_NEAREST, len(near))
            closest, weights[number : number + 1, :count] = _closest(cosines, count)
            columns[number, :count] = near[closest[0]]
        return Nearest(columns, weights)


def _closest(cosines: Scores, count: int) -> tuple[Rows, Scores]:
    """Places of the nearest, and how much each says."""
    if not count:
        return np.zeros((len(cosines), 0), np.int64), np.zeros((len(cosines), 0), np.float32)
    nearest = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    close = np.maximum(np.take_along_axis(cosines, nearest, 1), 0) ** _SHARPNESS
    return nearest, close / np.maximum(close.sum(1, keepdims=True), 1e-9)


def _likeness(text: NDArray[np.floating], known: NDArray[np.bool_]) -> sparse.csr_matrix:
    """`(new items, items)`: the weights of the nearest known ones, 1 together; no text, no weights."""
    new = text[~known]
    described = np.flatnonzero((new != 0).any(1))
    nearest = Neighbourhood(text, known).nearest(new[described])
    rows = np.zeros((len(new), nearest.rows.shape[1]), np.int64)
    weights = np.zeros(rows.shape, np.float32)
    rows[described], weights[described] = nearest.rows, nearest.weights
    return Nearest(rows, weights).likeness(len(known))


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(norms, 1e-9)
    return unit
