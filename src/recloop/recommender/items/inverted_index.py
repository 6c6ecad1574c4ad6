"""Indexes of items by category, by value of an attribute, and by number."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows

Value = str | bool | int | float
# Both bounds are included; None means no bound.
Bounds = tuple[float | None, float | None]

_NOWHERE = np.empty(0, np.int64)
# Tuples, because `isinstance` is slow with unions, and it checks every value of a million items.
_WORDS, _NUMBERS = (str, bool), (bool, int, float)


class ItemFacets(NamedTuple):
    """Categories and attribute values of one item."""

    categories: tuple[str, ...]
    attributes: Mapping[str, Sequence[Value]]


@dataclass(frozen=True)
class InvertedIndex:
    """Inverted index from values to rows.

    The rows of value `v` are `rows[starts[positions[v]] : starts[positions[v] + 1]]`.
    """

    positions: Mapping[str | bool, int]
    starts: NDArray[np.int64]
    rows: Rows

    @classmethod
    def from_pairs(cls, values: Collection[str | bool], rows: Rows) -> "InvertedIndex":
        """Return the index of pairs of a value and a row.

        Args:
            values: Value of each pair.
            rows: Row of each pair, shape `(pairs,)`.
        """
        positions: dict[str | bool, int] = {}
        numbers = (positions.setdefault(value, len(positions)) for value in values)
        codes = np.fromiter(numbers, np.int64, len(values))
        starts = np.cumsum([0, *np.bincount(codes, minlength=len(positions))])
        return cls(positions, starts, rows[np.argsort(codes, kind="stable")])

    def rows_with_any(self, values: Iterable[str | bool]) -> Rows:
        """Return the rows that have at least one of the values, shape `(matches,)`.

        A row that has several of them occurs repeatedly.
        """
        found_positions = [self.positions[value] for value in values if value in self.positions]
        found = [
            self.rows[self.starts[position] : self.starts[position + 1]]
            for position in found_positions
        ]
        return np.concatenate(found) if found else _NOWHERE


@dataclass(frozen=True)
class SortedColumn:
    """Numbers in ascending order, each with its row; both arrays have shape `(numbers,)`."""

    values: NDArray[np.float64]
    rows: Rows

    @classmethod
    def from_pairs(cls, values: Sequence[float], rows: Rows) -> "SortedColumn":
        """Return the column of pairs of a number and a row."""
        order = np.argsort(values, kind="stable")
        return cls(np.array(values, np.float64)[order], rows[order])

    def rows_between(self, least: float, most: float) -> Rows:
        """Return the rows whose number lies between the bounds, shape `(matches,)`.

        Both bounds are included.
        """
        first = np.searchsorted(self.values, least, "left")
        last = np.searchsorted(self.values, most, "right")
        return self.rows[first:last]


@dataclass(frozen=True)
class FacetIndex:
    """Index of categories and, for each attribute name, of text and truth values and of numbers."""

    categories: InvertedIndex
    words: Mapping[str, InvertedIndex]
    numbers: Mapping[str, SortedColumn]

    @classmethod
    def from_facets(
        cls, categories: InvertedIndex, attributes: Iterable[tuple[int, ItemFacets]]
    ) -> "FacetIndex":
        """Return the index of categories and of the attributes of each row."""
        words: dict[str, tuple[list[str | bool], list[int]]] = {}
        numbers: dict[str, tuple[list[float], list[int]]] = {}
        for row, facts in attributes:
            for name, values in facts.attributes.items():
                for value in values:
                    if isinstance(value, _WORDS):
                        texts, rows = words.setdefault(name, ([], []))
                        texts.append(value)
                    else:
                        counted, rows = numbers.setdefault(name, ([], []))
                        counted.append(float(value))
                    rows.append(row)
        return cls(
            categories,
            {
                name: InvertedIndex.from_pairs(texts, np.array(rows))
                for name, (texts, rows) in words.items()
            },
            {
                name: SortedColumn.from_pairs(texts, np.array(rows))
                for name, (texts, rows) in numbers.items()
            },
        )

    def rows_with_value(self, name: str, values: Sequence[Value]) -> Rows:
        """Return the rows whose attribute has one of the values, shape `(matches,)`.

        `1` and `1.0` are the same number, and `True` is not a number.
        """
        found = [_NOWHERE]
        if name in self.words:
            found.append(
                self.words[name].rows_with_any(v for v in values if isinstance(v, str | bool))
            )
        if name in self.numbers:
            wanted = [float(v) for v in values if not isinstance(v, str | bool)]
            found.extend(self.numbers[name].rows_between(number, number) for number in wanted)
        return np.concatenate(found)

    def rows_with_number_between(self, name: str, bounds: Bounds) -> Rows:
        """Return the rows whose attribute is a number between the bounds, shape `(matches,)`.

        Both bounds are included.
        """
        if name not in self.numbers:
            return _NOWHERE
        least, most = bounds
        return self.numbers[name].rows_between(
            -inf if least is None else least, inf if most is None else most
        )


def parse_attributes(attributes: str | None) -> dict[str, list[Value]]:
    """Return the values of each attribute of a JSON object, without nested objects.

    Text that is not a JSON object has no attributes.
    """
    try:
        values = json.loads(attributes or "{}")
    except ValueError:
        return {}
    if not isinstance(values, dict):
        return {}
    return {
        name: [value for value in (own if isinstance(own, list) else (own,)) if _plain(value)]
        for name, own in values.items()
    }


def _plain(value: object) -> bool:
    if isinstance(value, str):
        return True
    return isinstance(value, _NUMBERS) and abs(value) < 2**1000 and isfinite(value)
