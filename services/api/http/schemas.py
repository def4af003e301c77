"""Fields and models that several features share."""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from rapport.domain.times import FIRST_YEAR, LAST_YEAR, OUT_OF_RANGE, in_range
from rapport.kit.text import is_blank

Item = TypeVar("Item")

LARGEST_PAGE = 200


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("true and false are no numbers")
    return value


Number = BeforeValidator(_no_bool)
"""For numbers of a JSON body, after their limits. By itself pydantic takes `true` for 1."""

ID_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"

Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
"""An id that a person chooses: lower-case letters, digits, `_` and `-`."""

ACCOUNT_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$"

AccountId = Annotated[str, StringConstraints(pattern=ACCOUNT_ID_PATTERN)]
"""An account's id. It can be a name from elsewhere, such as a mail address."""

LONGEST_ACCOUNT = 128
"""Characters of the id of an account."""


def _seen(text: str) -> str:
    if is_blank(text):
        raise ValueError("it has only blanks or characters that nobody sees")
    return text


Seen = AfterValidator(_seen)
"""For words that people read: they have to see something."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), Seen]


def _utc(at: datetime) -> datetime:
    if not in_range(at):
        raise ValueError(f"a time {OUT_OF_RANGE}")
    found = at.astimezone(UTC)
    # MongoDB stores whole milliseconds.
    return found.replace(microsecond=found.microsecond // 1000 * 1000)


Utc = Annotated[AwareDatetime, AfterValidator(_utc)]
"""A time with a zone, converted to UTC, in whole milliseconds."""

Day = Annotated[date, Field(ge=date(FIRST_YEAR, 1, 1), le=date(LAST_YEAR, 12, 31))]
"""A calendar day within the accepted years."""


class Input(BaseModel):
    """A request. Unknown fields are refused, because a misspelt setting would silently not apply."""

    model_config = ConfigDict(extra="forbid")


class Page(BaseModel, Generic[Item]):
    """A page of a list. `next` is the cursor of the next page, null on the last one."""

    items: list[Item]
    next: str | None = None


class PageQuery(Input):
    """Which page of a list. Unknown parameters are refused, including operators such as `state[$ne]`."""

    cursor: Annotated[str | None, Field(max_length=2048, description="The `next` of the previous page.")] = None
    limit: Annotated[int, Field(ge=1, le=LARGEST_PAGE)] = 50


LONGEST_WHY = 500


Why = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_WHY), Seen]
