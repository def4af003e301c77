"""The loop that sends, against a real MongoDB."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import AutoReconnect

from rapport.contracts.events import Channel, Notice, WebhookChannel
from rapport.kit import mongo
from services.notifier import claims, outbox
from services.notifier.sender import Sender
from services.notifier.slots import Slots
from tests.services.notifier.conftest import Servers, an_alert

pytestmark = pytest.mark.stack

LEASE = timedelta(seconds=6)
HOOK = WebhookChannel(id="hook", url="https://receiver.example/", secret="whsec_c2VjcmV0")


class OneChannel:
    """A directory of one channel."""

    def channel(self, brand: str, channel: str) -> Channel | None:
        return HOOK

    def cannot_tell(self, brand: str, channel: str) -> str | None:
        return None


@asynccontextmanager
async def sending(
    stack: Servers,
    database: str,
    send: Callable[[str, Notice, Channel], Awaitable[None]],
    slots: Slots,
    lease: timedelta = LEASE,
) -> AsyncIterator[tuple[Sender, AsyncCollection[outbox.Row]]]:
    """A sender that runs meanwhile, and its rows."""
    async with mongo.async_client(stack.mongodb) as client:
        rows = outbox.async_deliveries(client[database])
        sender = Sender("webhook", send, rows, OneChannel(), lease=lease, slots=slots)  # type: ignore[arg-type]
        stop = asyncio.Event()
        running = asyncio.create_task(sender.run(stop))
        yield sender, rows
        stop.set()
        sender.wake()
        await running


def test_a_fault_of_ours_counts_as_an_attempt_and_ends_some_time(stack: Servers, database: str) -> None:
    now = datetime.now(UTC)
    with mongo.client(stack.mongodb) as client:
        rows = outbox.deliveries(client[database])
        outbox.prepare(rows)
        outbox.insert(rows, [outbox.Told(an_alert("young"), [HOOK])], now)
        outbox.insert(rows, [outbox.Told(an_alert("old"), [HOOK])], now)
        since = now - claims.TRIED_FOR + timedelta(seconds=1)
        rows.update_one({"brand": "old"}, {"$set": {"attempts": 1, "tried_since": since}})

    async def fault(id: str, notice: Notice, channel: Channel) -> None:
        raise RuntimeError("secret detail")

    async def story() -> dict[str, Any]:
        async with sending(stack, database, fault, Slots(4, 4)) as (_, rows):
            still = {"$or": [{"attempts": 0}, {"brand": "old", "status": "pending"}]}
            async with asyncio.timeout(30):
                while await rows.count_documents(still):  # noqa: ASYNC110 - the database tells nobody
                    await asyncio.sleep(0.02)
        with mongo.client(stack.mongodb) as client:
            return {row["brand"]: row for row in outbox.deliveries(client[database]).find()}

    found = asyncio.run(story())
    assert found["young"]["attempts"] >= 1
    assert found["young"]["status"] == "pending"
    assert found["old"]["status"] == "failed"
    assert {row["last_error"] for row in found.values()} == {"an internal error; see the notifier's log"}


def test_a_channel_that_cannot_be_told_is_not_taken_for_a_quick_one(
    stack: Servers, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OneChannel, "cannot_tell", lambda *_: "waits")
    with mongo.client(stack.mongodb) as client:
        rows = outbox.deliveries(client[database])
        outbox.prepare(rows)
        outbox.insert(rows, [outbox.Told(an_alert("acme"), [HOOK])], datetime.now(UTC))

    async def never(id: str, notice: Notice, channel: Channel) -> None:
        raise AssertionError("it cannot be told")

    async def story() -> bool:
        slots = Slots(4, 4)
        async with sending(stack, database, never, slots) as (_, rows):
            async with asyncio.timeout(30):
                while await rows.count_documents({"last_error": None}):  # noqa: ASYNC110 - the database tells nobody
                    await asyncio.sleep(0.02)
        return slots.take(("acme", "hook"), 0).trial

    assert asyncio.run(story()), "nothing is known of it yet"


def test_what_arrived_while_mongodb_is_away_is_marked_when_it_is_back_and_not_sent_again(
    stack: Servers, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    away = iter(range(3))
    real = claims.delivered

    async def marked(rows: Any, claim: claims.Claim, now: datetime) -> bool:
        if next(away, None) is not None:
            raise AutoReconnect("away")
        return await real(rows, claim, now)

    monkeypatch.setattr(claims, "delivered", marked)
    with mongo.client(stack.mongodb) as client:
        rows = outbox.deliveries(client[database])
        outbox.prepare(rows)
        outbox.insert(rows, [outbox.Told(an_alert("acme"), [HOOK])], datetime.now(UTC))

    async def arrive(id: str, notice: Notice, channel: Channel) -> None:
        sent.append(id)

    async def story() -> None:
        async with sending(stack, database, arrive, Slots(4, 4), timedelta(minutes=5)) as (_, rows):
            async with asyncio.timeout(30):
                while not await rows.count_documents({"status": "delivered"}):  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.02)

    asyncio.run(story())
    assert len(sent) == 1


def test_brands_whose_channels_hang_hold_up_no_other_brand(stack: Servers, database: str) -> None:
    hooks = [WebhookChannel(id=f"hook-{n}", url=HOOK.url, secret=HOOK.secret) for n in range(3)]
    early = datetime.now(UTC) - timedelta(minutes=1)
    with mongo.client(stack.mongodb) as client:
        rows = outbox.deliveries(client[database])
        outbox.prepare(rows)
        told = [outbox.Told(an_alert(f"dead-{n}"), hooks) for n in range(10) for _ in range(5)]
        outbox.insert(rows, told, early)
        outbox.insert(rows, [outbox.Told(an_alert(f"calm-{n}"), [HOOK]) for n in range(50)], datetime.now(UTC))
    release = asyncio.Event()

    async def hang(id: str, notice: Notice, channel: Channel) -> None:
        if notice.brand.startswith("dead"):
            await release.wait()

    async def story() -> int:
        async with sending(stack, database, hang, Slots(8, 40), timedelta(minutes=5)) as (_, rows):
            async with asyncio.timeout(60):
                while await rows.count_documents({"status": "delivered"}) < 50:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.05)
            delivered = await rows.count_documents({"brand": {"$regex": "^dead"}, "status": "delivered"})
            release.set()
        return delivered

    assert asyncio.run(story()) == 0


def test_brands_with_much_to_send_take_turns(stack: Servers, database: str) -> None:
    early = datetime.now(UTC) - timedelta(minutes=1)
    with mongo.client(stack.mongodb) as client:
        rows = outbox.deliveries(client[database])
        outbox.prepare(rows)
        outbox.insert(rows, [outbox.Told(an_alert(f"busy-{n}"), [HOOK]) for n in range(6) for _ in range(20)], early)
        outbox.insert(rows, [outbox.Told(an_alert("calm"), [HOOK])], datetime.now(UTC))
    sent: list[str] = []

    async def arrive(id: str, notice: Notice, channel: Channel) -> None:
        await asyncio.sleep(0.02)
        sent.append(notice.brand)

    async def story() -> None:
        async with sending(stack, database, arrive, Slots(4, 4)), asyncio.timeout(30):
            while "calm" not in sent:  # noqa: ASYNC110 - the list tells nobody
                await asyncio.sleep(0.02)

    asyncio.run(story())
    assert sent.index("calm") < 20


def test_a_sender_says_that_it_can_claim_nothing_and_when_it_can_again(stack: Servers, database: str) -> None:
    with mongo.client(stack.mongodb) as client:
        outbox.prepare(outbox.deliveries(client[database]))
        client[database]["deliveries"].drop_index("due")

    async def send(id: str, notice: Notice, channel: Channel) -> None:
        """Never called."""

    async def story() -> None:
        async with sending(stack, database, send, Slots(4, 4)) as (sender, _), asyncio.timeout(30):
            while sender.trouble() != "mongodb gives no webhook to send":  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.02)
            with mongo.client(stack.mongodb) as blocking:
                outbox.prepare(outbox.deliveries(blocking[database]))
            while sender.trouble() is not None:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.02)

    asyncio.run(story())
