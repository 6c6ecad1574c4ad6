"""recloop on a data set: every channel, mixed by a conditional logit fitted on validation requests."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from recloop.evaluation.offline import Requests
from recloop.models.logit import Weights, fit_logit
from recloop.models.repeat import Repeat
from recloop.models.scorer import Scores, standardise
from recloop.trials.baselines import Channel, Fitted, Task, batches

# Alternatives drawn at random beside what was chosen: uniform sampling leaves a logit consistent.
_ALTERNATIVES = 2_000
_REPEAT_DECAYS = (1.0, 0.99, 0.9)


def mix(channels: Mapping[str, Fitted], task: Task, seed: int) -> Fitted:
    """One scorer of many, its weights learned on validation with the channels that never saw it."""
    tuned = {name: fitted.tuned for name, fitted in channels.items()}
    weights = _weights(tuned, task, seed)
    final = {name: fitted.final for name, fitted in channels.items()}
    shown: dict[str, Any] = {
        name: round(float(weight), 3) for name, weight in zip(channels, weights, strict=True)
    }
    return Fitted(_mixed(tuned, weights), _mixed(final, weights), {"weights": shown})


def repeats(task: Task) -> dict[str, Fitted]:
    """What a person comes back to, where what was seen may be recommended again."""
    if task.valid.masked:
        return {}

    def channel(decay: float) -> Channel:
        model = Repeat(task.train.catalogue, decay)
        return lambda requests: model.score(requests.histories)

    decays = _REPEAT_DECAYS if task.train.ordered else (1.0,)
    return {f"repeat-{d}": Fitted(channel(d), channel(d), {}) for d in decays}


def _mixed(channels: Mapping[str, Channel], weights: Weights) -> Channel:
    def score(requests: Requests) -> Scores:
        total: Scores | None = None
        for weight, channel in zip(weights, channels.values(), strict=True):
            if weight > 0:
                part = np.float32(weight) * standardise(channel(requests))
                total = part if total is None else total + part
        if total is None:
            raise ValueError("no channel has any weight")
        return total

    return score


def _weights(channels: Mapping[str, Channel], task: Task, seed: int) -> Weights:
    catalogue, rng = task.train.catalogue, np.random.default_rng(seed)
    width = min(_ALTERNATIVES, catalogue)
    widest = max(len(rows) for rows in task.valid.relevant)
    choices, chosen = [], []
    for part in batches(task.valid, catalogue):
        scores = [standardise(channel(part)) for channel in channels.values()]
        for row, relevant in enumerate(part.relevant):
            others = (
                rng.permutation(catalogue)[:width] if width < catalogue else np.arange(catalogue)
            )
            forbidden = np.concatenate([relevant, part.histories[row]]) if part.masked else relevant
            others = others[~np.isin(others, forbidden)]
            candidates = np.full(width + widest, -1)
            candidates[: len(relevant)] = relevant
            candidates[widest : widest + len(others)] = others
            values = np.stack([score[row, candidates] for score in scores], 1)
            values[candidates < 0] = -np.inf
            choices.append(values)
            chosen.append((np.arange(width + widest) < len(relevant)) / len(relevant))
    return fit_logit(np.stack(choices), np.stack(chosen).astype(np.float32))
