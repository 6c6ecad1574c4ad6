"""Benchmark of several models on one data set: each is tuned, trained and measured.

The folder becomes a catalogue, an interaction log and a split. Everything else is done by the
functions that the stages of the pipeline call; recloop's lists come from its packaged model through
`Recommender`.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch

from recloop.benchmark import click_through
from recloop.benchmark.config import BenchmarkConfig, Protocol, StatusCallback, peak_memory
from recloop.benchmark.dataset import TEST, TRAIN, VALID, DataSet, FolderError
from recloop.data.interaction_log import PART, TEST_PART
from recloop.evaluation.evaluation_requests import Requests
from recloop.evaluation.report import (
    PRIMARY_METRIC,
    RECLOOP,
    EvaluateConfig,
    measure,
    rank_with_channel,
    to_rows,
)
from recloop.evaluation.request_ranking import rank_requests
from recloop.recommender.recommender import Recommender
from recloop.registry.payload import Payload
from recloop.registry.user_table import no_users
from recloop.scoring.top_k import Ranked
from recloop.training.base_models import TextConfig, resolve_base
from recloop.training.baselines import BASELINES, fit_baseline
from recloop.training.channels.fitted_channels import ChannelGrids, FittedChannels
from recloop.training.device import choose
from recloop.training.export.query_export import export_tuned_query
from recloop.training.finetuning.fit import Progress
from recloop.training.finetuning.sequence_model import TrainConfig
from recloop.training.packaging import (
    ExportConfig,
    all_text_vectors,
    build_payload,
    fit_channel_weights,
)
from recloop.training.sequence_training import train_sequence
from recloop.training.trained_sequence import Language
from recloop.training.training_data import TrainingData

# Seconds of the channels beside the sequence model with blend and export, relative to those without
# them, and smallest share of the time bound that is left for the sequence model.
_WITH_BLEND, _LEAST_SHARE = 1.5, 0.4

RANKING_MODELS = (RECLOOP, *BASELINES)


@dataclass(frozen=True)
class Benchmark:
    """Data set in the form of the pipeline, with settings and test requests.

    Attributes:
        data: Catalogue, training and validation data.
        config: Settings of training.
        test_requests: Test requests, possibly a sample.
        test_facts: Properties of the test that go into the document.
    """

    data: TrainingData
    config: TrainConfig
    test_requests: Requests
    test_facts: dict[str, Any]


def evaluate(data: DataSet, config: BenchmarkConfig, show_status: StatusCallback) -> dict[str, Any]:
    """Train and measure the models, and return the document that `recloop evaluate` writes.

    Raises:
        FolderError: There are no requests, or the protocol needs labels that are missing.
    """
    if config.protocol == "ctr":
        return _document(data, config, {}, click_through.click_through(data, config, show_status))
    benchmark = prepare(data, config)
    models = _train_and_measure(benchmark, config.models, show_status)
    return _document(data, config, benchmark.test_facts, models)


def prepare(data: DataSet, config: BenchmarkConfig) -> Benchmark:
    """Return the data set in the form of the pipeline, with its test requests.

    Raises:
        FolderError: Validation or test has no requests.
    """
    repeats = data.allows_repeats(setting=config.repeats)
    group_by_time = config.protocol == "temporal"
    log, catalogue = data.log(repeats=repeats), data.catalogue()
    training = TrainingData.split(catalogue, log, group_by_time=group_by_time, repeats=repeats)
    all_requests = Requests.from_log(log, TEST_PART, group_by_time=group_by_time, repeats=repeats)
    if not training.valid.histories or not all_requests.histories:
        raise FolderError("validation or test has no requests: no item is new to its user")
    sample_size = int(max(2_000, config.test_scores / len(catalogue)))
    test_requests = all_requests.sample(sample_size, config.seed)
    text = TextConfig(tuning=config.tuning) if config.tuning else TextConfig()
    test_facts = {
        "seen_masked": not repeats,
        "requests": len(test_requests.histories),
        "requests_in_data": len(all_requests.histories),
    }
    settings = TrainConfig(seed=config.seed, seconds=config.seconds, text=text)
    return Benchmark(training, settings, test_requests, test_facts)


def train_and_package(
    benchmark: Benchmark, channels: FittedChannels, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Train recloop, save its packaged model and return the settings chosen on validation data.

    Only texts of items that the sequence model contains are encoded, because no request has a
    query. No user histories are packaged, because each request carries its history.
    """
    data, config = benchmark.data, ExportConfig()
    base = resolve_base(benchmark.config.text.base)
    started = time.monotonic()
    channels.fit()
    used = _WITH_BLEND * (time.monotonic() - started)
    seconds = max(benchmark.config.seconds - used, _LEAST_SHARE * benchmark.config.seconds)
    sequence = train_sequence(
        data,
        benchmark.config.model_copy(update={"seconds": seconds}),
        choose(benchmark.config.device),
        base=base,
        progress=lambda _: progress,
    )
    text = all_text_vectors(sequence, data, every_item=False)
    weighted = fit_channel_weights(sequence, channels, text)
    settings = sequence.config
    language = sequence.language or Language.load(base, settings.text, settings.seed)
    query = export_tuned_query(
        language.encoder, language.tokenizer, settings.text.max_tokens, config.query
    )
    payload = build_payload(sequence, channels, weighted, query, no_users(), config, 0)
    payload.save(folder)
    return {
        **weighted.weights.model_dump(),
        "text_last": weighted.text_last,
        "tuning": settings.text.tuning,
        "sequence": sequence.setting(),
    }


def rank_test_requests(recommender: Recommender, benchmark: Benchmark) -> Ranked:
    """Return the lists of a packaged model for the test requests, `(requests, DEPTH)` int64."""
    catalogue, test_requests = benchmark.data.catalogue, benchmark.test_requests
    request_frame = test_requests.to_frame(catalogue, _user_ids(test_requests))
    return to_rows(rank_requests(recommender, request_frame), catalogue)


def _user_ids(test_requests: Requests) -> pl.Series:
    return pl.int_range(int(test_requests.user_numbers().max()) + 1, eager=True).cast(pl.String)


def _train_and_measure(
    benchmark: Benchmark, names: tuple[str, ...], show_status: StatusCallback
) -> dict[str, Any]:
    data, test_requests, seed = benchmark.data, benchmark.test_requests, benchmark.config.seed
    channels = FittedChannels(data, ChannelGrids(), seed, benchmark.config.seconds)
    popularity = data.past.counts()

    def progress(entry: dict[str, float]) -> None:
        show_status(" ".join(f"{name} {value:.4g}" for name, value in entry.items()))

    def fit(name: str) -> tuple[Callable[[], Ranked], dict[str, Any]]:
        if name == RECLOOP:
            with tempfile.TemporaryDirectory() as folder:
                setting = train_and_package(benchmark, channels, Path(folder), progress)
                recommender = Payload.load(Path(folder)).recommender()
            return lambda: rank_test_requests(recommender, benchmark), setting
        baseline = fit_baseline(name, channels, benchmark.config, progress)
        channel = baseline.channel
        return lambda: rank_with_channel(channel, test_requests, data.items), baseline.setting

    models = {}
    for name in names:
        show_status(f"training {name}")
        started = time.monotonic()
        ranked_lists, setting = fit(name)
        trained = time.monotonic()
        ranked = ranked_lists()
        models[name] = {
            **measure(ranked, test_requests, data.items, EvaluateConfig(seed=seed), popularity),
            "train_seconds": round(trained - started, 1),
            "recommend_seconds": round(time.monotonic() - trained, 1),
            "peak_memory_mb": peak_memory(),
            "setting": setting,
        }
        show_status(f"{name}: NDCG@10 {models[name][PRIMARY_METRIC]['value']:.4f}")
    return models


def _document(
    data: DataSet, config: BenchmarkConfig, test_facts: dict[str, Any], models: dict[str, Any]
) -> dict[str, Any]:
    rows = data.interactions.group_by(PART).len().sort(PART)["len"].to_list()
    return {
        "data": data.name,
        "protocol": config.protocol,
        "seed": config.seed,
        "users": len(data.users),
        "items": data.items.height,
        "interactions": dict(zip((TRAIN, VALID, TEST), rows, strict=True)),
        "ordered": data.ordered,
        "threads": torch.get_num_threads(),
        **test_facts,
        "models": models,
    }


def parse_models(names: str | None, protocol: Protocol) -> tuple[str, ...]:
    """Parse comma-separated names of models; without names return all models of the protocol.

    Raises:
        ValueError: A name is unknown.
    """
    available = click_through.CTR_MODELS if protocol == "ctr" else RANKING_MODELS
    models = tuple(filter(None, (names or "").split(","))) or available
    if unknown := [name for name in models if name not in available]:
        raise ValueError(f"unknown models {', '.join(unknown)}; known: {', '.join(available)}")
    return models
