"""Selection of a blend: validation compares fitted blends, plain sums and each channel alone.

The simplest one wins whose mean NDCG@10 lies within one standard error of the best. A fitted
likelihood alone is no safe guide: it may take weight from the channel whose lists are the best.

Reference:
    Breiman et al. 1984, "Classification and Regression Trees" (the one-standard-error rule).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from recloop.data.catalogue import Rows
from recloop.evaluation.metrics import Values
from recloop.scoring.blend import BlendWeights, Transform
from recloop.scoring.conditional_logit import Choices, Weights, fit_conditional_logit
from recloop.training.blending.activity_weights import fit_activity_weights
from recloop.training.blending.validation_choices import (
    ValidationChoices,
    ndcg_among_alternatives,
)

# Order of the kinds of blends, from the simplest on.
_ALONE, _SUM, _FITTED, _BY_ACTIVITY = range(4)


@dataclass(frozen=True)
class CandidateBlend:
    """A blend that may be selected.

    Attributes:
        name: Description of the blend, for reports.
        weights: Its weights.
        complexity: Place of its kind in the order from the simplest kind on.
        quality: NDCG@10 of each validation request, `(requests,)`.
    """

    name: str
    weights: BlendWeights
    complexity: int
    quality: Values


def candidate_blends(
    channels: Sequence[str], choices: ValidationChoices, seed: int
) -> list[CandidateBlend]:
    """Return the blends that are compared: channels alone, plain sums and fitted weights.

    Weights are fitted to scores with and without a transform, and to choices among random and among
    the best alternatives. The best of these fits also gets weights by activity, if they gain
    likelihood.

    Args:
        channels: Names of the channels.
        choices: Choices in the validation requests.
        seed: Seed of the folds by which weights by activity are judged.
    """
    alone = [
        _candidate(name, _ALONE, channels, np.eye(len(channels))[number], choices)
        for number, name in enumerate(channels)
    ]
    sums: list[CandidateBlend] = []
    fits: list[_Fit] = []
    for transform in get_args(Transform):
        own, even = choices.transformed(transform), np.ones(len(channels))
        sums.append(_candidate(f"sum, {transform}", _SUM, channels, even, own, transform))
        for kind, table in (("random", own.among_random), ("best", own.among_best)):
            weights = fit_conditional_logit(table)
            if weights.any():
                name = f"fitted, {transform}, {kind} alternatives"
                fit = _candidate(name, _FITTED, channels, weights, own, transform)
                fits.append(_Fit(fit, weights, own, table))
    if not fits:
        return []
    best = max(fits, key=lambda each: each.candidate.quality.mean())
    return [*alone, *sums, *(fit.candidate for fit in fits), *_by_activity(best, channels, seed)]


@dataclass(frozen=True)
class _Fit:
    """A fitted blend, and what it was fitted to: `table` is one of the tables of `choices`."""

    candidate: CandidateBlend
    weights: Weights
    choices: ValidationChoices
    table: Choices


def _by_activity(fit: _Fit, channels: Sequence[str], seed: int) -> list[CandidateBlend]:
    """Return the same fit with weights by activity; nothing if these gain no likelihood."""
    lengths, users = fit.choices.lengths, fit.choices.users
    by_length = fit_activity_weights(fit.table, lengths, users, fit.weights, seed)
    if not by_length:
        return []
    name, transform = f"{fit.candidate.name}, by activity", fit.candidate.weights.transform
    return [
        _candidate(name, _BY_ACTIVITY, channels, fit.weights, fit.choices, transform, by_length)
    ]


def select_blend(candidates: Sequence[CandidateBlend], users: Rows) -> CandidateBlend:
    """Return the simplest candidate within one standard error of the best.

    Among equally simple ones, the best of them is returned.

    Args:
        candidates: The blends, at least one.
        users: Users of the requests, `(requests,)`; the requests of one user are not independent.
    """
    _, users = np.unique(users, return_inverse=True)
    best = max(candidates, key=lambda each: each.quality.mean())
    near = [each for each in candidates if _within_one_error(best.quality - each.quality, users)]
    return min(near, key=lambda each: (each.complexity, -each.quality.mean()))


def _candidate(
    name: str,
    complexity: int,
    channels: Sequence[str],
    weights: Weights,
    choices: ValidationChoices,
    transform: Transform = "linear",
    by_length: dict[int, Weights] | None = None,
) -> CandidateBlend:
    """Return a blend with its quality; `choices` are transformed already."""
    by_length = by_length or {}
    blend = BlendWeights(
        channels=_named(channels, weights),
        by_history_length={least: _named(channels, own) for least, own in by_length.items()},
        transform=transform,
    )
    thresholds = sorted(by_length)
    table = np.stack([weights, *(by_length[least] for least in thresholds)])
    of_each = table[np.searchsorted(thresholds, choices.lengths, side="right")]
    return CandidateBlend(
        name, blend, complexity, ndcg_among_alternatives(choices.among_best, of_each)
    )


def _within_one_error(differences: Values, users: Rows) -> bool:
    """Return whether the mean difference `(requests,)` is at most its standard error by users."""
    residuals = np.bincount(users, differences - differences.mean())
    error = np.sqrt(np.square(residuals).sum()) / len(differences)
    return bool(differences.mean() <= error)


def _named(channels: Sequence[str], weights: Weights) -> dict[str, float]:
    return dict(zip(channels, map(float, weights), strict=True))
