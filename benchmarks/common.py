"""Steps that several offline benchmarks share: prepare a data set, blend the channels, evaluate."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.output import command_line, machine, write_json
from recloop.benchmark.config import BenchmarkConfig, Protocol
from recloop.benchmark.dataset import DataSet
from recloop.benchmark.preparation import Benchmark, prepare
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
    FrozenTextVectors,
    SequenceModel,
    TextVectorSource,
    TrainConfig,
)
from recloop.training.packaging import (
    ExportConfig,
    all_text_vectors,
    build_payload,
    fit_channel_weights,
)
from recloop.training.trained_sequence import TrainedSequence

_BOOTSTRAP_DRAWS = 1_000


@dataclass(frozen=True)
class BlendedChannels:
    """Blend of all channels, and its weights.

    The channels of `tuned` were fitted without the validation data, those of `final` with it.
    """

    tuned: Channel
    final: Channel
    setting: dict[str, Any]


def blend_all_channels(sequence: TrainedSequence, channels: FittedChannels) -> BlendedChannels:
    """Return the blend of a sequence model and the other channels, as it is packaged."""
    text = all_text_vectors(sequence, channels.data, every_item=False)
    weighed = fit_channel_weights(sequence, channels, text)
    no_query = QueryModelConfig(kind="onnx", weights=QueryWeights(), max_tokens=1)
    query, config = QueryExport(no_query), ExportConfig()
    payload = build_payload(sequence, channels, weighed, query, no_users(), config, 0)
    return BlendedChannels(weighed.tuned.score, payload.blend().score, weighed.weights.model_dump())


def prepare_data_set(
    data: DataSet, protocol: Protocol, seed: int, seconds: float = 900.0
) -> Benchmark:
    """Prepare a data set as `recloop evaluate` does, with seen items excluded from the lists."""
    config = BenchmarkConfig(
        models=("recloop",), protocol=protocol, repeats=False, seed=seed, seconds=seconds
    )
    return prepare(data, config)


def frozen_text(benchmark: Benchmark) -> FrozenTextVectors:
    """Return the text vectors of the base language model."""
    return FrozenTextVectors(
        torch.from_numpy(frozen_text_vectors(benchmark.data, benchmark.config))
    )


def settings_from_benchmark(benchmark: Benchmark) -> TrainConfig:
    """Return the training settings that follow from the data, for a model that reads texts."""
    data = benchmark.data
    return settings_from_data(benchmark.config, data.train, sum(map(bool, data.catalogue.texts())))


def ndcg_per_request(
    model: SequenceModel, text: TextVectorSource, config: TrainConfig, requests: Requests
) -> Values:
    """Return NDCG@10 of each request, computed with the exported tower."""
    tower = export_tower(model.tower, config.tower.dim, config.tower.window)
    scorer = SASRec(tower, model.vectors(text.vectors).cpu().numpy(), config.tower.window)
    ranked, _ = top_k(scorer.score(requests), requests.excluded(), 10)
    return ndcg(hits(ranked, requests.relevant), requests.relevant_counts(), 10)


def bootstrap(requests: Requests, seed: int) -> UserBootstrap:
    """Return a bootstrap over the users of requests, or over requests if they have no users."""
    users = np.arange(len(requests.histories)) if requests.users is None else requests.users
    return UserBootstrap(users.astype(str).tolist(), _BOOTSTRAP_DRAWS, seed)


def publish(runs: list[dict[str, Any]], data: Path, out: Path | None, **facts: object) -> None:
    """Print the results of all runs on a data set as JSON, and write them to `out` if given."""
    about = {"command": command_line(), "machine": machine(), "data": data.name}
    write_json({**about, **facts, "runs": runs}, out)
