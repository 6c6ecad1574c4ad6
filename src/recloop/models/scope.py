"""Which items are scored: all of them, or the few of a large catalogue that can be best."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Weights = NDArray[np.float32]


def distinct(*found: Rows) -> Rows:
    """Rows, ascending, each once; by sorting, which for thousands is faster than hashing."""
    rows = np.sort(np.concatenate([np.empty(0, np.int64), *found]))
    kept: Rows = rows[np.diff(rows, prepend=-1) != 0]
    return kept


def meeting(rows: Rows, others: Rows) -> Rows:
    """Places in `rows` of those that are among `others`; both ascend, each once.

    The fewer are looked up among the more.
    """
    if len(others) < len(rows):
        places = np.searchsorted(rows, others)
        met: Rows = places[rows.take(places, mode="clip") == others]
        return met
    places = np.searchsorted(others, rows)
    return np.flatnonzero(others.take(places, mode="clip") == rows)


@dataclass(frozen=True)
class Scope:
    """Every item of a catalogue. Scores are `(requests, items)`: an item's place is its row."""

    rows: Rows | slice = field(default_factory=lambda: slice(None))
    counted: Weights | None = None

    def places(self, rows: Rows) -> Rows:
        """Where these items stand in scores, -1 where they are not scored."""
        return rows

    def rows_at(self, places: Rows) -> Rows:
        """The items that stand there."""
        return places

    def size(self, items: int) -> int:
        """How many are scored, of a catalogue of so many."""
        return items

    def below(self, row: int) -> "Scope":  # noqa: ARG002 - of one form
        """The items of rows before this one; whoever has no others is asked for all."""
        return self


@dataclass(frozen=True)
class Part(Scope):
    """Some items: `rows` ascend, each once. Scores are `(requests, len(rows))`.

    `counted` `(rows,)`, all above 0: how many items of the catalogue each stands for where a mean or a
    spread is taken. It makes both what they are over all items, nearly. `sampled`: places of the items that
    are in every scope, the first ones of the sample or all, in their order.
    """

    rows: Rows
    counted: Weights
    sampled: Rows = field(default_factory=lambda: np.empty(0, np.int64))

    def places(self, rows: Rows) -> Rows:
        """Where these items stand in scores, -1 where they are not scored."""
        if not len(self.rows):
            return np.full(len(rows), -1, np.int64)
        places = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return np.where(self.rows[places] == rows, places, -1)

    def rows_at(self, places: Rows) -> Rows:
        """The items that stand there."""
        return self.rows[places]

    def size(self, items: int) -> int:  # noqa: ARG002 - of one form
        """How many are scored."""
        return len(self.rows)

    def below(self, row: int) -> "Part":
        """The items of rows before this one."""
        end = np.searchsorted(self.rows, row)
        kept = np.searchsorted(self.sampled, end)
        return Part(self.rows[:end], self.counted[:end], self.sampled[:kept])

    def only(self, places: Rows) -> "Part":
        """The items of these places, which ascend."""
        return Part(self.rows[places], self.counted[places])


EVERYTHING = Scope()


@dataclass(frozen=True)
class Sample:
    """Items drawn once: `rows`, ascending, of the `known` `(items,)` ones, which stand for all of these."""

    rows: Rows
    known: NDArray[np.bool_]

    @cached_property
    def _count(self) -> int:
        """How many are known."""
        return int(self.known.sum())

    @classmethod
    def draw(cls, known: NDArray[np.bool_], size: int, seed: int) -> "Sample":
        """At most `size` of the known ones."""
        met = np.flatnonzero(known)
        drawn = np.random.default_rng(seed).choice(met, min(size, len(met)), replace=False)
        return cls(np.sort(drawn), known)

    def around(self, found: Rows) -> Part:
        """The items found, and the sample beside them (a stratified estimate, Cochran 1977).

        What is found counts once. The sampled ones among the rest share out what else is known, so that
        the few scores that stand out, which a sample would miss, are counted as they are.
        """
        found = distinct(found)
        rows = distinct(found, self.rows)
        among = np.zeros(len(rows), np.bool_)
        among[np.searchsorted(rows, found)] = True
        inside = found[found < len(self.known)]
        others = self._count - self.known[inside].sum()
        each = others / max(len(rows) - among.sum(), 1)
        counted = np.where(among, 1, each).astype(np.float32)
        return Part(rows, counted, np.searchsorted(rows, self.rows))
