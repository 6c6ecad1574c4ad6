"""Accuracy on cold items: a tenth of the catalogue is removed from everything but the test part.

`python -m benchmarks.cold_items FOLDER --seed 1` takes a folder of `recloop evaluate`. The removed
items stay in the catalogue that is ranked. Requests for them and requests for other items are
evaluated together. `without` is the same model without its handling of cold items, which come last.
`text` is the cosine similarity of frozen text vectors to the last items of the history; validation
tunes how many of them.
"""

import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import typer

from benchmarks.common import blend_all_channels, bootstrap, prepare_data_set, publish
from recloop import columns as c
from recloop.benchmark.config import Protocol
from recloop.benchmark.dataset import INTERACTIONS_FILE, ITEMS_FILE, DataSet, read_folder
from recloop.evaluation.evaluation_requests import Requests, hits
from recloop.evaluation.metrics import Values, ndcg
from recloop.evaluation.report import rank_with_channel
from recloop.scoring.scorer import Channel, Scores, ScoringRequests
from recloop.training.base_models import resolve_base
from recloop.training.baselines import fit_baseline
from recloop.training.channels.fitted_channels import ChannelGrids, FittedChannels
from recloop.training.device import choose
from recloop.training.sequence_training import train_sequence

COLD_SHARE = 0.1


def main(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    seed: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None,
    protocol: Annotated[Protocol, typer.Option(help="As in `recloop evaluate`.")] = "temporal",
    seconds: Annotated[float, typer.Option(help="Longest training of a sequence model.")] = 900,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Measure each seed and print the results."""
    runs = [
        _run(_without_cold_items(folder, number), number, protocol, seconds)
        for number in seed or [1]
    ]
    means = {
        name: float(np.mean([run[name] for run in runs]))
        for name in ("warm_kept", "cold_over_text")
    }
    publish(runs, folder, out, means=means)


def _without_cold_items(folder: Path, seed: int) -> DataSet:
    """Return the data set with random items removed from all parts but the test part."""
    rows, items = (pl.read_parquet(folder / name) for name in (INTERACTIONS_FILE, ITEMS_FILE))
    order = np.random.default_rng(seed).permutation(items.height)
    removed = items[c.ITEM].gather(order[: round(COLD_SHARE * items.height)].tolist())
    kept = ~(pl.col(c.ITEM).is_in(removed.implode()) & (pl.col("split") != "test"))
    with tempfile.TemporaryDirectory() as name:
        rows.filter(kept).write_parquet(Path(name, INTERACTIONS_FILE))
        items.write_parquet(Path(name, ITEMS_FILE))
        return read_folder(Path(name))


def _run(data: DataSet, seed: int, protocol: Protocol, seconds: float) -> dict[str, Any]:
    started = time.monotonic()
    benchmark = prepare_data_set(data, protocol, seed, seconds)
    test, base = benchmark.test_requests, resolve_base(benchmark.config.text.base)
    is_warm = benchmark.data.past.warm_items()
    fitted = FittedChannels(benchmark.data, ChannelGrids(), seed)
    sequence = train_sequence(benchmark.data, benchmark.config, choose("auto"), base=base)
    blend = blend_all_channels(sequence, fitted)

    def without(requests: ScoringRequests) -> Scores:
        scores = blend.final(requests)
        cold_last: Scores = np.where(is_warm, scores, scores.min() - 1)
        return cold_last

    channels: dict[str, Channel] = {
        "recloop": blend.final,
        "without": without,
        "text": fit_baseline("text", fitted, benchmark.config).channel,
    }
    values = {name: _ndcg(channel, test, len(is_warm)) for name, channel in channels.items()}
    cold = np.array([not is_warm[rows].any() for rows in test.relevant])
    users = bootstrap(test, seed)
    slices = {
        name: {
            which: {
                "requests": int(rows.sum()),
                "ndcg@10": float(found[rows].mean()),
            }
            for which, rows in (("cold", cold), ("warm", ~cold), ("all", cold | ~cold))
        }
        for name, found in values.items()
    }
    return {
        "seed": seed,
        "hidden_items": int((~is_warm).sum()),
        "ndcg@10": slices,
        "gain_over_all": vars(users.interval(values["recloop"] - values["without"])),
        "warm_kept": slices["recloop"]["warm"]["ndcg@10"] / slices["without"]["warm"]["ndcg@10"],
        "cold_over_text": slices["recloop"]["cold"]["ndcg@10"] / slices["text"]["cold"]["ndcg@10"],
        "setting": blend.setting,
        "seconds": round(time.monotonic() - started, 1),
    }


def _ndcg(channel: Channel, requests: Requests, items: int) -> Values:
    """Return NDCG@10 of each request."""
    ranked = rank_with_channel(channel, requests, items)
    return ndcg(hits(ranked, requests.relevant), requests.relevant_counts(), 10)


if __name__ == "__main__":
    typer.run(main)
