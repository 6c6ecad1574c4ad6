"""Items that training has not met: worth to a request what those nearest in text are worth to it.

A channel that learns from interactions cannot know them, and whatever it says of them is an accident
of how it is built. So the known items are scored first, by all channels together, and new ones from
those scores.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy import sparse

from recloop.models.finders import best
from recloop.models.neighbourhood import Nearest, Neighbourhood
from recloop.models.scope import Part, Rows, Scope, distinct
from recloop.models.scorer import Scores, deviation


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
        support = np.bincount(said.indices, said.data, len(self.rows)).astype(np.float32)
        there = np.flatnonzero(support)
        return self.rows[there[best(support[there], at_most)]]

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


def _likeness(text: NDArray[np.floating], known: NDArray[np.bool_]) -> sparse.csr_matrix:
    """`(new items, items)`: the weights of the nearest known ones, 1 together; no text, no weights."""
    new = text[~known]
    described = np.flatnonzero((new != 0).any(1))
    nearest = Neighbourhood(text, known).nearest(new[described])
    rows = np.zeros((len(new), nearest.rows.shape[1]), np.int64)
    weights = np.zeros(rows.shape, np.float32)
    rows[described], weights[described] = nearest.rows, nearest.weights
    return Nearest(rows, weights).likeness(len(known))
