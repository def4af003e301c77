"""One connector that asks a platform, on a real Kafka, and what it says of its accounts."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rapport.contracts import codec
from rapport.contracts.cursors import AccountState
from rapport.contracts.events import Account
from rapport.contracts.topics import CURSORS
from rapport.kit.broker import kafka
from rapport.kit.http.outgoing import Guard
from services.ingest.broker import Broker
from services.ingest.connectors.connector import Shared
from services.ingest.leases.leases import Leases
from services.ingest.leases.rows import read
from services.ingest.polling.polled import Polled
from tests.services.api.log import everything
from tests.waiting import DEADLINE

LOG = logging.getLogger("test")


@asynccontextmanager
async def reading(
    bootstrap: str, folder: Path, make: Callable[[Leases, Shared], Polled], *accounts: tuple[str, Account]
) -> AsyncIterator[Polled]:
    """A connector that reads for these accounts, each with its brand."""
    broker = Broker(lambda: kafka.producer(bootstrap, "test"), LOG)
    broker.start()
    shared = Shared(folder, broker, lambda: datetime.now(UTC), LOG, Guard(allow_private=True))
    leases = Leases(bootstrap, "test", broker, folder, LOG)
    connector = make(leases, shared)
    loop = asyncio.get_running_loop()
    followed = {account.id: (brand, account) for brand, account in accounts}

    def changed() -> None:
        loop.call_soon_threadsafe(connector.follow, followed)

    leases.listen(changed)
    leases.start()
    connector.follow(followed)
    try:
        yield connector
    finally:
        await connector.close()
        await leases.close()
        await asyncio.to_thread(broker.close)


async def until(condition: Callable[[], Any], what: str | Callable[[], str]) -> None:
    """Waits as `tests.waiting.until` does, while the loop goes on."""
    try:
        async with asyncio.timeout(DEADLINE):
            while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"not within {DEADLINE:g} s: {what if isinstance(what, str) else what()}") from None


async def stands(bootstrap: str, account: str, state: str, because: str = "") -> str | None:
    """Why an account is in a state, once it is, and that says what it is to say."""

    def now() -> bool:
        found = states(bootstrap, account)
        return bool(found) and found[-1].state == state and because in (found[-1].why or "")

    await until(now, lambda: f"the account to be {state}: {states(bootstrap, account)[-3:]}")
    return states(bootstrap, account)[-1].why


def states(bootstrap: str, account: str) -> list[AccountState]:
    """How an account stood, in order."""
    found: list[AccountState] = []
    for record in everything(bootstrap, CURSORS):
        if account.encode() not in (record.value or b""):
            continue
        with contextlib.suppress(codec.UndecodableError):  # of other tests
            one = read(record.value)
            if isinstance(one, AccountState) and one.account == account:
                found.append(one)
    return found
