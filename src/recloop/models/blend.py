"""The blend: standardised channels, weighted; new items after them, by what is said of their like."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from recloop.models.newcomers import Newcomers, NewcomerTerms
from recloop.models.popularity import Popularity
from recloop.models.repeat import Repeat
from recloop.models.scorer import History, Scorer, Scores, standardise

SEQUENTIAL = "sequential"
COLLABORATIVE = "collaborative"
LOW_RANK = "low-rank"
NEIGHBOURS = "neighbours"
CONTENT = "content"
POPULARITY = "popularity"
QUERY = "query"
NEWCOMER = "newcomer"

_REPEAT_DECAYS = (1.0, 0.99, 0.9)


class BlendWeights(BaseModel):
    """Weight of each channel, and how items that training has not seen stand among the others."""

    channels: dict[str, float]
    newcomers: NewcomerTerms = NewcomerTerms()


class Blend:
    """A scorer made of scorers. Known items are scored by the channels, new ones by their like."""

    def __init__(
        self, channels: Mapping[str, Scorer], weights: BlendWeights, newcomers: Newcomers
    ) -> None:
        self.channels = channels
        self.weights = weights
        self.newcomers = newcomers

    def parts(self, histories: Sequence[History]) -> dict[str, Scores]:
        """What each channel contributes, `(requests, items)` each."""
        return parts(
            lambda name: self.channels[name].score(histories), self.weights, self.newcomers
        )

    def score(self, histories: Sequence[History]) -> Scores:
        return combine(self.parts(histories))


def weighed(
    ask: Callable[[str], Scores], channels: Mapping[str, float], known: NDArray[np.bool_]
) -> dict[str, Scores]:
    """The scores of known items by each channel that counts, as `ask` says them; new ones get 0."""
    return {
        name: np.float32(weight) * standardise(ask(name), known)
        for name, weight in channels.items()
        if weight > 0
    }


def parts(
    ask: Callable[[str], Scores], weights: BlendWeights, newcomers: Newcomers
) -> dict[str, Scores]:
    """What channels say of known items, and in one part more what follows for new ones."""
    found = weighed(ask, weights.channels, newcomers.known)
    if len(newcomers.rows):
        scores = combine(found)
        found[NEWCOMER] = np.zeros_like(scores)
        found[NEWCOMER][:, newcomers.rows] = newcomers.place(scores)
    return found


def combine(found: Mapping[str, Scores]) -> Scores:
    """The sum of the parts."""
    total: Scores = np.sum(list(found.values()), axis=0, dtype=np.float32)
    return total


def repeat_channels(items: int) -> dict[str, Scorer]:
    """What a person comes back to, a channel for each decay of the history."""
    return {f"repeat-{decay}": Repeat(items, decay) for decay in _REPEAT_DECAYS}


def trend_channels(trends: NDArray[np.float32]) -> dict[str, Scorer]:
    """Popularity of the moment, a channel for each half-life."""
    return {f"trend-{n}": Popularity(counts) for n, counts in enumerate(trends)}
