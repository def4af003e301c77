"""Accounts on the platforms."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from services.api.http.schemas import AccountId, Id, Input, Number, Seen, Utc

MOST_STAFF = 200


LONGEST_OVERLAP_SECONDS = 7 * 86_400
"""A leaked secret must not stay valid for long. A week is enough to update every sender."""


LONGEST_HANDLE = 256


Handle = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_HANDLE), Seen]


Connection = Annotated[
    dict[
        Annotated[str, StringConstraints(max_length=64)],
        Annotated[str, StringConstraints(max_length=2048, strip_whitespace=True)],
    ],
    Field(max_length=20, description="What the platform's connector needs."),
]


Staff = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=256)]],
    Field(max_length=MOST_STAFF, description="The platform's ids of people who work for the brand."),
]


class AccountInput(Input):
    """A brand's account on a platform. Interactions before `connected_at` (default: now) alert nobody."""

    id: AccountId
    platform: Id
    handle: Handle
    connected_at: Utc | None = None
    connection: Annotated[Connection, Field(default_factory=dict)]
    staff: Annotated[Staff, Field(default_factory=list)]


class AccountChange(Input):
    """Changes of an account. What is absent or null stays."""

    handle: Handle | None = None
    connection: Connection | None = None
    staff: Staff | None = None


class Standing(BaseModel):
    """How an account is read."""

    state: Literal["live", "silent", "attention", "incident", "disconnected", "behind", "quiet"]
    """`silent`: nothing runs that reads. `attention`: somebody has to do something. `incident`: the platform fails.
    `disconnected`: its stream is not connected. `behind`: interactions may be missing. `quiet`: nothing is known to be
    wrong, but something would usually have come long ago."""
    since: AwareDatetime | None
    why: str | None
    checked_at: AwareDatetime | None
    """When it was last read to its end; null for accounts that are not asked for news."""
    latest_at: AwareDatetime | None
    """When the newest interaction that was received occurred; null if there was none."""
    last_received_at: AwareDatetime | None = None
    """When the last one was received, apart from what the brand did itself and what was over three days old."""
    quiet_since: AwareDatetime | None = None
    """If `quiet`: when the last one was received, or when the account was connected if that was later."""
    usual_per_hour: float | None = None
    """In how many minutes of this hour of the week something usually arrives; null where too little is known: there
    have to be three weeks, and 20 minutes with something in them."""
    found_last_day: int = 0
    """In how many minutes of the last 24 hours something arrived."""
    usual_last_day: float | None = None
    """In how many minutes of these hours of the week something usually arrives."""
    late_since: AwareDatetime | None = None
    """Since when the platform tells far later than usual."""
    late_by_seconds: float | None = None
    """How late: half of what arrived in an hour took at most so long."""


class MissingPermission(BaseModel):
    """Something that the account's owner did not allow."""

    scope: str
    """As the platform names it."""
    purpose: str
    """What it would be for, after "to"."""
    needed: bool
    """Whether nothing can be read without it."""
    remedy: str
    """What to click at the platform."""


class Account(BaseModel):
    """A brand's account on a platform."""

    id: str
    platform: str
    handle: str
    staff: list[str]
    connected_at: AwareDatetime
    first_connected_at: AwareDatetime
    """Earlier than `connected_at` where it was disconnected in between."""
    disconnected_at: AwareDatetime | None
    standing: Standing | None = None
    """Null in answers to changes, and for accounts that are not connected."""
    expires_at: AwareDatetime | None = None
    """When the account stops being connected, unless somebody connects it again. Null where it does not, where nobody
    knows, and in answers to changes."""
    missing: list[MissingPermission] = []
    """What its owner did not allow; empty in answers to changes."""


class NewAccount(Account):
    """An account and, this once, the secret that signs its interactions at the generic door."""

    door_secret: str


class RotationInput(Input):
    """How long the previous secret stays valid, so that senders can be updated one by one."""

    overlap_seconds: Annotated[int, Field(ge=0, le=LONGEST_OVERLAP_SECONDS), Number] = 86_400


class RotatedSecret(BaseModel):
    """An account's new secret, this once, and until when the previous one is valid."""

    id: str
    door_secret: str
    old_secret_until: AwareDatetime
