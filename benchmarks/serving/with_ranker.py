"""The champion with a language model that reads the first places of its lists, to be timed.

Where validation gave the champion a ranker, that one is timed. Where not, it gets one of the kind that
`params.yaml` describes, untrained and with a weight by hand: that costs what a trained one does, and its
lists are worth nothing.
"""

import tempfile
from pathlib import Path
from typing import Any

import torch
from calls import Calls, champion_version, served_payload

from recloop.client import Client
from recloop.config import Home, read_block
from recloop.recommender.reranking import RANKER
from recloop.registry.card import RankerCard
from recloop.registry.manifest import REFERENCE
from recloop.registry.payload import Payload
from recloop.registry.store import Registry
from recloop.serving.api import RecommendRequest
from recloop.stages.ranker import RankerStageConfig
from recloop.training.device import Compute
from recloop.training.export_ranker import export_ranker
from recloop.training.ranker import Ranker

_WEIGHT = 0.2


def add_ranker(home: Home) -> dict[str, Any]:
    """See that the champion of a home has a ranker; returns its card, and where the weight is from."""
    payload = served_payload(home)
    if payload.card.ranker:
        return {**payload.card.ranker.model_dump(), "weight_from": "validation"}
    config = read_block("ranker", RankerStageConfig)
    card = RankerCard(
        weight=_WEIGHT,
        depth=config.depth,
        shown=config.model.shown,
        max_tokens=config.model.max_tokens,
    )
    model = Ranker(config.model, Compute(torch.device("cpu"), bf16=False)).model
    _promote(home, payload.with_ranker(card, export_ranker(model), model.tokenizer_json()))
    return {**card.model_dump(), "weight_from": "hand, the model is untrained"}


def check(url: str, calls: Calls) -> None:
    """Raises RuntimeError if a list is served that the ranker had no part in."""
    asked = RecommendRequest(**next(calls.known()).body, explain=True)
    with Client(url) as service:
        answer = service.recommend(asked)
    if answer.degraded or not any(RANKER in (item.reasons or {}) for item in answer.items):
        raise RuntimeError(f"the ranker has not ordered this list: {answer}")


def _promote(home: Home, payload: Payload) -> None:
    registry, before = Registry(home), champion_version(home)
    lineage = registry.manifest(before).lineage.model_copy(update={"model_hash": ""})
    version = registry.next_version()
    with tempfile.TemporaryDirectory(dir=home.root) as name:
        payload.save(Path(name))
        registry.register(version, Path(name), registry.path(before) / REFERENCE, lineage)
    registry.promote(version, ["to be timed with a ranker"])
