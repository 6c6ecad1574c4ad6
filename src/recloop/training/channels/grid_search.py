"""Searches for the best setting of a model on validation data."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from scipy import sparse

from recloop.scoring.scorer import Scorer


class Decayed(Scorer, Protocol):
    """Scorer of recency-decayed histories."""

    decay: float


Model = TypeVar("Model", bound=Decayed)
Setting = TypeVar("Setting")
Fit = Callable[[sparse.csr_matrix, Setting, float], Model]


@dataclass(frozen=True)
class Tuned(Generic[Model, Setting]):
    """Best model on validation, with its setting, decay and quality."""

    model: Model
    setting: Setting
    decay: float
    quality: float


def tune(
    fit: Fit[Setting, Model],
    matrix: sparse.csr_matrix,
    settings: Iterable[Setting],
    decays: Iterable[float],
    quality: Callable[[Model], float],
    *,
    stop_early: bool = False,
    seconds: float = math.inf,
) -> Tuned[Model, Setting]:
    """Return the best of `settings` × `decays` by `quality`; decay changes no fitted weight.

    Args:
        fit: Fits a model with a setting.
        matrix: Interactions, `(users, items)`.
        settings: Settings to try.
        decays: Recency decays to try.
        quality: Measures a model; higher is better.
        stop_early: Stop at the first setting that is no better than the one before.
        seconds: Time after which no further setting is tried; the first one always is.

    Raises:
        ValueError: `settings` or `decays` are empty.
    """
    best: Tuned[Model, Setting] | None = None
    started = time.monotonic()
    for setting in settings:
        before, model = best, fit(matrix, setting, 1.0)
        for decay in decays:
            model.decay = decay
            found = quality(model)
            if best is None or found > best.quality:
                best = Tuned(model, setting, decay, found)
        if (stop_early and best is before) or time.monotonic() - started > seconds:
            break
    if best is None:
        raise ValueError("nothing to choose from: settings or decays are empty")
    best.model.decay = best.decay
    return best


def coordinate_search(
    start: Mapping[str, Any],
    grids: Mapping[str, Sequence[Any]],
    quality: Callable[[Mapping[str, Any]], float],
    rounds: int = 3,
) -> dict[str, Any]:
    """Return the best setting that is found by changing one value at a time.

    Args:
        start: The first setting.
        grids: Values to try, by name, in the order in which they are changed.
        quality: Measures a setting; higher is better.
        rounds: Largest number of passes over the names; a pass without a gain is the last.
    """
    best, best_quality = dict(start), quality(start)
    tried = {tuple(best.items())}
    for _ in range(rounds):
        before = best
        for name, value in [(name, value) for name, grid in grids.items() for value in grid]:
            setting = {**best, name: value}
            if (key := tuple(setting.items())) in tried:
                continue
            tried.add(key)
            if (found := quality(setting)) > best_quality:
                best, best_quality = setting, found
        if best == before:
            break
    return best
