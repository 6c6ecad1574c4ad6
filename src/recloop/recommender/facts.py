"""What is said of items now: packaged ones, indexed at load, and what was told since over them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recloop import columns as c
from recloop.data.catalogue import Rows
from recloop.models.layers import layered
from recloop.recommender.postings import Bounds, Facts, Index, Postings, Value, readable

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Told:
    """What was said anew of some items, by row."""

    facts: Mapping[int, Facts]

    def __len__(self) -> int:
        return len(self.facts)

    def then(self, later: "Told") -> "Told":
        """Both; of the same row, `later` is true."""
        return Told({**self.facts, **later.facts})

    @cached_property
    def rows(self) -> Rows:
        """In their order, `(len,)`."""
        return np.fromiter(self.facts, np.int64, len(self.facts))

    @cached_property
    def index(self) -> Index:
        """To find rows by what is said of them."""
        pairs = [(row, own) for row, facts in self.facts.items() for own in facts.categories]
        rows = np.array([row for row, _ in pairs], np.int64)
        return Index.of(Postings.of([own for _, own in pairs], rows), self.facts.items())


@dataclass(frozen=True)
class Known:
    """What is said of `size` items: the packaged ones, but for those told anew, newest last.

    `listed` are the packaged categories, a list for each row.
    """

    size: int
    listed: pl.Series
    packaged: Index
    told: Sequence[Told] = ()

    @classmethod
    def of(cls, items: pl.DataFrame) -> "Known":
        """Of items in the contract's form."""
        listed = items[c.CATEGORIES]
        exploded = pl.DataFrame({c.CATEGORIES: listed}).with_row_index(c.ROW).explode(c.CATEGORIES)
        pairs = exploded.drop_nulls(c.CATEGORIES)
        postings = Postings.of(
            pairs[c.CATEGORIES].to_list(), pairs[c.ROW].to_numpy().astype(np.int64)
        )
        attributes = enumerate(items[c.ATTRIBUTES].to_list())
        read = ((row, Facts((), readable(told))) for row, told in attributes if told is not None)
        return cls(len(items), listed, Index.of(postings, read))

    def changed(self, facts: Mapping[int, Facts], size: int) -> "Known":
        """The same, but for these rows, of `size` items."""
        told = layered(self.told, Told(facts))
        told[-1].index  # noqa: B018 - made here, so that no request has to
        return Known(size, self.listed, self.packaged, told)

    def categories(self, row: int) -> Sequence[str]:
        """Of one item."""
        for told in reversed(self.told):
            if row in told.facts:
                return told.facts[row].categories
        own: Sequence[str] = self.listed[row].to_list()
        return own

    def mask(self, find: Callable[[Index], Rows]) -> Mask:
        """`(items,)`: where `find` says so, in what is said now."""
        found = np.zeros(self.size, np.bool_)
        found[find(self.packaged)] = True
        for told in self.told:
            found[told.rows] = False
            found[find(told.index)] = True
        return found

    def in_categories(self, categories: Iterable[str]) -> Mask:
        """`(items,)`: one of these at least."""
        wanted = list(categories)
        return self.mask(lambda index: index.categories.find(wanted))

    def having(self, name: str, values: Sequence[Value]) -> Mask:
        """`(items,)`: an attribute with one of the values."""
        return self.mask(lambda index: index.having(name, values))

    def within(self, name: str, bounds: Bounds) -> Mask:
        """`(items,)`: an attribute that is a number within bounds."""
        return self.mask(lambda index: index.within(name, bounds))
