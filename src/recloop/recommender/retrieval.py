"""Which items of a catalogue are scored for a request: all, or the candidates of a large one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from recloop.config import Settings
from recloop.data.catalogue import Rows
from recloop.models.scope import Sample, Scope
from recloop.recommender.gate import Gate

# So many rows that may be among the best, in any order.
Find = Callable[[int], Rows]


class RetrievalConfig(Settings):
    """When candidates are looked for, and how many.

    `above`: larger catalogues are not scored as a whole. `count`: what each channel names; `wider`: so
    many times as much where rules leave too few of them. `narrow`: a filter that leaves no more than that
    names the candidates itself. `sample`: items drawn by `seed` by which scores are standardised.
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
        narrow = gate.narrow(self.config.narrow)
        if narrow is not None:
            return self.sample.around(backed(narrow))
        for count in (self.config.count, self.config.count * self.config.wider):
            scope = self.sample.around(backed(find(count)))
            if not _short(gate, scope, k):
                return scope
        return self.sample.around(backed(gate.allowed()))


def _short(gate: Gate, scope: Scope, k: int) -> bool:
    rows = scope.size(len(gate.catalogue))
    return rows - len(set(gate.forbidden(scope).tolist())) < k
