"""Responses about the data of one user: the receipt of an erasure, and the export."""

from datetime import datetime

from recloop.columns import Event
from recloop.schemas.base import Schema


class Removed(Schema):
    """The numbers of rows that were deleted."""

    events: int
    """Number of deleted events."""
    served_lists: int
    """Number of deleted served lists."""


class Receipt(Schema):
    """The result of an erasure, and the data that it cannot delete."""

    user_id: str
    """Id of the user, as it was sent."""
    erased_at: datetime
    """Time of the erasure."""
    removed: Removed
    """Numbers of deleted rows."""
    serving_model: str | None
    """Version of the served model. Null: no model is served."""
    models_trained_before: list[str]
    """All model versions that were registered at the time of the erasure."""
    statement: str
    """Description of the data that the erasure covers."""


class HeldEvent(Schema):
    """A stored event and the time of its arrival."""

    event_id: str
    """Id of the event."""
    user_id: str
    """Id of the user, as it was sent."""
    item_id: str
    """Id of the item."""
    timestamp: datetime
    """Time of the event."""
    event: Event
    """Type of the event."""
    value: float | None
    """Value of the event, for example a rating."""
    query: str | None
    """Search query that led to the event."""
    session_id: str | None
    """Session of the event."""
    request_id: str | None
    """Request whose list the user interacted with."""
    received: datetime
    """Time of arrival at the service."""


class HeldList(Schema):
    """A list that was served to the user."""

    request_id: str
    """Id of the response."""
    user_id: str
    """Id of the user, as it was sent."""
    timestamp: datetime
    """Time of the request."""
    model_version: str
    """Version of the model that produced the list."""
    arm: str
    """Arm of the experiment."""
    items: list[str]
    """Ids of the items, in the order of the list."""
    scores: list[float]
    """Scores of the items."""
    propensities: list[float]
    """Probability of each item at its position, given the items above it."""


class PackagedStep(Schema):
    """A step of the history that is packaged with a model; unknown values are null."""

    item_id: str
    """Id of the item."""
    timestamp: datetime | None
    """Time of the interaction."""
    event: str | None
    """Type of the interaction."""


class PackagedState(Schema):
    """The data that the serving model has of a user: the history, oldest first, and seen items."""

    model_version: str
    """Version of the served model."""
    history: list[PackagedStep]
    """Positive interactions, oldest first."""
    seen: list[str]
    """Ids of all items that the user has seen."""


class Export(Schema):
    """All data of a user that are stored and in use."""

    user_id: str
    """Id of the user, as it was sent."""
    exported_at: datetime
    """Time of the export."""
    erased_at: datetime | None
    """Time of the last erasure. Null: there was none."""
    packaged: PackagedState | None
    """Data of the user in the served model. Null: no model is served."""
    events: list[HeldEvent]
    """Stored events, in the order of their arrival."""
    served_lists: list[HeldList]
    """Stored served lists."""
