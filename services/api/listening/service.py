"""Whether interactions on a brand's accounts arrive here. A page asks before it calls itself live."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from services.api.accounts.documents import AccountDocument
from services.api.accounts.repository import Accounts
from services.api.accounts.service import is_asked
from services.api.connecting.documents import AccountTokenDocument
from services.api.connecting.repository import Tokens
from services.api.listening.documents import AccountStateDocument, HeartbeatDocument
from services.api.listening.repository import Listening
from services.api.storage.tenants import Database, Tenants

Hearing: TypeAlias = Literal["live", "no_account", "silent", "attention", "incident", "disconnected", "behind"]
"""`silent`: no ingest process runs. `attention`: somebody has to do something about an account. `incident`: a platform
fails. `disconnected`: the streams of some accounts are closed. `behind`: ingest is still catching up with some."""
_WORST_FIRST: tuple[Hearing, ...] = ("silent", "attention", "incident", "disconnected", "behind")


class Stands(NamedTuple):
    """How one account is read."""

    hearing: Hearing
    since: datetime | None = None
    """Since when, where that is known."""
    why: str | None = None
    """In words."""
    checked_at: datetime | None = None
    """When it was last read to its end, for accounts that are asked for news."""
    latest_at: datetime | None = None
    """When the newest interaction that was read occurred, for accounts that are asked for news."""


class Heard(NamedTuple):
    """How a brand's accounts are heard. `accounts` are those from which interactions may be missing."""

    hearing: Hearing
    accounts: tuple[AccountDocument, ...] = ()
    since: datetime | None = None
    """If `silent`: when an ingest process was last heard."""
    why: str | None = None
    """What the first account's trouble is, if it was said."""


async def standings(database: Database, accounts: Iterable[AccountDocument], now: datetime) -> dict[str, Stands]:
    """How connected accounts are read, by id."""
    connected = list(accounts)
    if not connected:
        return {}
    listening = Listening(database)
    there = await listening.there(now)
    last = None if there else await listening.last()
    states = await listening.states(each["_id"] for each in connected)
    tokens = await Tokens(database).of([each["_id"] for each in connected])
    return {
        each["_id"]: _with_token(_stands(each, states.get(each["_id"]), there, last), tokens.get(each["_id"]))
        for each in connected
    }


async def heard(database: Database, brand: str, now: datetime) -> Heard:
    """How the connected accounts of a brand are heard: as the worst of them."""
    connected = await Accounts(database, Tenants.one(brand)).connected(brand)
    if not connected:
        return Heard("no_account")
    found = await standings(database, connected, now)
    for hearing in _WORST_FIRST:
        concerned = tuple(each for each in connected if found[each["_id"]].hearing == hearing)
        if concerned:
            first = found[concerned[0]["_id"]]
            return Heard(hearing, concerned, first.since, first.why)
    return Heard("live")


def _with_token(stands: Stands, token: AccountTokenDocument | None) -> Stands:
    """The same, where its token cannot be renewed and nothing worse is known."""
    if token is None or not token["attention"] or stands.hearing in ("silent", "attention"):
        return stands
    return stands._replace(hearing="attention", since=token["obtained_at"], why=token["why"])


def _stands(
    account: AccountDocument, state: AccountStateDocument | None, there: list[HeartbeatDocument], last: datetime | None
) -> Stands:
    # The state is from when it was last asked, and it may not be asked any more.
    asked = state if is_asked(account) else None
    checked_at, latest_at = (asked["checked_at"], asked["latest_at"]) if asked else (None, None)
    if not there:
        return Stands("silent", last, "nothing is read at the moment", checked_at, latest_at)
    if asked and asked["state"] != "live":
        return Stands(asked["state"], asked["since"], asked["why"], checked_at, latest_at)
    # One process that misses something is enough, as it is for the scorer.
    if any(account["_id"] in process["disconnected"] for process in there):
        return Stands("disconnected", None, "its stream is not connected", checked_at, latest_at)
    if any(account["_id"] in process["behind"] for process in there):
        return Stands("behind", None, "it is being caught up with", checked_at, latest_at)
    return Stands("live", asked["since"] if asked else None, None, checked_at, latest_at)
