"""recloop on a data set: every channel, mixed by weights that validation requests gave."""

from collections.abc import Callable, Mapping

import numpy as np

from recloop.evaluation.offline import Requests
from recloop.models.blend import BlendWeights, combine, repeat_channels
from recloop.models.scorer import Scorer, Scores, standardise
from recloop.training.mixing import Channel, fit_mix
from recloop.trials.baselines import Fitted, Task, trends
from recloop.trials.timeline import Timeline

# What is mixed beside the sequence model, trends and repeats.
_CHANNELS = ("popularity", "item-knn", "ease", "ials", "text")


def around(sequence: Fitted, task: Task, get: Callable[[str], Fitted], seed: int) -> Fitted:
    """The sequence model and every other channel, mixed; `get` knows the baselines by name.

    The weights are learned on validation with the channels that never saw it.
    """
    channels = {name: get(name) for name in _CHANNELS}
    channels["sequential"] = sequence
    channels |= {f"trend-{n}": fitted for n, fitted in enumerate(trends(task))}
    channels |= _repeats(task)
    tuned = {name: fitted.tuned for name, fitted in channels.items()}
    weights = fit_mix(tuned, task.train.known(), task.valid, seed)
    final = {name: fitted.final for name, fitted in channels.items()}
    said = {
        "weights": {name: round(weight, 3) for name, weight in weights.channels.items()},
        "cold_offset": round(weights.cold_offset, 3),
    }
    return Fitted(_mixed(tuned, weights, task.train), _mixed(final, weights, task.past), said)


def _repeats(task: Task) -> dict[str, Fitted]:
    """What a person comes back to, where what was seen may be recommended again."""
    if task.valid.masked:
        return {}

    def channel(scorer: Scorer) -> Channel:
        return lambda requests: scorer.score(requests.histories)

    scorers = repeat_channels(task.train.catalogue)
    return {name: Fitted(channel(s), channel(s), {}) for name, s in scorers.items()}


def _mixed(channels: Mapping[str, Channel], weights: BlendWeights, timeline: Timeline) -> Channel:
    used = {name: np.float32(weight) for name, weight in weights.channels.items() if weight > 0}
    known = timeline.known()

    def score(requests: Requests) -> Scores:
        parts = {name: w * standardise(channels[name](requests)) for name, w in used.items()}
        return combine(parts, weights, known)

    return score
