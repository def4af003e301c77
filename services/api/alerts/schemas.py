"""Alerts and their deliveries."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from services.api.followers.schemas import FollowerName
from services.api.http.schemas import PageQuery

StepName = Literal["warning", "breach", "escalation", "retracted", "resolved"]


class Delivery(BaseModel):
    """The delivery of an alert through one channel."""

    channel: Annotated[str, Field(description="Empty while the channels of the brand cannot be read.")]
    channel_type: Annotated[
        str, Field(description="`mail`, `webhook`, or one of a later version; `unrouted` where the channel is empty.")
    ]
    status: Annotated[
        str,
        Field(description="`pending`, `delivered`, `failed`, or `skipped`: a later step was there before it was sent."),
    ]
    attempts: int
    last_error: str | None
    delivered_at: AwareDatetime | None
    overtaken_by: Annotated[StepName | None, Field(description="The step because of which this one was skipped.")]


class Alert(BaseModel):
    """A message to the brand about one exchange."""

    id: str
    brand: str
    exchange: str
    platform: str
    follower: FollowerName
    step: StepName
    due_at: AwareDatetime
    created_at: AwareDatetime
    unconfirmed: Annotated[bool, Field(description="The platform was behind, so there may be an answer already.")]
    deliveries: list[Delivery]


class AlertMoment(BaseModel):
    """An alert as it appears in a history."""

    type: Literal["alert"] = "alert"
    at: AwareDatetime
    id: str
    step: StepName
    unconfirmed: bool
    deliveries: list[Delivery]


class AlertsQuery(PageQuery):
    """Which alerts, the latest first."""

    step: StepName | None = None
    exchange: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
