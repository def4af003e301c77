"""Brands, accounts, channels and keys."""

import base64
import binascii
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, StringConstraints, field_validator

from rapport.kit.mail_address import in_ascii
from services.api.schemas.common import AccountId, Id, Input, Name, Utc

MOST_CHANNELS = 50
MOST_STAFF = 200
LONGEST_OVERLAP_SECONDS = 7 * 86_400
"""A secret that leaked must not stay good for long; a week is enough to change every sender."""
SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with

Scope = Literal["read", "write", "admin"]


def _known_zone(zone: str) -> str:
    if zone not in available_timezones():
        raise ValueError(f"{zone!r} is no time zone of the IANA database, such as 'Europe/Berlin'")
    return zone


class BrandInput(Input):
    """A new client of the agency."""

    id: Id
    name: Name
    timezone: Annotated[str, Field(max_length=64), AfterValidator(_known_zone)] = "UTC"


class Brand(BaseModel):
    """A client of the agency."""

    id: str
    name: str
    timezone: str
    created_at: AwareDatetime


Handle = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Connection = Annotated[
    dict[
        Annotated[str, StringConstraints(max_length=64)],
        Annotated[str, StringConstraints(max_length=2048)],
    ],
    Field(max_length=20, description="What the platform's connector needs."),
]
Staff = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=256)]],
    Field(max_length=MOST_STAFF, description="The platform's ids of people who work for the brand."),
]


class AccountInput(Input):
    """A brand's account on a platform. Interactions from before `connected_at` (now, if absent) alert nobody."""

    id: AccountId
    platform: Id
    handle: Handle
    connected_at: Utc | None = None
    connection: Annotated[Connection, Field(default_factory=dict)]
    staff: Annotated[Staff, Field(default_factory=list)]


class AccountChange(Input):
    """What is to be different about an account; what is absent or null stays."""

    handle: Handle | None = None
    connection: Connection | None = None
    staff: Staff | None = None


class Account(BaseModel):
    """A brand's account on a platform."""

    id: str
    platform: str
    handle: str
    staff: list[str]
    connected_at: AwareDatetime
    disconnected_at: AwareDatetime | None


class NewAccount(Account):
    """An account, and this once the secret with which its interactions are signed at the generic door."""

    door_secret: str


def _mail_address(address: str) -> str:
    in_ascii(address)
    return address


class RotationInput(Input):
    """How long the secret before stays good, so that senders can be changed one after the other."""

    overlap_seconds: Annotated[int, Field(ge=0, le=LONGEST_OVERLAP_SECONDS)] = 86_400


class RotatedSecret(BaseModel):
    """The new secret of an account's door, this once, and until when the one before is taken too."""

    id: str
    door_secret: str
    old_secret_until: AwareDatetime


class MailInput(Input):
    """Alerts by mail to one address."""

    type: Literal["mail"]
    id: Id
    to: Annotated[
        str,
        StringConstraints(min_length=3, max_length=254),
        AfterValidator(_mail_address),
        Field(description="International domains work; letters before the @ have to be without accents."),
    ]


def _web_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError as error:
        raise ValueError(f"not an address: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address that begins with http:// or https:// is needed")
    return url


def _signing_secret(secret: str) -> str:
    try:
        raw = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raw = b""
    if not secret.startswith(SECRET_PREFIX) or not 24 <= len(raw) <= 64:
        raise ValueError(f"{SECRET_PREFIX!r} and base64 of 24 to 64 bytes are needed")
    return secret


class WebhookInput(Input):
    """Alerts by HTTP POST. Without `secret` one is made, unless a channel of this id has one already."""

    type: Literal["webhook"]
    id: Id
    url: Annotated[str, StringConstraints(pattern=r"^[!-~]+$", max_length=512), AfterValidator(_web_address)]
    secret: Annotated[str, Field(max_length=128), AfterValidator(_signing_secret)] | None = None


class ChannelsInput(Input):
    """Where a brand's alerts go; replaces what was there."""

    channels: Annotated[
        list[Annotated[MailInput | WebhookInput, Field(discriminator="type")]], Field(max_length=MOST_CHANNELS)
    ]

    @field_validator("channels")
    @classmethod
    def _distinct(cls, channels: list[MailInput | WebhookInput]) -> list[MailInput | WebhookInput]:
        ids = [channel.id for channel in channels]
        for each in ids:
            if ids.count(each) > 1:
                raise ValueError(f"the id {each!r} is there more than once")
        return channels


class MailChannel(BaseModel):
    """Alerts by mail to one address."""

    type: Literal["mail"]
    id: str
    to: str


class WebhookChannel(BaseModel):
    """Alerts by HTTP POST. `secret` is there only in the answer to the request that made it."""

    type: Literal["webhook"]
    id: str
    url: str
    secret: str | None = None


class Channels(BaseModel):
    """Where a brand's alerts go."""

    channels: list[Annotated[MailChannel | WebhookChannel, Field(discriminator="type")]]
    warnings: Annotated[
        list[str], Field(description="Why some of them will not get alerts as things stand, in words for people.")
    ] = []


class KeyInput(Input):
    """A new key for some brands or, where `brands` is null, for all, those to come included."""

    name: Name
    brands: Annotated[list[Id], Field(min_length=1, max_length=1000)] | None = None
    scopes: Annotated[list[Scope], Field(default_factory=lambda: ["read"], min_length=1)]
    expires_at: Utc | None = None


class Key(BaseModel):
    """A key without its secret. `write` includes `read`, `admin` includes both."""

    id: str
    name: str
    brands: list[str] | None
    scopes: list[Scope]
    created_at: AwareDatetime
    expires_at: AwareDatetime | None


class NewKey(Key):
    """A key, and this once the whole of it."""

    key: str
