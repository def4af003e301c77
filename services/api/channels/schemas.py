"""Channels: where alerts go."""

import base64
import binascii
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, field_validator

from rapport.kit.mail_address import in_ascii
from services.api.http.schemas import Id, Input

MOST_CHANNELS = 50


SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix of every secret


def _mail_address(address: str) -> str:
    in_ascii(address)
    return address


class MailInput(Input):
    """Alerts by mail to one address."""

    type: Literal["mail"]
    id: Id
    to: Annotated[
        str,
        StringConstraints(min_length=3, max_length=254),
        AfterValidator(_mail_address),
        Field(description="International domains work; the part before the @ has to be ASCII."),
    ]


def _signing_secret(secret: str) -> str:
    try:
        raw = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raw = b""
    if not secret.startswith(SECRET_PREFIX) or not 24 <= len(raw) <= 64:
        raise ValueError(f"use {SECRET_PREFIX!r} and 24 to 64 bytes in base64")
    return secret


class WebhookInput(Input):
    """Alerts by HTTP POST. Without `secret`, one is made unless a channel with this id already has one."""

    type: Literal["webhook"]
    id: Id
    url: Annotated[str, StringConstraints(pattern=r"^[!-~]+$", max_length=512)]
    secret: Annotated[str, Field(max_length=128), AfterValidator(_signing_secret)] | None = None


class ChannelsInput(Input):
    """All of a brand's channels; replaces the current ones."""

    channels: Annotated[
        list[Annotated[MailInput | WebhookInput, Field(discriminator="type")]], Field(max_length=MOST_CHANNELS)
    ]

    @field_validator("channels")
    @classmethod
    def _distinct(cls, channels: list[MailInput | WebhookInput]) -> list[MailInput | WebhookInput]:
        ids = [channel.id for channel in channels]
        for each in ids:
            if ids.count(each) > 1:
                raise ValueError(f"the id {each!r} is used more than once")
        return channels


class MailChannel(BaseModel):
    """Alerts by mail to one address."""

    type: Literal["mail"]
    id: str
    to: str


class WebhookChannel(BaseModel):
    """Alerts by HTTP POST. `secret` is only in the answer to the request that made it."""

    type: Literal["webhook"]
    id: str
    url: str
    secret: str | None = None


class Channels(BaseModel):
    """Where a brand's alerts go."""

    channels: list[Annotated[MailChannel | WebhookChannel, Field(discriminator="type")]]
    warnings: Annotated[
        list[str], Field(description="Why some of them get no alerts right now, in words for people.")
    ] = []
