"""Types that several schemas share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# PostgreSQL cannot store the character NUL.
WITHOUT_NUL = r"^[^\x00]*$"
Id = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]
# Larger integers are not exact in JSON.
WholeNumber = Annotated[int, Field(ge=-(2**53), le=2**53)]


class Schema(BaseModel):
    """Base class of all schemas. The docstring below a field is its description in OpenAPI."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class StrictModel(Schema):
    """Base class of request schemas; a field that does not exist is an error."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
