"""How channels are weighed: what was chosen in validation requests, explained by a conditional logit."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.evaluation.offline import Requests
from recloop.models.blend import BlendWeights, combine, weighed
from recloop.models.logit import Choices, Weights, fit_logit
from recloop.models.scorer import Channel, Scores, standardise
from recloop.training.activity import fit_activity
from recloop.training.newcomers import fit_newcomers

# Alternatives drawn at random beside what was chosen: uniform sampling leaves a logit consistent.
_ALTERNATIVES = 2_000
# Of each channel, where there is nothing to learn from.
_EVEN = 1.0


def fit_mix(
    channels: Mapping[str, Channel],
    text: NDArray[np.float32],
    known: NDArray[np.bool_],
    valid: Requests,
    seed: int,
    new: int,
) -> BlendWeights:
    """Weights of standardised channels, and how new items stand among known ones.

    Args:
        channels: as fitted without the validation data.
        text: `(items, width)`, through which new items are seen.
        known: `(items,)`, false for items that the channels have not seen.
        valid: the requests to explain.
        seed: of the alternatives.
        new: how many items will be new once the channels have learned from the validation data too.
    """
    weights = _weigh(channels, known, valid, seed)

    def of_known(requests: Requests) -> Scores:
        lengths = requests.lengths()
        return combine(weighed(lambda name: channels[name](requests), weights, known, lengths))

    terms = fit_newcomers(of_known, text, known, valid, seed, new)
    return weights.model_copy(update={"newcomers": terms})


def _weigh(
    channels: Mapping[str, Channel], known: NDArray[np.bool_], valid: Requests, seed: int
) -> BlendWeights:
    """By what was chosen among the known items; apart for the less and the more active, where it pays."""
    choices, lengths, users = _choices(channels, known, valid, seed)
    found = fit_logit(choices) if len(lengths) else np.zeros(len(channels))
    if not found.any():  # nothing helps, but something must be answered
        return BlendWeights(channels=dict.fromkeys(channels, _EVEN))

    def named(weights: Weights) -> dict[str, float]:
        return dict(zip(channels, map(float, weights), strict=True))

    apart = fit_activity(choices, lengths, users, found, seed)
    return BlendWeights(
        channels=named(found), activity={least: named(own) for least, own in apart.items()}
    )


def _choices(
    channels: Mapping[str, Channel], known: NDArray[np.bool_], valid: Requests, seed: int
) -> tuple[Choices, Rows, Rows]:
    """Of the requests that are about known items, with the lengths of their histories and the users."""
    rng, met = np.random.default_rng(seed), np.flatnonzero(known)
    width = min(_ALTERNATIVES, len(met))
    widest = max(len(rows) for rows in valid.relevant)
    choices, chosen, lengths = [], [], []
    users: list[int] = []
    for part in valid.parts(len(known)):
        scores = [standardise(channel(part), known) for channel in channels.values()]
        for row, rows in enumerate(part.relevant):
            relevant = rows[known[rows]]
            if not len(relevant):
                continue
            candidates = np.full(width + widest, -1)
            candidates[: len(relevant)] = relevant
            others = _alternatives(part, row, met, width, rng)
            candidates[widest : widest + len(others)] = others
            table = np.stack([score[row, candidates] for score in scores], 1)
            table[candidates < 0] = -np.inf
            choices.append(table)
            chosen.append((np.arange(width + widest) < len(relevant)) / len(relevant))
            lengths.append(len(part.histories[row]))
            users.append(len(users) if part.users is None else int(part.users[row]))
    shape = (-1, width + widest, len(channels))
    return (
        Choices.of(
            np.array(choices, np.float32).reshape(shape),
            np.array(chosen, np.float32).reshape(shape[:2]),
        ),
        np.array(lengths, np.int64),
        np.array(users, np.int64),
    )


def _alternatives(
    requests: Requests, row: int, met: Rows, width: int, rng: np.random.Generator
) -> Rows:
    drawn = rng.permutation(met)[:width] if width < len(met) else met
    taken = np.concatenate([requests.relevant[row], requests.forbidden()[row]])
    return drawn[~np.isin(drawn, taken)]
