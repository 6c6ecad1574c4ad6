"""Training, packaging and ranking of recloop on the data of a benchmark."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recloop.benchmark.preparation import Benchmark
from recloop.evaluation.report import to_rows
from recloop.evaluation.request_ranking import rank_requests
from recloop.recommender.recommender import Recommender
from recloop.registry.payload import Payload
from recloop.registry.user_table import no_users
from recloop.scoring.top_k import Ranked
from recloop.training.base_models import resolve_base
from recloop.training.channels.fitted_channels import FittedChannels
from recloop.training.device import choose
from recloop.training.export.query_export import export_tuned_query
from recloop.training.finetuning.fit import Progress
from recloop.training.packaging import (
    ExportConfig,
    all_text_vectors,
    build_payload,
    fit_channel_weights,
)
from recloop.training.sequence_training import train_sequence
from recloop.training.trained_sequence import Language

# Seconds of the channels beside the sequence model with blend and export, relative to those without
# them, and smallest share of the time bound that is left for the sequence model.
_WITH_BLEND, _LEAST_SHARE = 1.5, 0.4


@dataclass(frozen=True)
class PackagedModel:
    """A packaged model that was written and read again, as in service.

    Attributes:
        recommender: Its recommender.
        setting: The settings that were chosen on validation data.
        seconds: Seconds of training and packaging.
    """

    recommender: Recommender
    setting: dict[str, Any]
    seconds: float


def train_and_package(
    benchmark: Benchmark,
    channels: FittedChannels,
    progress: Progress,
    text: NDArray[np.float32] | None = None,
) -> PackagedModel:
    """Train recloop and return it as it serves.

    Only texts of items that the sequence model contains are encoded, because no request has a
    query. No user histories are packaged, because each request carries its history.

    Args:
        benchmark: The data and the settings.
        channels: The channels beside the sequence model.
        progress: Called with the entry of every epoch.
        text: Text vectors to use instead of those of a language model, `(items, width)`.
    """
    started, data, config = time.monotonic(), benchmark.data, ExportConfig()
    base = resolve_base(benchmark.config.text.base)
    bound = benchmark.config.seconds
    seconds = max(bound - _WITH_BLEND * channels.fit_seconds, _LEAST_SHARE * bound)
    sequence = train_sequence(
        data,
        benchmark.config.model_copy(update={"seconds": seconds}),
        choose(benchmark.config.device),
        base=base if text is None else None,
        text=text,
        progress=lambda _: progress,
    )
    vectors = all_text_vectors(sequence, data, every_item=False) if text is None else text
    weighted = fit_channel_weights(sequence, channels, vectors)
    settings = sequence.config
    language = sequence.language or Language.load(base, settings.text, settings.seed)
    query = export_tuned_query(
        language.encoder, language.tokenizer, settings.text.max_tokens, config.query, vectors
    )
    payload = build_payload(sequence, channels, weighted, query, no_users(), config, 0)
    setting = {
        **weighted.weights.model_dump(),
        "text_last": weighted.text_last,
        "tuning": settings.text.tuning,
        "text_passes": len(settings.text_passes),
        "sequence": sequence.setting(),
    }
    with tempfile.TemporaryDirectory() as folder:
        payload.save(Path(folder))
        recommender = Payload.load(Path(folder)).recommender()
    return PackagedModel(recommender, setting, time.monotonic() - started)


def rank_test_requests(
    recommender: Recommender, benchmark: Benchmark, known_until: pl.Series | None = None
) -> Ranked:
    """Return the lists of a packaged model for the test requests, `(requests, DEPTH)` int64.

    Args:
        recommender: The packaged model.
        benchmark: The data and the test requests.
        known_until: As in `rank_requests`.
    """
    catalogue, requests = benchmark.data.catalogue, benchmark.test_requests
    users = pl.int_range(int(requests.user_numbers().max()) + 1, eager=True).cast(pl.String)
    frame = requests.to_frame(catalogue, users)
    return to_rows(rank_requests(recommender, frame, known_until), catalogue)
