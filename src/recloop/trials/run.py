"""One data set, several models, one document: each trained, tuned, refitted, asked and measured."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from recloop.evaluation.offline import Requests
from recloop.evaluation.report import HEADLINE, OURS
from recloop.trials import baselines, clicks
from recloop.trials.baselines import Fitted, Task
from recloop.trials.config import Say, TrialConfig, peak_memory
from recloop.trials.folder import PART, TEST, TRAIN, VALID, DataSet, FolderError
from recloop.trials.measure import answer, measure
from recloop.trials.neural import Bounds, sequential
from recloop.trials.ours import around
from recloop.trials.texts import frozen_side, no_text, text_vectors, tuned_side, usual_tuning
from recloop.trials.timeline import TEST_PART, VALID_PART, Protocol, Timeline, repeat_share

RANKERS = (
    *(OURS, "popularity", "recent-popularity", "item-knn", "ease", "ials", "sasrec", "text"),
)
# Above this share of repeats among validation rows, what was seen may be recommended again.
_REPEATS = 0.05


@dataclass(frozen=True)
class Trial:
    """A task, the test requests, and facts of both."""

    task: Task
    asked: Requests
    facts: dict[str, Any]


def evaluate(data: DataSet, config: TrialConfig, say: Say) -> dict[str, Any]:
    """The document that `recloop evaluate` writes.

    Raises:
        FolderError: the data has nothing to ask, or no labels where the protocol needs them.
    """
    if config.protocol == "ctr":
        return _document(data, config, {}, clicks.click_through(data, config, say))
    trial = prepare(data, config, say)
    return _document(data, config, trial.facts, _ranking(trial.task, trial.asked, config, say))


def prepare(data: DataSet, config: TrialConfig, say: Say) -> Trial:
    """What models learn from and what they are asked. Raises FolderError as `evaluate` does."""
    again = config.repeats if config.repeats is not None else repeat_share(data) > _REPEATS
    whole = Timeline.of(data, repeats=again)
    valid = whole.requests(VALID_PART, config.protocol, repeats=again)
    test = whole.requests(TEST_PART, config.protocol, repeats=again)
    if not valid.histories or not test.histories:
        raise FolderError("validation or test has no item that is new to its user: nothing to ask")
    asked = test.sample(int(max(2_000, config.test_scores / whole.catalogue)), config.seed)
    tuned_on = int(np.clip(config.valid_scores / whole.catalogue, 200, 2_000))
    train, past = whole.until(VALID_PART), whole.until(TEST_PART)
    started = time.monotonic()
    reads = {OURS, "text"} & set(config.models)
    text = text_vectors(data, past, say) if reads else no_text(whole.catalogue)
    tuning = config.tuning or usual_tuning(past, text)
    side = frozen_side(text) if tuning == "frozen" else tuned_side(data, tuning, config.seed)
    asked_first = valid.sample(tuned_on, config.seed)
    task = Task(train, past, asked_first, text, side if text.any() else None)
    facts = {
        "seen_masked": not again,
        "requests": len(asked.histories),
        "requests_in_data": len(test.histories),
        "tuning": tuning,
        "text_seconds": round(time.monotonic() - started, 1),
    }
    return Trial(task, asked, facts)


def _ranking(task: Task, asked: Requests, config: TrialConfig, say: Say) -> dict[str, Any]:
    popularity = np.bincount(task.past.items, minlength=task.past.catalogue)
    fitted: dict[str, Fitted] = {}
    seconds: dict[str, float] = {}

    def get(name: str) -> Fitted:
        if name not in fitted:
            say(f"training {name}")
            started = time.monotonic()
            fitted[name] = _fit(name, task, config, get, say)
            seconds[name] = round(time.monotonic() - started, 1)
        return fitted[name]

    models = {}
    for name in config.models:
        model, started = get(name), time.monotonic()
        ranked = answer(model.final, asked, task.past.catalogue)
        models[name] = {
            **measure(ranked, asked, popularity, config.seed),
            "train_seconds": seconds[name],
            "recommend_seconds": round(time.monotonic() - started, 1),
            "peak_memory_mb": peak_memory(),
            "setting": model.setting,
        }
        say(f"{name}: NDCG@10 {models[name][HEADLINE]['value']:.4f}")
    return models


def _fit(
    name: str, task: Task, config: TrialConfig, get: Callable[[str], Fitted], say: Say
) -> Fitted:
    if name in baselines.SIMPLE:
        return baselines.SIMPLE[name](task)
    ours = name == OURS
    bounds = Bounds(config.seconds, config.seed, say, published=not ours)
    sequence = sequential(task, task.side if ours else None, bounds)
    return around(sequence, task, get, config.seed) if ours else sequence


def _document(
    data: DataSet, config: TrialConfig, facts: dict[str, Any], models: dict[str, Any]
) -> dict[str, Any]:
    rows = data.interactions.group_by(PART).len().sort(PART)["len"].to_list()
    return {
        "data": data.name,
        "protocol": config.protocol,
        "seed": config.seed,
        "users": len(data.users),
        "items": data.items.height,
        "interactions": dict(zip((TRAIN, VALID, TEST), rows, strict=True)),
        "ordered": data.ordered,
        "threads": torch.get_num_threads(),
        **facts,
        "models": models,
    }


def parse_models(names: str | None, protocol: Protocol) -> tuple[str, ...]:
    """`a,b,c` as names of the protocol's models; all of them where nothing is said.

    Raises:
        ValueError: a name is unknown.
    """
    known = clicks.MODELS if protocol == "ctr" else RANKERS
    chosen = tuple(filter(None, (names or "").split(","))) or known
    if unknown := [name for name in chosen if name not in known]:
        raise ValueError(f"unknown models {', '.join(unknown)}; known: {', '.join(known)}")
    return chosen
