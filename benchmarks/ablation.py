"""What each part adds: IDs → frozen text → tuned language model → every channel mixed.

`python benchmarks/ablation.py DIR --seed 1 --seed 2` takes a folder of `recloop evaluate`. The ranker
and its distillation are measured in benchmarks/ranker.py, the ways of tuning in benchmarks/finetuning.py.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from alone import bootstrap, publish, say

from recloop.evaluation.metrics import Values, ndcg
from recloop.evaluation.offline import Requests, hits
from recloop.trials.baselines import SIMPLE, Fitted, Task
from recloop.trials.folder import DataSet, read_folder
from recloop.trials.measure import answer
from recloop.trials.neural import sequential
from recloop.trials.ours import around
from recloop.trials.texts import frozen_side, text_vectors, tuned_side
from recloop.trials.timeline import TEST_PART, VALID_PART, Protocol, Timeline


def main(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    seed: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None,
    protocol: Annotated[Protocol, typer.Option(help="As in `recloop evaluate`.")] = "temporal",
    seconds: Annotated[float, typer.Option(help="Bound of training one sequence model.")] = 900,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Run and print."""
    data = read_folder(folder)
    runs = [_run(data, protocol, number, seconds) for number in seed or [1]]
    publish(runs, folder, out)


def _run(data: DataSet, protocol: Protocol, seed: int, seconds: float) -> dict[str, Any]:
    whole = Timeline.of(data, repeats=False)
    train, past = whole.until(VALID_PART), whole.until(TEST_PART)
    valid = whole.requests(VALID_PART, protocol, repeats=False).sample(2_000, seed)
    test = whole.requests(TEST_PART, protocol, repeats=False)
    text = text_vectors(data, past, say)
    frozen = frozen_side(text)
    tuned = tuned_side(data, "lora", seed)
    task = Task(train, past, valid, text, frozen)
    bounds: dict[str, Any] = {"seconds": seconds, "seed": seed, "say": say}
    steps: dict[str, Callable[[], Fitted]] = {
        "ids": lambda: sequential(task, None, **bounds),
        "frozen text": lambda: sequential(task, frozen, **bounds),
        "tuned language model": lambda: sequential(task, tuned, **bounds),
    }
    fitted, took = {}, {}
    for name, fit in steps.items():
        started = time.monotonic()
        fitted[name] = fit()
        took[name] = round(time.monotonic() - started, 1)
    started = time.monotonic()
    tuned_one = fitted["tuned language model"]
    fitted["all channels"] = around(tuned_one, task, lambda name: SIMPLE[name](task), seed)
    took["all channels"] = round(time.monotonic() - started, 1)
    return {"seed": seed, "steps": _table(fitted, took, test, whole.catalogue, seed)}


def _table(
    fitted: dict[str, Fitted], took: dict[str, float], test: Requests, items: int, seed: int
) -> dict[str, Any]:
    users = bootstrap(test, seed)
    table: dict[str, Any] = {}
    before: Values | None = None
    for name, model in fitted.items():
        ranked = answer(model.final, test, items)
        values = ndcg(hits(ranked, test.relevant), test.counts(), 10)
        table[name] = {
            "ndcg@10": vars(users.interval(values)),
            "gain": None if before is None else vars(users.interval(values - before)),
            "seconds": took[name],
            "setting": model.setting,
        }
        before = values
    return table


if __name__ == "__main__":
    typer.run(main)
