"""Fine-tuning: the sequence model and the language model under it, on one loss.

The loss reaches the language model exactly, without re-encoding the catalogue at every step: text
vectors are a leaf of the graph during an epoch, and at a text pass the gradient gathered there goes
through the encoder, a batch of items at a time (gradient caching, Gao et al. 2021). Knows tensors,
not files.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from recloop.config import Settings
from recloop.data.catalogue import Rows
from recloop.models.text import TextConfig, TextEncoder, Texts, encode_all
from recloop.models.tower import ItemVectors, PooledDropout, TowerConfig, UserTower
from recloop.training.batches import PAD_TARGET, batches, cut_windows
from recloop.training.device import Compute, DeviceName
from recloop.training.losses import full_softmax


class TrainConfig(Settings):
    """Everything that a training run depends on, besides the data."""

    seed: int = 42
    device: DeviceName = "auto"
    text: TextConfig = TextConfig()
    tower: TowerConfig = TowerConfig()
    epochs: int = 24
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    judge_every: int = 2
    text_passes: list[int] = [3, 8, 13]
    text_learning_rate: float = 2e-4


@dataclass
class TextSide:
    """Item texts and their vectors; `encoder` is None where the vectors stay as they are."""

    vectors: Tensor
    encoder: TextEncoder | None = None
    texts: Texts | None = None


@dataclass
class SequenceModel:
    """The two trained modules, and which items they have seen `(items,)`."""

    items: ItemVectors
    tower: UserTower
    known: Tensor

    def vectors(self, text: Tensor) -> Tensor:
        """Vectors of all items for serving, `(items, dim)`."""
        self.items.eval()
        with torch.inference_mode():
            return self.items(text, self.known)


@dataclass
class History:
    """What happened, an entry per epoch: loss, seconds, and NDCG@10 where it was judged."""

    epochs: list[dict[str, float]] = field(default_factory=list)

    def best_epochs(self) -> int:
        """How many epochs gave the best judgement; all of them where none was judged."""
        judged = [entry for entry in self.epochs if "ndcg@10" in entry]
        best = max(judged, key=lambda entry: entry["ndcg@10"], default=self.epochs[-1])
        return int(best["epoch"])

    def best_quality(self) -> float:
        """The best judgement, 0 where none was made."""
        return max((entry.get("ndcg@10", 0.0) for entry in self.epochs), default=0.0)


Judge = Callable[[SequenceModel, Tensor], float]
Progress = Callable[[dict[str, float]], None]


def fit(
    sequences: Sequence[Rows],
    text: TextSide,
    config: TrainConfig,
    compute: Compute,
    *,
    stop_after: int | None = None,
    judge: Judge | None = None,
    progress: Progress = lambda _: None,
) -> tuple[SequenceModel, History]:
    """Train on users' item sequences; `text` is left with the vectors that the model ended on.

    With `judge`, the model and text of the best judged epoch are returned. `stop_after` ends the
    same schedule early, to repeat a run that judged best there.
    """
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    model = _build(sequences, text, config, compute.device)
    windows = cut_windows(sequences, config.tower.window)
    optimizer, schedule = _optimizer(model, len(windows), config)
    text_optimizer = _text_optimizer(text, config)
    history, best, kept = History(), -1.0, None
    for epoch in range(1, (stop_after or config.epochs) + 1):
        tune_text = text_optimizer is not None and epoch in config.text_passes
        leaf = text.vectors.detach().requires_grad_(tune_text)
        loss = _epoch(
            model, leaf, batches(windows, config.batch, rng), optimizer, schedule, compute
        )
        entry = {"epoch": float(epoch), "loss": loss}
        if tune_text and text_optimizer is not None:
            _text_pass(text, leaf, text_optimizer, compute, rng)
        if judge is not None and epoch % config.judge_every == 0:
            entry["ndcg@10"] = judge(model, text.vectors)
            if entry["ndcg@10"] > best:
                best, kept = entry["ndcg@10"], _state(model, text)
        history.epochs.append(entry)
        progress(entry)
    if kept is not None:
        _restore(model, text, kept)
    return model, history


def _build(
    sequences: Sequence[Rows], text: TextSide, config: TrainConfig, device: torch.device
) -> SequenceModel:
    count, width = text.vectors.shape
    known = torch.zeros(count, dtype=torch.bool)
    known[np.unique(np.concatenate(sequences))] = True
    items = ItemVectors(count, width, config.tower).to(device)
    return SequenceModel(items, UserTower(config.tower).to(device), known.to(device))


def _optimizer(
    model: SequenceModel, windows: int, config: TrainConfig
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    parameters = [*model.items.parameters(), *model.tower.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    steps = config.epochs * -(-windows // config.batch)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=steps, pct_start=0.1
    )


def _text_optimizer(text: TextSide, config: TrainConfig) -> torch.optim.Optimizer | None:
    trainable = [p for p in text.encoder.parameters() if p.requires_grad] if text.encoder else []
    return torch.optim.AdamW(trainable, config.text_learning_rate) if trainable else None


def _epoch(
    model: SequenceModel,
    text: Tensor,
    data: Iterable[tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    compute: Compute,
) -> float:
    model.items.train()
    model.tower.train()
    for module in model.tower.modules():
        if isinstance(module, PooledDropout):
            module.refresh(compute.device)
    # Items that do not exist yet stay out of the softmax.
    softmax_rows = model.known.nonzero()[:, 0]
    place = torch.full_like(model.known, PAD_TARGET, dtype=torch.long)
    place[softmax_rows] = torch.arange(len(softmax_rows), device=compute.device)
    parameters = [*model.items.parameters(), *model.tower.parameters()]
    total, batches_seen = 0.0, 0
    for inputs, targets in data:
        with compute.autocast():
            vectors = model.items(text, model.known)
            users = model.tower(vectors[inputs.to(compute.device)])
        real = (targets != PAD_TARGET).to(compute.device)
        wanted = place[targets.to(compute.device)[real]]
        loss = full_softmax(users[real], vectors[softmax_rows], wanted)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        total, batches_seen = total + loss.item(), batches_seen + 1
    return total / batches_seen


def _text_pass(
    text: TextSide,
    leaf: Tensor,
    optimizer: torch.optim.Optimizer,
    compute: Compute,
    rng: np.random.Generator,
) -> None:
    if text.encoder is None or text.texts is None or leaf.grad is None:
        raise ValueError("a text pass needs an encoder, texts and a gathered gradient")
    for batch in rng.permutation(len(text.texts.batches)):
        rows = text.texts.batches[batch]
        with compute.autocast():
            vectors = text.encoder(*text.texts.take(rows, compute.device))
        optimizer.zero_grad()
        vectors.backward(leaf.grad[rows.to(compute.device)])
        optimizer.step()
    with compute.autocast():
        text.vectors = encode_all(text.encoder, text.texts, compute.device)


_State = tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor], Tensor]


def _state(model: SequenceModel, text: TextSide) -> _State:
    trained = (
        {n: p for n, p in text.encoder.named_parameters() if p.requires_grad}
        if text.encoder
        else {}
    )
    return (
        _copy(model.items.state_dict()),
        _copy(model.tower.state_dict()),
        _copy(trained),
        text.vectors.clone(),
    )


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in state.items()}


def _restore(model: SequenceModel, text: TextSide, state: _State) -> None:
    items, tower, trained, text.vectors = state
    model.items.load_state_dict(items)
    model.tower.load_state_dict(tower)
    if text.encoder is not None:
        text.encoder.load_state_dict(trained, strict=False)
