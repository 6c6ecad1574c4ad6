"""The blend: standardised channels, weighted; weights and decays chosen on validation data."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from recloop.models.scorer import History, Scorer, Scores, standardise

SEQUENTIAL = "sequential"
COLLABORATIVE = "collaborative"
CONTENT = "content"
POPULARITY = "popularity"
QUERY = "query"

_GRID = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)
_OFFSETS = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
_SWEEPS = 2


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


def tune(
    standardised: Mapping[str, Scores],
    known: NDArray[np.bool_],
    quality: Callable[[Scores], float],
) -> tuple[BlendWeights, float]:
    """Coordinate search over weights and cold offset for the best `quality` of the blended scores.

    Popularity never falls to zero: it is what an empty history is answered with.
    """
    weights = BlendWeights(channels=dict.fromkeys(standardised, 0.5))
    weights.channels[SEQUENTIAL] = 1.0
    weights.channels[POPULARITY] = 0.05

    def judge(candidate: BlendWeights) -> float:
        parts = {name: candidate.channels[name] * scores for name, scores in standardised.items()}
        return quality(combine(parts, candidate, known))

    best = judge(weights)
    for _ in range(_SWEEPS):
        for name in (n for n in standardised if n != SEQUENTIAL):
            for value in _GRID if name != POPULARITY else _GRID[1:]:
                candidate = weights.model_copy(
                    update={"channels": {**weights.channels, name: value}}
                )
                if (score := judge(candidate)) > best:
                    weights, best = candidate, score
        for offset in _OFFSETS:
            candidate = weights.model_copy(update={"cold_offset": offset})
            if (score := judge(candidate)) > best:
                weights, best = candidate, score
    return weights, best
