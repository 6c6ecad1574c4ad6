"""Conversion of an HTTP request into a request to the recommender."""

from datetime import UTC, datetime
from math import nan

from recloop.recommender.history import HistoryEvent, UserHistory
from recloop.recommender.items.filter_conditions import FilterConditions
from recloop.recommender.lists.list_builder import ListOptions
from recloop.recommender.request import Request
from recloop.schemas.filters import Filters
from recloop.schemas.recommend import RecommendRequest


def session_events(request: RecommendRequest) -> list[HistoryEvent]:
    """Return the events of the request's session, oldest first; unknown times are NaN."""
    return [
        (event.item_id, event.event.value, event.timestamp.timestamp() if event.timestamp else nan)
        for event in request.history
    ]


def to_request(request: RecommendRequest, history: UserHistory, options: ListOptions) -> Request:
    """Return the recommender's request for an HTTP request.

    Args:
        request: The HTTP request.
        history: History of the user, including the events of the session.
        options: Options of the list, including those of the site and of the experiment's arm.
    """
    return Request(
        history=history,
        k=request.k,
        query=request.query,
        exclude=(*request.exclude, *request.filters.deny),
        categories=frozenset(request.filters.categories),
        conditions=to_conditions(request.filters),
        options=options,
        explain=request.explain,
        time=request.context.timestamp or datetime.now(UTC),
    )


def to_conditions(filters: Filters) -> FilterConditions:
    """Return the conditions of filters, except categories and `deny`, which a request has apart."""
    dates = filters.published_at
    return FilterConditions(
        {
            name: tuple(values) if isinstance(values, list) else (values,)
            for name, values in filters.attributes.items()
        },
        {name: (bounds.min, bounds.max) for name, bounds in filters.ranges.items()},
        (dates.min, dates.max) if dates else (None, None),
        None if filters.only is None else frozenset(filters.only),
    )
