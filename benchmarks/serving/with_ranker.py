"""Add a ranker (a language model that re-ranks the first items) to the champion, to time it.

If the champion has a ranker already, it is used. Otherwise the champion gets an untrained one with
the settings in `params.yaml` and a fixed weight. It takes as long as a trained one, but the order
of its lists is meaningless.
"""

import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.serving.calls import Calls, champion_version, served_payload
from recloop.client import Client
from recloop.config import Home, read_block
from recloop.recommender.reranking import RANKER
from recloop.registry.manifest import REFERENCE
from recloop.registry.model_config import PackagedRankerConfig
from recloop.registry.payload import Payload
from recloop.registry.versions import Registry
from recloop.schemas.recommend import RecommendRequest
from recloop.stages.ranker import RankerStageConfig
from recloop.training.device import Compute
from recloop.training.export.ranker_export import export_ranker
from recloop.training.ranker import Ranker

_WEIGHT = 0.2


def add_ranker(home: Home) -> dict[str, Any]:
    """Make sure that the champion has a ranker; return its settings and its weight's source."""
    payload = served_payload(home)
    if payload.config.ranker:
        return {**payload.config.ranker.model_dump(), "weight_from": "validation"}
    config = read_block("ranker", RankerStageConfig)
    model = Ranker(config.model, Compute(torch.device("cpu"), bf16=False)).model
    packaged = PackagedRankerConfig(
        weight=_WEIGHT,
        depth=config.depth,
        history_length=config.model.history_length,
        max_tokens=config.model.max_tokens,
        form=config.model.form,
        start_tokens=model.start_tokens,
    )
    _promote(home, payload.with_ranker(packaged, export_ranker(model), model.tokenizer_json()))
    return {**packaged.model_dump(), "weight_from": "hand, the model is untrained"}


def check_ranker_is_used(url: str, calls: Calls) -> None:
    """Check that the ranker takes part in a served list.

    Raises:
        RuntimeError: It does not.
    """
    request = RecommendRequest(**next(calls.user_requests()).body, explain=True)
    with Client(url) as service:
        answer = service.recommend(request)
    if answer.degraded or not any(RANKER in (item.reasons or {}) for item in answer.items):
        raise RuntimeError(f"the ranker took no part in this list: {answer}")


def _promote(home: Home, payload: Payload) -> None:
    registry, before = Registry(home), champion_version(home)
    lineage = registry.manifest(before).lineage.model_copy(update={"model_hash": ""})
    version = registry.next_version()
    with tempfile.TemporaryDirectory(dir=home.root) as name:
        payload.save(Path(name))
        registry.register(version, Path(name), registry.path(before) / REFERENCE, lineage)
    registry.promote(version, ["to be timed with a ranker"])
