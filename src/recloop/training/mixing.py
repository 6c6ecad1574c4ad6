"""How channels are weighed: what was chosen in validation requests, explained by a conditional logit."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.evaluation.offline import Requests
from recloop.models.blend import BlendWeights
from recloop.models.logit import fit_logit
from recloop.models.scorer import Scores, standardise

Channel = Callable[[Requests], Scores]

# Alternatives drawn at random beside what was chosen: uniform sampling leaves a logit consistent.
_ALTERNATIVES = 2_000


def fit_mix(
    channels: Mapping[str, Channel], known: NDArray[np.bool_], valid: Requests, seed: int
) -> BlendWeights:
    """Weights of standardised channels, and what is added to items that training has not seen.

    Args:
        channels: as fitted without the validation data.
        known: `(items,)`, false for items that they have not seen.
        valid: the requests to explain.
        seed: of the alternatives.
    """
    rng, unknown = np.random.default_rng(seed), (~known).astype(np.float32)
    width = min(_ALTERNATIVES, len(known))
    widest = max(len(rows) for rows in valid.relevant)
    choices, chosen = [], []
    for part in valid.parts(len(known)):
        scores = [standardise(channel(part)) for channel in channels.values()]
        for row, relevant in enumerate(part.relevant):
            candidates = np.full(width + widest, -1)
            candidates[: len(relevant)] = relevant
            others = _alternatives(part, row, len(known), width, rng)
            candidates[widest : widest + len(others)] = others
            values = [score[row, candidates] for score in scores] + [unknown[candidates]]
            table = np.stack(values, 1)
            table[candidates < 0] = -np.inf
            choices.append(table)
            chosen.append((np.arange(width + widest) < len(relevant)) / len(relevant))
    found = fit_logit(np.stack(choices), np.stack(chosen).astype(np.float32))
    *weights, offset = (float(value) for value in found)
    return BlendWeights(channels=dict(zip(channels, weights, strict=True)), cold_offset=offset)


def _alternatives(
    requests: Requests, row: int, items: int, width: int, rng: np.random.Generator
) -> Rows:
    drawn = rng.permutation(items)[:width] if width < items else np.arange(items)
    relevant = requests.relevant[row]
    taken = np.concatenate([relevant, requests.forbidden()[row]])
    return drawn[~np.isin(drawn, taken)]
