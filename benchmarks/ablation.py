"""Gain of each part: ids → frozen text → tuned language model → blend → ranker → distillation.

`python -m benchmarks.ablation FOLDER --seed 1 --seed 2` takes a folder of `recloop evaluate`. The
gain of each step is its difference from the step before, paired over the same test requests. The
ranker and the distillation are both compared with the blend of all channels, because a distilled
model is served without the ranker. `benchmarks.finetuning` compares the methods of fine-tuning.
"""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.common import blend_all_channels, bootstrap, publish
from benchmarks.output import log
from benchmarks.reranking import (
    RankedRequests,
    TrainedRanker,
    distil_ranker,
    sample_training_requests,
)
from recloop.benchmark.config import BenchmarkConfig, Protocol
from recloop.benchmark.dataset import DataSet, read_folder
from recloop.benchmark.preparation import prepare
from recloop.evaluation.bootstrap import UserBootstrap
from recloop.evaluation.metrics import Values
from recloop.scoring.scorer import Channel
from recloop.training.base_models import TextConfig, Tuning, resolve_base
from recloop.training.channels.fitted_channels import ChannelGrids, FittedChannels
from recloop.training.device import choose
from recloop.training.sequence_training import train_sequence
from recloop.training.trained_sequence import sequence_scorer

# Training requests of the ranker, and those of the distillation.
_RANKER_REQUESTS, _DISTILLATION_REQUESTS = 3_000, 1_000
# Weight of the ranker in the distillation if validation gives it none.
_WEIGHT_WITHOUT_GAIN = 0.5


def main(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    seed: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None,
    protocol: Annotated[Protocol, typer.Option(help="As in `recloop evaluate`.")] = "temporal",
    seconds: Annotated[float, typer.Option(help="Longest training of a sequence model.")] = 900,
    ranker_seconds: Annotated[float, typer.Option(help="Longest training of the ranker.")] = 240,
    requests: Annotated[int, typer.Option(help="Largest number of test requests.")] = 1_000,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Measure every step for each seed and print the results."""
    data = read_folder(folder)
    runs = []
    for number in seed or [1]:
        config = BenchmarkConfig(
            models=("recloop",), protocol=protocol, seed=number, seconds=seconds
        )
        runs.append({"seed": number, "steps": _run(data, config, ranker_seconds, requests)})
    publish(runs, folder, out)


class _Table:
    """Accuracy, gain and seconds of each step."""

    def __init__(self, users: UserBootstrap) -> None:
        self._users = users
        self._values: dict[str, Values] = {}
        self.rows: dict[str, Any] = {}

    def add(
        self, name: str, values: Values, seconds: float, over: str | None, **facts: object
    ) -> None:
        gain = None if over is None else vars(self._users.interval(values - self._values[over]))
        self._values[name] = values
        self.rows[name] = {
            "ndcg@10": vars(self._users.interval(values)),
            "gain": gain,
            "over": over,
            "seconds": round(seconds, 1),
            **facts,
        }
        log(f"{name}: {self.rows[name]}")


def _run(
    data: DataSet, config: BenchmarkConfig, ranker_seconds: float, requests: int
) -> dict[str, Any]:
    benchmark, seed = prepare(data, config), config.seed
    training, test = benchmark.data, benchmark.test_requests.sample(requests, config.seed)
    items, table = training.items, _Table(bootstrap(test, seed))

    def add(
        name: str, channel: Channel, setting: dict[str, Any], started: float, over: str | None
    ) -> None:
        ranked = RankedRequests.by(channel, test, items)
        took = time.monotonic() - started
        table.add(name, ranked.ndcg(ranked.ranked), took, over, setting=setting)

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
        add(name, scorer.score, trained.setting(), started, before)
        before = name
    started = time.monotonic()
    channels = FittedChannels(training, ChannelGrids(), seed)
    blend = blend_all_channels(trained, channels)
    add("all channels", blend.final, blend.setting, started, before)

    started = time.monotonic()
    ranker_requests = sample_training_requests(training.train, blend.tuned, _RANKER_REQUESTS, seed)
    ranker = TrainedRanker(data, ranker_requests, ranker_seconds, seed)
    valid = RankedRequests.by(blend.tuned, channels.valid.sample(requests, seed), items)
    weight = ranker.tune_weight(valid)
    ranked = RankedRequests.by(blend.final, test, items)
    values = ranked.ndcg(ranker.rerank(ranked, weight))
    facts = {"weight": weight, "parameters": ranker.parameters}
    table.add("ranker", values, time.monotonic() - started, "all channels", **facts)

    started = time.monotonic()
    teaching = sample_training_requests(
        training.train, blend.tuned, _DISTILLATION_REQUESTS, seed + 1
    )
    distilled = distil_ranker(trained, teaching, ranker, weight or _WEIGHT_WITHOUT_GAIN, seed)
    student = blend_all_channels(distilled, channels)
    add("distilled", student.final, student.setting, started, "all channels")
    return table.rows


if __name__ == "__main__":
    typer.run(main)
