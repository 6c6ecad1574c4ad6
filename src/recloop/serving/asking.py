"""A request as it came over HTTP, as the recommender is asked."""

from datetime import UTC, datetime
from math import nan

from recloop.data.catalogue import Catalogue
from recloop.recommender.request import Request
from recloop.recommender.shape import Shape
from recloop.recommender.state import UserState
from recloop.serving.api import RecommendRequest
from recloop.serving.course import Course, judge_of
from recloop.serving.stages import watch


def request_of(
    asked: RecommendRequest, state: UserState, shape: Shape, course: Course, catalogue: Catalogue
) -> Request:
    """Of a user in this state, to whom what was done in the session of the request is added."""
    session = [
        (did.item_id, did.event.value, did.timestamp.timestamp() if did.timestamp else nan)
        for did in asked.history
    ]
    return Request(
        state=state.after(session, catalogue),
        k=asked.k,
        query=asked.query,
        exclude=(*asked.exclude, *asked.filters.deny),
        categories=frozenset(asked.filters.categories),
        where=asked.filters.where(),
        shape=shape,
        explain=asked.explain,
        at=asked.context.timestamp or datetime.now(UTC),
        judge=judge_of(course, wanted=asked.ranker),
        watch=watch,
    )
