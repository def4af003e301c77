"""The portal's sessions: `_id` (SHA-256 of the cookie), `key` (the id of the key that opened it), `until`."""

import hashlib
import secrets
from datetime import datetime, timedelta

from pymongo.asynchronous.database import AsyncDatabase

from rapport.kit.mongo import Document

LIFETIME = timedelta(hours=12)
"""A working day: who opens the portal each morning logs in once."""


class Sessions:
    """Sessions by their cookies, which are stored nowhere."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._sessions = database["sessions"]

    async def begin(self, key: str, now: datetime) -> str:
        """A new session's cookie."""
        cookie = secrets.token_urlsafe(32)
        await self._sessions.insert_one({"_id": _hash(cookie), "key": key, "until": now + LIFETIME})
        return cookie

    async def key_of(self, cookie: str, now: datetime) -> str | None:
        """The id of the key that opened a session; None where it is over or unknown."""
        found = await self._sessions.find_one({"_id": _hash(cookie)}) if cookie else None
        return found["key"] if found is not None and found["until"] > now else None

    async def end(self, cookie: str) -> None:
        """Ends a session, for every copy of its cookie."""
        await self._sessions.delete_one({"_id": _hash(cookie)})


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode(errors="replace")).hexdigest()
