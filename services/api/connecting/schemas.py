"""Attempts to connect an account."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, StringConstraints

from services.api.http.schemas import AccountId, Id, Input


class AttemptInput(Input):
    """A wish to connect an account."""

    vendor: Id
    """The way to log in: a platform's name, or `instagram-facebook`."""
    service: Annotated[str, StringConstraints(max_length=300)] = ""
    """The account's server, for Mastodon."""
    account: AccountId | None = None
    """The account that gets a new token; by default a new one is connected, or the one that is there already."""
    id: AccountId | None = None
    """The id of a new account; by default one is made, and can be changed in the portal."""


class AskedPermission(BaseModel):
    """Something that the account's owner is asked for."""

    scope: str
    """As the vendor names it."""
    purpose: str
    """What it is for, after "to"."""
    needed: bool
    """Whether the account cannot be connected without it."""
    granted: bool | None
    """Null while nobody has consented."""
    remedy: str
    """What to do where it was not granted."""


class Push(BaseModel):
    """What came of telling the platform to send what happens on the account."""

    what: list[str]
    """What it sends from then on, such as `comments`; empty if nothing."""
    why: str | None
    """Why it sends nothing, or not all of it, in words; null if nothing is missing. The account is connected all the
    same."""
    remedy: str | None
    """What that means until then, and what to do about it, in sentences."""


class Attempt(BaseModel):
    """An attempt to connect an account."""

    id: str
    vendor: str
    platform: str
    address: str
    """The page of the portal on which it goes on. Open it in a browser, with a key that may administer the brand."""
    step: Literal["begun", "left", "returned", "granted", "connected", "failed"]
    """`left`: somebody is at the vendor. `returned`: the vendor is being asked what they granted. `granted`: an account
    has to be chosen."""
    failed_at: Literal["consent", "token", "permissions", "accounts", "account"] | None
    why: str | None
    """Why it failed, in words."""
    permissions: list[AskedPermission]
    account: str | None
    """The account that was connected."""
    replaced: bool
    """Whether it was connected before, and has got a new token."""
    push: Push | None
    """Null while the account is not connected, and where the platform needs no telling."""
    until: AwareDatetime
    """When it is over."""
