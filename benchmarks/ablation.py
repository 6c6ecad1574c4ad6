"""What each part adds: IDs → frozen text → tuned language model → channels mixed → ranker → distillation.

`python benchmarks/ablation.py DIR --seed 1 --seed 2` takes a folder of `recloop evaluate`. Each step's
gain is paired with the step before it, on the same test requests; the ranker's and distillation's with
the mixed channels, for distillation goes without the ranker. The ways of tuning are beside each other in
benchmarks/finetuning.py.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from alone import bootstrap, publish, say
from ranked import Listed, Reader, distilled, moments

from recloop.evaluation.bootstrap import UserBootstrap
from recloop.evaluation.metrics import Values
from recloop.trials.baselines import SIMPLE, Fitted
from recloop.trials.config import TrialConfig
from recloop.trials.folder import DataSet, read_folder
from recloop.trials.neural import Bounds, train
from recloop.trials.ours import around
from recloop.trials.run import prepare
from recloop.trials.texts import frozen_side, tuned_side
from recloop.trials.timeline import Protocol

# Moments of training that the ranker learns from, and those that are distilled.
_LEARNED, _TAUGHT = 3_000, 1_000
# How much of the ranker is distilled where validation gives it no weight.
_WHAT_IF = 0.5


def main(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    seed: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None,
    protocol: Annotated[Protocol, typer.Option(help="As in `recloop evaluate`.")] = "temporal",
    seconds: Annotated[float, typer.Option(help="Bound of training one sequence model.")] = 900,
    reading: Annotated[float, typer.Option(help="Bound of training the ranker.")] = 240,
    asked: Annotated[int, typer.Option(help="Test requests at most.")] = 1_000,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Run and print."""
    data = read_folder(folder)
    runs = []
    for number in seed or [1]:
        config = TrialConfig(models=("recloop",), protocol=protocol, seed=number, seconds=seconds)
        runs.append({"seed": number, "steps": _run(data, config, reading, asked)})
    publish(runs, folder, out)


class _Table:
    """Steps with their accuracy, gain, seconds and parameters."""

    def __init__(self, users: UserBootstrap) -> None:
        self._users = users
        self._values: dict[str, Values] = {}
        self.rows: dict[str, Any] = {}

    def enter(
        self, name: str, values: Values, seconds: float, over: str | None, **told: object
    ) -> None:
        gain = None if over is None else vars(self._users.interval(values - self._values[over]))
        self._values[name] = values
        self.rows[name] = {
            "ndcg@10": vars(self._users.interval(values)),
            "gain": gain,
            "over": over,
            "seconds": round(seconds, 1),
            **told,
        }
        say(f"{name}: {self.rows[name]}")


def _run(data: DataSet, config: TrialConfig, reading: float, asked: int) -> dict[str, Any]:
    trial = prepare(data, config, say)
    task, seed = trial.task, config.seed
    test, items = trial.asked.sample(asked, seed), task.past.catalogue
    bounds, table = Bounds(config.seconds, seed, say), _Table(bootstrap(test, seed))

    def enter(name: str, fitted: Fitted, started: float, over: str | None) -> None:
        listed = Listed.by(fitted.final, test, items)
        took = time.monotonic() - started
        table.enter(name, listed.ndcg(listed.ranked), took, over, setting=fitted.setting)

    sides = {
        "ids": None,
        "frozen text": frozen_side(task.text),
        "tuned language model": tuned_side(data, "lora", seed),
    }
    before, trained = None, None
    for name, side in sides.items():
        started = time.monotonic()
        trained = train(task, side, bounds)
        if trained is None:
            raise typer.BadParameter("nobody in this data did two things")
        enter(name, trained.fitted(), started, before)
        before = name
    started, others = time.monotonic(), _once(lambda name: SIMPLE[name](task))
    mixed = around(trained.fitted(), task, others, seed)
    enter("all channels", mixed, started, before)

    started = time.monotonic()
    learned = moments(task.train, mixed.tuned, _LEARNED, seed)
    reader = Reader(data, learned, reading, seed)
    weight = reader.weight(Listed.by(mixed.tuned, task.valid.sample(asked, seed), items))
    listed = Listed.by(mixed.final, test, items)
    found = listed.ndcg(reader.reranked(listed, weight))
    told = {"weight": weight, "parameters": reader.parameters}
    table.enter("ranker", found, time.monotonic() - started, "all channels", **told)

    started = time.monotonic()
    taught = moments(task.train, mixed.tuned, _TAUGHT, seed + 1)
    student = distilled(trained, taught, reader, weight or _WHAT_IF, seed)
    enter("distilled", around(student.fitted(), task, others, seed), started, "all channels")
    return table.rows


def _once(fit: Callable[[str], Fitted]) -> Callable[[str], Fitted]:
    kept: dict[str, Fitted] = {}

    def get(name: str) -> Fitted:
        if name not in kept:
            kept[name] = fit(name)
        return kept[name]

    return get


if __name__ == "__main__":
    typer.run(main)
