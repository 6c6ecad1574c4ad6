"""Layers of updates, merged as in a log-structured merge tree.

An update costs as much as it contains, not as much as all updates before it: each layer is more
than twice as long as the one above it, so there are few layers and an entry is copied a few times.

Reference:
    O'Neil et al. 1996, "The log-structured merge-tree (LSM-tree)".
"""

from collections.abc import Sequence
from typing import Protocol, Self, TypeVar


class Layer(Protocol):
    """Set of updates, at most one for each key."""

    def __len__(self) -> int: ...

    def merged_with(self, later: Self) -> Self:
        """Return one layer of both; for a key that both have, `later` wins."""
        ...


Updates = TypeVar("Updates", bound=Layer)


def push_layer(layers: Sequence[Updates], update: Updates) -> tuple[Updates, ...]:
    """Return the layers with an update on top, merged with those that are not twice as long.

    Args:
        layers: Oldest first.
        update: The newest layer.
    """
    *lower, last = [*layers, update]
    while lower and len(lower[-1]) <= 2 * len(last):
        last = lower.pop().merged_with(last)
    return (*lower, last)
