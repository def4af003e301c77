"""The outbox against a real MongoDB: claims, leases, fencing, and when to try again."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from pymongo.asynchronous.collection import AsyncCollection

from rapport.contracts.events import MailChannel, Notice, UnknownChannel, WebhookChannel
from rapport.domain.erasing import erased_name
from rapport.kit import mongo
from services.notifier import claims, outbox
from services.notifier.slots import Barred
from tests.services.notifier.conftest import Servers, a_missing_post, an_alert

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LEASE = timedelta(seconds=45)
HOOK = WebhookChannel(id="hook", url="https://receiver.example/", secret="whsec_c2VjcmV0")
OTHER = WebhookChannel(id="other", url="https://receiver.example/", secret="whsec_c2VjcmV0")
MAIL = MailChannel(id="team", to="team@acme.example")

T = TypeVar("T")
Rows = AsyncCollection[outbox.Row]


@pytest.fixture
def filled(stack: Servers, database: str) -> Callable[..., None]:
    """Inserts alerts for channels into the outbox of the test."""

    def insert(alert: Notice, *channels: Any, now: datetime = NOW) -> None:
        with mongo.client(stack.mongodb) as client:
            rows = outbox.deliveries(client[database])
            outbox.prepare(rows)
            outbox.insert(rows, [outbox.Told(alert, channels)], now)

    return insert


@pytest.fixture
def within(stack: Servers, database: str) -> Callable[[Callable[[Rows], Awaitable[Any]]], Any]:
    """Runs a story with the outbox of the test."""

    def run(story: Callable[[Rows], Awaitable[T]]) -> T:
        async def connected() -> T:
            async with mongo.async_client(stack.mongodb) as client:
                return await story(outbox.async_deliveries(client[database]))

        return asyncio.run(connected())

    return run


@pytest.mark.stack
def test_a_claimed_row_is_not_claimed_again_before_its_lease_ends(filled: Any, within: Any) -> None:
    filled(an_alert("acme"), HOOK)

    async def story(rows: Rows) -> None:
        first = await claims.claim(rows, "webhook", NOW, LEASE, Barred())
        assert first is not None
        assert await claims.claim(rows, "webhook", NOW + LEASE - timedelta(seconds=1), LEASE, Barred()) is None
        second = await claims.claim(rows, "webhook", NOW + LEASE, LEASE, Barred())
        assert second is not None
        assert (second.id, second.token) == (first.id, first.token + 1)

    within(story)


@pytest.mark.stack
def test_a_failure_that_an_owner_reports_after_its_lease_was_taken_over_changes_nothing(
    filled: Any, within: Any
) -> None:
    filled(an_alert("acme"), HOOK)

    async def story(rows: Rows) -> None:
        stalled = await claims.claim(rows, "webhook", NOW, LEASE, Barred())
        new = await claims.claim(rows, "webhook", NOW + LEASE, LEASE, Barred())
        assert stalled is not None
        assert new is not None
        assert not await claims.failed(rows, stalled, "too late to say so")
        assert not await claims.postponed(rows, stalled, "too late to say so", NOW, NOW)
        assert not await claims.renewed(rows, stalled, NOW + 9 * LEASE)
        assert await claims.delivered(rows, new, NOW + LEASE)
        assert not await claims.delivered(rows, stalled, NOW)
        row = await rows.find_one({"_id": new.id})
        assert row is not None
        assert (row["status"], row["attempts"], row["last_error"]) == ("delivered", 1, None)

    within(story)


@pytest.mark.stack
def test_what_has_arrived_is_marked_whoever_holds_the_claim_by_now(filled: Any, within: Any) -> None:
    filled(an_alert("acme"), HOOK)

    async def story(rows: Rows) -> None:
        slow = await claims.claim(rows, "webhook", NOW, LEASE, Barred())
        new = await claims.claim(rows, "webhook", NOW + LEASE, LEASE, Barred())
        assert slow is not None
        assert new is not None
        assert await claims.delivered(rows, slow, NOW + LEASE)
        assert not await claims.failed(rows, new, "it has arrived meanwhile")
        assert not await claims.postponed(rows, new, "it has arrived meanwhile", NOW, NOW)
        row = await rows.find_one({"_id": new.id})
        assert row is not None
        assert (row["status"], row["attempts"], row["last_error"]) == ("delivered", 1, None)

    within(story)


@pytest.mark.stack
def test_a_claim_that_is_renewed_is_not_claimed_by_others(filled: Any, within: Any) -> None:
    filled(an_alert("acme"), HOOK)

    async def story(rows: Rows) -> None:
        first = await claims.claim(rows, "webhook", NOW, LEASE, Barred())
        assert first is not None
        assert await claims.renewed(rows, first, NOW + 2 * LEASE)
        assert await claims.claim(rows, "webhook", NOW + LEASE, LEASE, Barred()) is None
        assert await claims.claim(rows, "webhook", NOW + 2 * LEASE, LEASE, Barred()) is not None

    within(story)


@pytest.mark.stack
def test_the_rows_of_a_busy_channel_are_passed_over(filled: Any, within: Any) -> None:
    filled(an_alert("acme", id="a"), HOOK, OTHER, MAIL)
    filled(an_alert("other-brand", id="b"), HOOK, now=NOW + timedelta(seconds=1))

    async def story(rows: Rows) -> None:
        later = NOW + timedelta(seconds=2)
        busy = Barred(lanes={("acme", "hook"), ("acme", "other")})
        found = await claims.claim(rows, "webhook", later, LEASE, busy)
        assert found is not None
        assert found.id == "b/hook"
        assert await claims.claim(rows, "webhook", later, LEASE, busy) is None

    within(story)


@pytest.mark.stack
def test_the_rows_of_a_brand_that_must_wait_are_passed_over(filled: Any, within: Any) -> None:
    filled(an_alert("acme", id="a"), HOOK, OTHER, MAIL)
    filled(an_alert("other-brand", id="b"), HOOK, now=NOW + timedelta(seconds=1))

    async def story(rows: Rows) -> None:
        found = await claims.claim(rows, "webhook", NOW + timedelta(seconds=2), LEASE, Barred(brands={"acme"}))
        assert found is not None
        assert found.id == "b/hook"

    within(story)


@pytest.mark.stack
def test_inserting_again_leaves_a_row_as_it_is(filled: Any, within: Any) -> None:
    alert = an_alert("acme")
    filled(alert, HOOK)

    async def deliver(rows: Rows) -> None:
        claim = await claims.claim(rows, "webhook", NOW, LEASE, Barred())
        assert claim is not None
        await claims.delivered(rows, claim, NOW)

    within(deliver)
    filled(alert, HOOK, MAIL)

    async def look(rows: Rows) -> list[tuple[str, str]]:
        return sorted([(row["channel"], row["status"]) async for row in rows.find()])

    assert within(look) == [("hook", "delivered"), ("team", "pending")]


@pytest.mark.stack
def test_an_alert_about_somebody_whom_the_brand_erased_is_written_without_name_and_words(
    stack: Servers, database: str, filled: Any, within: Any
) -> None:
    with mongo.client(stack.mongodb) as client:
        name = erased_name("acme", "bluesky", "did:plc:ada")
        client[database]["erased"].insert_one({"_id": f"acme/{name}", "brand": "acme"})
    filled(an_alert("acme", id="a"), HOOK)
    filled(an_alert("other-brand", id="b"), HOOK)
    filled(a_missing_post("acme", id="c"), HOOK)

    async def look(rows: Rows) -> dict[str, Any]:
        return {row["alert"]: row["payload"] async for row in rows.find()}

    found = within(look)
    assert (found["a"]["follower"], found["a"]["first"]) == ({"id": "erased"}, {"id": "erased"})
    assert found["b"]["follower"]["name"] == "Ada"
    assert found["c"]["plan"] == "monday"


@pytest.mark.stack
def test_claims_and_counts_use_an_index(filled: Any, within: Any) -> None:
    filled(an_alert("acme"), HOOK)

    async def story(rows: Rows) -> None:
        assert await outbox.pending(rows) == {"webhook": outbox.Waiting(1, NOW)}
        query = {
            "status": "pending",
            "channel_type": "webhook",
            "next_attempt_at": {"$lte": NOW},
            "brand": {"$nin": ["busy"]},
            "$nor": [{"brand": "slow", "channel": "hook"}],
        }
        plan: Any = await rows.find(query).sort("next_attempt_at", 1).explain()
        assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])
        assert "'SORT'" not in str(plan["queryPlanner"]["winningPlan"])

    within(story)


def test_a_first_failure_is_tried_again_within_seconds() -> None:
    drawn = [claims.next_attempt(1, NOW, NOW, None) for _ in range(200)]

    assert all(at is not None and timedelta() <= at - NOW <= timedelta(seconds=5) for at in drawn)
    assert len(set(drawn)) > 100


def test_waits_grow_but_stay_below_four_hours() -> None:
    drawn = [claims.next_attempt(60, NOW, NOW, None) for _ in range(200)]

    assert all(at is not None and at - NOW <= timedelta(hours=4) for at in drawn)
    assert max(at for at in drawn if at is not None) - NOW > timedelta(hours=1)


def test_what_the_receiver_asks_for_is_the_least_wait() -> None:
    at = claims.next_attempt(1, NOW, NOW, 3600)

    assert at is not None
    assert at >= NOW + timedelta(hours=1)


def test_a_receiver_that_stays_away_is_given_up_after_three_days() -> None:
    day_three = NOW + timedelta(days=2, hours=19)

    assert claims.next_attempt(40, NOW, day_three, None) is not None
    assert claims.next_attempt(40, NOW, NOW + timedelta(days=3, seconds=1), None) is None


@pytest.mark.parametrize("asked", [260_000.0, 345_600.0, 1e300, float("inf")])
def test_a_receiver_that_asks_for_days_or_years_is_still_tried_for_three_days(asked: float) -> None:
    """Time is simulated: the receiver asks for the same after each attempt."""
    now, attempts = NOW, 0
    while (following := claims.next_attempt(attempts + 1, NOW, now, asked)) is not None:
        now, attempts = following, attempts + 1
    assert attempts > 10
    assert now > NOW + timedelta(days=2)


def test_a_simulated_absence_of_two_days_is_bridged() -> None:
    """Time is simulated: the receiver is away for two days, and each failure moves the clock to the next attempt."""
    back, now, attempts = NOW + timedelta(days=2), NOW, 0
    while now < back:
        attempts += 1
        following = claims.next_attempt(attempts, NOW, now, None)
        assert following is not None
        now = following
    assert now < NOW + claims.TRIED_FOR
    assert attempts < 100


@pytest.mark.stack
def test_an_alert_whose_brand_became_unreadable_again_meanwhile_still_waits(stack: Servers, database: str) -> None:
    alert = an_alert("acme")
    with mongo.client(stack.mongodb) as client:
        rows = outbox.deliveries(client[database])
        outbox.prepare(rows)
        outbox.insert(rows, [outbox.Told(alert, (outbox.UNROUTED,))], NOW)
        [waiting] = outbox.unrouted(rows, "acme")
        outbox.routed(rows, [waiting._replace(channels=(outbox.UNROUTED,))], NOW)
        assert [each.notice.id for each in outbox.unrouted(rows, "acme")] == [alert.id]


@pytest.mark.stack
def test_a_channel_whose_type_is_called_unrouted_is_no_alert_without_channels(stack: Servers, database: str) -> None:
    with mongo.client(stack.mongodb) as client:
        rows = outbox.deliveries(client[database])
        outbox.prepare(rows)
        outbox.insert(rows, [outbox.Told(an_alert("acme"), (UnknownChannel(id="x", type="unrouted"),))], NOW)
        assert outbox.unrouted_brands(rows) == []
        assert outbox.unrouted(rows, "acme") == []
