"""Types that several schemas share."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

# PostgreSQL cannot store the character NUL.
WITHOUT_NUL = r"^[^\x00]*$"
Id = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]
# Larger integers are not exact in JSON.
WholeNumber = Annotated[int, Field(ge=-(2**53), le=2**53)]


_FIRST, _LAST = datetime(1, 1, 2, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def _in_range(time: datetime) -> datetime:
    if not _FIRST <= time <= _LAST:
        raise ValueError("must lie within the years 1 to 9999, in UTC")
    return time


Time = Annotated[AwareDatetime, AfterValidator(_in_range)]


class Schema(BaseModel):
    """Base class of all schemas. The docstring below a field is its description in OpenAPI."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class StrictModel(Schema):
    """Base class of request schemas; a field that does not exist is an error."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
