"""pymongo clients, all set up the same way: majority writes, datetimes in UTC with their zone."""

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from pymongo import AsyncMongoClient, MongoClient
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import BulkWriteError, PyMongoError

from rapport.kit import backoff, certificates
from rapport.kit.probe import Probe

Document = dict[str, Any]
SELECT_MS = 2_500
"""How long to look for a primary. A request that finds none should fail within a few seconds."""
CONNECT_MS = 3_000
"""How long to wait for the driver's own heartbeat. Without an answer, operations fail instead of hanging."""
HEARTBEAT_MS = 1_000
ACKNOWLEDGE_MS = 10_000
"""How long a majority of the replica set may take to store a write. Without an end, writers would wait for as long as
a member is down where the others are no majority of those with data: at two members and an arbiter, or where one lags.
The write may still take place. To write it again does no harm, as after a connection that broke."""

_OPTIONS: dict[str, Any] = {
    "w": "majority",
    "wTimeoutMS": ACKNOWLEDGE_MS,
    "tz_aware": True,
    "serverSelectionTimeoutMS": SELECT_MS,
    "connectTimeoutMS": CONNECT_MS,
    "heartbeatFrequencyMS": HEARTBEAT_MS,
    "appname": "rapport",
}


def client(uri: str) -> MongoClient[Document]:
    """A client for threads. Connects when first used."""
    return MongoClient(uri, **_OPTIONS)


def async_client(uri: str) -> AsyncMongoClient[Document]:
    """A client for asyncio. Connects when first used."""
    return AsyncMongoClient(uri, **_OPTIONS)


def in_transaction(database: Database[Document], work: Callable[[ClientSession], None]) -> None:
    """Does `work` in a transaction, and repeats it if another one got in its way."""
    with database.client.start_session() as session:
        session.with_transaction(work)


def write_failures(error: BulkWriteError) -> list[Document]:
    """Why single writes of a bulk failed. Raises the error itself where no majority has the others: write all again."""
    if error.details["writeConcernErrors"]:
        raise error
    found: list[Document] = error.details["writeErrors"]
    return found


def probe(name: str, uri: str) -> Probe:
    """Probes whether a primary answers that has its writes confirmed, with a client of its own."""
    for option, value in parse_qsl(uri.partition("?")[2]):
        if option.lower() == "tlscafile":
            certificates.watch("mongodb-ca", Path(value))
    asked: MongoClient[Document] = MongoClient(uri, **{**_OPTIONS, "socketTimeoutMS": CONNECT_MS, "maxPoolSize": 1})
    return Probe(name, lambda: _look(asked), close=asked.close)


class UnconfirmedError(Exception):
    """The primary takes writes, but no majority of its replica set does. The message says since when."""


def _look(found: MongoClient[Document]) -> None:
    """Raises PyMongoError where no primary answers, UnconfirmedError where what is written waits for other members."""
    # Only a replica set has these times: a router in front of shards has none.
    written = found.admin.command("hello").get("lastWrite", {})
    last, confirmed = written.get("lastWriteDate"), written.get("majorityWriteDate")
    # An idle primary writes every 10 s too, so this shows within 20 s.
    if last is not None and confirmed is not None and last - confirmed > timedelta(milliseconds=ACKNOWLEDGE_MS):
        raise UnconfirmedError(f"what was written after {confirmed.isoformat()} is on no majority of the members")


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
