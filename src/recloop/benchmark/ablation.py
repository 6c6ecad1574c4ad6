"""Ablation of recloop: the same system without texts, and with older states of the users.

Each variant is trained, packaged and measured like recloop itself, with the same bound on its time.
Differences are paired over the test requests, and given for slices of them.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recloop.benchmark.config import BenchmarkConfig, StatusCallback
from recloop.benchmark.dataset import DataSet
from recloop.benchmark.preparation import Benchmark, prepare
from recloop.benchmark.training import PackagedModel, rank_test_requests, train_and_package
from recloop.evaluation.evaluation_requests import Requests
from recloop.evaluation.report import (
    PRIMARY_METRIC,
    RECLOOP,
    EvaluateConfig,
    K,
    metrics_per_request,
    request_bootstrap,
)
from recloop.evaluation.slices import request_slices
from recloop.scoring.lexical_vectors import lexical_vectors
from recloop.scoring.top_k import Ranked
from recloop.training.base_models import TextConfig, Tuning
from recloop.training.channels.fitted_channels import ChannelGrids, FittedChannels
from recloop.training.channels.latent_semantics import latent_semantic_vectors

NO_TEXT, WORDS_ONLY, FROZEN, TUNED = "no text", "words only", "frozen text", "tuned text"
_HOUR, _DAY = 3_600.0, 86_400.0
HOUR_OLD, DAY_OLD = "state an hour old", "state a day old"
LAST_TRAINING = "state at the last training"

# Pairs of variants that are compared: what the first one gains over the second one.
_COMPARED = (
    (RECLOOP, NO_TEXT),
    (RECLOOP, WORDS_ONLY),
    (FROZEN, WORDS_ONLY),
    (TUNED, FROZEN),
    (RECLOOP, HOUR_OLD),
    (RECLOOP, DAY_OLD),
    (RECLOOP, LAST_TRAINING),
)


def measure_ablation(
    data: DataSet,
    config: BenchmarkConfig,
    benchmark: Benchmark,
    channels: FittedChannels,
    recloop: PackagedModel,
    show_status: StatusCallback,
) -> dict[str, Any]:
    """Return the variants with their NDCG@10, and the paired differences between them by slice.

    Args:
        data: The data set.
        config: Settings of the benchmark.
        benchmark: The data set as it was prepared.
        channels: The channels beside the sequence model, which the variants with texts share.
        recloop: recloop with all its parts.
        show_status: Called with a line of progress.

    Returns:
        `{variants: {name: {ndcg@10: {value, low, high}, train_seconds, setting}}, differences:
        [{of, from, slice, requests, value, low, high}, …]}`.
    """
    table = _Table(benchmark, EvaluateConfig(seed=config.seed))

    table.add(RECLOOP, rank_test_requests(recloop.recommender, benchmark), recloop)
    for name, known_until in _older_states(benchmark):
        table.add(name, rank_test_requests(recloop.recommender, benchmark, known_until))
    for variant in _treatments_of_text(data, config, benchmark, channels):
        show_status(f"training {variant.name}")
        model = train_and_package(variant.benchmark, variant.channels, lambda _: None, variant.text)
        table.add(variant.name, rank_test_requests(model.recommender, benchmark), model)
        show_status(f"{variant.name}: {table.variants[variant.name][PRIMARY_METRIC]}")
    return {"variants": table.variants, "differences": list(table.differences())}


@dataclass(frozen=True)
class _Variant:
    """What a variant is trained with; `text` are vectors `(items, width)` without a model."""

    name: str
    benchmark: Benchmark
    channels: FittedChannels
    text: NDArray[np.float32] | None = None


def _treatments_of_text(
    data: DataSet, config: BenchmarkConfig, benchmark: Benchmark, channels: FittedChannels
) -> Iterator[_Variant]:
    """Yield the variants that treat texts in another way; one of them if there are no texts."""
    bare = prepare(data.without_texts(), config)
    bound = benchmark.config.seconds
    yield _Variant(NO_TEXT, bare, FittedChannels(bare.data, ChannelGrids(), config.seed, bound))
    texts = benchmark.data.catalogue.texts()
    if any(texts):
        vectors = latent_semantic_vectors(lexical_vectors(texts), config.seed)
        yield _Variant(WORDS_ONLY, benchmark, channels, vectors)
        yield _Variant(FROZEN, _with_tuning(benchmark, "frozen"), channels)
        yield _Variant(TUNED, _with_tuning(benchmark, "lora"), channels)


class _Table:
    """Lists of the variants for the test requests, and what follows from them."""

    def __init__(self, benchmark: Benchmark, config: EvaluateConfig) -> None:
        self.variants: dict[str, dict[str, Any]] = {}
        self._requests = benchmark.test_requests
        self._training = benchmark.data.past.counts()
        self._config = config
        self._ranked: dict[str, Ranked] = {}

    def add(self, name: str, ranked: Ranked, model: PackagedModel | None = None) -> None:
        """Add the lists of a variant, `(requests, DEPTH)`, and its model if it has its own."""
        self._ranked[name] = ranked
        values = _ndcg(ranked, self._requests)
        interval = request_bootstrap(self._requests, self._config).interval(values)
        facts: dict[str, Any] = {}
        if model is not None:
            facts = {"train_seconds": round(model.seconds, 1), "setting": model.setting}
        self.variants[name] = {PRIMARY_METRIC: asdict(interval), **facts}

    def differences(self) -> Iterator[dict[str, Any]]:
        """Yield the paired differences of the compared variants, for every slice."""
        for part in request_slices(self._requests, self._training):
            bootstrap = request_bootstrap(part.requests, self._config)
            values = {
                name: _ndcg(ranked[part.rows], part.requests)
                for name, ranked in self._ranked.items()
            }
            for better, worse in _COMPARED:
                if better in values and worse in values:
                    interval = bootstrap.interval(values[better] - values[worse])
                    yield {
                        "of": better,
                        "from": worse,
                        "slice": part.name,
                        "requests": len(part.rows),
                        PRIMARY_METRIC: float(values[better].mean()),
                        **asdict(interval),
                    }


def _ndcg(ranked: Ranked, requests: Requests) -> NDArray[np.float64]:
    return metrics_per_request(ranked, requests, [K])[PRIMARY_METRIC]


def _older_states(benchmark: Benchmark) -> Iterator[tuple[str, pl.Series]]:
    """Yield the time until which the events of each request are known; nothing without times."""
    times = benchmark.test_requests.request_times
    if times is None or np.isnan(times).all():
        return
    yield HOUR_OLD, pl.Series(times - _HOUR)
    yield DAY_OLD, pl.Series(times - _DAY)
    yield LAST_TRAINING, pl.Series(np.full(len(times), benchmark.data.past.end()))


def _with_tuning(benchmark: Benchmark, tuning: Tuning) -> Benchmark:
    text = benchmark.config.text.model_dump(exclude_unset=True) | {"tuning": tuning}
    config = benchmark.config.model_copy(update={"text": TextConfig(**text)})
    return replace(benchmark, config=config)
