"""What platforms charge, as routes give it."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from rapport.domain.charges import MOST_FOLLOWERS
from services.api.http.schemas import Input

MONTH_PATTERN = r"^20[0-9]{2}-(0[1-9]|1[0-2])$"
Month = Annotated[
    str,
    StringConstraints(pattern=MONTH_PATTERN),
    Field(description="A month in UTC, such as `2026-11`. By default the current one."),
]
Number = Annotated[int | None, Field(ge=0, le=MOST_FOLLOWERS)]


class MonthQuery(Input):
    """Which month."""

    month: Month | None = None


class KnownQuery(Input):
    """What is known of an account before it is connected."""

    followers: Annotated[Number, Field(description="How many followers it has.")] = None
    mentions: Annotated[Number, Field(description="How many replies and mentions it gets in a month.")] = None


class EventsCharged(BaseModel):
    """One kind of event in a month."""

    event: str
    """As the platform names it."""
    count: int
    price: float | None
    """Dollars for one; null where the platform names no price, and then it is not in any sum."""
    dollars: float


class AccountCharged(BaseModel):
    """What a platform charged for one account in a month."""

    account: str | None
    """Null for accounts that nobody has connected here, but that are still subscribed to at the platform."""
    platform: str
    dollars: float
    events: list[EventsCharged]


class Charged(BaseModel):
    """What a platform charged in a month, as far as Rapport can count it."""

    month: str
    dollars: float
    accounts: list[AccountCharged]
    """The dearest first."""
    prices_read_on: str
    """The day on which the prices were read."""
    not_counted: list[str]
    """What may be on the platform's bill and is not in this, in words."""


class InstallationCharged(Charged):
    """Of all brands."""

    budget: float | None
    """Dollars a month, as the agency has set it; null where it has not."""


class PartExpected(BaseModel):
    """One part of what an account may cost."""

    name: str
    fewest: int
    most: int
    low: float
    high: float


class CostExpected(BaseModel):
    """What an account on X may cost in a month, in dollars. It is a range, and rests on assumptions."""

    platform: Literal["x"] = "x"
    low: float | None
    """Null where nothing is known that it could follow from: give `followers` or `mentions`."""
    high: float | None
    parts: list[PartExpected]
    assumes: list[str]
    prices_read_on: str
    prices_source: str
