"""The sequence model on a data set it has never seen: its settings from the data's statistics."""

import numpy as np
import torch

from recloop.data.catalogue import Rows
from recloop.evaluation.offline import Requests
from recloop.models.scorer import Scores
from recloop.models.sequential import Sequential
from recloop.models.tower import TowerConfig
from recloop.training.device import choose
from recloop.training.export import export_tower
from recloop.training.finetune import FrozenText, SequenceModel, TrainConfig, fit
from recloop.training.judge import judge_on
from recloop.trials.baselines import Channel, Fitted, Task
from recloop.trials.config import Say
from recloop.trials.timeline import Timeline

# Items beyond the most popular ones are left to the other channels.
HEAD = 50_000
# Interactions from which the vectors are wider.
_LARGE = 2_000_000
# Interactions per item below which more is dropped.
_SPARSE = 30
# Floating-point operations a second that a training step reaches on two cores, roughly.
_RATE = 4e10


def settings(timeline: Timeline, *, use_text: bool, seconds: float, seed: int) -> TrainConfig:
    """Sizes, regularisation and epochs from the numbers of interactions, items and users.

    `seconds` bounds one training run: the epochs are what fits, between 4 and 48.
    """
    lengths = np.diff(timeline.starts)
    interactions, items = len(timeline.items), min(timeline.catalogue, HEAD)
    tower = TowerConfig(
        dim=64 if interactions < _LARGE else 128,
        layers=1,
        window=int(np.clip(np.percentile(lengths[lengths > 0], 90), 10, 50)),
        dropout=0.4 if interactions < _SPARSE * items else 0.3,
        id_dropout=0.3 if use_text else 0.0,
        use_text=use_text,
    )
    cost = 6.0 * interactions * tower.dim * (items + 12 * tower.dim + 2 * tower.window)
    epochs = int(np.clip(seconds * _RATE / cost, 4, 48))
    return TrainConfig(seed=seed, tower=tower, epochs=epochs, judge_every=max(1, epochs // 12))


def sequential(task: Task, *, use_text: bool, seconds: float, seed: int, say: Say) -> Fitted:
    """Train, keep the best epoch on validation, refit for as many epochs on all before the test."""
    config = settings(task.train, use_text=use_text, seconds=seconds, seed=seed)
    compute, head = choose(config.device), Head(task.past)
    text = task.text[head.rows] if use_text else np.zeros((len(head.rows), 1), np.float32)
    side = FrozenText(torch.from_numpy(text).to(compute.device))

    def progress(entry: dict[str, float]) -> None:
        say(" ".join(f"{name} {value:.4g}" for name, value in entry.items()))

    def channel(model: SequenceModel) -> Channel:
        tower = export_tower(model.tower, config.tower.dim, config.tower.window)
        vectors = model.vectors(side.vectors).cpu().numpy()
        return head.channel(Sequential(tower, vectors, config.tower.window))

    judge = judge_on(head.requests(task.valid), config.tower.window)
    train, past = (head.sequences(timeline) for timeline in (task.train, task.past))
    tuned, history = fit(train, side, config, compute, judge=judge, progress=progress)
    epochs = history.best_epochs()
    final, _ = fit(past, side, config, compute, stop_after=epochs, progress=progress)
    said = {"epochs": epochs, **config.tower.model_dump()}
    return Fitted(channel(tuned), channel(final), said)


class Head:
    """The most popular items as a catalogue of their own: `rows` are theirs in the whole one."""

    def __init__(self, timeline: Timeline) -> None:
        counts = np.bincount(timeline.items, minlength=timeline.catalogue)
        self.rows = np.sort(np.argsort(-counts, kind="stable")[:HEAD])
        self._place = np.full(timeline.catalogue, -1, np.int64)
        self._place[self.rows] = np.arange(len(self.rows))

    def sequences(self, timeline: Timeline) -> list[Rows]:
        """Users' sequences of these items, for users with at least two."""
        kept = (self._inside(sequence) for sequence in timeline.sequences())
        return [sequence for sequence in kept if len(sequence) > 1]

    def requests(self, requests: Requests) -> Requests:
        """Those whose answer is among these items."""
        relevant = [self._inside(rows) for rows in requests.relevant]
        chosen = np.flatnonzero([len(rows) > 0 for rows in relevant])
        return Requests(
            [self._inside(requests.histories[row]) for row in chosen],
            [relevant[row] for row in chosen],
            masked=requests.masked,
        )

    def channel(self, model: Sequential) -> Channel:
        """The model's scores in the whole catalogue, 0 for the other items."""

        def score(requests: Requests) -> Scores:
            scores = np.zeros((len(requests.histories), len(self._place)), np.float32)
            scores[:, self.rows] = model.score([self._inside(h) for h in requests.histories])
            return scores

        return score

    def _inside(self, rows: Rows) -> Rows:
        places = self._place[rows]
        return places[places >= 0]
