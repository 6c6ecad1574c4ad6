"""The small numbers of a packaged model: how its parts are read and mixed."""

from datetime import datetime

from pydantic import BaseModel

from recloop.models.blend import BlendWeights
from recloop.models.low_rank import IalsConfig
from recloop.models.query import QueryCard
from recloop.recommender.retrieval import RetrievalConfig


class RankerCard(BaseModel):
    """How the ranker reads and what it weighs; see `RankerConfig` and `Reranker`."""

    weight: float
    depth: int
    shown: int
    max_tokens: int


class Card(BaseModel):
    """The small numbers of a model: how its parts are read and mixed.

    `tuned_until` is the end of what its checkpoint to continue from has learned, `trained_until` of all.
    """

    weights: BlendWeights
    repeats: bool
    window: int
    content_last: int
    decay: float
    neighbours_decay: float
    low_rank: IalsConfig
    low_rank_decay: float
    query: QueryCard
    ranker: RankerCard | None = None
    retrieval: RetrievalConfig = RetrievalConfig()
    tuned_until: datetime
    trained_until: datetime
    feedback_until: int
