"""The sequence model on a data set it has never seen: its settings from the data's statistics."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.evaluation.offline import Requests
from recloop.models.scorer import Scores
from recloop.models.tower import TowerConfig
from recloop.training.device import choose
from recloop.training.finetune import FrozenText, Judge, SequenceModel, TrainConfig, fit
from recloop.trials.baselines import Channel, Fitted, Task, quality
from recloop.trials.timeline import Timeline

# Items beyond the most popular ones are left to the other channels.
HEAD = 50_000
# Interactions from which the vectors are wider.
_LARGE = 2_000_000
# Floating-point operations a second that a training step reaches on two cores, roughly.
_RATE = 4e10
_BATCH = 256

Say = Callable[[str], None]


def settings(timeline: Timeline, *, use_text: bool, seconds: float, seed: int) -> TrainConfig:
    """Sizes, regularisation and epochs from the numbers of interactions, items and users.

    `seconds` bounds one training run: the epochs are what fits, between 4 and 48.
    """
    lengths = np.diff(timeline.starts)
    interactions, items = len(timeline.items), min(timeline.catalogue, HEAD)
    dim = 64 if interactions < _LARGE else 128
    window = int(np.clip(np.percentile(lengths[lengths > 0], 90), 10, 50))
    sparse = interactions < 30 * items
    tower = TowerConfig(
        dim=dim,
        layers=1,
        window=window,
        dropout=0.4 if sparse else 0.3,
        id_dropout=0.3 if use_text else 0.0,
        use_text=use_text,
    )
    cost = 6.0 * interactions * dim * (items + 12 * dim + 2 * window)
    epochs = int(np.clip(seconds * _RATE / cost, 4, 48))
    return TrainConfig(seed=seed, tower=tower, epochs=epochs, judge_every=max(1, epochs // 12))


def sequential(task: Task, *, use_text: bool, seconds: float, seed: int, say: Say) -> Fitted:
    """Train, keep the best epoch on validation, refit for as many epochs on all before the test."""
    config = settings(task.train, use_text=use_text, seconds=seconds, seed=seed)
    head = _head(task.past)
    width = task.text if use_text else np.zeros((task.train.catalogue, 1), np.float32)
    text = torch.from_numpy(np.ascontiguousarray(width[head]))
    compute, catalogue = choose(config.device), task.train.catalogue
    place = np.full(catalogue, -1, np.int64)
    place[head] = np.arange(len(head))

    def judge(model: SequenceModel, vectors: torch.Tensor) -> float:
        return quality(_channel(model, vectors, head, place, config), task.valid, catalogue)

    def progress(entry: dict[str, float]) -> None:
        say(" ".join(f"{name} {value:.4g}" for name, value in entry.items()))

    def train(
        timeline: Timeline, judge: Judge | None = None, stop_after: int | None = None
    ) -> tuple[Channel, int]:
        side = FrozenText(text.to(compute.device))
        rows = [place[sequence] for sequence in timeline.sequences()]
        kept = [row[row >= 0] for row in rows]
        sequences = [row for row in kept if len(row) > 1]
        model, history = fit(
            sequences, side, config, compute, progress=progress, judge=judge, stop_after=stop_after
        )
        return _channel(model, side.vectors, head, place, config), history.best_epochs()

    tuned, epochs = train(task.train, judge=judge)
    final, _ = train(task.past, stop_after=epochs)
    return Fitted(tuned, final, {"epochs": epochs, **config.tower.model_dump()})


def _head(timeline: Timeline) -> Rows:
    counts = np.bincount(timeline.items, minlength=timeline.catalogue)
    if len(counts) <= HEAD:
        return np.arange(len(counts))
    return np.sort(np.argsort(-counts, kind="stable")[:HEAD])


def _channel(
    model: SequenceModel, text: torch.Tensor, head: Rows, place: Rows, config: TrainConfig
) -> Channel:
    vectors = model.vectors(text)

    def score(requests: Requests) -> Scores:
        model.tower.eval()
        found = np.zeros((len(requests.histories), len(place)), np.float32)
        for start in range(0, len(found), _BATCH):
            histories = [place[h] for h in requests.histories[start : start + _BATCH]]
            recent = [h[h >= 0][-config.tower.window :] for h in histories]
            found[start : start + _BATCH, head] = _users(model, vectors, recent) @ _numpy(vectors).T
        return found

    return score


def _users(model: SequenceModel, vectors: torch.Tensor, recent: list[Rows]) -> NDArray[np.float32]:
    lengths = torch.tensor([len(history) for history in recent])
    padded = torch.zeros(len(recent), max(1, int(lengths.max())), dtype=torch.long)
    for row, history in enumerate(recent):
        padded[row, : len(history)] = torch.from_numpy(history)
    with torch.inference_mode():
        states = model.tower(vectors[padded.to(vectors.device)])
        users = states[torch.arange(len(recent)), (lengths - 1).clamp(min=0)]
        users[lengths == 0] = 0.0
    return _numpy(users)


def _numpy(tensor: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.float().cpu().numpy()
    return array
