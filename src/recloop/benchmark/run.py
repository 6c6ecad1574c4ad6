"""Benchmark of several models on one data set: each is tuned, trained and measured.

The folder becomes a catalogue, an interaction log and a split. Everything else is done by the
functions that the stages of the pipeline call; recloop's lists come from its packaged model through
`Recommender`.
"""

import time
from collections.abc import Callable
from typing import Any

import torch

from recloop.benchmark import click_through
from recloop.benchmark.ablation import measure_ablation
from recloop.benchmark.config import BenchmarkConfig, Protocol, StatusCallback, peak_memory
from recloop.benchmark.dataset import TEST, TRAIN, VALID, DataSet
from recloop.benchmark.preparation import Benchmark, prepare
from recloop.benchmark.training import PackagedModel, rank_test_requests, train_and_package
from recloop.data.interaction_log import PART
from recloop.evaluation.report import (
    PRIMARY_METRIC,
    RECLOOP,
    EvaluateConfig,
    measure,
    rank_with_channel,
)
from recloop.scoring.top_k import Ranked
from recloop.training.baselines import BASELINES, fit_baseline
from recloop.training.channels.fitted_channels import ChannelGrids, FittedChannels
from recloop.training.finetuning.fit import Progress

RANKING_MODELS = (RECLOOP, *BASELINES)


def evaluate(data: DataSet, config: BenchmarkConfig, show_status: StatusCallback) -> dict[str, Any]:
    """Train and measure the models, and return the document that `recloop evaluate` writes.

    Raises:
        FolderError: There are no requests, or the protocol needs labels that are missing.
        ValueError: An ablation is asked for with the protocol ctr, which has none.
    """
    if config.protocol == "ctr":
        if config.ablate:
            raise ValueError("--ablate is for lists: use the protocol next-item or temporal")
        return _document(data, config, {}, click_through.click_through(data, config, show_status))
    benchmark = prepare(data, config)
    channels = FittedChannels(benchmark.data, ChannelGrids(), config.seed, benchmark.config.seconds)
    trained: list[PackagedModel] = []

    def recloop(progress: Progress) -> PackagedModel:
        if not trained:
            trained.append(train_and_package(benchmark, channels, progress))
        return trained[0]

    models = _train_and_measure(benchmark, channels, recloop, config.models, show_status)
    document = _document(data, config, benchmark.test_facts, models)
    if config.ablate:
        whole = recloop(lambda _: None)
        document["ablation"] = measure_ablation(
            data, config, benchmark, channels, whole, show_status
        )
    return document


def _train_and_measure(
    benchmark: Benchmark,
    channels: FittedChannels,
    recloop: Callable[[Progress], PackagedModel],
    names: tuple[str, ...],
    show_status: StatusCallback,
) -> dict[str, Any]:
    data, test_requests, seed = benchmark.data, benchmark.test_requests, benchmark.config.seed
    popularity = data.past.counts()

    def progress(entry: dict[str, float]) -> None:
        show_status(" ".join(f"{name} {value:.4g}" for name, value in entry.items()))

    def fit(name: str) -> tuple[Callable[[], Ranked], dict[str, Any]]:
        if name == RECLOOP:
            model = recloop(progress)
            return lambda: rank_test_requests(model.recommender, benchmark), model.setting
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
