"""Whether interactions on a brand's accounts arrive here. A page asks before it calls itself live."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from services.api.accounts.documents import AccountDocument
from services.api.accounts.repository import Accounts
from services.api.listening.repository import Listening
from services.api.storage.tenants import Database, Tenants

Hearing: TypeAlias = Literal["live", "no_account", "silent", "disconnected", "behind"]
"""`silent`: no ingest process runs. `disconnected`: the streams of some accounts are closed. `behind`: ingest is still
catching up with some accounts."""


class Heard(NamedTuple):
    """How a brand's accounts are heard. `accounts` are those from which interactions may be missing."""

    hearing: Hearing
    accounts: tuple[AccountDocument, ...] = ()
    since: datetime | None = None
    """If `silent`: when an ingest process was last heard."""


async def heard(database: Database, brand: str, now: datetime) -> Heard:
    """How the connected accounts of a brand are heard."""
    connected = await Accounts(database, Tenants.one(brand)).connected(brand)
    listening = Listening(database)
    there = await listening.there(now) if connected else []
    if not connected:
        return Heard("no_account")
    if not there:
        return Heard("silent", tuple(connected), await listening.last())
    # One process that misses something is enough, as it is for the scorer.
    if disconnected := _among(connected, (name for process in there for name in process["disconnected"])):
        return Heard("disconnected", disconnected)
    if behind := _among(connected, (name for process in there for name in process["behind"])):
        return Heard("behind", behind)
    return Heard("live")


def _among(accounts: Iterable[AccountDocument], names: Iterable[str]) -> tuple[AccountDocument, ...]:
    wanted = set(names)
    return tuple(each for each in accounts if each["_id"] in wanted)
