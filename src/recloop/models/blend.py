"""The blend: standardised channels, weighted."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

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

_REPEAT_DECAYS = (1.0, 0.99, 0.9)


class BlendWeights(BaseModel):
    """Weight of each channel, and what is added to items that training has not seen."""

    channels: dict[str, float]
    cold_offset: float = 0.0


class Blend:
    """A scorer made of scorers; `known` `(items,)` is false for items new since training."""

    def __init__(
        self, channels: Mapping[str, Scorer], weights: BlendWeights, known: NDArray[np.bool_]
    ) -> None:
        self.channels = channels
        self.weights = weights
        self.known = known

    def parts(self, histories: Sequence[History]) -> dict[str, Scores]:
        """Weighted contribution of each channel, `(requests, items)` each."""
        return {
            name: self.weights.channels[name] * standardise(channel.score(histories))
            for name, channel in self.channels.items()
            if self.weights.channels.get(name, 0.0)
        }

    def score(self, histories: Sequence[History]) -> Scores:
        return combine(self.parts(histories), self.weights, self.known)


def combine(parts: Mapping[str, Scores], weights: BlendWeights, known: NDArray[np.bool_]) -> Scores:
    """Sum of weighted parts, plus the cold offset where an item is new."""
    total = np.sum(list(parts.values()), axis=0, dtype=np.float32)
    return np.where(known, total, total + np.float32(weights.cold_offset))


def repeat_channels(items: int) -> dict[str, Scorer]:
    """What a person comes back to, a channel for each decay of the history."""
    return {f"repeat-{decay}": Repeat(items, decay) for decay in _REPEAT_DECAYS}


def trend_channels(trends: NDArray[np.float32]) -> dict[str, Scorer]:
    """Popularity of the moment, a channel for each half-life."""
    return {f"trend-{n}": Popularity(counts) for n, counts in enumerate(trends)}
