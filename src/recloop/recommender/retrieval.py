"""Which items of a catalogue are scored for a request: all, or the candidates of a large one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, NamedTuple, Protocol

from pydantic import Field

from recloop.config import Settings
from recloop.data.catalogue import Rows
from recloop.models.scope import Part, Sample, Scope, distinct
from recloop.models.scorer import Scores
from recloop.models.sketch import Sketch
from recloop.recommender.gate import Gate


class Find(Protocol):
    """So many rows that may be among the best, in any order."""

    def __call__(self, count: int, *, sampled: bool) -> Rows:
        """`sampled`: what may be best is known, and the sample measures what it can."""
        ...


class Search(NamedTuple):
    """How the items of one request are looked for.

    `score`: the mix, of items in scope, `(1, items)`. `with_new` adds to rows
    new items that are like them, some for such a count; `backed` adds those by which rows are judged.
    """

    find: Find
    score: Callable[[Scope], Scores]
    with_new: Callable[[Rows, int], Rows]
    backed: Callable[[Rows], Rows]


class RetrievalConfig(Settings):
    """When candidates are looked for, and how many.

    `above`: larger catalogues are not scored as a whole. `count`: what each channel names; `wider` times
    as much where too few of them may leave. What meets a filter is scored as a whole up to `narrow`, and
    otherwise the `likely` ones, beside what channels name unless less than one in `wider` meets it.
    `sample`: items drawn by `seed` by which scores are standardised.
    """

    above: Annotated[int, Field(ge=0)] = 200_000
    count: Annotated[int, Field(ge=1)] = 300
    wider: Annotated[int, Field(ge=1)] = 8
    narrow: Annotated[int, Field(ge=0)] = 8_192
    likely: Annotated[int, Field(ge=1)] = 2_048
    sample: Annotated[int, Field(ge=1)] = 2_048
    seed: int = 42


@dataclass(frozen=True)
class Retrieval:
    """Of a large catalogue: the items that stand for all, and how the others are found."""

    config: RetrievalConfig
    sample: Sample
    sketch: Sketch

    def scope(self, gate: Gate, k: int, search: Search) -> Scope:
        """The candidates, of which k may leave, or all that may."""
        found = search.find(self.config.count, sampled=self._hardly_met(gate))
        # What is found and must not leave stays: channels are measured by it.
        scope = self._around(distinct(found, self._meeting(gate, search)), search)
        if gate.met is None and _short(gate, scope, k):
            wide = search.find(self.config.count * self.config.wider, sampled=False)
            scope = self._around(wide, search)
        if _short(gate, scope, k):
            scope = self._around(gate.allowed(), search)
        return scope

    def _meeting(self, gate: Gate, search: Search) -> Rows:
        """What meets the conditions of a filter: all of it, or where that is much, the likely ones."""
        rows = gate.meeting
        if rows is None:
            return distinct()
        if len(rows) <= self.config.narrow:
            return rows
        scope = self._around(distinct(), search)
        likely = self.sketch.likely(scope, search.score(scope)[0], rows, self.config.likely)
        # What a sketch cannot know of is found by its like.
        return search.with_new(likely, self.config.count)

    def _hardly_met(self, gate: Gate) -> bool:
        """Whether of what channels name, hardly anything would meet the conditions."""
        met = gate.meeting
        return met is not None and len(met) * self.config.wider <= len(gate.catalogue)

    def _around(self, found: Rows, search: Search) -> Part:
        return self.sample.around(search.backed(found))


def _short(gate: Gate, scope: Scope, k: int) -> bool:
    rows = scope.size(len(gate.catalogue))
    return rows - len(distinct(gate.forbidden(scope))) < k
