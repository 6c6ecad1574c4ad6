"""Grid search over the setting and the recency decay of a model."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

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
) -> Tuned[Model, Setting]:
    """Return the best of `settings` × `decays` by `quality`; decay changes no fitted weight.

    Args:
        fit: Fits a model with a setting.
        matrix: Interactions, `(users, items)`.
        settings: Settings to try.
        decays: Recency decays to try.
        quality: Measures a model; higher is better.
        stop_early: Stop at the first setting that is no better than the one before.

    Raises:
        ValueError: `settings` or `decays` are empty.
    """
    best: Tuned[Model, Setting] | None = None
    for setting in settings:
        before, model = best, fit(matrix, setting, 1.0)
        for decay in decays:
            model.decay = decay
            found = quality(model)
            if best is None or found > best.quality:
                best = Tuned(model, setting, decay, found)
        if stop_early and best is before:
            break
    if best is None:
        raise ValueError("nothing to choose from: settings or decays are empty")
    best.model.decay = best.decay
    return best
