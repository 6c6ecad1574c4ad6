"""The stages of an answer: their names, and what is measured of each."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from recloop.recommender.request import CHANNELS, FILTER, QUERY
from recloop.recommender.reranking import RANKER
from recloop.serving.metrics import metrics
from recloop.serving.tracing import span


class Stage(StrEnum):
    """State from the database, then scores: of channels, with the query in them, the filter, the ranker.

    Popularity stands for all of scoring where that fails.
    """

    STATE = "state"
    SCORE = "score"
    CHANNELS = CHANNELS
    QUERY = QUERY
    RANKER = RANKER
    FILTER = FILTER
    POPULARITY = "popularity"
    TOTAL = "total"


@contextmanager
def watch(stage: str) -> Iterator[None]:
    """Measures a stage's time, and traces it."""
    with span(stage), metrics().stages.labels(stage).time():
        yield
