"""What the benchmarks of the sequence model alone have in common: judging it, and writing JSON."""

import json
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recloop.benchmark.config import BenchmarkConfig, Protocol
from recloop.benchmark.dataset import DataSet
from recloop.benchmark.run import Benchmark, prepare
from recloop.evaluation.bootstrap import UserBootstrap
from recloop.evaluation.evaluation_requests import Requests, hits
from recloop.evaluation.metrics import Values, ndcg
from recloop.registry.user_table import no_users
from recloop.scoring.channels.sasrec import SASRec
from recloop.scoring.query.matcher import QueryModelConfig, QueryWeights
from recloop.scoring.scorer import Channel
from recloop.scoring.top_k import top_k
from recloop.training.baselines import frozen_text_vectors
from recloop.training.channels.fitted_channels import FittedChannels
from recloop.training.export.onnx_export import export_tower
from recloop.training.export.query_export import QueryExport
from recloop.training.finetuning.auto_settings import settings_from_data
from recloop.training.finetuning.sequence_model import (
    FrozenText,
    SequenceModel,
    TextSide,
    TrainConfig,
)
from recloop.training.packaging import (
    ExportConfig,
    all_text_vectors,
    build_payload,
    weigh_channels,
)
from recloop.training.sequence_training import TrainedSequence

DRAWS = 1_000


@dataclass(frozen=True)
class Mixed:
    """All channels, mixed: before and after they learned from validation data, and their weights."""

    tuned: Channel
    final: Channel
    setting: dict[str, Any]


def mixed(sequence: TrainedSequence, channels: FittedChannels) -> Mixed:
    """Return the blend of a sequence model and the other channels, as it is packaged."""
    text = all_text_vectors(sequence, channels.data, every_item=False)
    weighed = weigh_channels(sequence, channels, text)
    no_query = QueryModelConfig(kind="onnx", weights=QueryWeights(), max_tokens=1)
    query, config = QueryExport(no_query), ExportConfig()
    payload = build_payload(sequence, channels, weighed, query, no_users(), config, 0)
    return Mixed(weighed.tuned.score, payload.blend().score, weighed.weights.model_dump())


def prepared(data: DataSet, protocol: Protocol, seed: int, seconds: float = 900.0) -> Benchmark:
    """Return a data set as `recloop evaluate` prepares it, seen items masked."""
    config = BenchmarkConfig(
        models=("recloop",), protocol=protocol, repeats=False, seed=seed, seconds=seconds
    )
    return prepare(data, config)


def frozen_text(benchmark: Benchmark) -> FrozenText:
    """Return the text vectors of the base language model."""
    return FrozenText(torch.from_numpy(frozen_text_vectors(benchmark.data, benchmark.config)))


def chosen(benchmark: Benchmark) -> TrainConfig:
    """Return the settings that the data choose for a model that reads texts."""
    data = benchmark.data
    return settings_from_data(benchmark.config, data.train, sum(map(bool, data.catalogue.texts())))


def ndcg_of(
    model: SequenceModel, text: TextSide, config: TrainConfig, requests: Requests
) -> Values:
    """NDCG@10 of each request, through the tower as it serves."""
    tower = export_tower(model.tower, config.tower.dim, config.tower.window)
    scorer = SASRec(tower, model.vectors(text.vectors).cpu().numpy(), config.tower.window)
    ranked, _ = top_k(scorer.score(requests), requests.forbidden(), 10)
    return ndcg(hits(ranked, requests.relevant), requests.counts(), 10)


def bootstrap(requests: Requests, seed: int) -> UserBootstrap:
    """Over users; over requests where nobody knows whose they are."""
    users = np.arange(len(requests.histories)) if requests.users is None else requests.users
    return UserBootstrap(users.astype(str).tolist(), DRAWS, seed)


def publish(runs: list[dict[str, Any]], data: Path, out: Path | None, **facts: Any) -> None:  # noqa: ANN401 - JSON
    """Print the document, and write it where it is wanted."""
    script = Path(sys.argv[0])
    command = " ".join(["python", f"benchmarks/{script.name}", *sys.argv[1:]])
    machine = {"cpus": os.cpu_count(), "machine": platform.machine()}
    document = {"command": command, "machine": machine, "data": data.name, **facts, "runs": runs}
    text = json.dumps(document, indent=2)
    if out:
        out.write_text(text + "\n", encoding="utf-8")
    print(text)


def say(line: str) -> None:
    """On the side, what is going on."""
    print(line, file=sys.stderr)
