"""What goes over HTTP about one person's data: the receipt of an erasure, and everything that is held."""

from datetime import datetime

from pydantic import BaseModel

from recloop import columns as c


class Removed(BaseModel):
    """Rows that were deleted."""

    events: int
    served_lists: int


class Receipt(BaseModel):
    """What an erasure did, and what it cannot reach.

    `models_trained_before` are all versions registered at that moment; `serving_model` answers now.
    """

    user_id: str
    erased_at: datetime
    removed: Removed
    serving_model: str | None
    models_trained_before: list[str]
    statement: str


class HeldEvent(BaseModel):
    """A stored event, and when it arrived."""

    event_id: str
    user_id: str
    item_id: str
    timestamp: datetime
    event: c.Event
    value: float | None
    query: str | None
    session_id: str | None
    request_id: str | None
    received: datetime


class HeldList(BaseModel):
    """A list that the user was answered with."""

    request_id: str
    user_id: str
    timestamp: datetime
    model_version: str
    arm: str
    items: list[str]
    scores: list[float]
    propensities: list[float]


class PackagedStep(BaseModel):
    """Something that the user liked, as a model knows it; null where it does not."""

    item_id: str
    timestamp: datetime | None
    event: str | None


class PackagedState(BaseModel):
    """What the serving model holds of a user: `history`, oldest first, and every item met."""

    model_version: str
    history: list[PackagedStep]
    seen: list[str]


class Export(BaseModel):
    """Everything that is held of a user and in use. `erased_at`: the last erasure, if there was one."""

    user_id: str
    exported_at: datetime
    erased_at: datetime | None
    packaged: PackagedState | None
    events: list[HeldEvent]
    served_lists: list[HeldList]
