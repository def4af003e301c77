"""The portal's sessions."""

import hashlib
import secrets
from datetime import datetime, timedelta

from pymongo.asynchronous.collection import AsyncCollection

from services.api.storage.tenants import Database
from services.api.web.documents import SessionDocument

LIFETIME = timedelta(hours=12)
"""A working day, so that people log in once each morning."""


class Sessions:
    """Sessions by their cookies."""

    def __init__(self, database: Database) -> None:
        self._sessions: AsyncCollection[SessionDocument] = database["sessions"]

    async def begin(self, key: str, now: datetime) -> str:
        """A new session's cookie."""
        cookie = secrets.token_urlsafe(32)
        await self._sessions.insert_one({"_id": _hash(cookie), "key": key, "until": now + LIFETIME})
        return cookie

    async def key_of(self, cookie: str, now: datetime) -> str | None:
        """The id of the key that opened a session; None if it has ended or is unknown."""
        found = await self._sessions.find_one({"_id": _hash(cookie)}) if cookie else None
        return found["key"] if found is not None and found["until"] > now else None

    async def end(self, cookie: str) -> None:
        """Ends a session, for every copy of its cookie."""
        await self._sessions.delete_one({"_id": _hash(cookie)})


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode(errors="replace")).hexdigest()
