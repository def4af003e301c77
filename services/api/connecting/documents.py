"""What is stored of connecting accounts."""

from datetime import datetime
from typing import Literal, NotRequired, TypeAlias, TypedDict

Step: TypeAlias = Literal["begun", "left", "returned", "granted", "connected", "failed"]
"""`begun`: somebody wants to connect an account. `left`: they are at the vendor. `returned`: the vendor is being asked
what they granted. `granted`: they have to choose an account."""
At: TypeAlias = Literal["consent", "token", "permissions", "accounts", "account"]
"""Where it failed: at the consent, the token for it, the permissions, the list of accounts, or the account chosen."""


class AppDocument(TypedDict):
    """An application that was registered on a server for one connection."""

    id: str
    secret: str
    """Sealed."""


class ChoiceDocument(TypedDict):
    """An account that can be chosen."""

    id: str
    name: str
    handle: str
    connection: dict[str, str]
    token: str
    """Sealed."""
    refresh_token: str
    """Sealed; empty where there is none."""
    expires_at: datetime | None
    consent_ends_at: datetime | None
    lacks: str


class PushDocument(TypedDict):
    """What came of telling a vendor to send what happens on an account."""

    what: list[str]
    """What it sends from then on, such as `comments`."""
    why: str | None
    """Why it sends nothing, or not all of it, in words; null if nothing is missing."""
    remedy: str | None
    """What that means until then, and what to do about it, in sentences."""


class AttemptDocument(TypedDict):
    """`connection_attempts`: somebody connects an account. MongoDB removes it when it is over."""

    _id: str
    brand: str
    by: str
    """The name of the key that began it."""
    vendor: str
    service: str
    """The account's server, for Mastodon; else empty."""
    account: str | None
    """The account that gets a new token; null for a new one."""
    wanted: str | None
    """The id for a new account, if somebody wants a certain one."""
    app: AppDocument | None
    step: Step
    failed_at: At | None
    why: str | None
    """Why it failed, in words."""
    times: int
    """How often the vendor was gone to."""
    state: str | None
    """SHA-256 of the `state` that the vendor has to bring back; null when it was used."""
    session: str | None
    """SHA-256 of the cookie of who went to the vendor."""
    verifier: str | None
    """Sealed."""
    state_until: datetime | None
    scopes: list[str]
    """What was granted."""
    choices: list[ChoiceDocument]
    connected: str | None
    """The account that was connected."""
    replaced: bool
    """Whether it was there before."""
    push: NotRequired[PushDocument | None]
    """Null where the vendor needs no telling."""
    until: datetime


class AccountTokenDocument(TypedDict):
    """`account_tokens`: what is known of the token of an account, besides its connection."""

    _id: str
    """The account's."""
    brand: str
    platform: str
    vendor: str
    token: str
    """SHA-256 of the token that this is about, in hex; empty while it is not known."""
    obtained_at: datetime
    consent_ends_at: datetime | None
    """When somebody has to consent again, whatever is renewed."""
    ends_at: datetime | None
    """When the account stops being connected, unless somebody connects it again; null if it does not."""
    missing: list[str]
    """Scopes that were not granted."""
    app: NotRequired[AppDocument | None]
    push: NotRequired[PushDocument | None]
    """What came of subscribing the account when it was connected; null where the vendor needs no telling."""
    why: str | None
    """Why the token cannot be renewed, in words; null while it can."""
    attention: bool
    """Whether somebody has to do something about it."""
    failures: int
    """In a row."""
    asked_at: datetime | None
    """When a renewal was last begun; null once it has ended."""
    next_at: datetime | None
    """When it is tried again after a failure; null if not before the token is replaced."""
    number: int
    """Of the lease under which this was written: what was written under an older one is left out."""


class RenewalLeaseDocument(TypedDict):
    """`leases`: which process renews tokens."""

    _id: str
    holder: str
    until: datetime
    number: int
    """Rises with each new holder."""
