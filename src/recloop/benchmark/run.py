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

from recloop.benchmark import click_through as clicks
from recloop.benchmark.config import BenchmarkConfig, Protocol, Say, peak_memory
from recloop.benchmark.dataset import TEST, TRAIN, VALID, DataSet, FolderError
from recloop.data.interaction_log import PART, TEST_PART
from recloop.evaluation.evaluation_requests import Requests
from recloop.evaluation.report import (
    HEADLINE,
    OURS,
    EvaluateConfig,
    measure,
    ranked_by,
    rows_of,
)
from recloop.evaluation.served_lists import served_lists
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
    weigh_channels,
)
from recloop.training.sequence_training import Language, train_sequence
from recloop.training.training_data import TrainingData

RANKERS = (OURS, *BASELINES)


@dataclass(frozen=True)
class Benchmark:
    """Data set in the form of the pipeline, with settings and test requests.

    Attributes:
        data: Catalogue, training and validation data.
        config: Settings of training.
        asked: Test requests, possibly a sample.
        facts: Properties of the test that go into the document.
    """

    data: TrainingData
    config: TrainConfig
    asked: Requests
    facts: dict[str, Any]


def evaluate(data: DataSet, config: BenchmarkConfig, say: Say) -> dict[str, Any]:
    """Train and measure the models, and return the document that `recloop evaluate` writes.

    Raises:
        FolderError: There are no requests, or the protocol needs labels that are missing.
    """
    if config.protocol == "ctr":
        return _document(data, config, {}, clicks.click_through(data, config, say))
    benchmark = prepare(data, config)
    models = _measured(benchmark, config.models, say)
    return _document(data, config, benchmark.facts, models)


def prepare(data: DataSet, config: BenchmarkConfig) -> Benchmark:
    """Return the data set in the form of the pipeline, with its test requests.

    Raises:
        FolderError: Validation or test has no requests.
    """
    repeats, moments = data.allows_repeats(wanted=config.repeats), config.protocol == "temporal"
    log, catalogue = data.log(repeats=repeats), data.catalogue()
    training = TrainingData.split(catalogue, log, moments=moments, repeats=repeats)
    test = Requests.about(log, TEST_PART, moments=moments, repeats=repeats)
    if not training.valid.histories or not test.histories:
        raise FolderError("validation or test has no item that is new to its user: nothing to ask")
    asked = test.sample(int(max(2_000, config.test_scores / len(catalogue))), config.seed)
    text = TextConfig(tuning=config.tuning) if config.tuning else TextConfig()
    facts = {
        "seen_masked": not repeats,
        "requests": len(asked.histories),
        "requests_in_data": len(test.histories),
    }
    settings = TrainConfig(seed=config.seed, seconds=config.seconds, text=text)
    return Benchmark(training, settings, asked, facts)


def train_and_package(
    benchmark: Benchmark, channels: FittedChannels, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Train recloop, save its packaged model and return the settings chosen on validation data.

    Only texts of items that the sequence model contains are encoded, because no request has a
    query. No user histories are packaged, because each request carries its history.
    """
    data, config = benchmark.data, ExportConfig()
    base = resolve_base(benchmark.config.text.base)
    sequence = train_sequence(
        data,
        benchmark.config,
        choose(benchmark.config.device),
        base=base,
        progress=lambda _: progress,
    )
    text = all_text_vectors(sequence, data, every_item=False)
    weighed = weigh_channels(sequence, channels, text)
    settings = sequence.config
    language = sequence.language or Language.load(base, settings.text, settings.seed)
    query = export_tuned_query(
        language.encoder, language.tokenizer, settings.text.max_tokens, config.query
    )
    payload = build_payload(sequence, channels, weighed, query, no_users(), config, 0)
    payload.save(folder)
    return {
        **weighed.weights.model_dump(),
        "text_last": weighed.text_last,
        "tuning": settings.text.tuning,
        "sequence": sequence.setting(),
    }


def answer(recommender: Recommender, benchmark: Benchmark) -> Ranked:
    """Return the lists of a packaged model for the test requests, `(requests, DEPTH)` int64."""
    catalogue, asked = benchmark.data.catalogue, benchmark.asked
    return rows_of(served_lists(recommender, asked.table(catalogue, _numbers(asked))), catalogue)


def _numbers(asked: Requests) -> pl.Series:
    return pl.int_range(int(asked.user_numbers().max()) + 1, eager=True).cast(pl.String)


def _measured(benchmark: Benchmark, names: tuple[str, ...], say: Say) -> dict[str, Any]:
    data, asked, seed = benchmark.data, benchmark.asked, benchmark.config.seed
    channels = FittedChannels(data, ChannelGrids(), seed)
    popularity = data.past.counts()

    def progress(entry: dict[str, float]) -> None:
        say(" ".join(f"{name} {value:.4g}" for name, value in entry.items()))

    def fit(name: str) -> tuple[Callable[[], Ranked], dict[str, Any]]:
        if name == OURS:
            with tempfile.TemporaryDirectory() as folder:
                setting = train_and_package(benchmark, channels, Path(folder), progress)
                recommender = Payload.load(Path(folder)).recommender()
            return lambda: answer(recommender, benchmark), setting
        baseline = fit_baseline(name, channels, benchmark.config, progress)
        return lambda: ranked_by(baseline.channel, asked, data.items), baseline.setting

    models = {}
    for name in names:
        say(f"training {name}")
        started = time.monotonic()
        ranked_lists, setting = fit(name)
        trained = time.monotonic()
        ranked = ranked_lists()
        models[name] = {
            **measure(ranked, asked, data.items, EvaluateConfig(seed=seed), popularity),
            "train_seconds": round(trained - started, 1),
            "recommend_seconds": round(time.monotonic() - trained, 1),
            "peak_memory_mb": peak_memory(),
            "setting": setting,
        }
        say(f"{name}: NDCG@10 {models[name][HEADLINE]['value']:.4f}")
    return models


def _document(
    data: DataSet, config: BenchmarkConfig, facts: dict[str, Any], models: dict[str, Any]
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
        **facts,
        "models": models,
    }


def parse_models(names: str | None, protocol: Protocol) -> tuple[str, ...]:
    """Parse comma-separated names of models; without names return all models of the protocol.

    Raises:
        ValueError: A name is unknown.
    """
    known = clicks.MODELS if protocol == "ctr" else RANKERS
    chosen = tuple(filter(None, (names or "").split(","))) or known
    if unknown := [name for name in chosen if name not in known]:
        raise ValueError(f"unknown models {', '.join(unknown)}; known: {', '.join(known)}")
    return chosen
