"""Settings of the sequence model that are chosen from the data unless the user sets them."""

from typing import TypeVar

import numpy as np

from recloop.config import ConfigModel
from recloop.data.interaction_log import InteractionLog
from recloop.training.base_models import Tuning
from recloop.training.finetuning.sequence_model import TrainConfig

Model = TypeVar("Model", bound=ConfigModel)

# Interactions per item below which dropout is higher, also that of IDs, and from which it is
# lower.
_SPARSE, _DENSE = 30, 150
# Items beyond which each step draws this many alternatives, instead of scoring all.
_CATALOGUE, _NEGATIVES = 4_096, 1_024
# Interactions from which the vectors are wider, and from which there is a second layer.
_WIDE, _DEEP = 2_000_000, 500_000
# Texts beyond which tuning the language model would take longer than everything else.
_MANY_TEXTS = 30_000
# Seconds of a training step for one position: per alternative and dimension, plus a fixed time with
# the full and with the sampled softmax.
_PER_CELL, _PER_POSITION, _PER_SAMPLED = 7e-11, 7e-6, 2.5e-5
_FEWEST_EPOCHS, _MOST_EPOCHS = 4, 72
# Time of training and of continuing with newer data, relative to the time of training.
_BOTH = 1.25


def settings_from_data(config: TrainConfig, log: InteractionLog, texts: int) -> TrainConfig:
    """Return the settings with everything that was left out chosen from the data's statistics.

    Values that the user has set are kept. The number of epochs is what fits into `config.seconds`
    on about two cores, at most 72; if fewer than four fit, each epoch uses a part of the users.

    Args:
        config: Settings, some of them left out.
        log: The training data.
        texts: Number of items that have a text.
    """
    lengths = np.diff(log.starts)
    interactions, items = len(log), int(log.warm_items().sum())
    density = interactions / max(items, 1)
    use_text = config.tower.use_text and texts > 0
    lengths = lengths[lengths > 0] if interactions else np.ones(1)
    tower = _left_out(
        config.tower,
        dim=64 if interactions < _WIDE else 128,
        layers=1 if interactions < _DEEP else 2,
        window=int(np.clip(np.percentile(lengths, 90), 10, 50)),
        order=log.ordered,
        dropout=0.4 if density < _SPARSE else 0.3 if density < _DENSE else 0.2,
        id_dropout=0.0 if not use_text else 0.3 if density < _SPARSE else 0.1,
    ).model_copy(update={"use_text": use_text})
    sampled = items > _CATALOGUE
    config = _left_out(config, negatives=_NEGATIVES if sampled else 0)
    alternatives = min(config.negatives or items, items)
    fixed = tower.layers * (_PER_SAMPLED if config.negatives else _PER_POSITION)
    position = alternatives * tower.dim * _PER_CELL + fixed
    fitting = config.seconds / (_BOTH * max(interactions, 1) * position)
    share = 1.0 if "epochs" in config.model_fields_set else min(1.0, fitting / _FEWEST_EPOCHS)
    config = _left_out(config, epochs=int(np.clip(fitting, _FEWEST_EPOCHS, _MOST_EPOCHS)))
    epochs = config.epochs
    config = _left_out(
        config,
        share=share,
        validate_every=max(1, epochs // 12),
        text_passes=(max(1, epochs // 8), max(2, epochs // 3)),
    )
    text = _left_out(config.text, tuning=_tuning(density, texts))
    return config.model_copy(update={"tower": tower, "text": text})


def published(config: TrainConfig) -> TrainConfig:
    """Return the settings of SASRec as published: item IDs in their order, nothing else.

    Reference:
        Kang & McAuley 2018, "Self-Attentive Sequential Recommendation".
    """
    plain = {"use_text": False, "id_dropout": 0.0, "events": False, "gaps": False}
    return config.model_copy(update={"tower": config.tower.model_copy(update=plain)})


def _tuning(density: float, texts: int) -> Tuning:
    """Return how the language model is tuned: only if items have few interactions."""
    return "lora" if density < _SPARSE and texts <= _MANY_TEXTS else "frozen"


def _left_out(model: Model, **chosen: object) -> Model:
    """Return the settings with these values where the user has set none."""
    return model.model_copy(
        update={name: value for name, value in chosen.items() if name not in model.model_fields_set}
    )
