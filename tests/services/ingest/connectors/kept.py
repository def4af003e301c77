"""A reader of one account without a broker and without a network: what it told, and what it remembers."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from rapport.contracts.controls import FollowerAway
from rapport.contracts.cursors import AccountState, Cursor, Position, Remembered, position_key, state_key, thing_key
from rapport.contracts.events import Account, Interaction
from rapport.kit.http.outgoing import Guard
from services.ingest.broker import Broker
from services.ingest.connectors.connector import Shared
from services.ingest.polling.api import Api
from services.ingest.polling.reading import Reading

Answer = Callable[[str, Mapping[str, str]], bytes]


class Kept(Reading):
    """A Reading that keeps everything itself."""

    def __init__(self, account: Account, now: Callable[[], datetime]) -> None:
        self.account = account
        self.now = now
        self.latest_at = None
        self.told: list[Interaction] = []
        self.cursors: dict[bytes, Cursor] = {}
        self._streaming_since = None
        self._skipped = set()

    @property
    def claim(self) -> int:
        """See Reading."""
        return 1

    def state(self) -> AccountState | None:
        """See Reading."""
        found = self._get(state_key(self.account.id))
        return found if isinstance(found, AccountState) else None

    def _get(self, key: bytes) -> Any:
        return self.cursors.get(key)

    async def _append(self, interactions: Sequence[Interaction], away: Iterable[FollowerAway]) -> None:
        self.told += interactions

    async def _remember(self, cursors: Sequence[Cursor]) -> None:
        for one in cursors:
            match one:
                case Position():
                    self.cursors[position_key(one.account, one.list)] = one
                case Remembered():
                    self.cursors[thing_key(one.account, one.thing)] = one
                case AccountState():
                    self.cursors[state_key(one.account)] = one
                case _:
                    raise AssertionError(one)


class Answers(Api):
    """An interface that is answered by a function of the path and of what is asked."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._answer = answer

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """See Api."""
        self.asked.append((path, dict(query or {})))
        return self._answer(path, query or {})

    async def post(
        self, path: str, content: bytes = b"", query: Mapping[str, str] | None = None, *,
        kind: str = "application/x-www-form-urlencoded", method: str = "POST",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> bytes:  # fmt: skip
        """See Api. What is sent counts as what is asked."""
        return await self.get(path, {**(query or {}), **json.loads(content)})

    def count(self, part: str) -> int:
        """How many requests there were for paths with this in them."""
        return sum(part in path for path, _ in self.asked)


class Clock:
    """A time that stands until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 5, 4, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


def shared(now: Callable[[], datetime]) -> Shared:
    """What a connector gets, for one that uses no broker and no network."""
    return Shared(Path(), cast(Broker, None), now, logging.getLogger("test"), Guard(allow_private=True))
