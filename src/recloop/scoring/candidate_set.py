"""The items that are scored for a request: all of them, or the candidates of a large catalogue.

Scorers return arrays of shape `(requests, scored items)`. A *row* is an item's number in the
catalogue; a *position* is its column in such an array. Both are the same where all items are
scored.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows

Weights = NDArray[np.float32]


def sorted_union(*rows: Rows) -> Rows:
    """Return the distinct values of several arrays `(values,)`, ascending; empty without arguments.

    Sorting thousands of rows is faster than hashing them.

    >>> sorted_union(np.array([5, 2]), np.array([2, 9])).tolist()
    [2, 5, 9]
    """
    merged = np.sort(np.concatenate([np.empty(0, np.int64), *rows]))
    distinct: Rows = merged[np.diff(merged, prepend=-1) != 0]
    return distinct


def common_positions(rows: Rows, others: Rows) -> Rows:
    """Return the positions in `rows` of those values that `others` has too.

    The shorter array is looked up in the longer one.

    Args:
        rows: Distinct values, ascending, `(rows,)`.
        others: Distinct values, ascending, `(others,)`.

    Returns:
        Positions, ascending, `(common values,)`.
    """
    if len(others) < len(rows):
        positions = np.searchsorted(rows, others)
        common: Rows = positions[rows.take(positions, mode="clip") == others]
        return common
    positions = np.searchsorted(others, rows)
    return np.flatnonzero(others.take(positions, mode="clip") == rows)


@dataclass(frozen=True)
class AllItems:
    """Every item of the catalogue; an item's position in score arrays is its row."""

    rows: slice = field(default_factory=lambda: slice(None))
    sample_weight: None = None

    def positions(self, rows: Rows) -> Rows:
        """Return the positions of these rows in score arrays, `(rows,)`."""
        return rows

    def rows_at(self, positions: Rows) -> Rows:
        """Return the rows of the items at these positions, `(positions,)`."""
        return positions

    def size(self, catalogue_size: int) -> int:
        """Return the number of scored items."""
        return catalogue_size

    def rows_below(self, row: int) -> "AllItems":  # noqa: ARG002 - the signature of CandidateSet
        """Return these candidates: a scorer never has rows beyond its own catalogue."""
        return self


@dataclass(frozen=True)
class CandidateSet:
    """Some items of the catalogue, in ascending order of their rows.

    Attributes:
        rows: Distinct rows, ascending, `(items,)`.
        sample_weight: Number of catalogue items that each candidate stands for in means and
            standard deviations, `(items,)`, all > 0. It makes both estimates of those over the
            whole catalogue.
        reference_positions: Positions of the items of the reference sample. The sample is in every
            candidate set; after `rows_below`, its first items are.
    """

    rows: Rows
    sample_weight: Weights
    reference_positions: Rows = field(default_factory=lambda: np.empty(0, np.int64))

    def positions(self, rows: Rows) -> Rows:
        """Return the positions of these rows in score arrays, `(rows,)`; -1 for rows not scored."""
        if not len(self.rows):
            return np.full(len(rows), -1, np.int64)
        positions = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return np.where(self.rows[positions] == rows, positions, -1)

    def rows_at(self, positions: Rows) -> Rows:
        """Return the rows of the items at these positions, `(positions,)`."""
        return self.rows[positions]

    def size(self, catalogue_size: int) -> int:  # noqa: ARG002 - the signature of AllItems
        """Return the number of scored items."""
        return len(self.rows)

    def rows_below(self, row: int) -> "CandidateSet":
        """Return the candidates whose rows are below `row`."""
        end = np.searchsorted(self.rows, row)
        kept = np.searchsorted(self.reference_positions, end)
        return CandidateSet(
            self.rows[:end], self.sample_weight[:end], self.reference_positions[:kept]
        )

    def subset(self, positions: Rows) -> "CandidateSet":
        """Return the candidates at these positions `(positions,)`, which must ascend."""
        return CandidateSet(self.rows[positions], self.sample_weight[positions])


Candidates = AllItems | CandidateSet

ALL_ITEMS = AllItems()


@dataclass(frozen=True)
class ReferenceSample:
    """Random sample of warm items, drawn once, that stands for all warm items.

    Attributes:
        rows: Rows of the sample, ascending.
        warm: Whether each item of the catalogue is warm, `(items,)`.
    """

    rows: Rows
    warm: NDArray[np.bool_]

    @cached_property
    def _warm_count(self) -> int:
        return int(self.warm.sum())

    @classmethod
    def draw(cls, warm: NDArray[np.bool_], size: int, seed: int) -> "ReferenceSample":
        """Draw at most `size` of the warm items.

        Args:
            warm: Whether each item of the catalogue is warm, `(items,)`.
            size: Largest number of drawn items.
            seed: Seed of the draw.
        """
        rows = np.flatnonzero(warm)
        drawn = np.random.default_rng(seed).choice(rows, min(size, len(rows)), replace=False)
        return cls(np.sort(drawn), warm)

    def with_candidates(self, candidates: Rows) -> CandidateSet:
        """Return the candidates together with the sample, weighted as a stratified sample.

        Each candidate counts once. The remaining sampled items share out the number of all other
        warm items. Candidates tend to have the few extreme scores that a sample would miss.

        Args:
            candidates: Rows, in any order, `(candidates,)`.

        Reference:
            Cochran 1977, "Sampling Techniques", chapter 5.
        """
        candidates = sorted_union(candidates)
        rows = sorted_union(candidates, self.rows)
        is_candidate = np.zeros(len(rows), np.bool_)
        is_candidate[np.searchsorted(rows, candidates)] = True
        # Rows beyond `warm` are items that were added after packaging; they are cold.
        packaged = candidates[candidates < len(self.warm)]
        others = self._warm_count - self.warm[packaged].sum()
        weight = others / max(len(rows) - is_candidate.sum(), 1)
        sample_weight = np.where(is_candidate, 1, weight).astype(np.float32)
        return CandidateSet(rows, sample_weight, np.searchsorted(rows, self.rows))
