"""pymongo, set up the one way: majority writes, UTC datetimes with their zone."""

import logging
from collections.abc import Callable
from typing import Any

from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import PyMongoError

from rapport.kit import backoff

Document = dict[str, Any]
SELECT_MS = 5_000

_OPTIONS: dict[str, Any] = {
    "w": "majority",
    "tz_aware": True,
    "serverSelectionTimeoutMS": SELECT_MS,
    "appname": "rapport",
}


def client(uri: str) -> MongoClient[Document]:
    """A client for threads. Connects when first used."""
    return MongoClient(uri, **_OPTIONS)


def async_client(uri: str) -> AsyncMongoClient[Document]:
    """A client for asyncio. Connects when first used."""
    return AsyncMongoClient(uri, **_OPTIONS)


def wait_until_there(
    found: MongoClient[Document], where: str, log: logging.Logger, wait: Callable[[float], object]
) -> None:
    """Returns once a primary answers. `where` is the address as may be logged (a URI can hold a password)."""
    backoff.until(
        lambda: found.admin.command("ping"), what=f"MongoDB at {where}", log=log, errors=(PyMongoError,), wait=wait
    )


def shown(uri: str) -> str:
    """A MongoDB URI without user and password."""
    scheme, separator, rest = uri.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else uri
