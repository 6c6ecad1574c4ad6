"""New items: a tenth of the catalogue is hidden from training, histories and softmax until the test.

`python benchmarks/cold.py DIR --seed 1` takes a folder of `recloop evaluate`. The hidden items stay in
the catalogue that is ranked, and requests about them and about known items are judged together.
`without` is the same model without cold handling: new items come last. `text` is the cosine of frozen
text vectors to the last items', how many of them tuned on validation.
"""

import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import typer
from alone import bootstrap, mixed, prepared, publish

from recloop import columns as c
from recloop.benchmark.config import Protocol
from recloop.benchmark.dataset import INTERACTIONS_FILE, ITEMS_FILE, DataSet, read_folder
from recloop.evaluation.evaluation_requests import Requests, hits
from recloop.evaluation.metrics import Values, ndcg
from recloop.evaluation.report import ranked_by
from recloop.scoring.scorer import Channel, Scores, ScoringRequests
from recloop.training.base_models import resolve_base
from recloop.training.baselines import fit_baseline
from recloop.training.channels.fitted_channels import ChannelGrids, FittedChannels
from recloop.training.device import choose
from recloop.training.sequence_training import train_sequence

SHARE = 0.1


def main(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    seed: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None,
    protocol: Annotated[Protocol, typer.Option(help="As in `recloop evaluate`.")] = "temporal",
    seconds: Annotated[float, typer.Option(help="Bound of training one sequence model.")] = 900,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Run and print."""
    runs = [_run(_hidden(folder, number), number, protocol, seconds) for number in seed or [1]]
    means = {
        name: float(np.mean([run[name] for run in runs]))
        for name in ("warm_kept", "cold_over_text")
    }
    publish(runs, folder, out, means=means)


def _hidden(folder: Path, seed: int) -> DataSet:
    """The data set with a tenth of its items left out of everything before the test."""
    rows, items = (pl.read_parquet(folder / name) for name in (INTERACTIONS_FILE, ITEMS_FILE))
    order, size = np.random.default_rng(seed).permutation(items.height), round(SHARE * items.height)
    hidden = pl.col(c.ITEM).is_in(items[c.ITEM].gather(order[:size].tolist()).implode())
    with tempfile.TemporaryDirectory() as name:
        rows.filter(~(hidden & (pl.col("split") != "test"))).write_parquet(
            Path(name, INTERACTIONS_FILE)
        )
        items.write_parquet(Path(name, ITEMS_FILE))
        return read_folder(Path(name))


def _run(data: DataSet, seed: int, protocol: Protocol, seconds: float) -> dict[str, Any]:
    started = time.monotonic()
    benchmark = prepared(data, protocol, seed, seconds)
    asked, base = benchmark.asked, resolve_base(benchmark.config.text.base)
    known = benchmark.data.past.known()
    fitted = FittedChannels(benchmark.data, ChannelGrids(), seed)
    sequence = train_sequence(benchmark.data, benchmark.config, choose("auto"), base=base)
    ours = mixed(sequence, fitted)

    def without(requests: ScoringRequests) -> Scores:
        scores = ours.final(requests)
        return np.where(known, scores, scores.min() - 1)

    channels: dict[str, Channel] = {
        "recloop": ours.final,
        "without": without,
        "text": fit_baseline("text", fitted, benchmark.config).channel,
    }
    values = {name: _values(channel, asked, len(known)) for name, channel in channels.items()}
    cold = np.array([not known[rows].any() for rows in asked.relevant])
    users = bootstrap(asked, seed)
    every = {
        name: {
            side: {
                "requests": int(rows.sum()),
                "ndcg@10": float(found[rows].mean()),
            }
            for side, rows in (("cold", cold), ("warm", ~cold), ("all", cold | ~cold))
        }
        for name, found in values.items()
    }
    return {
        "seed": seed,
        "hidden_items": int((~known).sum()),
        "ndcg@10": every,
        "gain_over_all": vars(users.interval(values["recloop"] - values["without"])),
        "warm_kept": every["recloop"]["warm"]["ndcg@10"] / every["without"]["warm"]["ndcg@10"],
        "cold_over_text": every["recloop"]["cold"]["ndcg@10"] / every["text"]["cold"]["ndcg@10"],
        "setting": ours.setting,
        "seconds": round(time.monotonic() - started, 1),
    }


def _values(channel: Channel, asked: Requests, items: int) -> Values:
    return ndcg(hits(ranked_by(channel, asked, items), asked.relevant), asked.counts(), 10)


if __name__ == "__main__":
    typer.run(main)
