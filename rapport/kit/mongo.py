"""pymongo clients, all set up the same way: majority writes, datetimes in UTC with their zone."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from pymongo import AsyncMongoClient, MongoClient
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import PyMongoError

from rapport.kit import backoff, certificates
from rapport.kit.probe import Probe

Document = dict[str, Any]
SELECT_MS = 2_500
"""How long to look for a primary. A request that finds none should fail within a few seconds."""
CONNECT_MS = 3_000
"""How long to wait for the driver's own heartbeat. Without an answer, operations fail instead of hanging."""
HEARTBEAT_MS = 1_000

_OPTIONS: dict[str, Any] = {
    "w": "majority",
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


def probe(name: str, uri: str) -> Probe:
    """Probes whether a primary answers, with a client of its own."""
    for option, value in parse_qsl(uri.partition("?")[2]):
        if option.lower() == "tlscafile":
            certificates.watch("mongodb-ca", Path(value))
    asked: MongoClient[Document] = MongoClient(uri, **{**_OPTIONS, "socketTimeoutMS": CONNECT_MS, "maxPoolSize": 1})
    return Probe(name, lambda: asked.admin.command("ping"), close=asked.close)


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
