"""Shapes that several routes share."""

from datetime import UTC, date, datetime
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from rapport.domain.times import FIRST_YEAR, LAST_YEAR, OUT_OF_RANGE, in_range

Item = TypeVar("Item")

LARGEST_PAGE = 200
ID_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"

Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
"""An id that a person chooses: lower-case letters, digits, `_` and `-`."""

ACCOUNT_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$"

AccountId = Annotated[str, StringConstraints(pattern=ACCOUNT_ID_PATTERN)]
"""An account's id: what people call it elsewhere too, such as an address. Every place that names one takes it."""

LONGEST_ACCOUNT = 128
"""Characters of the id of an account."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


def _utc(at: datetime) -> datetime:
    if not in_range(at):
        raise ValueError(f"a time {OUT_OF_RANGE}")
    found = at.astimezone(UTC)
    # As fine as MongoDB stores it.
    return found.replace(microsecond=found.microsecond // 1000 * 1000)


Utc = Annotated[AwareDatetime, AfterValidator(_utc)]
"""A time with its zone, turned to UTC, in whole milliseconds."""

Day = Annotated[date, Field(ge=date(FIRST_YEAR, 1, 1), le=date(LAST_YEAR, 12, 31))]
"""A day of the calendar, in the years that are taken."""


class Input(BaseModel):
    """What a caller sends. An unknown field is refused, because a misspelt setting would silently not apply."""

    model_config = ConfigDict(extra="forbid")


class Page(BaseModel, Generic[Item]):
    """Part of a list. `next` is the cursor of the next part, null at the end."""

    items: list[Item]
    next: str | None = None


class PageQuery(Input):
    """How much of a list, and from where. Unknown parameters are refused, operators such as `state[$ne]` with them."""

    cursor: Annotated[str | None, Field(max_length=2048, description="`next` of the page before.")] = None
    limit: Annotated[int, Field(ge=1, le=LARGEST_PAGE)] = 50
