"""The blend: the weighted sum of standardised channels, and what follows from it for cold items."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from recloop.data.catalogue import Rows
from recloop.scoring.candidate_set import ALL_ITEMS, Candidates, sorted_union
from recloop.scoring.candidates.generators import CandidateGenerator
from recloop.scoring.channels.popularity import Popularity
from recloop.scoring.channels.repeat_consumption import RepeatConsumption
from recloop.scoring.cold_items import ColdItemCalibration, ColdItemScorer
from recloop.scoring.scorer import (
    Channel,
    RequestBatch,
    Scores,
    ScoringRequests,
    history_channel,
    standardise,
)

# Names of the channels, in packaged models, contributions, settings and reports.
SASREC = "sasrec"
EASE = "ease"
IALS = "ials"
ITEM_KNN = "item-knn"
TEXT = "text"
WORDS = "words"
POPULARITY = "popularity"
RECENT_POPULARITY = "recent-popularity"
REPEAT = "repeat"
# Names of contributions that are not channels.
QUERY = "query"
CO_OCCURRENCE = "co-occurrence"
COLD_ITEM = "cold-item"

_REPEATS = {f"{REPEAT}-{decay}": decay for decay in (1.0, 0.99, 0.9)}
# Channels that score few items and give the others 0.
_SPARSE_CHANNELS = {EASE, ITEM_KNN, WORDS, *_REPEATS}
# One related cold item is added for this many candidates of a channel.
_CANDIDATES_PER_COLD_ITEM = 8

# Transform of standardised scores: none, or the square root of their size with their sign. The
# latter keeps a channel from ruling the sum by a few scores that are far above all others.
Transform = Literal["linear", "sqrt"]


class BlendWeights(BaseModel):
    """Weights of the channels, and the calibration of cold items.

    Attributes:
        channels: Weight of each channel.
        by_history_length: Weights for histories of at least this length, in place of `channels`.
        transform: Transform of the standardised scores before they are weighted.
        cold_items: Scale and offset of the scores of cold items.
    """

    channels: dict[str, float]
    by_history_length: dict[int, dict[str, float]] = {}
    transform: Transform = "linear"
    cold_items: ColdItemCalibration = ColdItemCalibration()

    def active_weights(self, lengths: NDArray[np.int64]) -> dict[str, Scores]:
        """Return the weights `(requests, 1)` of the channels with a weight other than 0.

        Args:
            lengths: Lengths of the histories, `(requests,)`.
        """
        thresholds = sorted(self.by_history_length)
        sets = [self.channels, *(self.by_history_length[length] for length in thresholds)]
        values = [weights[name] for name in self.channels for weights in sets]
        table = np.array(values, np.float32).reshape(-1, len(sets))
        chosen = table[:, np.searchsorted(thresholds, lengths, side="right")]
        named = zip(self.channels, chosen[:, :, None], np.abs(chosen).sum(1).tolist(), strict=True)
        return {name: weights for name, weights, total in named if total}


class Blend:
    """Weighted sum of standardised channels over warm items, extended to cold items.

    Args:
        channels: Scorer of each channel, by name.
        weights: Weights of the channels.
        cold_items: Scorer of the cold items.
        generators: Candidate generator of each channel, for catalogues that are too large to score
            as a whole.

    >>> from recloop.scoring.scorer import history_channel
    >>> popularity = history_channel(Popularity(np.array([0, 3, 3], np.float32)))
    >>> weights = BlendWeights(channels={POPULARITY: 2.0})
    >>> warm, no_text = np.ones(3, bool), np.zeros((3, 1), np.float32)
    >>> cold_items = ColdItemScorer.from_text(no_text, warm, weights.cold_items)
    >>> blend = Blend({POPULARITY: popularity}, weights, cold_items)
    >>> print(blend.score(RequestBatch([np.array([1])])).round(2))
    [[-2.83  1.41  1.41]]
    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        weights: BlendWeights,
        cold_items: ColdItemScorer,
        generators: Mapping[str, CandidateGenerator] | None = None,
    ) -> None:
        self.channels = channels
        self.weights = weights
        self.cold_items = cold_items
        self.generators = generators or {}
        self._cold_start_scores: dict[str, Scores] = {}

    def contributions(self, requests: ScoringRequests) -> dict[str, Scores]:
        """Return what each channel adds to the scores, each `(requests, candidates)`."""
        cold_items = self.cold_items.restricted_to(requests.candidates)
        # Cold items may need the scores of a channel that the warm items have needed already.
        score_channel = cache(lambda name: self.channels[name](requests))
        return channel_contributions(score_channel, self.weights, cold_items, _lengths(requests))

    def generate_candidates(
        self, requests: ScoringRequests, count: int, *, sparse_only: bool = False
    ) -> Rows:
        """Return candidate rows: `count` of each channel and related cold items.

        Args:
            requests: Histories of the requests.
            count: Candidates of each channel.
            sparse_only: Use only the channels that score few items, and add no cold items. Enough
                where the candidates come from elsewhere: the reference sample then suffices to
                standardise the other channels.

        Returns:
            Distinct rows, ascending, `(candidates,)`.
        """
        active = self.weights.active_weights(_lengths(requests))
        names = [name for name in active if not sparse_only or name in _SPARSE_CHANNELS]
        candidates = sorted_union(*(self.generators[name](requests, count) for name in names))
        return candidates if sparse_only else self.add_cold_items(candidates, count)

    def generate_co_occurring(self, row: int, count: int) -> Rows:
        """Return candidate rows for `co_occurrence_scores`: `count` of each of its channels.

        They are distinct and ascending, `(candidates,)`.
        """
        requests = RequestBatch([np.array([row])])
        found = [self.generators[name](requests, count) for name in (EASE, ITEM_KNN)]
        return self.add_cold_items(sorted_union(*found), count)

    def top_of_channel(self, channel: str, count: int) -> Rows:
        """Return the `count` best rows `(count,)` of a channel that scores alike for everybody."""
        return self.generators[channel](RequestBatch([np.empty(0, np.int64)]), count)

    def add_neighbours(self, rows: Rows) -> Rows:
        """Return the rows and the warm neighbours by which cold items among them are scored.

        Args:
            rows: Rows, `(rows,)`.

        Returns:
            Distinct rows, ascending, `(rows and neighbours,)`.
        """
        return self.cold_items.add_neighbours(rows)

    def add_cold_items(self, rows: Rows, count: int) -> Rows:
        """Return the rows and, at most `count` / 8, the cold items most related to them.

        Args:
            rows: Rows, `(rows,)`.
            count: Number of candidates of each channel.

        Returns:
            Distinct rows, ascending, `(rows and cold items,)`.
        """
        most = count // _CANDIDATES_PER_COLD_ITEM
        return sorted_union(rows, self.cold_items.related_cold_items(rows, most))

    def score(self, requests: ScoringRequests) -> Scores:
        """Return the blended scores `(requests, candidates)`."""
        return total_scores(self.contributions(requests))

    def co_occurrence_scores(self, row: int, candidates: Candidates = ALL_ITEMS) -> Scores:
        """Score how often users interact with the candidates and with this item.

        Args:
            row: Row of the item.
            candidates: The items to score.

        Returns:
            The sum of EASE and item-kNN, each standardised, standardised again over warm items,
            `(1, candidates)`. Cold items get the weighted mean of their neighbours.
        """
        requests = RequestBatch([np.array([row])], candidates=candidates)
        cold_items = self.cold_items.restricted_to(candidates)
        found = [self.channels[name](requests) for name in (EASE, ITEM_KNN)]
        scaled = [standardise(scores, cold_items.warm_weight) for scores in found]
        scores = standardise(np.sum(scaled, axis=0, dtype=np.float32), cold_items.warm_weight)
        scores[:, cold_items.rows] = cold_items.neighbour_mean(scores)
        return scores

    def cold_start_scores(self, channel: str) -> Scores:
        """Return a channel's scores for an empty history, `(1, items)`; cached and read-only."""
        if channel not in self._cold_start_scores:
            scores = self._score_empty_history(channel)
            scores.setflags(write=False)
            self._cold_start_scores[channel] = scores
        return self._cold_start_scores[channel]

    def _score_empty_history(self, channel: str) -> Scores:
        return self.channels[channel](RequestBatch([np.empty(0, np.int64)]))


def warm_contributions(
    score_channel: Callable[[str], Scores],
    weights: BlendWeights,
    warm_weight: NDArray[np.bool_] | Scores,
    lengths: NDArray[np.int64],
) -> dict[str, Scores]:
    """Return the weighted, transformed scores of each active channel; cold items get 0.

    Args:
        score_channel: Returns the scores `(requests, items)` of a channel.
        weights: Weights of the channels.
        warm_weight: Whether an item is warm, or its sample weight, 0 for cold items; `(items,)`.
        lengths: Lengths of the histories, `(requests,)`.
    """
    active = weights.active_weights(lengths)
    if not active:
        return {}
    # All channels are standardised in one call: for one request, the calls cost more than the sums.
    scaled = standardise(np.concatenate([score_channel(name) for name in active]), warm_weight)
    scaled = transformed(scaled, weights.transform)
    split = np.split(scaled, len(active))
    return {name: active[name] * scores for name, scores in zip(active, split, strict=True)}


def transformed(scores: Scores, transform: Transform) -> Scores:
    """Return the transformed scores, of the same shape.

    >>> transformed(np.array([4.0, -9.0], np.float32), "sqrt").tolist()
    [2.0, -3.0]
    """
    if transform == "linear":
        return scores
    compressed: Scores = np.copysign(np.sqrt(np.abs(scores)), scores)
    return compressed


def channel_contributions(
    score_channel: Callable[[str], Scores],
    weights: BlendWeights,
    cold_items: ColdItemScorer,
    lengths: NDArray[np.int64],
) -> dict[str, Scores]:
    """Return the contributions of `warm_contributions`, and those of cold items as one more.

    Args:
        score_channel: Returns the scores `(requests, items)` of a channel.
        weights: Weights of the channels.
        cold_items: Scorer of the cold items among these items.
        lengths: Lengths of the histories, `(requests,)`.
    """
    contributions = warm_contributions(score_channel, weights, cold_items.warm_weight, lengths)
    if len(cold_items.rows):
        scores = total_scores(contributions)
        contributions[COLD_ITEM] = np.zeros_like(scores)
        words = score_channel(WORDS) if weights.cold_items.words else None
        contributions[COLD_ITEM][:, cold_items.rows] = cold_items.score_among(scores, words)
    return contributions


def total_scores(contributions: Mapping[str, Scores]) -> Scores:
    """Return the sum of the contributions, `(requests, items)`."""
    total: Scores = np.sum(list(contributions.values()), axis=0, dtype=np.float32)
    return total


def repeat_channels(items: int) -> dict[str, Channel]:
    """Return the repeat-consumption channels, one for each decay of the history.

    Each returns scores `(requests, candidates)`.

    Args:
        items: Size of the catalogue.
    """
    return {
        name: history_channel(RepeatConsumption(items, decay)) for name, decay in _REPEATS.items()
    }


def recent_popularity(number: int) -> str:
    """Return the name of the channel with this half-life, counted from the shortest as 0."""
    return f"{RECENT_POPULARITY}-{number}"


def recent_popularity_channels(counts: NDArray[np.float32]) -> dict[str, Channel]:
    """Return the recent-popularity channels, one for each half-life.

    Args:
        counts: Exponentially decayed counts, `(half-lives, items)`.
    """
    return {
        recent_popularity(number): history_channel(Popularity(decayed))
        for number, decayed in enumerate(counts)
    }


def _lengths(requests: ScoringRequests) -> NDArray[np.int64]:
    return np.array([len(history) for history in requests.histories])
