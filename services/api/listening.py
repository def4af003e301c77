"""Whether what is said on a brand's accounts arrives here: what a page needs to know before it calls itself live."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from pymongo.asynchronous.database import AsyncDatabase

from rapport.kit.mongo import Document
from services.api.repositories.accounts import Accounts
from services.api.repositories.listening import Listening
from services.api.repositories.tenants import Tenants

Hearing: TypeAlias = Literal["live", "no_account", "silent", "disconnected", "behind"]
"""`silent`: no ingest process is there. `disconnected`: the stream of some accounts is not open. `behind`: some are
being caught up with."""


class Heard(NamedTuple):
    """How a brand's accounts are heard. `accounts` are those of which something may be missing."""

    hearing: Hearing
    accounts: tuple[Document, ...] = ()
    since: datetime | None = None
    """Of `silent`: when something was last heard."""


async def heard(database: AsyncDatabase[Document], brand: str, now: datetime) -> Heard:
    """How the connected accounts of a brand are heard now."""
    connected = await Accounts(database, Tenants.one(brand)).connected(brand)
    listening = Listening(database)
    there = await listening.there(now) if connected else []
    if not connected:
        return Heard("no_account")
    if not there:
        return Heard("silent", tuple(connected), await listening.last())
    # As the scorer has it: one process that lacks something is enough.
    for hearing in ("disconnected", "behind"):
        lacking = _among(connected, (name for each in there for name in each[hearing]))
        if lacking:
            return Heard(hearing, lacking)
    return Heard("live")


def _among(accounts: Iterable[Document], names: Iterable[str]) -> tuple[Document, ...]:
    wanted = set(names)
    return tuple(each for each in accounts if each["_id"] in wanted)
