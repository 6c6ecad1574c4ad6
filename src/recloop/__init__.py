"""recloop is a self-hosted recommender that retrains itself.

The public names are those of `__all__`. Each is imported when it is first used, so that a program
which uses the client alone needs httpx and pydantic alone.
"""

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recloop.client import Client, ServiceError
    from recloop.columns import Event
    from recloop.library.evaluation import evaluate
    from recloop.library.recommender import Recommender
    from recloop.recommender.request import RankedItem
    from recloop.schemas.catalogue import ItemIn, Listing
    from recloop.schemas.filters import Filters
    from recloop.schemas.recommend import EventIn, RecommendRequest, SessionEvent
    from recloop.schemas.rules import Boost, Quota
    from recloop.training.finetuning.ranker_examples import RankerExamples
    from recloop.training.modules.cross_encoder import RankerConfig
    from recloop.training.ranker import Ranker

__version__ = "0.1.0"
__all__ = [
    "Boost",
    "Client",
    "Event",
    "EventIn",
    "Filters",
    "ItemIn",
    "Listing",
    "Quota",
    "RankedItem",
    "Ranker",
    "RankerConfig",
    "RankerExamples",
    "RecommendRequest",
    "Recommender",
    "ServiceError",
    "SessionEvent",
    "__version__",
    "evaluate",
]
_MODULES = {
    "Boost": "schemas.rules",
    "Client": "client",
    "Event": "columns",
    "EventIn": "schemas.recommend",
    "Filters": "schemas.filters",
    "ItemIn": "schemas.catalogue",
    "Listing": "schemas.catalogue",
    "Quota": "schemas.rules",
    "RankedItem": "recommender.request",
    "Ranker": "training.ranker",
    "RankerConfig": "training.modules.cross_encoder",
    "RankerExamples": "training.finetuning.ranker_examples",
    "RecommendRequest": "schemas.recommend",
    "Recommender": "library.recommender",
    "ServiceError": "client",
    "SessionEvent": "schemas.recommend",
    "evaluate": "library.evaluation",
}

# ONNX Runtime uploads usage data unless this variable is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module 'recloop' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"recloop.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return __all__
