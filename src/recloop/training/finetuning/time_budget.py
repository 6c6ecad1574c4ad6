"""Time budget of training: measured speed decides how many epochs and text passes fit into it."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from recloop.data.user_sequences import UserSequence
from recloop.training.device import Compute
from recloop.training.finetuning.batches import batches, cut_windows
from recloop.training.finetuning.fit import ValidationMetric, build_model
from recloop.training.finetuning.sequence_model import TextVectorSource, TrainConfig
from recloop.training.finetuning.trainer import Trainer

# Training steps that are timed, after one that is not.
_STEPS = 4
# Largest share of the budget that text passes take.
_TEXT_SHARE = 1 / 3
# Share of the epochs that the refit on newer data takes, and time of the export and the like.
_REFIT_SHARE, _REST = 0.25, 0.05
# Fewest epochs of tuning and of the refit, and number of validations.
_FEWEST_EPOCHS, _FEWEST_REFIT, _VALIDATIONS = 4, 3, 12
# Smallest share of the users in an epoch.
_SMALLEST_SHARE = 0.02


@dataclass(frozen=True)
class Speed:
    """Measured seconds of an epoch, of a validation and of one pass of the language model."""

    epoch: float
    validation: float
    text_pass: float


def measure_speed(
    sequences: Sequence[UserSequence],
    text: TextVectorSource,
    config: TrainConfig,
    compute: Compute,
    validate: ValidationMetric | None,
    text_pass: float,
) -> Speed:
    """Time a few training steps and one validation of a model that is thrown away.

    The random numbers of the training that follows are not changed by this.

    Args:
        sequences: Sequences of the users.
        text: Source of the text vectors, `(items, width)`.
        config: Settings.
        compute: Device and precision.
        validate: Validates a model.
        text_pass: Seconds of one pass of the language model.
    """
    windows = cut_windows(sequences, config.tower.window)
    if not windows:
        return Speed(0.0, 0.0, text_pass)
    steps = -(-len(windows) // config.batch)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        rng = np.random.default_rng(config.seed)
        model = build_model(sequences, text, config, compute.device, None)
        drawn = batches(windows, config.batch, rng, (_STEPS + 1) * config.batch)
        first, *timed = drawn
        trainer = Trainer(model, sequences, config, compute, len(timed) + 1)
        vectors = text.vectors.detach()
        started = time.monotonic()
        trainer.epoch(vectors, [first])
        warm = time.monotonic()
        if timed:
            trainer.epoch(vectors, timed)
        trained = time.monotonic()
        if validate is not None:
            validate(model, vectors)
        validated = time.monotonic()
    step = (trained - warm) / len(timed) if timed else warm - started
    return Speed(steps * step, validated - trained, text_pass)


def within_budget(
    config: TrainConfig, speed: Speed, seconds: float, free: Collection[str]
) -> TrainConfig:
    """Return the settings with as many epochs and text passes as fit into the seconds.

    Neither becomes more than in `config`. If fewer than four epochs fit, each epoch uses a part of
    the users.

    Args:
        config: Settings.
        speed: Measured speed.
        seconds: Seconds that are left for tuning and for the refit.
        free: Names of the settings that the user has not set, which may be changed.
    """
    passes = config.text_passes
    if "text_passes" in free and speed.text_pass > 0:
        passes = passes[: max(0, int(_TEXT_SHARE * seconds / speed.text_pass))]
    config = config.model_copy(update={"text_passes": passes})
    if "epochs" not in free or speed.epoch <= 0:
        return config
    left = (1 - _REST) * seconds - len(passes) * speed.text_pass - _VALIDATIONS * speed.validation
    affordable = left / (config.share * speed.epoch)  # epochs of tuning and refit
    fitting = min(affordable / (1 + _REFIT_SHARE), affordable - _FEWEST_REFIT)
    if fitting >= config.epochs:
        return config
    epochs = int(max(fitting, min(_FEWEST_EPOCHS, config.epochs)))
    share = config.share * float(
        np.clip(affordable / (epochs + _FEWEST_REFIT), _SMALLEST_SHARE, 1.0)
    )
    return config.model_copy(
        update={
            "epochs": epochs,
            "share": share if "share" in free else config.share,
            "validate_every": -(-epochs // _VALIDATIONS),
            "text_passes": (max(1, epochs // 8), max(2, epochs // 3))[: len(passes)],
        }
    )
