"""Whoever goes on with an errand waits until nobody can be sending it any more, whatever clocks say."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rapport.contracts.cursors import Cursor
from rapport.contracts.errands import ErrandState
from services.ingest.errands import desk
from services.ingest.errands.speaker import Done
from tests.services.ingest.errands.asking import errand

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


class _Speaker:
    def __init__(self) -> None:
        self.did: list[str] = []

    async def find(self, _: object) -> Done | None:
        self.did.append("looked")
        return None

    async def do(self, _: object) -> Done:
        self.did.append("sent")
        return Done("answer")


class _Leases:
    def __init__(self, state: ErrandState) -> None:
        self.state: Cursor = state

    def holds(self, _: object) -> bool:
        return True

    def get(self, _: bytes) -> Cursor:
        return self.state

    async def put(self, _: object, cursors: list[Cursor]) -> None:
        self.state = cursors[0]


@pytest.mark.parametrize("behind", [timedelta(), timedelta(minutes=5), -timedelta(minutes=5)])
async def test_the_clock_of_whoever_sent_it_before_says_nothing(
    behind: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "SETTLED", timedelta(seconds=0.5))
    account = SimpleNamespace(id="a", platform="facebook")
    one = errand("b", cast(Any, account), "t", at=NOW - timedelta(seconds=10))
    sending = ErrandState(brand="b", account="a", errand=one.id, state="sending", at=NOW - behind, claim=1)
    speaker, leases = _Speaker(), _Leases(sending)
    lease = SimpleNamespace(ended=False, claim=2, partition=0)
    made = desk.Desk(
        {"facebook": lambda _: speaker}, cast(Any, leases), cast(Any, None), lambda _: ("b", cast(Any, account)),
        lambda: NOW, logging.getLogger("test"),
    )  # fmt: skip
    began = asyncio.get_running_loop().time()
    try:
        made.take(cast(Any, lease), one)
        async with asyncio.timeout(20):
            while "sent" not in speaker.did:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
    finally:
        await made.close()
    assert asyncio.get_running_loop().time() - began >= 0.5
    assert speaker.did == ["looked", "sent"]
