"""pymongo clients, all set up the same way: majority writes, datetimes in UTC with their zone."""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import pymongo
from pymongo import AsyncMongoClient, MongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.read_concern import ReadConcern

from rapport.kit import backoff, certificates, clock
from rapport.kit.probe import Probe

Document = dict[str, Any]
T = TypeVar("T")

SELECT_MS = 2_500
"""How long to look for a primary. A request that finds none should fail within a few seconds."""
CONNECT_MS = 3_000
"""How long to wait for the driver's own heartbeat. Without an answer, operations fail instead of hanging."""
HEARTBEAT_MS = 1_000
ACKNOWLEDGE_MS = 10_000
"""How long a majority of the replica set may take to store a write. Without an end, writers would wait for as long as
a member is down where the others are no majority of those with data: at two members and an arbiter, or where one lags.
The write may still take place, or be taken back when the primary is lost, as after a connection that broke. So whoever
writes in several steps has to do them all again, or in a transaction."""
ANSWER_MS = 15_000
"""How long one command may take; longer than a majority may. The driver tries twice, so a request is answered within
half a minute even if the server says hello and does nothing else, as with a disk that hangs."""
QUEUE_MS = 5_000
"""How long to wait for one of the client's connections while others wait for such a server."""
TRANSACTION_SECONDS = 60.0
"""For one of a process that works by itself. The driver alone would try for two minutes."""
REQUESTED_SECONDS = 30.0
"""For one that a request waits for."""
WRITE_EVERY_SECONDS = 5.0
WRITTEN_WITHIN_SECONDS = 15.0
"""Without a confirmed write for this long, MongoDB counts as down. Longer than `ACKNOWLEDGE_MS`, so that one slow write
is not enough."""

CONFIRMED = ReadConcern("majority")
"""For what is read to be passed on: nothing that MongoDB can still take back. It does not show what was written in the
last moments by somebody else and is not confirmed yet."""

_OPTIONS: dict[str, Any] = {
    "w": "majority",
    "wTimeoutMS": ACKNOWLEDGE_MS,
    "tz_aware": True,
    "serverSelectionTimeoutMS": SELECT_MS,
    "socketTimeoutMS": ANSWER_MS,
    "waitQueueTimeoutMS": QUEUE_MS,
    "connectTimeoutMS": CONNECT_MS,
    "heartbeatFrequencyMS": HEARTBEAT_MS,
    "appname": "rapport",
}


def client(uri: str) -> MongoClient[Document]:
    """A client for threads. Connects when first used."""
    return MongoClient(uri, **_OPTIONS)


def patient_client(uri: str) -> MongoClient[Document]:
    """The same for work that may take minutes: counting again, removing, creating indexes, backups."""
    return MongoClient(uri, **{**_OPTIONS, "socketTimeoutMS": None})


def async_client(uri: str) -> AsyncMongoClient[Document]:
    """A client for asyncio. Connects when first used."""
    return AsyncMongoClient(uri, **_OPTIONS)


def in_transaction(database: Database[Document], work: Callable[[ClientSession], None]) -> None:
    """Does `work` in a transaction, and repeats it if another one got in its way. Raises PyMongoError."""
    with pymongo.timeout(TRANSACTION_SECONDS), database.client.start_session() as session:
        session.with_transaction(work)


async def in_async_transaction(
    database: AsyncDatabase[Document], work: Callable[[AsyncClientSession], Awaitable[T]]
) -> T:
    """The same for a request, which gets what `work` returns."""
    with pymongo.timeout(REQUESTED_SECONDS):
        async with database.client.start_session() as session:
            return await session.with_transaction(work)


async def earlier_time(database: AsyncDatabase[Document]) -> datetime:
    """The time by this machine's clock or by MongoDB's, whichever is earlier.

    What is to begin now would begin for nobody until then where a clock is ahead.
    """
    its: datetime = (await database.command("hello"))["localTime"]
    return min(clock.now(), its.replace(tzinfo=UTC))  # the answer to a command has no zone


def write_failures(error: BulkWriteError) -> list[Document]:
    """Why single writes of a bulk failed. Raises the error itself where no majority has the others: write all again."""
    if error.details["writeConcernErrors"]:
        raise error
    found: list[Document] = error.details["writeErrors"]
    return found


def probe(name: str, uri: str) -> Probe:
    """Probes whether a primary answers, with a client of its own."""
    for option, value in parse_qsl(uri.partition("?")[2]):
        if option.lower() == "tlscafile":
            certificates.watch("mongodb-ca", Path(value))
    asked: MongoClient[Document] = MongoClient(uri, **{**_OPTIONS, "socketTimeoutMS": CONNECT_MS, "maxPoolSize": 1})
    return Probe(name, lambda: asked.admin.command("ping"), close=asked.close)


def write_probe(name: str, uri: str, database: str) -> Probe:
    """Probes whether a majority confirms what is written. A server may answer without doing anything else."""
    asked: MongoClient[Document] = MongoClient(uri, **{**_OPTIONS, "maxPoolSize": 1})
    written = asked[database]["probes"]
    return Probe(
        name,
        lambda: written.update_one({"_id": name}, {"$inc": {"times": 1}}, upsert=True),
        close=asked.close,
        every=WRITE_EVERY_SECONDS,
        within=WRITTEN_WITHIN_SECONDS,
    )


def wait_until_there(
    found: MongoClient[Document], where: str, log: logging.Logger, wait: Callable[[float], object]
) -> None:
    """Returns once a primary answers. `where` is the address for the log (a URI can contain a password)."""
    backoff.until(
        lambda: found.admin.command("ping"), what=f"MongoDB at {where}", log=log, errors=(PyMongoError,), wait=wait
    )


def shown(uri: str) -> str:
    """A MongoDB URI without user and password."""
    scheme, separator, rest = uri.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else uri
