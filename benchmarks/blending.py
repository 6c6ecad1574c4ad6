"""Compare ways to blend the channels: channels alone, sums, rank fusion, fits, and the selection.

`python -m benchmarks.blending FOLDER --seed 1 --seconds 120` takes a folder of `recloop evaluate`.
The channels are trained once for each seed, with a frozen language model unless `--tuning` names
another treatment. Every blend then ranks the whole catalogue for the same test requests, with the
same calibration of cold items. Differences are paired, from the best channel alone on the test.
"""

import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.common import bootstrap, publish
from benchmarks.output import log
from recloop.benchmark.config import BenchmarkConfig, Protocol
from recloop.benchmark.dataset import DataSet, read_folder
from recloop.benchmark.preparation import prepare
from recloop.evaluation.evaluation_requests import Requests, hits
from recloop.evaluation.metrics import Values, ndcg
from recloop.registry.user_table import no_users
from recloop.scoring.blend import Blend, BlendWeights, channel_contributions, total_scores
from recloop.scoring.query.matcher import QueryModelConfig, QueryWeights
from recloop.scoring.scorer import Scores
from recloop.scoring.top_k import top_k
from recloop.training.base_models import Tuning, resolve_base
from recloop.training.blending.blend_selection import candidate_blends, select_blend
from recloop.training.blending.validation_choices import ValidationChoices
from recloop.training.channels.fitted_channels import ChannelGrids, FittedChannels
from recloop.training.device import choose
from recloop.training.export.query_export import QueryExport
from recloop.training.packaging import (
    ExportConfig,
    all_text_vectors,
    build_payload,
    fit_channel_weights,
)
from recloop.training.sequence_training import train_sequence

_FUSION = "reciprocal-rank fusion"
# Constant of reciprocal-rank fusion, as published.
_RRF = 60


def main(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    seed: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None,
    protocol: Annotated[Protocol, typer.Option(help="As in `recloop evaluate`.")] = "temporal",
    tuning: Annotated[Tuning, typer.Option(help="Fine-tuning of the language model.")] = "frozen",
    seconds: Annotated[float, typer.Option(help="Longest training of a sequence model.")] = 120,
    requests: Annotated[int, typer.Option(help="Largest number of test requests.")] = 3_000,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Measure every blend for each seed and print the results."""
    data, runs = read_folder(folder), []
    for number in seed or [1]:
        config = BenchmarkConfig(
            models=("recloop",),
            protocol=protocol,
            seed=number,
            seconds=seconds,
            tuning=tuning,
        )
        runs.append({"seed": number, **_run(data, config, requests)})
    publish(runs, folder, out)


def _run(data: DataSet, config: BenchmarkConfig, requests: int) -> dict[str, Any]:
    benchmark, seed = prepare(data, config), config.seed
    training, test = benchmark.data, benchmark.test_requests.sample(requests, seed)
    started = time.monotonic()
    base = resolve_base(benchmark.config.text.base)
    sequence = train_sequence(training, benchmark.config, choose("auto"), base=base)
    channels = FittedChannels(training, ChannelGrids(), seed)
    text = all_text_vectors(sequence, training, every_item=True)
    weighted = fit_channel_weights(sequence, channels, text)
    trained = time.monotonic()
    tuned = weighted.tuned.channels
    choices = ValidationChoices.draw(tuned, training.train.warm_items(), channels.valid, seed)
    candidates = candidate_blends(list(tuned), choices, seed)
    selected = select_blend(candidates, choices.users)
    fitted = time.monotonic()
    query = QueryExport(QueryModelConfig(kind="onnx", weights=QueryWeights(), max_tokens=1))
    payload = build_payload(sequence, channels, weighted, query, no_users(), ExportConfig(), 0)
    calibrated = {"cold_items": weighted.weights.cold_items}
    by_name = {each.name: each.weights.model_copy(update=calibrated) for each in candidates}
    quality = _qualities(payload.blend(), by_name, test)
    users = bootstrap(test, seed)
    best = max(tuned, key=lambda name: quality[name].mean() if name in quality else 0.0)
    on_validation = {each.name: float(each.quality.mean()) for each in candidates}
    rows = {
        name: {
            "ndcg@10": vars(users.interval(values)),
            "over_best_channel": vars(users.interval(values - quality[best])),
            "on_validation": on_validation.get(name),
            "weights": by_name[name].model_dump() if name in by_name else None,
        }
        for name, values in quality.items()
    }
    log(f"seed {seed}: best channel {best}, selected {selected.name}: {rows[selected.name]}")
    return {
        "best_channel": best,
        "selected": selected.name,
        "seconds_of_training": round(trained - started, 1),
        "seconds_of_fitting": round(fitted - trained, 1),
        "requests": len(test.histories),
        "blends": rows,
    }


def _qualities(blend: Blend, weights: dict[str, BlendWeights], test: Requests) -> dict[str, Values]:
    """Return NDCG@10 of each request by blend, and that of reciprocal-rank fusion."""
    collected: dict[str, list[Values]] = {name: [] for name in (*weights, _FUSION)}
    warm = blend.cold_items.warm_weight > 0
    for part in test.batches(len(warm)):
        scores = {name: channel(part) for name, channel in blend.channels.items()}
        lengths = part.history_lengths()
        for name, own in weights.items():
            blend.cold_items.calibration = own.cold_items
            total = total_scores(
                channel_contributions(scores.__getitem__, own, blend.cold_items, lengths)
            )
            collected[name].append(_ndcg(total, part))
        collected[_FUSION].append(_ndcg(_fused_ranks(scores, warm), part))
    return {name: np.concatenate(parts) for name, parts in collected.items()}


def _ndcg(scores: Scores, part: Requests) -> Values:
    ranked, _ = top_k(scores, part.excluded(), 10)
    return ndcg(hits(ranked, part.relevant), part.relevant_counts(), 10)


def _fused_ranks(scores: dict[str, Scores], warm: NDArray[np.bool_]) -> Scores:
    """Return the sum of 1 / (60 + rank) over the channels, `(requests, items)`; cold items last.

    Reference:
        Cormack, Clarke and Buettcher 2009, "Reciprocal Rank Fusion Outperforms Condorcet and
        Individual Rank Learning Methods".
    """
    total = np.zeros_like(next(iter(scores.values())))
    for own in scores.values():
        order = np.argsort(-np.where(warm, own, -np.inf), axis=1, kind="stable")
        ranks = np.empty_like(order)
        np.put_along_axis(ranks, order, np.arange(order.shape[1])[None], 1)
        total += np.float32(1) / (_RRF + 1 + ranks).astype(np.float32)
    return np.where(warm, total, -np.inf).astype(np.float32)


if __name__ == "__main__":
    typer.run(main)
