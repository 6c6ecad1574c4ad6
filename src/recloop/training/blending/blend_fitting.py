"""Fitting of blend weights: a conditional logit explains the choices in validation requests.

Reference:
    McFadden 1974, "Conditional Logit Analysis of Qualitative Choice Behavior".
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.evaluation.evaluation_requests import Requests
from recloop.scoring.blend import BlendWeights, total_scores, warm_contributions
from recloop.scoring.conditional_logit import Choices, Weights, fit_conditional_logit
from recloop.scoring.scorer import Channel, Scores, standardise
from recloop.training.blending.activity_weights import fit_activity
from recloop.training.blending.cold_item_fitting import fit_newcomers

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
    """Fit the weights of standardised channels, and the calibration of cold items.

    Args:
        channels: Channels fitted without the validation data.
        text: Text vectors, `(items, width)`, by which cold items are scored.
        known: Whether the channels have seen an item, `(items,)`.
        valid: Validation requests.
        seed: Seed of the sampled alternatives.
        new: Number of cold items once the channels have learned from the validation data too.
    """
    weights = _weigh(channels, known, valid, seed)

    def of_known(requests: Requests) -> Scores:
        lengths = requests.lengths()
        return total_scores(
            warm_contributions(lambda name: channels[name](requests), weights, known, lengths)
        )

    terms = fit_newcomers(of_known, text, known, valid, seed, new)
    return weights.model_copy(update={"cold_items": terms})


def _weigh(
    channels: Mapping[str, Channel], known: NDArray[np.bool_], valid: Requests, seed: int
) -> BlendWeights:
    """Fit the weights to choices among warm items, also by activity if that gains."""
    choices, lengths, users = _choices(channels, known, valid, seed)
    found = fit_conditional_logit(choices) if len(lengths) else np.zeros(len(channels))
    if not found.any():  # nothing helps, but something must be answered
        return BlendWeights(channels=dict.fromkeys(channels, _EVEN))

    def named(weights: Weights) -> dict[str, float]:
        return dict(zip(channels, map(float, weights), strict=True))

    apart = fit_activity(choices, lengths, users, found, seed)
    return BlendWeights(
        channels=named(found), by_history_length={least: named(own) for least, own in apart.items()}
    )


def _choices(
    channels: Mapping[str, Channel], known: NDArray[np.bool_], valid: Requests, seed: int
) -> tuple[Choices, Rows, Rows]:
    """Return choices, lengths of histories and users of the requests with warm relevant items."""
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
        Choices.from_padded(
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
