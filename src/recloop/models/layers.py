"""Changes in layers, newest on top, so that one more costs what it holds and not what all hold.

A log-structured merge (O'Neil et al. 1996): each layer is more than twice as long as the one above it, so
that there are few, and a change is copied a few times and not whenever another one comes.
"""

from collections.abc import Sequence
from typing import Protocol, Self, TypeVar


class Layer(Protocol):
    """Changes, each of another thing."""

    def __len__(self) -> int: ...

    def then(self, later: Self) -> Self:
        """One layer of both; of the same thing, `later` is true."""
        ...


Kind = TypeVar("Kind", bound=Layer)


def layered(below: Sequence[Kind], top: Kind) -> tuple[Kind, ...]:
    """These layers, lowest first, with another on top of them."""
    *lower, last = [*below, top]
    while lower and len(lower[-1]) <= 2 * len(last):
        last = lower.pop().then(last)
    return (*lower, last)
