"""Indexes of what is said of items: which rows have a category, a value, a number within bounds."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows

Value = str | bool | int | float
# Both ends belong to it; None is open.
Bounds = tuple[float | None, float | None]

_NOWHERE = np.empty(0, np.int64)
# As tuples: a million items are asked of which kind their values are, and unions answer slowly.
_WORDS, _NUMBERS = (str, bool), (bool, int, float)


class Facts(NamedTuple):
    """What is said of one item."""

    categories: tuple[str, ...]
    attributes: Mapping[str, Sequence[Value]]


@dataclass(frozen=True)
class Postings:
    """An inverted index: the rows of value `v` are `rows[starts[place[v]] : starts[place[v] + 1]]`."""

    place: Mapping[str | bool, int]
    starts: NDArray[np.int64]
    rows: Rows

    @classmethod
    def of(cls, values: Collection[str | bool], rows: Rows) -> "Postings":
        """Of pairs of a value and a row."""
        place: dict[str | bool, int] = {}
        numbers = (place.setdefault(value, len(place)) for value in values)
        codes = np.fromiter(numbers, np.int64, len(values))
        starts = np.cumsum([0, *np.bincount(codes, minlength=len(place))])
        return cls(place, starts, rows[np.argsort(codes, kind="stable")])

    def find(self, values: Iterable[str | bool]) -> Rows:
        """Rows that have one of the values."""
        places = [self.place[value] for value in values if value in self.place]
        found = [self.rows[self.starts[place] : self.starts[place + 1]] for place in places]
        return np.concatenate(found) if found else _NOWHERE


@dataclass(frozen=True)
class Numbers:
    """Numbers in their order, each with its row."""

    values: NDArray[np.float64]
    rows: Rows

    @classmethod
    def of(cls, values: Sequence[float], rows: Rows) -> "Numbers":
        """Of pairs of a number and a row."""
        order = np.argsort(values, kind="stable")
        return cls(np.array(values, np.float64)[order], rows[order])

    def between(self, least: float, most: float) -> Rows:
        """Rows whose number lies there, ends included."""
        first = np.searchsorted(self.values, least, "left")
        last = np.searchsorted(self.values, most, "right")
        return self.rows[first:last]


@dataclass(frozen=True)
class Index:
    """Categories, and attributes by their name: words and truth values in one, numbers in another."""

    categories: Postings
    words: Mapping[str, Postings]
    numbers: Mapping[str, Numbers]

    @classmethod
    def of(cls, categories: Postings, attributes: Iterable[tuple[int, Facts]]) -> "Index":
        """`attributes` are read from the facts of each row."""
        words: dict[str, tuple[list[str | bool], list[int]]] = {}
        numbers: dict[str, tuple[list[float], list[int]]] = {}
        for row, facts in attributes:
            for name, values in facts.attributes.items():
                for value in values:
                    if isinstance(value, _WORDS):
                        told, rows = words.setdefault(name, ([], []))
                        told.append(value)
                    else:
                        counted, rows = numbers.setdefault(name, ([], []))
                        counted.append(float(value))
                    rows.append(row)
        return cls(
            categories,
            {name: Postings.of(told, np.array(rows)) for name, (told, rows) in words.items()},
            {name: Numbers.of(told, np.array(rows)) for name, (told, rows) in numbers.items()},
        )

    def having(self, name: str, values: Sequence[Value]) -> Rows:
        """Rows whose attribute has one of the values; `1` and `1.0` are one number, and not `true`."""
        found = [_NOWHERE]
        if name in self.words:
            found.append(self.words[name].find(v for v in values if isinstance(v, str | bool)))
        if name in self.numbers:
            wanted = [float(v) for v in values if not isinstance(v, str | bool)]
            found.extend(self.numbers[name].between(number, number) for number in wanted)
        return np.concatenate(found)

    def within(self, name: str, bounds: Bounds) -> Rows:
        """Rows whose attribute is a number within bounds."""
        if name not in self.numbers:
            return _NOWHERE
        least, most = bounds
        return self.numbers[name].between(
            -inf if least is None else least, inf if most is None else most
        )


def readable(attributes: str | None) -> dict[str, list[Value]]:
    """The values of each attribute in a JSON object; empty where it is none. Nested objects say nothing."""
    try:
        told = json.loads(attributes or "{}")
    except ValueError:
        return {}
    if not isinstance(told, dict):
        return {}
    return {
        name: [value for value in (own if isinstance(own, list) else (own,)) if _plain(value)]
        for name, own in told.items()
    }


def _plain(value: object) -> bool:
    if isinstance(value, str):
        return True
    return isinstance(value, _NUMBERS) and abs(value) < 2**1000 and isfinite(value)
