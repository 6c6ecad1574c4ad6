"""recloop on a data set: every channel, mixed by weights that validation requests gave."""

from collections.abc import Callable, Mapping

from recloop.models.blend import Blend, BlendWeights, repeat_channels
from recloop.models.newcomers import Newcomers
from recloop.models.scorer import Channel
from recloop.training.mixing import fit_mix
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
    new = int((~task.past.known()).sum())
    weights = fit_mix(tuned, task.text, task.train.known(), task.valid, seed, new)
    final = {name: fitted.final for name, fitted in channels.items()}
    said = weights.model_dump()
    before, after = (
        _mixed(*each, weights, task) for each in ((tuned, task.train), (final, task.past))
    )
    return Fitted(before, after, said)


def _repeats(task: Task) -> dict[str, Fitted]:
    """What a person comes back to, where what was seen may be recommended again."""
    if task.valid.masked:
        return {}

    channels = repeat_channels(task.train.catalogue)
    return {name: Fitted(channel, channel, {}) for name, channel in channels.items()}


def _mixed(
    channels: Mapping[str, Channel], timeline: Timeline, weights: BlendWeights, task: Task
) -> Channel:
    newcomers = Newcomers(task.text, timeline.known(), weights.newcomers)

    return Blend(channels, weights, newcomers).score
