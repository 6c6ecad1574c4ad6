"""Training of the sequence model and, through its loss, of the text encoder.

The loss reaches a language model exactly, without re-encoding the catalogue at every step: text
vectors are a leaf of the graph during an epoch, and the gradient gathered there is passed to the
text side, which sends it through its encoder (gradient caching).

Reference:
    Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup".
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from recloop.data.user_sequences import UserSequence
from recloop.training.device import Compute
from recloop.training.finetuning.augmentation import shuffled
from recloop.training.finetuning.batches import batches, cut_windows
from recloop.training.finetuning.sequence_model import (
    SequenceModel,
    TextVectorSource,
    TrainConfig,
    copied,
)
from recloop.training.finetuning.trainer import Trainer
from recloop.training.modules.tower import ItemVectors, UserTower


@dataclass
class TrainingHistory:
    """One entry for each epoch: loss, and NDCG@10 if it was validated.

    With validation, the history of a continued model begins with an entry of epoch 0.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)

    def best_epochs(self) -> int:
        """Return the epoch of the best validation; the last epoch without validation."""
        validated = [entry for entry in self.epochs if "ndcg@10" in entry]
        best = max(validated, key=lambda entry: entry["ndcg@10"], default=self.epochs[-1])
        return int(best["epoch"])

    def validations_since_best(self) -> int:
        """Return the number of validations since the best one."""
        validated = [entry["ndcg@10"] for entry in self.epochs if "ndcg@10" in entry]
        return len(validated) - 1 - int(np.argmax(validated)) if validated else 0

    def best_quality(self) -> float:
        """Return the best NDCG@10, 0 without validation."""
        return max((entry.get("ndcg@10", 0.0) for entry in self.epochs), default=0.0)


ValidationMetric = Callable[[SequenceModel, Tensor], float]
Progress = Callable[[dict[str, float]], None]


def fit(
    sequences: Sequence[UserSequence],
    text: TextVectorSource,
    config: TrainConfig,
    compute: Compute,
    *,
    start: SequenceModel | None = None,
    validate: ValidationMetric | None = None,
    progress: Progress = lambda _: None,
) -> tuple[SequenceModel, TrainingHistory]:
    """Train the sequence model on users' sequences.

    No epoch runs if no user has two interactions; the model then has only cold items.

    Args:
        sequences: Sequences of the users.
        text: Source of the text vectors, `(items, width)`.
        config: Settings.
        compute: Device and precision.
        start: Model to continue from; it is not changed.
        validate: Validates a model; model and text side end as they were at the best validation.
        progress: Called with the entry of each epoch.
    """
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    model = build_model(sequences, text, config, compute.device, start)
    windows = cut_windows(sequences, config.tower.window)
    drawn = math.ceil(config.share * len(windows))
    total = config.epochs * -(-drawn // config.batch)
    if not windows:
        return model, TrainingHistory([{"epoch": 0.0}])
    trainer = Trainer(model, sequences, config, compute, total)
    history, best, restore = TrainingHistory(), -1.0, None

    def enter(entry: dict[str, float]) -> None:
        nonlocal best, restore
        if validate is not None and entry["epoch"] % config.validate_every == 0:
            entry["ndcg@10"] = validate(model, text.vectors)
            if entry["ndcg@10"] > best:
                best, restore = entry["ndcg@10"], _remember(model, text)
        history.epochs.append(entry)
        progress(entry)

    if start is not None and validate is not None:
        enter({"epoch": 0.0})
    for epoch in range(1, config.epochs + 1):
        tunes_text = epoch in config.text_passes
        leaf = text.vectors.detach().requires_grad_(tunes_text)
        shown = windows if config.tower.order else _reordered(sequences, config, rng)
        loss = trainer.epoch(leaf, batches(shown, config.batch, rng, drawn, config.augment))
        if leaf.grad is not None:
            text.tune(leaf.grad, rng)
        enter({"epoch": float(epoch), "loss": loss})
        if history.validations_since_best() >= config.patience > 0:
            break
    if restore is not None:
        restore()
    return model, history


def build_model(
    sequences: Sequence[UserSequence],
    text: TextVectorSource,
    config: TrainConfig,
    device: torch.device,
    start: SequenceModel | None,
) -> SequenceModel:
    """Return a model with random weights, or with those of `start`.

    Args:
        sequences: Sequences of the users; the items in them are warm.
        text: Source of the text vectors, `(items, width)`.
        config: Settings.
        device: Device of the model.
        start: Model whose weights are copied.
    """
    count, width = text.vectors.shape
    warm = torch.zeros(count, dtype=torch.bool)
    if sequences:
        warm[np.unique(np.concatenate([sequence.rows for sequence in sequences]))] = True
    items = ItemVectors(count, width, config.tower)
    tower = UserTower(config.tower)
    if start is not None:
        items.load_state_dict(start.items.state_dict())
        tower.load_state_dict(start.tower.state_dict())
        warm |= start.warm.cpu()
    return SequenceModel(items, tower, warm).to(device)


def _reordered(
    sequences: Sequence[UserSequence], config: TrainConfig, rng: np.random.Generator
) -> list[UserSequence]:
    """Return the windows of an epoch over sets, whose items come in another order each time."""
    return cut_windows(shuffled(sequences, rng), config.tower.window)


def _remember(model: SequenceModel, text: TextVectorSource) -> Callable[[], None]:
    """Return a function that restores the present state of both."""
    items, tower = copied(model.items.state_dict()), copied(model.tower.state_dict())
    tuned, vectors = text.state(), text.vectors

    def restore() -> None:
        model.items.load_state_dict(items)
        model.tower.load_state_dict(tower)
        text.restore(tuned)
        text.vectors = vectors

    return restore
