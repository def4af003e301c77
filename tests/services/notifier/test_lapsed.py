"""A lease that has lapsed before anything was sent: whoever has the row by then sends it, and nobody else."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.asynchronous.collection import AsyncCollection

from rapport.contracts.events import Alert, Channel, Notice
from rapport.kit import mongo
from services.notifier import claims, outbox
from services.notifier.channels import DeliveryError
from services.notifier.sender import Sender
from services.notifier.slots import Slots
from tests.services.notifier.conftest import Servers, an_alert
from tests.services.notifier.test_sender import HOOK, OneChannel, sending

pytestmark = pytest.mark.stack
LEASE = timedelta(seconds=2)
Sent = list[tuple[str, str]]


class Held(OneChannel):
    """Does not know the channel before the brands have been read to their end, which takes until it is let go."""

    def __init__(self) -> None:
        self.known = False
        self.let_go = threading.Event()

    def channel(self, brand: str, channel: str) -> Channel | None:
        """None until the brands were read."""
        return HOOK if self.known else None

    def catch_up(self) -> None:
        """Returns once it is let go."""
        assert self.let_go.wait(60)
        self.known = True


def put(stack: Servers, database: str, alert: Alert, at: datetime | None = None) -> None:
    with mongo.client(stack.mongodb) as client:
        rows = outbox.deliveries(client[database])
        outbox.prepare(rows)
        outbox.insert(rows, [outbox.Told(alert, [HOOK])], at or datetime.now(UTC))


async def until(rows: AsyncCollection[outbox.Row], **query: Any) -> None:
    async with asyncio.timeout(30):
        while not await rows.count_documents(query):  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.02)


async def two_senders(
    stack: Servers,
    database: str,
    slow_directory: OneChannel,
    meanwhile: Callable[[AsyncCollection[outbox.Row]], Awaitable[None]],
) -> Sent:
    """What two processes sent, the first of which has the row and its lease is over; `meanwhile` lets it go on."""
    sent: Sent = []

    def noted(name: str) -> Callable[[str, Notice, Channel], Awaitable[None]]:
        async def send(id: str, notice: Notice, channel: Channel) -> None:
            assert isinstance(notice, Alert)
            sent.append((name, notice.step))

        return send

    async with mongo.async_client(stack.mongodb) as client:
        rows, stop = outbox.async_deliveries(client[database]), asyncio.Event()
        senders = [
            Sender("webhook", noted(name), rows, its, lease=LEASE, slots=Slots(4, 4))  # type: ignore[arg-type]
            for name, its in (("slow", slow_directory), ("quick", OneChannel()))
        ]
        running = [asyncio.create_task(senders[0].run(stop))]
        await until(rows, **{"lease.token": 1})
        # As if the process had stood still: its lease is not renewed, and over.
        await rows.update_many({}, {"$set": {"next_attempt_at": datetime.now(UTC), "lease.until": datetime.now(UTC)}})
        running.append(asyncio.create_task(senders[1].run(stop)))
        await meanwhile(rows)
        stop.set()
        for sender in senders:
            sender.wake()
        await asyncio.gather(*running)
    return sent


def test_what_another_process_has_sent_meanwhile_is_not_sent_again(stack: Servers, database: str) -> None:
    put(stack, database, an_alert("acme"))
    directory = Held()

    async def meanwhile(rows: AsyncCollection[outbox.Row]) -> None:
        await until(rows, status="delivered")
        await asyncio.sleep(LEASE.total_seconds() / 2)  # what was just claimed is not looked at again
        directory.let_go.set()

    assert asyncio.run(two_senders(stack, database, directory, meanwhile)) == [("quick", "breach")]


def test_a_step_that_was_overtaken_meanwhile_is_not_sent_after_the_later_one(stack: Servers, database: str) -> None:
    now = datetime.now(UTC)
    put(stack, database, an_alert("acme", "breach", exchange="e", created_at=now))
    directory = Held()

    async def meanwhile(rows: AsyncCollection[outbox.Row]) -> None:
        later = an_alert("acme", "resolved", exchange="e", created_at=now + timedelta(minutes=1))
        await asyncio.to_thread(put, stack, database, later)
        await until(rows, step="resolved", status="delivered")
        await asyncio.sleep(LEASE.total_seconds() / 2)
        directory.let_go.set()

    sent = asyncio.run(two_senders(stack, database, directory, meanwhile))
    assert [step for _, step in sent] in (["resolved"], ["breach", "resolved"])


def test_a_claim_whose_answer_took_longer_than_the_lease_is_looked_at_again(
    stack: Servers, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(stack, database, an_alert("acme"))
    claim, let_go = claims.claim, asyncio.Event()
    first = iter([True])

    async def slowly(*asked: Any) -> claims.Claim | None:
        found = await claim(*asked)
        if found is not None and next(first, False):
            await asyncio.sleep(LEASE.total_seconds() / 2)
            await let_go.wait()
        return found

    monkeypatch.setattr(claims, "claim", slowly)

    async def meanwhile(rows: AsyncCollection[outbox.Row]) -> None:
        await until(rows, status="delivered")
        let_go.set()

    assert asyncio.run(two_senders(stack, database, OneChannel(), meanwhile)) == [("quick", "breach")]


def test_what_waited_for_days_is_tried_as_long_as_anything_else(stack: Servers, database: str) -> None:
    put(stack, database, an_alert("acme"), datetime.now(UTC) - claims.TRIED_FOR - timedelta(days=1))
    tries: list[int] = []

    async def send(id: str, notice: Notice, channel: Channel) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise DeliveryError("the receiver answered 503")

    async def story() -> outbox.Row | None:
        async with sending(stack, database, send, Slots(4, 4)) as (_, rows):
            await until(rows, status={"$ne": "pending"})
            return await rows.find_one()

    row = asyncio.run(story())
    assert row is not None
    assert (row["status"], row["attempts"]) == ("delivered", 2)


def test_an_answer_that_took_as_long_as_it_holds_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter((True, False))

    async def renewed(*_: object) -> bool:
        await asyncio.sleep(0.4)
        return next(answers)

    async def nothing(*_: object) -> None:
        pass

    monkeypatch.setattr(claims, "renewed", renewed)
    rows: Any = None
    sender = Sender("webhook", nothing, rows, OneChannel(), lease=timedelta(seconds=0.6), slots=Slots(4, 4))  # type: ignore[arg-type]
    claim = claims.Claim("a/hook", 1, "acme", "hook", 0, None, datetime.now(UTC), {}, "breach", 0, "")
    assert not asyncio.run(sender._is_ours(claim, time.monotonic() - 1))
