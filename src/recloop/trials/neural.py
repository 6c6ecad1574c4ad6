"""The sequence model on a data set it has never seen: its settings from the data's statistics."""

from dataclasses import dataclass

import numpy as np
import torch

from recloop.data.catalogue import Rows
from recloop.data.trail import Trail
from recloop.evaluation.offline import Requests
from recloop.models.scorer import Asked, Channel, Histories, Scores, signals_of
from recloop.models.sequential import Sequential
from recloop.models.tower import TowerConfig
from recloop.training.device import choose
from recloop.training.export import export_tower
from recloop.training.finetune import fit
from recloop.training.judge import judge_on
from recloop.training.sequence import FrozenText, MakeSide, SequenceModel, TextSide, TrainConfig
from recloop.trials.baselines import Fitted, Task
from recloop.trials.config import Say
from recloop.trials.timeline import Timeline

# Epochs at whose end the language model takes its steps, where it is tuned.
TEXT_PASSES = 2
# Items beyond the most popular ones are left to the other channels.
HEAD = 50_000
# Interactions per item below which more is dropped, of IDs too, and from which less is.
SPARSE, _DENSE = 30, 150
# Items beyond which each step draws this many alternatives, instead of asking about all.
_CATALOGUE, _NEGATIVES = 4_096, 1_024
# Interactions from which the vectors are wider, and from which there is a second layer.
_WIDE, _DEEP = 2_000_000, 500_000
# Seconds of a training step for one position: per alternative and dimension, and beside them.
_PER_CELL, _PER_POSITION, _PER_SAMPLED = 7e-11, 7e-6, 2.5e-5
_LEAST = 4
# How much longer it takes to train and then to continue with newer data, than to train.
_BOTH = 1.25


@dataclass(frozen=True)
class Bounds:
    """`seconds` bounds training; `published`: the transformer as others have it, without times."""

    seconds: float
    seed: int
    say: Say
    published: bool = False


def settings(timeline: Timeline, bounds: Bounds, *, use_text: bool) -> TrainConfig:
    """Sizes, regularisation and epochs from the numbers of interactions, items and users.

    The epochs are what fits into the bound on about two cores, at most 72. Where fewer than four fit,
    they pass over a part of the users each.
    """
    lengths = np.diff(timeline.starts)
    interactions, items = len(timeline.items), len(np.unique(timeline.items))
    density = interactions / max(items, 1)
    tower = TowerConfig(
        dim=64 if interactions < _WIDE else 128,
        layers=1 if interactions < _DEEP else 2,
        window=int(np.clip(np.percentile(lengths[lengths > 0], 90), 10, 50)),
        dropout=0.4 if density < SPARSE else 0.3 if density < _DENSE else 0.2,
        id_dropout=0.0 if not use_text else 0.3 if density < SPARSE else 0.1,
        use_text=use_text,
        gaps=not bounds.published,
    )
    sampled = items > _CATALOGUE
    alternatives = _NEGATIVES if sampled else items
    beside = tower.layers * (_PER_SAMPLED if sampled else _PER_POSITION)
    position = alternatives * tower.dim * _PER_CELL + beside
    fitting = bounds.seconds / (_BOTH * interactions * position)
    epochs = int(np.clip(fitting, _LEAST, 72))
    return TrainConfig(
        seed=bounds.seed,
        tower=tower,
        epochs=epochs,
        negatives=_NEGATIVES if sampled else 0,
        share=min(1.0, fitting / _LEAST),
        judge_every=max(1, epochs // 12),
        text_passes=(max(1, epochs // 8), max(2, epochs // 3)),
    )


@dataclass(frozen=True)
class Trained:
    """The sequence model before and after it learned from validation, and what it stands on."""

    head: "Head"
    config: TrainConfig
    text: TextSide
    tuned: SequenceModel
    final: SequenceModel
    epochs: int

    def fitted(self) -> Fitted:
        """As channels."""
        trained = [*self.tuned.parameters(), *self.text.state().values()]
        size = sum(value.numel() for value in trained)
        said = {"epochs": self.epochs, "parameters": size, **self.config.tower.model_dump()}
        return Fitted(self.channel(self.tuned), self.channel(self.final), said)

    def channel(self, model: SequenceModel) -> Channel:
        """A model through the tower as it serves."""
        window = self.config.tower.window
        tower = export_tower(model.tower, self.config.tower.dim, window)
        vectors = model.vectors(self.text.vectors).cpu().numpy()
        return self.head.channel(Sequential(tower, vectors, window))


def sequential(task: Task, side: MakeSide | None, bounds: Bounds) -> Fitted:
    """The sequence model as channels; silent where nobody did two things."""
    trained = train(task, side, bounds)
    if trained is None:
        silence = Head(task.past).silence
        return Fitted(silence, silence, {"epochs": 0})
    return trained.fitted()


def train(task: Task, side: MakeSide | None, bounds: Bounds) -> Trained | None:
    """Train, keep the best epoch on validation, continue on all before the test.

    Without a `side` items are IDs only. None where nobody did two things.
    """
    config = settings(task.train, bounds, use_text=side is not None)
    compute, head = choose(config.device), Head(task.past)
    before, all_of_it = (head.trails(timeline) for timeline in (task.train, task.past))
    if not before:
        return None
    text = (
        side(head.rows)
        if side
        else FrozenText(torch.zeros(len(head.rows), 1, device=compute.device))
    )

    def progress(entry: dict[str, float]) -> None:
        bounds.say(" ".join(f"{name} {value:.4g}" for name, value in entry.items()))

    judge = judge_on(head.requests(task.valid), config.tower.window)
    tuned, history = fit(before, text, config, compute, judge=judge, progress=progress)
    epochs, still = history.best_epochs(), FrozenText(text.vectors)
    newer = config.continuing(epochs)
    final, _ = fit(all_of_it, still, newer, compute, start=tuned, progress=progress)
    return Trained(head, config, text, tuned, final, epochs)


class Head:
    """The most popular items as a catalogue of their own: `rows` are theirs in the whole one."""

    def __init__(self, timeline: Timeline) -> None:
        counts = np.bincount(timeline.items, minlength=timeline.catalogue)
        self.rows = np.sort(np.argsort(-counts, kind="stable")[:HEAD])
        self._place = np.full(timeline.catalogue, -1, np.int64)
        self._place[self.rows] = np.arange(len(self.rows))

    def trails(self, timeline: Timeline) -> list[Trail]:
        """Users' steps with these items, for users with at least two."""
        kept = (self._on(trail) for trail in timeline.trails())
        return [trail for trail in kept if len(trail) > 1]

    def requests(self, requests: Requests) -> Requests:
        """Those whose answer is among these items."""
        relevant = [self._inside(rows) for rows in requests.relevant]
        chosen = np.flatnonzero([len(rows) > 0 for rows in relevant])
        told = self._histories(requests.take(chosen))
        return Requests(
            list(told.histories),
            [relevant[row] for row in chosen],
            masked=requests.masked,
            signals=list(told.signals or []),
        )

    def channel(self, model: Sequential) -> Channel:
        """The model's scores in the whole catalogue, 0 for the other items."""

        def score(asked: Asked) -> Scores:
            scores = np.zeros((len(asked.histories), len(self._place)), np.float32)
            scores[:, self.rows] = model.score(self._histories(asked))
            return scores

        return score

    def silence(self, asked: Asked) -> Scores:
        """All items alike: what can be said where there are no sequences."""
        return np.zeros((len(asked.histories), len(self._place)), np.float32)

    def _histories(self, asked: Asked) -> Histories:
        """The part of each history that is about these items."""
        kept = [self._place[history] >= 0 for history in asked.histories]
        return Histories(
            [self._inside(history) for history in asked.histories],
            [told[there] for told, there in zip(signals_of(asked), kept, strict=True)],
        )

    def _on(self, trail: Trail) -> Trail:
        kept = trail.part(self._place[trail.rows] >= 0)
        return kept.with_rows(self._place[kept.rows])

    def _inside(self, rows: Rows) -> Rows:
        places = self._place[rows]
        return places[places >= 0]
