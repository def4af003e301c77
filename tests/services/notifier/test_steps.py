"""Steps of one exchange to one channel, against a real MongoDB and a real receiver."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from pymongo.asynchronous.collection import AsyncCollection

from rapport.contracts.events import Alert, Channel, Step, WebhookChannel
from rapport.kit import mongo
from services.notifier import claims, outbox
from services.notifier.claims import Claim
from services.notifier.outbox import Told
from services.notifier.slots import Barred
from services.notifier.steps import Turn, turn
from tests.services.notifier.conftest import Servers, World, a_missing_post, an_alert
from tests.services.notifier.receivers import Answer
from tests.waiting import until

pytestmark = pytest.mark.stack

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LEASE = timedelta(seconds=45)
HOOK = WebhookChannel(id="hook", url="https://receiver.example/", secret="whsec_c2VjcmV0")
OTHER = WebhookChannel(id="other", url="https://receiver.example/", secret="whsec_c2VjcmV0")

Rows = AsyncCollection[outbox.Row]


class Outbox:
    """One exchange's steps in an outbox of the test's own."""

    def __init__(self, mongodb: str, database: str) -> None:
        self._mongodb = mongodb
        self._database = database
        with mongo.client(mongodb) as client:
            outbox.prepare(outbox.deliveries(client[database]))

    def insert(self, step: Step, minute: int, *, offset: int = 0, exchange: str = "e", to: Channel = HOOK) -> Alert:
        alert = an_alert("acme", step, exchange=exchange, created_at=NOW + timedelta(minutes=minute))
        with mongo.client(self._mongodb) as client:
            outbox.insert(outbox.deliveries(client[self._database]), [Told(alert, (to,), offset)], NOW)
        return alert

    def tell(self, story: Callable[[Rows], Awaitable[None]]) -> dict[str, outbox.Row]:
        """Runs a story and gives the rows by step."""

        async def connected() -> dict[str, outbox.Row]:
            async with mongo.async_client(self._mongodb) as client:
                rows = outbox.async_deliveries(client[self._database])
                await story(rows)
                return {row["step"]: row async for row in rows.find()}

        return asyncio.run(connected())


@pytest.fixture
def box(stack: Servers, database: str) -> Outbox:
    return Outbox(stack.mongodb, database)


@pytest.fixture
def answered_late(box: Outbox) -> Outbox:
    """With an exchange that was overdue, and answered five minutes later."""
    box.insert("breach", 0)
    box.insert("resolved", 5)
    return box


async def claimed(rows: Rows, step: str, at: datetime = NOW) -> Claim:
    """Claims the row of a step, passing over the others as if their channels were busy."""
    await rows.update_many({"status": "pending", "lease.until": None}, {"$set": {"next_attempt_at": at + LEASE}})
    await rows.update_one({"step": step}, {"$set": {"next_attempt_at": at - LEASE}})
    claim = await claims.claim(rows, "webhook", at, LEASE, Barred())
    assert claim is not None
    assert claim.step == step
    return claim


def test_a_step_that_is_claimed_after_a_later_one_is_there_is_skipped(answered_late: Outbox) -> None:
    async def story(rows: Rows) -> None:
        assert await turn(rows, await claimed(rows, "breach"), NOW) is Turn.SKIPPED
        assert await turn(rows, await claimed(rows, "resolved"), NOW) is Turn.SEND

    found = answered_late.tell(story)
    assert (found["breach"]["status"], found["breach"]["overtaken_by"]) == ("skipped", "resolved")
    assert (found["breach"]["attempts"], found["breach"]["lease"]["until"]) == (0, None)


def test_the_last_step_skips_all_that_wait_before_it(box: Outbox) -> None:
    steps: tuple[Step, ...] = ("warning", "breach", "escalation", "retracted")
    for minute, step in enumerate(steps):
        box.insert(step, minute)
    box.insert("breach", 0, exchange="another")
    box.insert("breach", 0, to=OTHER)

    async def story(rows: Rows) -> None:
        assert await turn(rows, await claimed(rows, "retracted"), NOW) is Turn.SEND
        skipped = {row["_id"]: row["overtaken_by"] async for row in rows.find({"status": "skipped"})}
        assert list(skipped.values()) == ["retracted"] * 3
        assert await rows.count_documents({"status": "pending"}) == 3

    box.tell(story)


def test_a_step_waits_while_the_one_before_it_is_being_sent(answered_late: Outbox) -> None:
    async def story(rows: Rows) -> None:
        sending = await claimed(rows, "breach")
        assert await turn(rows, await claimed(rows, "resolved"), NOW) is Turn.WAIT
        row = await rows.find_one({"step": "resolved"})
        assert row is not None
        assert (row["status"], row["attempts"], row["next_attempt_at"]) == ("pending", 0, NOW + claims.GIVEN_BACK_FOR)
        assert await claims.delivered(rows, sending, NOW)
        assert await turn(rows, await claimed(rows, "resolved", NOW + LEASE), NOW) is Turn.SEND

    assert answered_late.tell(story)["breach"]["status"] == "delivered"


def test_the_step_of_an_owner_that_died_holds_up_the_next_for_a_lease_at_most(answered_late: Outbox) -> None:
    async def story(rows: Rows) -> None:
        await claimed(rows, "breach")
        assert await turn(rows, await claimed(rows, "resolved"), NOW) is Turn.WAIT
        assert await turn(rows, await claimed(rows, "resolved", NOW + LEASE), NOW + LEASE) is Turn.SEND

    assert answered_late.tell(story)["breach"]["status"] == "skipped"


def test_steps_of_one_moment_are_in_the_order_of_the_log(box: Outbox) -> None:
    box.insert("resolved", 0, offset=12)
    box.insert("breach", 0, offset=9)

    async def story(rows: Rows) -> None:
        assert await turn(rows, await claimed(rows, "resolved"), NOW) is Turn.SEND

    assert box.tell(story)["breach"]["overtaken_by"] == "resolved"


def test_rows_from_before_there_was_an_order_are_put_in_order_by_their_time(answered_late: Outbox) -> None:
    async def story(rows: Rows) -> None:
        await rows.update_many({}, {"$unset": {"offset": 1, "overtaken_by": 1}})
        assert await turn(rows, await claimed(rows, "resolved"), NOW) is Turn.SEND

    assert answered_late.tell(story)["breach"]["status"] == "skipped"


def test_a_row_that_holds_no_alert_is_left_to_the_sender(answered_late: Outbox) -> None:
    async def story(rows: Rows) -> None:
        await rows.update_one({"step": "breach"}, {"$unset": {"payload.created_at": 1}})
        assert await turn(rows, await claimed(rows, "breach"), NOW) is Turn.SEND
        assert await turn(rows, await claimed(rows, "resolved"), NOW) is Turn.SEND

    answered_late.tell(story)


@pytest.fixture(scope="module")
def notifiers(world: World) -> World:
    """Two of them, who may take any row in turn."""
    for _ in range(2):
        world.start(RAPPORT_ALLOW_PRIVATE="true")
    return world


def test_overdue_is_not_told_after_answered(notifiers: World) -> None:
    world = notifiers
    world.receiver.answers["/order"] = [Answer(500), Answer(500)]
    brand = world.brand(world.receiver.channel("hook", "/order"))
    overdue = world.alert(brand)
    world.row_when(overdue, "hook", "was refused", lambda row: row["attempts"] >= 1)
    answered = msgspec.structs.replace(overdue, id="a-" + overdue.id, step="resolved", created_at=datetime.now(UTC))
    world.publish(answered)

    assert world.ended(answered, "hook")["status"] == "delivered"
    row = world.ended(overdue, "hook")
    told = [post.event["type"] for post in world.receiver.posts["/order"]]
    assert told[-1] == "alert.resolved"
    assert (row["status"], row["overtaken_by"], row["last_error"]) == (
        "skipped",
        "resolved",
        "the receiver answered 500",
    )


def test_steps_arrive_in_order_however_many_notifiers_there_are(notifiers: World) -> None:
    world = notifiers
    brand = world.brand(world.receiver.channel("hook", "/steps"))
    steps: tuple[Step, ...] = ("warning", "breach", "escalation", "resolved")
    begun = datetime.now(UTC)
    last: list[Alert] = []
    for number in range(20):
        exchange = f"{brand}-{number}"
        for place, step in enumerate(steps):
            created = begun + timedelta(milliseconds=place)
            last.append(world.alert(brand, step=step, exchange=exchange, created_at=created))
    for alert in last:
        world.ended(alert, "hook")

    told: dict[str, list[str]] = {}
    for post in world.receiver.posts["/steps"]:
        told.setdefault(post.event["data"]["exchange"], []).append(post.event["data"]["step"])
    assert len(told) == 20
    for sequence in told.values():
        assert sequence == sorted(sequence, key=[str(step) for step in steps].index)
        assert sequence[-1] == "resolved"
    until(lambda: world.rows.count_documents({"brand": brand, "status": "pending"}) == 0, "nothing waits")


@pytest.mark.parametrize(
    ("stored", "became"),
    [
        ({}, None),
        ({"published": "post"}, "published"),
        ({"state": "cancelled"}, "cancelled"),
        ({"planned_at": NOW}, "moved"),
        ({"approval": "refused"}, "not approved"),
        (None, "removed"),
    ],
)
def test_a_reminder_that_waited_is_skipped_where_its_post_is_no_longer_missing(
    stack: Servers, database: str, box: Outbox, stored: dict[str, object] | None, became: str | None
) -> None:
    missing = a_missing_post("acme", planned_at=NOW - timedelta(hours=5), created_at=NOW - timedelta(hours=4))
    with mongo.client(stack.mongodb) as client:
        found = client[database]
        outbox.insert(outbox.deliveries(found), [Told(missing, (HOOK,))], NOW)
        plan = {"_id": "acme/monday", "published": None, "state": "planned", "planned_at": missing.planned_at}
        plan |= {"approval": "approved"}
        found["planned_posts"].insert_one({"_id": "other/monday", "published": "post"})
        if stored is not None:
            found["planned_posts"].insert_one({**plan, **stored})

    async def story(rows: Rows) -> None:
        expected = Turn.SEND if became is None else Turn.SKIPPED
        assert await turn(rows, await claimed(rows, outbox.MISSING), NOW) is expected

    row = box.tell(story)[outbox.MISSING]
    assert (row["status"], row.get("overtaken_by")) == ("pending" if became is None else "skipped", became)


def test_an_alert_written_by_a_clock_that_was_ahead_is_due_by_that_of_the_scorer(
    stack: Servers, database: str, box: Outbox
) -> None:
    alert = an_alert("acme", created_at=NOW)
    with mongo.client(stack.mongodb) as client:
        outbox.insert(outbox.deliveries(client[database]), [Told(alert, (HOOK,))], NOW + timedelta(days=1))

    async def story(rows: Rows) -> None:
        assert await claims.claim(rows, "webhook", NOW, LEASE, Barred()) is not None

    box.tell(story)


def test_what_a_clock_that_was_ahead_holds_is_due_once_it_has_not_moved_for_a_lease(
    stack: Servers, database: str, box: Outbox
) -> None:
    ahead = NOW + timedelta(days=3)
    with mongo.client(stack.mongodb) as client:
        rows = outbox.deliveries(client[database])
        for name in ("left", "tried", "alive", "waits"):
            outbox.insert(rows, [Told(an_alert("acme", id=name, created_at=NOW), (HOOK,))], NOW)
        held = {"lease": {"token": 1, "until": ahead}, "next_attempt_at": ahead}
        rows.update_many({"alert": {"$in": ["left", "alive"]}}, {"$set": held})
        rows.update_one({"alert": "tried"}, {"$set": {"next_attempt_at": ahead}})
        rows.update_one({"alert": "waits"}, {"$set": {"next_attempt_at": NOW + timedelta(hours=4)}})

    async def story(rows: Rows) -> None:
        found, lease = claims.Stranded(LEASE), LEASE.total_seconds()
        for running in (0.0, lease - 1):
            assert await found.free(rows, "webhook", NOW, running) == 0
        await rows.update_one({"alert": "alive"}, {"$set": {"next_attempt_at": ahead + LEASE}})
        assert await found.free(rows, "webhook", NOW, lease) == 2
        assert await found.free(rows, "webhook", NOW, lease) == 0
        due = [row["alert"] async for row in rows.find({"next_attempt_at": NOW}, sort=[("alert", 1)])]
        assert due == ["left", "tried"]
        late = await rows.find_one({"alert": "alive"})
        assert late is not None
        assert late["lease"]["until"] == ahead

    box.tell(story)


def test_a_reminder_that_was_skipped_is_sent_where_its_post_is_missing_after_all(
    stack: Servers, database: str, box: Outbox
) -> None:
    missing = a_missing_post("acme", planned_at=NOW - timedelta(hours=5), created_at=NOW - timedelta(hours=4))
    plan = {"_id": "acme/monday", "published": None, "state": "planned", "planned_at": missing.planned_at}
    with mongo.client(stack.mongodb) as client:
        views = client[database]
        plans, rows_here = views["planned_posts"], outbox.deliveries(views)
        outbox.insert(rows_here, [Told(missing, (HOOK,))], NOW)
        plans.insert_one({**plan, "approval": "wanted"})

        async def story(rows: Rows) -> None:
            assert await turn(rows, await claimed(rows, outbox.MISSING), NOW) is Turn.SKIPPED
            plans.update_one({}, {"$set": {"approval": "approved"}})
            again = msgspec.structs.replace(missing, created_at=NOW, owner="Grace")
            assert outbox.insert(rows_here, [Told(again, (HOOK,))], NOW) == 0
            claim = await claimed(rows, outbox.MISSING)
            assert claim.payload["owner"] == "Grace"
            assert await turn(rows, claim, NOW) is Turn.SEND
            assert await claims.delivered(rows, claim, NOW)
            outbox.insert(rows_here, [Told(again, (HOOK,))], NOW)

        row = box.tell(story)[outbox.MISSING]
    assert (row["status"], row["overtaken_by"]) == ("delivered", None)
