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
from recloop.training.blending.activity_weights import fit_activity_weights
from recloop.training.blending.cold_item_fitting import fit_cold_item_calibration

# Alternatives drawn at random in addition to the chosen items: with uniform sampling, the logit
# stays consistent.
_ALTERNATIVES = 2_000
# Weight of each channel if there are no choices to learn from.
_EVEN = 1.0


def fit_blend(
    channels: Mapping[str, Channel],
    text: NDArray[np.float32],
    warm: NDArray[np.bool_],
    valid: Requests,
    seed: int,
    new: int,
) -> BlendWeights:
    """Fit the weights of standardised channels, and the calibration of cold items.

    Args:
        channels: Channels fitted without the validation data.
        text: Text vectors, `(items, width)`, by which cold items are scored.
        warm: Whether the channels have seen an item, `(items,)`.
        valid: Validation requests.
        seed: Seed of the sampled alternatives.
        new: Number of cold items once the channels have learned from the validation data too.
    """
    weights = _weigh(channels, warm, valid, seed)

    def warm_scores(requests: Requests) -> Scores:
        lengths = requests.history_lengths()
        return total_scores(
            warm_contributions(lambda name: channels[name](requests), weights, warm, lengths)
        )

    calibration = fit_cold_item_calibration(warm_scores, text, warm, valid, seed, new)
    return weights.model_copy(update={"cold_items": calibration})


def _weigh(
    channels: Mapping[str, Channel], warm: NDArray[np.bool_], valid: Requests, seed: int
) -> BlendWeights:
    """Fit the weights to choices among warm items, also by activity if that gains.

    `warm` says which items the channels have seen, `(items,)`.
    """
    choices, lengths, users = _choices(channels, warm, valid, seed)
    fitted = fit_conditional_logit(choices) if len(lengths) else np.zeros(len(channels))
    if not fitted.any():  # no channel helps, but requests need a list all the same
        return BlendWeights(channels=dict.fromkeys(channels, _EVEN))

    def named(weights: Weights) -> dict[str, float]:
        return dict(zip(channels, map(float, weights), strict=True))

    by_length = fit_activity_weights(choices, lengths, users, fitted, seed)
    return BlendWeights(
        channels=named(fitted),
        by_history_length={least: named(own) for least, own in by_length.items()},
    )


def _choices(
    channels: Mapping[str, Channel], warm: NDArray[np.bool_], valid: Requests, seed: int
) -> tuple[Choices, Rows, Rows]:
    """Return the choices in the requests with warm relevant items.

    Returns:
        The choices, the lengths of the histories and the users, `(requests,)` each.
    """
    rng, warm_rows = np.random.default_rng(seed), np.flatnonzero(warm)
    width = min(_ALTERNATIVES, len(warm_rows))
    widest = max(len(rows) for rows in valid.relevant)
    choices, chosen, lengths = [], [], []
    users: list[int] = []
    for part in valid.batches(len(warm)):
        scores = [standardise(channel(part), warm) for channel in channels.values()]
        for row, rows in enumerate(part.relevant):
            relevant = rows[warm[rows]]
            if not len(relevant):
                continue
            candidates = np.full(width + widest, -1)
            candidates[: len(relevant)] = relevant
            others = _alternatives(part, row, warm_rows, width, rng)
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
    requests: Requests, row: int, warm_rows: Rows, width: int, rng: np.random.Generator
) -> Rows:
    drawn = rng.permutation(warm_rows)[:width] if width < len(warm_rows) else warm_rows
    taken = np.concatenate([requests.relevant[row], requests.excluded()[row]])
    return drawn[~np.isin(drawn, taken)]
