"""The blend: standardised channels, weighted; new items after them, by what is said of their like."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from recloop.models.finders import Finder
from recloop.models.newcomers import Alike, NewcomerTerms
from recloop.models.popularity import Popularity
from recloop.models.repeat import Repeat
from recloop.models.scope import EVERYTHING, Rows, Scope, distinct
from recloop.models.scorer import Asked, Channel, Histories, Scores, by_history, standardise

SEQUENTIAL = "sequential"
COLLABORATIVE = "collaborative"
LOW_RANK = "low-rank"
NEIGHBOURS = "neighbours"
CONTENT = "content"
POPULARITY = "popularity"
QUERY = "query"
NEWCOMER = "newcomer"

_REPEATS = {f"repeat-{decay}": decay for decay in (1.0, 0.99, 0.9)}
_OF_FEW_ITEMS = {COLLABORATIVE, NEIGHBOURS, *_REPEATS}
# For so many items that a channel finds, one new one may join.
_NEW_SHARE = 8


class BlendWeights(BaseModel):
    """Weight of each channel, and how items that training has not seen stand among the others.

    `activity`: from this length of history on, these weights instead.
    """

    channels: dict[str, float]
    activity: dict[int, dict[str, float]] = {}
    newcomers: NewcomerTerms = NewcomerTerms()

    def counted(self, lengths: NDArray[np.int64]) -> dict[str, Scores]:
        """Weights `(requests, 1)` of the channels that count for a history of one of these lengths."""
        least = sorted(self.activity)
        sets = [self.channels, *(self.activity[length] for length in least)]
        told = [own[name] for name in self.channels for own in sets]
        table = np.array(told, np.float32).reshape(-1, len(sets))
        each = table[:, np.searchsorted(least, lengths, side="right")]
        named = zip(self.channels, each[:, :, None], np.abs(each).sum(1).tolist(), strict=True)
        return {name: weights for name, weights, weight in named if weight}


class Blend:
    """Channels, mixed. Known items are scored by them, new ones by their like.

    `finders` name what may be best by a channel, where the catalogue is too large to score all of it.
    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        weights: BlendWeights,
        newcomers: Alike,
        finders: Mapping[str, Finder] | None = None,
    ) -> None:
        self.channels = channels
        self.weights = weights
        self.newcomers = newcomers
        self.finders = finders or {}
        self._liked: dict[str, Scores] = {}

    def parts(self, asked: Asked) -> dict[str, Scores]:
        """What each channel contributes, `(requests, items in scope)` each."""
        newcomers, lengths = self.newcomers.within(asked.scope), _lengths(asked)
        return parts(lambda name: self.channels[name](asked), self.weights, newcomers, lengths)

    def find(self, asked: Asked, count: int, *, sampled: bool = False) -> Rows:
        """Rows, ascending, of what may be best: `count` by each channel, and new items like these.

        `sampled`: what may be best is known from elsewhere, and the channels are only to be measured. Of
        those that say something of every item, any sample does that.
        """
        counted = self.weights.counted(_lengths(asked))
        asking = [name for name in counted if not sampled or name in _OF_FEW_ITEMS]
        found = distinct(*(self.finders[name](asked, count) for name in asking))
        return found if sampled else self.with_new(found, count)

    def find_together(self, row: int, count: int) -> Rows:
        """Rows of what people may meet together with an item, as `together` has it."""
        asked, names = Histories([np.array([row])]), (COLLABORATIVE, NEIGHBOURS)
        return self.with_new(distinct(*(self.finders[name](asked, count) for name in names)), count)

    def leading(self, channel: str, count: int) -> Rows:
        """Rows that a channel which is the same for everybody puts first."""
        return self.finders[channel](Histories([np.empty(0, np.int64)]), count)

    def backed(self, found: Rows) -> Rows:
        """These rows, and those by which the new ones among them are judged."""
        return self.newcomers.backed(found)

    def with_new(self, found: Rows, count: int) -> Rows:
        """These rows, and new items of which they say most, some for `count`."""
        return distinct(found, self.newcomers.raised(found, count // _NEW_SHARE))

    def score(self, asked: Asked) -> Scores:
        """`(requests, items)`."""
        return combine(self.parts(asked))

    def together(self, row: int, scope: Scope = EVERYTHING) -> Scores:
        """What people meet together with an item, by EASE and item-kNN alike, `(1, items in scope)`.

        Standardised over known items; new ones are worth what their like are.
        """
        asked = Histories([np.array([row])], scope=scope)
        newcomers = self.newcomers.within(scope)
        found = [self.channels[name](asked) for name in (COLLABORATIVE, NEIGHBOURS)]
        alike = [standardise(scores, newcomers.known) for scores in found]
        scores = standardise(np.sum(alike, axis=0, dtype=np.float32), newcomers.known)
        scores[:, newcomers.rows] = newcomers.worth(scores)
        return scores

    def liked(self, channel: str) -> Scores:
        """What a channel says to somebody of whom nothing is known, `(1, items)`; not to write to."""
        if channel not in self._liked:
            found = self._ask_for_nobody(channel)
            found.setflags(write=False)
            self._liked[channel] = found
        return self._liked[channel]

    def _ask_for_nobody(self, channel: str) -> Scores:
        return self.channels[channel](Histories([np.empty(0, np.int64)]))


def weighed(
    ask: Callable[[str], Scores],
    weights: BlendWeights,
    known: NDArray[np.bool_] | Scores,
    lengths: NDArray[np.int64],
) -> dict[str, Scores]:
    """The scores of known items by each channel that counts, as `ask` says them; new ones get 0.

    `lengths` `(requests,)` are those of the histories.
    """
    counted = weights.counted(lengths)
    if not counted:
        return {}
    # All at once: at a single request, a channel costs less than the calls that standardise it.
    scaled = standardise(np.concatenate([ask(name) for name in counted]), known)
    each = np.split(scaled, len(counted))
    return {name: counted[name] * scores for name, scores in zip(counted, each, strict=True)}


def parts(
    ask: Callable[[str], Scores],
    weights: BlendWeights,
    newcomers: Alike,
    lengths: NDArray[np.int64],
) -> dict[str, Scores]:
    """What channels say of known items, and in one part more what follows for new ones."""
    found = weighed(ask, weights, newcomers.known, lengths)
    if len(newcomers.rows):
        scores = combine(found)
        found[NEWCOMER] = np.zeros_like(scores)
        found[NEWCOMER][:, newcomers.rows] = newcomers.place(scores)
    return found


def _lengths(asked: Asked) -> NDArray[np.int64]:
    return np.array([len(history) for history in asked.histories])


def combine(found: Mapping[str, Scores]) -> Scores:
    """The sum of the parts."""
    total: Scores = np.sum(list(found.values()), axis=0, dtype=np.float32)
    return total


def repeat_channels(items: int) -> dict[str, Channel]:
    """What a person comes back to, a channel for each decay of the history."""
    return {name: by_history(Repeat(items, decay)) for name, decay in _REPEATS.items()}


def trend(number: int) -> str:
    """The name of the channel with this half-life, counted from the shortest."""
    return f"trend-{number}"


def trend_channels(trends: NDArray[np.float32]) -> dict[str, Channel]:
    """Popularity of the moment, a channel for each half-life."""
    return {trend(n): by_history(Popularity(counts)) for n, counts in enumerate(trends)}
