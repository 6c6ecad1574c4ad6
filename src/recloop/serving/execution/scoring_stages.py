"""Stages of a response, which are timed and traced."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from recloop.recommender.request import CHANNELS, FILTER, QUERY
from recloop.recommender.reranking import RANKER
from recloop.serving.telemetry.prometheus import metrics
from recloop.serving.telemetry.tracing import span


class Stage(StrEnum):
    """Stages of a response.

    `STATE` reads the user's events. `SCORE` contains the channels, the query, the filter and the
    ranker. `POPULARITY` replaces `SCORE` if that fails or is late. `TOTAL` is the whole response.
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
def measure_stage(stage: str) -> Iterator[None]:
    """Record the duration of a stage in the metrics and in a trace."""
    with span(stage), metrics().stages.labels(stage).time():
        yield
