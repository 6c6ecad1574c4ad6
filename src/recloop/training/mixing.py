"""How channels are weighed: what was chosen in validation requests, explained by a conditional logit."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.evaluation.offline import Requests
from recloop.models.blend import BlendWeights, combine, weighed
from recloop.models.logit import fit_logit
from recloop.models.scorer import Scores, standardise
from recloop.training.newcomers import fit_newcomers

Channel = Callable[[Requests], Scores]

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
        return combine(weighed(lambda name: channels[name](requests), weights, known))

    terms = fit_newcomers(of_known, text, known, valid, seed, new)
    return BlendWeights(channels=weights, newcomers=terms)


def _weigh(
    channels: Mapping[str, Channel], known: NDArray[np.bool_], valid: Requests, seed: int
) -> dict[str, float]:
    """By what was chosen among the known items."""
    rng, met = np.random.default_rng(seed), np.flatnonzero(known)
    width = min(_ALTERNATIVES, len(met))
    widest = max(len(rows) for rows in valid.relevant)
    choices, chosen = [], []
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
    if not choices:
        return dict.fromkeys(channels, _EVEN)
    found = fit_logit(np.stack(choices), np.stack(chosen).astype(np.float32))
    if not found.any():  # nothing helps, but something must be answered
        return dict.fromkeys(channels, _EVEN)
    return dict(zip(channels, map(float, found), strict=True))


def _alternatives(
    requests: Requests, row: int, met: Rows, width: int, rng: np.random.Generator
) -> Rows:
    drawn = rng.permutation(met)[:width] if width < len(met) else met
    taken = np.concatenate([requests.relevant[row], requests.forbidden()[row]])
    return drawn[~np.isin(drawn, taken)]
