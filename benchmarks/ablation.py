"""What each part adds: IDs → frozen text → tuned language model → channels mixed → ranker → distillation.

`python benchmarks/ablation.py DIR --seed 1 --seed 2` takes a folder of `recloop evaluate`. Each step's
gain is paired with the step before it, on the same test requests; the ranker's and distillation's with
the mixed channels, for distillation goes without the ranker. The ways of tuning are beside each other in
benchmarks/finetuning.py.
"""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from alone import bootstrap, mixed, publish, say
from ranked import Listed, Reader, distilled, moments

from recloop.benchmark.config import BenchmarkConfig, Protocol
from recloop.benchmark.dataset import DataSet, read_folder
from recloop.benchmark.run import prepare
from recloop.evaluation.bootstrap import UserBootstrap
from recloop.evaluation.metrics import Values
from recloop.scoring.scorer import Channel
from recloop.training.base_models import TextConfig, Tuning, resolve_base
from recloop.training.channels.fitted_channels import ChannelGrids, FittedChannels
from recloop.training.device import choose
from recloop.training.sequence_training import sequence_scorer, train_sequence

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
        config = BenchmarkConfig(
            models=("recloop",), protocol=protocol, seed=number, seconds=seconds
        )
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


def _run(data: DataSet, config: BenchmarkConfig, reading: float, asked: int) -> dict[str, Any]:
    benchmark, seed = prepare(data, config), config.seed
    training, test = benchmark.data, benchmark.asked.sample(asked, config.seed)
    items, table = training.items, _Table(bootstrap(test, seed))

    def enter(
        name: str, channel: Channel, setting: dict[str, Any], started: float, over: str | None
    ) -> None:
        listed = Listed.by(channel, test, items)
        took = time.monotonic() - started
        table.enter(name, listed.ndcg(listed.ranked), took, over, setting=setting)

    base = resolve_base(benchmark.config.text.base)
    tunings: dict[str, Tuning | None] = {
        "ids": None,
        "frozen text": "frozen",
        "tuned language model": "lora",
    }
    before: str | None = None
    for name, tuning in tunings.items():
        started = time.monotonic()
        text = TextConfig(tuning=tuning or "frozen")
        settings = benchmark.config.model_copy(update={"text": text})
        trained = train_sequence(training, settings, choose("auto"), base=base if tuning else None)
        scorer = sequence_scorer(trained.final, trained.text, trained.rows, trained.config, items)
        enter(name, scorer.score, trained.setting(), started, before)
        before = name
    started = time.monotonic()
    channels = FittedChannels(training, ChannelGrids(), seed)
    every = mixed(trained, channels)
    enter("all channels", every.final, every.setting, started, before)

    started = time.monotonic()
    learned = moments(training.train, every.tuned, _LEARNED, seed)
    reader = Reader(data, learned, reading, seed)
    weight = reader.weight(Listed.by(every.tuned, channels.valid.sample(asked, seed), items))
    listed = Listed.by(every.final, test, items)
    found = listed.ndcg(reader.reranked(listed, weight))
    told = {"weight": weight, "parameters": reader.parameters}
    table.enter("ranker", found, time.monotonic() - started, "all channels", **told)

    started = time.monotonic()
    taught = moments(training.train, every.tuned, _TAUGHT, seed + 1)
    student = mixed(distilled(trained, taught, reader, weight or _WHAT_IF, seed), channels)
    enter("distilled", student.final, student.setting, started, "all channels")
    return table.rows


if __name__ == "__main__":
    typer.run(main)
