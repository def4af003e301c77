"""A desk on a real Kafka, and what the log says of its errands."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from rapport.contracts import codec
from rapport.contracts.errands import Errand, ErrandState
from rapport.contracts.events import Account
from rapport.contracts.topics import CURSORS, ERRANDS, key_of, partition_of
from rapport.kit.broker import kafka
from rapport.kit.http.outgoing import Guard
from services.ingest.broker import Broker
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.platforms import PlatformSettings, make
from services.ingest.errands.desk import Desk
from services.ingest.errands.errand_log import ErrandLog
from services.ingest.leases.leases import Lease, Leases
from services.ingest.leases.rows import read
from tests.services.api.log import everything
from tests.services.ingest.connectors.asking import LOG


def errand(brand: str, account: Account, thing: str, deed: str = "answer", **more: Any) -> Errand:
    """Something to be done now, or `ago` before now."""
    at = datetime.now(UTC) - more.pop("ago", timedelta())
    fields = {
        "id": uuid4().hex, "brand": brand, "platform": account.platform, "account": account.id, "deed": deed,
        "exchange": "exchange", "follower": "ada", "thing": thing, "thing_kind": "comment", "by": "Bea", "at": at,
        "text": "From eight on" if deed == "answer" else None, "conversation": thing, **more,
    }  # fmt: skip
    return Errand(**fields)


def ask(bootstrap: str, *errands: Errand) -> None:
    """Writes errands as the API does."""
    producer = kafka.producer(bootstrap, "test")
    try:
        for one in errands:
            key = key_of(one.brand)
            headers = codec.headers("rapport.errand.v1", id=one.id, source="/test")
            place = partition_of(key, ERRANDS.partitions)
            producer.send(ERRANDS.name, codec.encode(one), key, headers=headers, partition=place).get(30)
    finally:
        producer.close()


def states(bootstrap: str, errand: str) -> list[ErrandState]:
    """How an errand stood, in order."""
    found: list[ErrandState] = []
    for record in everything(bootstrap, CURSORS):
        if errand.encode() not in (record.value or b""):
            continue
        with contextlib.suppress(codec.UndecodableError):  # of other tests
            one = read(record.value)
            if isinstance(one, ErrandState) and one.errand == errand:
                found.append(one)
    return found


def state(bootstrap: str, errand: str) -> str | None:
    """How an errand stands; None where nobody has begun it."""
    found = states(bootstrap, errand)
    return found[-1].state if found else None


@asynccontextmanager
async def desk(
    bootstrap: str,
    folder: Path,
    accounts: Mapping[str, tuple[str, Account]],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    **settings: Any,
) -> AsyncIterator[Desk]:
    """What carries out errands for these accounts, by id with their brands. The mapping may change."""
    broker = Broker(lambda: kafka.producer(bootstrap, "test"), LOG)
    broker.start()
    shared = Shared(folder, broker, now, LOG, Guard(allow_private=True))
    leases = Leases(bootstrap, "test", broker, folder, LOG)
    speakers = make(PlatformSettings(port=0, **settings), shared, leases).speakers
    made = Desk(speakers, leases, broker, accounts.get, shared.now, LOG)
    errand_log = ErrandLog(bootstrap, leases, shared.now, LOG)
    loop = asyncio.get_running_loop()
    leases.start()

    def take(lease: Lease, one: Errand) -> None:
        loop.call_soon_threadsafe(made.take, lease, one)

    errand_log.start(take)
    try:
        yield made
    finally:
        await asyncio.to_thread(errand_log.stop)
        await leases.leave()
        await made.close()
        await leases.close()
        await asyncio.to_thread(broker.close)
