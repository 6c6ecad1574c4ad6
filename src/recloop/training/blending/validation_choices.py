"""Choices in the validation requests, from which the blend's weights are fitted and selected."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.evaluation.evaluation_requests import Requests
from recloop.evaluation.metrics import Values, ndcg
from recloop.scoring.blend import Transform, transformed
from recloop.scoring.conditional_logit import Choices, Weights
from recloop.scoring.scorer import Channel, Scores, standardise
from recloop.scoring.top_k import top_k

# Alternatives drawn at random in addition to the chosen items: with uniform sampling, the logit
# stays consistent.
_RANDOM = 1_000
# Alternatives for which lists are compared: the best of each channel, and some at random. A blend
# seldom ranks an item among the first ten that no channel has among its first 150.
_BEST, _FEW_RANDOM = 150, 100
_K = 10


@dataclass(frozen=True)
class ValidationChoices:
    """Choices of warm items, each among two sets of alternatives.

    Attributes:
        among_random: Choices among items drawn at random.
        among_best: Choices among the items that the channels rank highest.
        lengths: Lengths of the histories, `(requests,)`.
        users: Users of the requests, `(requests,)`.
    """

    among_random: Choices
    among_best: Choices
    lengths: Rows
    users: Rows

    @classmethod
    def draw(
        cls, channels: Mapping[str, Channel], warm: NDArray[np.bool_], valid: Requests, seed: int
    ) -> "ValidationChoices":
        """Return the choices in the requests with warm relevant items.

        Args:
            channels: Channels fitted without the validation data.
            warm: Whether the channels have seen an item, `(items,)`.
            valid: Validation requests.
            seed: Seed of the sampled alternatives.
        """
        rng, warm_rows = np.random.default_rng(seed), np.flatnonzero(warm)
        random, best, lengths = _Table(), _Table(), []
        users: list[int] = []
        for part in valid.batches(len(warm)):
            scores = [standardise(channel(part), warm) for channel in channels.values()]
            highest = _highest(scores, warm, part)
            for row, rows in enumerate(part.relevant):
                relevant = rows[warm[rows]]
                if not len(relevant):
                    continue
                taken = np.concatenate([relevant, part.excluded()[row]])
                drawn = rng.permutation(warm_rows)[:_RANDOM]
                near = np.union1d(highest[row], drawn[:_FEW_RANDOM])
                for table, others in ((random, drawn), (best, near)):
                    # In the order of the catalogue, by which ties are broken in service too.
                    candidates = np.union1d(relevant, others[~np.isin(others, taken)])
                    own_scores = np.stack([score[row, candidates] for score in scores], 1)
                    table.add(own_scores, np.isin(candidates, relevant))
                lengths.append(len(part.histories[row]))
                users.append(len(users) if part.users is None else int(part.users[row]))
        return cls(
            random.choices(len(channels)),
            best.choices(len(channels)),
            np.array(lengths, np.int64),
            np.array(users, np.int64),
        )

    def transformed(self, transform: Transform) -> "ValidationChoices":
        """Return the choices with transformed scores."""
        tables = [
            replace(table, channel_scores=transformed(table.channel_scores, transform))
            for table in (self.among_random, self.among_best)
        ]
        return replace(self, among_random=tables[0], among_best=tables[1])

    def __len__(self) -> int:
        return len(self.lengths)


def ndcg_among_alternatives(choices: Choices, weights: Weights) -> Values:
    """Return NDCG@10 of each request's list, ranked among its alternatives, `(requests,)`.

    Args:
        choices: The choices.
        weights: Weights of the channels in each request, `(requests, channels)`.
    """
    totals = np.matmul(choices.channel_scores, weights.astype(np.float32)[:, :, None])[:, :, 0]
    scores = np.where(choices.missing, -np.inf, totals)
    relevant = choices.chosen > 0
    ranked, _ = top_k(scores, [np.empty(0, np.int64)] * len(scores), _K)
    found = np.take_along_axis(relevant, np.maximum(ranked, 0), 1) & (ranked >= 0)
    return ndcg(found, relevant.sum(1), _K)


class _Table:
    """Rows of different lengths that are padded at the end."""

    def __init__(self) -> None:
        self._scores: list[NDArray[np.float32]] = []
        self._relevant: list[NDArray[np.bool_]] = []

    def add(self, scores: NDArray[np.float32], relevant: NDArray[np.bool_]) -> None:
        """Add the alternatives of a request.

        Args:
            scores: Standardised scores, `(alternatives, channels)`.
            relevant: Whether an alternative was chosen, `(alternatives,)`.
        """
        self._scores.append(scores)
        self._relevant.append(relevant)

    def choices(self, channels: int) -> Choices:
        """Return the choices of all requests, padded to the longest one."""
        width = max(map(len, self._scores), default=0)
        scores = np.full((len(self._scores), width, channels), -np.inf, np.float32)
        chosen = np.zeros(scores.shape[:2], np.float32)
        for row, (own, relevant) in enumerate(zip(self._scores, self._relevant, strict=True)):
            scores[row, : len(own)] = own
            chosen[row, : len(own)] = relevant / relevant.sum()
        return Choices.from_padded(scores, chosen)


def _highest(scores: list[Scores], warm: NDArray[np.bool_], part: Requests) -> list[Rows]:
    """Return the rows of the best warm items of all channels, for each request."""
    cold = np.flatnonzero(~warm)
    without = [np.concatenate([cold, rows]) for rows in part.excluded()]
    found = np.concatenate([top_k(score, without, _BEST)[0] for score in scores], 1)
    return [np.unique(rows[rows >= 0]) for rows in found]
