"""Which items of a catalogue are scored for a request: all, or the candidates of a large one."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from recloop.config import Settings
from recloop.data.catalogue import Rows
from recloop.models.scope import Sample, Scope, distinct
from recloop.recommender.gate import Gate

# From so large a part of the catalogue on, what meets the conditions needs no wider search.
_AMPLE = 0.25

# So many rows that may be among the best, in any order.
Find = Callable[[int], Rows]


class RetrievalConfig(Settings):
    """When candidates are looked for, and how many.

    `above`: larger catalogues are not scored as a whole. `count`: what each channel names; up to `wider`
    times as much where filters leave a small part, or too few of them. `narrow`: a filter that leaves no
    more than that names the candidates itself. `sample`: items drawn by `seed` by which scores are
    standardised.
    """

    above: Annotated[int, Field(ge=0)] = 200_000
    count: Annotated[int, Field(ge=1)] = 300
    wider: Annotated[int, Field(ge=1)] = 8
    narrow: Annotated[int, Field(ge=0)] = 8_192
    sample: Annotated[int, Field(ge=1)] = 2_048
    seed: int = 42


@dataclass(frozen=True)
class Retrieval:
    """Of a large catalogue: the items that stand for all, and how the others are found."""

    config: RetrievalConfig
    sample: Sample

    def scope(self, gate: Gate, k: int, find: Find, backed: Callable[[Rows], Rows]) -> Scope:
        """The candidates, of which k may leave, or all that may.

        `backed` adds the rows by which those given are judged.
        """
        if gate.left <= self.config.narrow:
            # What is found beside it is not answered with, but channels are measured by it.
            found = distinct(gate.meeting(), find(self.config.count))
            return self.sample.around(backed(found))
        for wider in (self._wider(gate), self.config.wider):
            scope = self.sample.around(backed(find(self.config.count * wider)))
            if not _short(gate, scope, k):
                return scope
        return self.sample.around(backed(gate.allowed()))

    def _wider(self, gate: Gate) -> int:
        """How many times as many to look for, so that enough of them meet the conditions."""
        return min(math.ceil(_AMPLE * len(gate.catalogue) / gate.left), self.config.wider)


def _short(gate: Gate, scope: Scope, k: int) -> bool:
    rows = scope.size(len(gate.catalogue))
    return rows - len(set(gate.forbidden(scope).tolist())) < k
