"""Fitting of the blend's weights and of the calibration of cold items on validation requests.

Reference:
    McFadden 1974, "Conditional Logit Analysis of Qualitative Choice Behavior".
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from recloop.evaluation.evaluation_requests import Requests
from recloop.logs import get_log
from recloop.scoring.blend import (
    EASE,
    IALS,
    ITEM_KNN,
    SASREC,
    WORDS,
    BlendWeights,
    total_scores,
    warm_contributions,
)
from recloop.scoring.scorer import Channel, Scores
from recloop.training.blending.blend_selection import candidate_blends, select_blend
from recloop.training.blending.cold_item_fitting import fit_cold_item_calibration
from recloop.training.blending.validation_choices import ValidationChoices

# Weights of the channels if there are no choices to learn from: about those of other data.
_PERSONAL, _OTHER = 1.0, 0.1
_PERSONAL_CHANNELS = {SASREC, EASE, ITEM_KNN, IALS}


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

    words = channels.get(WORDS)
    calibration = fit_cold_item_calibration(warm_scores, words, text, warm, valid, seed, new)
    return weights.model_copy(update={"cold_items": calibration})


def _weigh(
    channels: Mapping[str, Channel], warm: NDArray[np.bool_], valid: Requests, seed: int
) -> BlendWeights:
    """Return the weights that validation selects, from choices among warm items.

    `warm` says which items the channels have seen, `(items,)`.
    """
    choices = ValidationChoices.draw(channels, warm, valid, seed)
    candidates = candidate_blends(list(channels), choices, seed) if len(choices) else []
    if not candidates:  # no channel helps, but requests need a list all the same
        usual = {name: _PERSONAL if name in _PERSONAL_CHANNELS else _OTHER for name in channels}
        return BlendWeights(channels=usual)
    chosen = select_blend(candidates, choices.users)
    get_log("blend").info("selected", blend=chosen.name, ndcg=float(chosen.quality.mean()))
    return chosen.weights
