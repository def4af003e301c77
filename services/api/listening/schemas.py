"""How late platforms tell."""

from datetime import date
from typing import Annotated

from pydantic import BaseModel, Field

from services.api.http.schemas import Day, Input

From = Annotated[Day | None, Field(alias="from", description="The first UTC day; by default 29 days before `to`.")]
To = Annotated[Day | None, Field(description="The last UTC day; by default today.")]


class LagQuery(Input):
    """UTC days. Delays are kept for 100 days."""

    from_: From = None
    to: To = None


class PlatformLag(BaseModel):
    """How long it took from when something occurred until it was received.

    Counted are the minutes in which something with such a delay was received. A delay is known to a step (5, 15 and 30
    seconds, 1, 2, 5, 10, 15 and 30 minutes, 1, 2, 3, 6, 12 and 24 hours, 3 days), and given as its upper end.
    """

    platform: str
    account: Annotated[str | None, Field(description="Null for all accounts of the platform together.")]
    median_seconds: Annotated[float | None, Field(description="In half of the minutes at most; null without any.")]
    p95_seconds: Annotated[float | None, Field(description="In 95 % of the minutes at most.")]
    minutes: int


class PlatformLags(BaseModel):
    """How late platforms told of a brand's accounts, by platform and by account."""

    from_: Annotated[date, Field(serialization_alias="from")]
    to: date
    items: list[PlatformLag]
