"""The editorial calendar over HTTP, with the upkeep that finds which post is which planned one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import icalendar
import pytest
from kafka.errors import KafkaTimeoutError
from kafka.structs import OffsetAndMetadata
from msgspec import structs
from pymongo.database import Database

from rapport.contracts import codec
from rapport.contracts.controls import Heartbeat
from rapport.contracts.events import MissingPost
from rapport.contracts.topics import CONVERSATIONS, ENGAGEMENTS, PROJECTOR_GROUP, REMINDERS
from rapport.domain.times import ms
from rapport.kit.broker import kafka
from rapport.kit.mongo import Document
from rapport.kit.text import plain, written
from rapport.local.servers.stack import Running
from services.api.calendar import upkeep as calendar
from services.api.http.ids import follower_ref
from services.api.listening.documents import heartbeat_document
from services.api.projector import views as writing
from services.api.projector.batch import Batch
from services.api.projector.reached import read_to
from services.api.projector.upkeep.loop import TaskRun
from tests.services.api import facts
from tests.services.api.conftest import Served, own_brand
from tests.services.api.log import everything

pytestmark = pytest.mark.stack

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
TEXT = "A new roast from Guji is in the shop"


@pytest.fixture
def brand(api: Served, views: Database[Document]) -> str:
    """A brand with an account on Bluesky."""
    name = own_brand()
    api.brand(name)
    account = {"id": f"{name}-sky", "platform": "bluesky", "handle": "acme", "connected_at": "2026-01-01T00:00:00Z"}
    answer = api.client.post(f"/v1/brands/{name}/accounts", json=account)
    assert answer.status_code == 201, answer.text
    posted(views, name, account["id"])
    return name


def posted(views: Database[Document], brand: str, account: str) -> None:
    """An account's posts come: there was one long ago."""
    its = {"_id": f"{brand}/{account}/first", "brand": brand, "platform": "any", "account": account, "text": "Hello"}
    views["posts"].insert_one({**its, "label": None, "published_at": datetime(2026, 1, 2, tzinfo=UTC)})


def asked(api: Served, views: Database[Document], brand: str) -> str:
    """An account of the brand that is asked for what it posts."""
    account = f"{brand}-fedi"
    connection = {"service": "https://mastodon.example", "token": "secret"}
    new = {"id": account, "platform": "mastodon", "handle": "a", "connected_at": "2026-01-01T00:00:00Z"}
    answer = api.client.post(f"/v1/brands/{brand}/accounts", json={**new, "connection": connection})
    assert answer.status_code == 201, answer.text
    posted(views, brand, account)
    return account


def terms(brand: str, at: datetime = NOW - HOUR, **more: Any) -> dict[str, Any]:
    """A planned post."""
    return {"account": f"{brand}-sky", "planned_at": at.isoformat(), "text": TEXT, **more}


def plan(api: Served, brand: str, id: str = "guji", **more: Any) -> dict[str, Any]:
    """Plans one."""
    answer = api.client.post(f"/v1/brands/{brand}/calendar/posts", json={"id": id, **terms(brand, **more)})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def status(api: Served, brand: str, id: str = "guji") -> str:
    """Where a planned post stands."""
    found = api.client.get(f"/v1/brands/{brand}/calendar/posts/{id}").json()
    return str(found["status"])


def upkeep(views: Database[Document], stack: Running, now: datetime = NOW) -> None:
    """One turn of the upkeep of posts, then of the calendar. Ingest is there, and everything is stored."""
    listened(views, now)
    turn(views, stack, now)


def turn(
    views: Database[Document], stack: Running, now: datetime, read_to: Callable[[datetime], bool] = lambda _: True
) -> None:
    """The same as far as ingest was heard."""
    facts.upkeep(views)
    producer = kafka.producer(stack.kafka, "test")
    calendar.follow(TaskRun(views, producer, now, read_to=read_to))
    producer.close()


def listened(
    views: Database[Document],
    until: datetime,
    since: datetime = NOW - 3 * HOUR,
    instance: str = "i",
    **more: Any,
) -> None:
    """The log took heartbeats of an ingest process every minute from `since` until then."""
    batch = Batch()
    for partition in range(CONVERSATIONS.partitions):
        batch.heard[partition], batch.heard_since[partition] = until, since
    batch.heartbeats[instance] = heartbeat_document(Heartbeat(instance=instance, **more), ms(until))
    writing.write(views, batch)


def published(brand: str, id: str = "one", at: datetime = NOW - HOUR, text: str = TEXT, **more: Any) -> Any:
    """The interaction that tells a post."""
    return facts.post(id, brand, at, text, account=f"{brand}-sky", **more)


def reminders(stack: Running, brand: str) -> list[MissingPost]:
    """What was told of a brand's missing posts."""
    told = (codec.decode(codec.type_of(each.headers), each.value) for each in everything(stack.kafka, REMINDERS))
    return [each for each in told if each.brand == brand]


def ref(brand: str, views: Database[Document], id: str = "one") -> str:
    """A post's id in lists."""
    post = views["posts"].find_one({"post": f"at://{id}"})
    assert post is not None
    return follower_ref("bluesky", post["_id"].removeprefix(f"{brand}/bluesky/"))


def test_a_published_post_is_found_for_its_plan_and_has_its_label_in_whatever_order_they_come(
    api: Served, views: Database[Document], stack: Running, brand: str
) -> None:
    facts.write(views, published(brand, at=NOW - HOUR + timedelta(minutes=5), text=f"{TEXT} #coffee"))
    upkeep(views, stack)
    plan(api, brand, label="business")
    upkeep(views, stack)
    upkeep(views, stack)
    found = api.client.get(f"/v1/brands/{brand}/calendar/posts/guji").json()
    assert (found["status"], found["published"]) == ("on_time", ref(brand, views))
    post = views["posts"].find_one({"brand": brand, "post": "at://one"})
    assert post is not None
    assert (post["label"], post["label_by"]) == ("business", "plan")
    plan(api, brand, "later", at=NOW - timedelta(minutes=20), text="Our team at work this morning")
    facts.write(views, published(brand, "two", NOW, "Our team at work this morning"))
    upkeep(views, stack)
    assert status(api, brand, "later") == "late"
    facts.write(views, facts.about("two", "gone", brand, NOW, kind="delete"))
    upkeep(views, stack)
    upkeep(views, stack, NOW + HOUR)
    assert status(api, brand, "later") == "missing"
    facts.write(views, facts.about("one", "edited", brand, NOW, kind="edit", text="Something else altogether, sorry"))
    upkeep(views, stack)
    upkeep(views, stack)
    assert views["post_plans"].count_documents({}) == 0


def test_what_is_planned_and_does_not_come_is_told_once_for_each_time_that_it_was_planned_for(
    api: Served, views: Database[Document], stack: Running, brand: str
) -> None:
    at = NOW + HOUR
    plan(api, brand, at=at, owner="Grace")
    upkeep(views, stack, at + timedelta(minutes=29))
    assert (status(api, brand), reminders(stack, brand)) == ("planned", [])
    for minutes in (31, 40):
        upkeep(views, stack, at + timedelta(minutes=minutes))
    assert status(api, brand) == "missing"
    (told,) = reminders(stack, brand)
    assert (told.plan, told.planned_at, told.text, told.owner) == ("guji", at, TEXT, "Grace")
    api.client.put(f"/v1/brands/{brand}/calendar/posts/guji", json=terms(brand, at + HOUR))
    assert status(api, brand) == "planned"
    upkeep(views, stack, at + 2 * HOUR)
    assert len(reminders(stack, brand)) == 2
    facts.write(views, published(brand, at=at + 2 * HOUR))
    upkeep(views, stack, at + 3 * HOUR)
    assert (status(api, brand), len(reminders(stack, brand))) == ("late", 2)


def test_nobody_is_told_as_long_as_the_post_may_have_been_published_without_our_knowing(
    api: Served, views: Database[Document], stack: Running, brand: str
) -> None:
    at = NOW + HOUR
    due = at + timedelta(minutes=30)
    plan(api, brand, at=at)
    turn(views, stack, due)
    assert status(api, brand) == "planned", "ingest was never heard"
    listened(views, due - timedelta(seconds=1))
    turn(views, stack, due)
    assert status(api, brand) == "planned", "what came until then is not stored yet"
    listened(views, due, behind=(f"{brand}-sky",))
    turn(views, stack, due)
    assert status(api, brand) == "planned", "the account is being caught up with"
    listened(views, due)
    turn(views, stack, due, read_to=lambda at: at < due)
    assert status(api, brand) == "planned", "posts are not read that far"
    listened(views, due + 2 * timedelta(minutes=1), since=due + 2 * timedelta(minutes=1))
    turn(views, stack, due + timedelta(minutes=3))
    assert status(api, brand) == "planned", "ingest was away, and senders try again"
    assert reminders(stack, brand) == []
    facts.write(views, published(brand, at=at))
    upkeep(views, stack, due + timedelta(minutes=10))
    assert (status(api, brand), reminders(stack, brand)) == ("on_time", [])


def test_a_post_that_is_stored_and_not_built_yet_is_not_missing(
    api: Served, views: Database[Document], stack: Running, brand: str
) -> None:
    at = NOW + HOUR
    plan(api, brand, at=at)
    upkeep(views, stack, at)
    facts.write(views, published(brand, at=at))
    listened(views, at + HOUR)
    calendar.follow(TaskRun(views, None, at + HOUR))
    assert status(api, brand) == "planned"


def test_after_an_hour_without_news_it_is_told_once_that_nobody_knows(
    api: Served, views: Database[Document], stack: Running, brand: str
) -> None:
    at = NOW + HOUR
    plan(api, brand, at=at)
    for minutes in (30, 89):
        turn(views, stack, at + minutes * MINUTE)
    assert (status(api, brand), reminders(stack, brand)) == ("planned", [])
    for minutes in (90, 120):
        turn(views, stack, at + minutes * MINUTE)
    (told,) = reminders(stack, brand)
    assert (status(api, brand), told.unconfirmed) == ("missing", True)
    shown = api.client.get(f"/v1/brands/{brand}/calendar/posts/guji").json()
    assert shown["unconfirmed"] is True
    facts.write(views, published(brand, at=at))
    upkeep(views, stack, at + 121 * MINUTE)
    shown = api.client.get(f"/v1/brands/{brand}/calendar/posts/guji").json()
    assert (shown["status"], shown["unconfirmed"]) == ("on_time", False)


def test_after_an_outage_of_ours_the_hour_begins_when_the_post_is_first_looked_for(
    api: Served, views: Database[Document], stack: Running, brand: str
) -> None:
    at = NOW + HOUR
    plan(api, brand, at=at)
    plan(api, brand, "never", at=at, text="Nobody will ever see these words")
    upkeep(views, stack, at - 10 * MINUTE)
    back = at + 110 * MINUTE
    turn(views, stack, back)
    assert [status(api, brand, each) for each in ("guji", "never")] == ["planned", "planned"]
    facts.write(views, published(brand, at=at))
    turn(views, stack, back + MINUTE)
    assert status(api, brand) == "on_time", "the views have it a little later"
    # Planned for another time, it gets another hour.
    api.client.put(f"/v1/brands/{brand}/calendar/posts/never", json=terms(brand, at + 2 * HOUR, text="Nobody will"))
    turn(views, stack, back + HOUR)
    assert (status(api, brand, "never"), reminders(stack, brand)) == ("planned", [])
    turn(views, stack, back + 2 * HOUR)
    assert [each.unconfirmed for each in reminders(stack, brand)] == [True]


def test_a_post_that_lies_unread_in_the_log_is_not_missing(
    api: Served, views: Database[Document], stack: Running, brand: str
) -> None:
    at, account = NOW - 40 * MINUTE, asked(api, views, brand)
    plan(api, brand, at=at, account=account)
    views["planned_posts"].update_one({"brand": brand}, {"$set": {"created_at": at - HOUR}})
    # The projector has read all engagements so far. Then a look finds the post, and says up to when it has looked.
    everything_is_read(stack)
    post = structs.replace(published(brand, at=at + MINUTE), account=account, platform="mastodon")
    producer = kafka.producer(stack.kafka, "test")
    headers = codec.headers("rapport.interaction.v1", id=post.id, source="/test")
    sent = producer.send(ENGAGEMENTS.name, codec.encode(post), key=b"k", partition=0, headers=headers).get(30)
    producer.close()
    state = {"_id": account, "version": sent.timestamp, "brand": brand, "state": "live", "since": NOW}
    views["account_states"].insert_one({**state, "why": None, "checked_at": NOW, "posts_checked_at": NOW})
    listened(views, NOW)
    turn(views, stack, NOW, partial(read_to, stack.kafka))
    assert (status(api, brand), reminders(stack, brand)) == ("planned", [])
    facts.write(views, post)
    everything_is_read(stack)
    turn(views, stack, NOW + MINUTE, partial(read_to, stack.kafka))
    assert (status(api, brand), reminders(stack, brand)) == ("on_time", [])


def test_what_ingest_says_anew_all_the_time_keeps_no_reminder_back(
    api: Served, views: Database[Document], stack: Running, brand: str
) -> None:
    at = NOW + HOUR
    plan(api, brand, at=at)
    for seconds in range(0, 30, 5):
        now = at + 31 * MINUTE + timedelta(seconds=seconds)
        listened(views, now)
        # The views are always some seconds behind the log.
        turn(views, stack, now, read_to=lambda its, now=now: its <= now - timedelta(seconds=7))  # type: ignore[misc]
    assert [each.unconfirmed for each in reminders(stack, brand)] == [False]


def everything_is_read(stack: Running) -> None:
    """The projector's places are the ends of the log."""
    partitions = kafka.partitions_of([ENGAGEMENTS])
    group = kafka.consumer(stack.kafka, PROJECTOR_GROUP, "test")
    group.assign(partitions)
    group.commit({each: OffsetAndMetadata(end, "", -1) for each, end in group.end_offsets(partitions).items()})
    group.close()


def test_between_two_writes_of_one_batch_nobody_takes_an_account_that_is_behind_for_heard(
    api: Served, views: Database[Document], stack: Running, brand: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(api, brand, at=NOW - 40 * MINUTE)
    views["planned_posts"].update_one({"brand": brand}, {"$set": {"created_at": NOW - 2 * HOUR}})
    listened(views, NOW - HOUR)
    for name in ("_insert", "_upsert"):
        real = getattr(writing, name)

        def written(*asked: Any, real: Callable[..., Any] = real) -> Any:
            found = real(*asked)
            turn(views, stack, NOW)  # another process looks at just that time
            return found

        monkeypatch.setattr(writing, name, written)
    listened(views, NOW, behind=(f"{brand}-sky",))  # so was every heartbeat since
    assert reminders(stack, brand) == []


def test_a_reminder_that_could_not_be_sent_and_was_not_wanted_any_more_is_sent_once_it_is_again(
    api: Served, views: Database[Document], stack: Running, brand: str
) -> None:
    class Away:
        """A producer without a broker."""

        def send(self, *_: Any, **__: Any) -> None:
            raise KafkaTimeoutError("it is away")

    at = NOW + HOUR
    plan(api, brand, at=at)
    listened(views, at + 31 * MINUTE)
    facts.upkeep(views)
    with pytest.raises(KafkaTimeoutError):
        calendar.follow(TaskRun(views, Away(), at + 31 * MINUTE))
    facts.write(views, published(brand, at=at + 40 * MINUTE))
    upkeep(views, stack, at + HOUR)
    assert (status(api, brand), reminders(stack, brand)) == ("late", [])
    answer = api.client.put(f"/v1/brands/{brand}/calendar/matches/{ref(brand, views)}", json={"plan": None})
    assert answer.status_code == 200, answer.text
    for minutes in (70, 80, 140):
        upkeep(views, stack, at + minutes * MINUTE)
    assert [each.plan for each in reminders(stack, brand)] == ["guji"]


def test_a_post_that_was_there_and_is_gone_is_held_back_for_an_hour_too(
    api: Served, views: Database[Document], stack: Running, brand: str
) -> None:
    at = NOW + HOUR
    plan(api, brand, at=at)
    turn(views, stack, at + 31 * MINUTE)
    facts.write(views, published(brand, at=at))
    upkeep(views, stack, at + HOUR)
    assert status(api, brand) == "on_time"
    facts.write(views, facts.about("one", "gone", brand, at + HOUR, kind="delete"))
    listened(views, at + 5 * HOUR, behind=(f"{brand}-sky",))
    for minutes in (0, 1):
        turn(views, stack, at + 5 * HOUR + minutes * MINUTE)
    assert (status(api, brand), reminders(stack, brand)) == ("planned", [])


def test_a_post_that_cannot_be_built_holds_reminders_back_for_an_hour_and_no_longer(
    api: Served, views: Database[Document], stack: Running, brand: str
) -> None:
    at = NOW + HOUR
    plan(api, brand, at=at)
    plan(api, brand, "past", at=NOW - 2 * HOUR)
    bad = {"what": "post", "brand": brand, "post": "bad", "since": NOW, "marks": 1, "held_until": NOW + 99 * HOUR}
    views["stale"].insert_one(bad)
    due = at + 30 * MINUTE
    seen = []
    for minutes in (-90, -50, -29, 0, 59, 60, 61):
        upkeep(views, stack, due + minutes * MINUTE)
        seen.append((status(api, brand, "past"), status(api, brand)))
    assert seen == [
        ("planned", "planned"), ("planned", "planned"), ("missing", "planned"), ("missing", "planned"),
        ("missing", "planned"), ("missing", "missing"), ("missing", "missing"),
    ]  # fmt: skip
    assert [(each.plan, each.unconfirmed) for each in reminders(stack, brand)] == [("guji", True)]


def test_an_account_that_is_behind_stays_so_as_long_as_nothing_newer_is_known_of_it(
    api: Served, views: Database[Document], stack: Running, brand: str
) -> None:
    at = NOW + HOUR
    due = at + 30 * MINUTE
    plan(api, brand, at=at)
    listened(views, due, behind=(f"{brand}-sky",))
    turn(views, stack, due + 20 * MINUTE)
    assert status(api, brand) == "planned", "the views stand still, and so does what they say of the account"
    # The process ends, and another one takes its account.
    listened(views, due + MINUTE, instance="j")
    turn(views, stack, due + 20 * MINUTE)
    assert status(api, brand) == "missing"
    assert [each.unconfirmed for each in reminders(stack, brand)] == [False]


@pytest.mark.parametrize(
    "connection",
    [
        {"connected_at": NOW + HOUR + timedelta(minutes=20)},
        {"disconnected_at": NOW + HOUR - timedelta(minutes=20)},
        {"disconnected_at": NOW + HOUR + timedelta(minutes=20)},
    ],
    ids=["connected later", "disconnected before", "disconnected in between"],
)
def test_while_an_account_was_not_connected_nobody_knows_what_it_posted(
    api: Served, views: Database[Document], stack: Running, brand: str, connection: dict[str, datetime]
) -> None:
    at = NOW + HOUR
    plan(api, brand, at=at)
    views["accounts"].update_one({"_id": f"{brand}-sky"}, {"$set": connection})
    upkeep(views, stack, at + 31 * MINUTE)
    assert (status(api, brand), reminders(stack, brand)) == ("planned", [])
    upkeep(views, stack, at + 91 * MINUTE)
    assert [each.unconfirmed for each in reminders(stack, brand)] == [True]


def test_what_is_planned_after_an_account_was_connected_or_ended_later_than_it_was_due_is_known_to_be_missing(
    api: Served, views: Database[Document], stack: Running, brand: str
) -> None:
    at = NOW + HOUR
    plan(api, brand, at=at)
    ends = {"connected_at": at, "disconnected_at": at + 30 * MINUTE}
    views["accounts"].update_one({"_id": f"{brand}-sky"}, {"$set": ends})
    upkeep(views, stack, at + 31 * MINUTE)
    assert [each.unconfirmed for each in reminders(stack, brand)] == [False]


def test_of_an_account_that_no_post_ever_came_from_nobody_knows(
    api: Served, views: Database[Document], stack: Running, brand: str
) -> None:
    at = NOW + HOUR
    plan(api, brand, at=at)
    views["posts"].delete_many({"brand": brand})
    upkeep(views, stack, at + HOUR)
    assert status(api, brand) == "planned"
    upkeep(views, stack, at + 2 * HOUR)
    assert [told.unconfirmed for told in reminders(stack, brand)] == [True]


def test_plans_that_are_held_back_hide_no_others(
    api: Served, views: Database[Document], stack: Running, brand: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calendar, "AT_ONCE", 2)
    at = NOW + HOUR
    account = {"id": f"{brand}-late", "platform": "bluesky", "handle": "l", "connected_at": "2026-01-01T00:00:00Z"}
    assert api.client.post(f"/v1/brands/{brand}/accounts", json=account).status_code == 201
    for number in range(5):
        plan(api, brand, f"held-{number}", at=at - MINUTE, account=account["id"])
    plan(api, brand, at=at)
    listened(views, at + 31 * MINUTE, behind=(account["id"],))
    turn(views, stack, at + 31 * MINUTE)
    assert [status(api, brand, each) for each in ("held-0", "held-4", "guji")] == ["planned", "planned", "missing"]


def test_an_account_that_is_asked_is_heard_up_to_its_last_reading(
    api: Served, views: Database[Document], stack: Running, brand: str
) -> None:
    at = NOW + HOUR
    due = at + timedelta(minutes=30)
    account = asked(api, views, brand)
    plan(api, brand, at=at, account=account)
    state = {"_id": account, "version": 1, "brand": brand, "state": "live", "since": NOW, "checked_at": at}
    views["account_states"].insert_one(state)
    upkeep(views, stack, due)
    assert status(api, brand) == "planned"
    # Its posts may be read less often than the rest.
    views["account_states"].update_one({"_id": account}, {"$set": {"checked_at": due, "posts_checked_at": at}})
    upkeep(views, stack, due)
    assert status(api, brand) == "planned"
    views["account_states"].update_one({"_id": account}, {"$set": {"posts_checked_at": due}})
    upkeep(views, stack, due)
    assert status(api, brand) == "missing"


def test_an_account_whose_posts_are_read_with_all_else_is_heard_up_to_its_last_reading(
    api: Served, views: Database[Document], stack: Running, brand: str
) -> None:
    at = NOW + HOUR
    account = asked(api, views, brand)
    plan(api, brand, at=at, account=account)
    state = {"version": 1, "brand": brand, "state": "live", "since": NOW, "checked_at": at + 30 * MINUTE}
    # As ingest says it now, and as earlier versions did.
    views["account_states"].insert_one({"_id": account, **state, "posts_checked_at": None})
    plan(api, brand, "later", at=at + MINUTE, account=account, text="Something else altogether")
    upkeep(views, stack, at + 31 * MINUTE)
    assert (status(api, brand), status(api, brand, "later")) == ("missing", "planned")
    views["account_states"].replace_one({"_id": account}, {**state, "checked_at": at + 31 * MINUTE})
    upkeep(views, stack, at + 31 * MINUTE)
    assert status(api, brand, "later") == "missing"


def test_nobody_is_told_of_what_was_late_when_it_was_planned_or_is_not_to_be_published(
    api: Served, views: Database[Document], stack: Running, brand: str
) -> None:
    plan(api, brand, "past", at=NOW - 2 * HOUR)
    plan(api, brand, "draft", at=NOW + HOUR, state="draft")
    api.client.put(f"/v1/brands/{brand}/calendar/settings", json={"approval_required": True})
    plan(api, brand, "unapproved", at=NOW + HOUR)
    upkeep(views, stack, NOW + 5 * HOUR)
    assert [status(api, brand, each) for each in ("past", "draft", "unapproved")] == ["missing", "draft", "waiting"]
    assert reminders(stack, brand) == []


@pytest.mark.parametrize("how", ["moved", "removed", "cancelled", "refused"])
def test_what_was_told_is_told_again_where_it_is_missing_after_all(
    api: Served, views: Database[Document], stack: Running, brand: str, how: str
) -> None:
    at, path = NOW + HOUR, f"/v1/brands/{brand}/calendar/posts/guji"
    plan(api, brand, at=at)
    upkeep(views, stack, at + 31 * MINUTE)
    before = reminders(stack, brand)
    assert len(before) == 1
    match how:
        case "moved":
            api.client.put(path, json=terms(brand, at + HOUR))
        case "removed":
            api.client.delete(path)
        case "cancelled":
            api.client.put(path, json=terms(brand, at, state="cancelled"))
        case _:
            api.client.post(f"{path}/refuse", json={"why": "too loud"})
    upkeep(views, stack, at + 35 * MINUTE)
    assert reminders(stack, brand) == before
    match how:
        case "removed":
            answer = api.client.post(f"{path}/restore")
        case "refused":
            answer = api.client.post(f"{path}/approve")
        case _:
            answer = api.client.put(path, json=terms(brand, at))
    assert answer.status_code == 200, answer.text
    for minutes in (40, 45):
        upkeep(views, stack, at + minutes * MINUTE)
    # The same reminder: whoever has it does not send it a second time.
    assert [each.id for each in reminders(stack, brand)] == [before[0].id] * 2
    assert status(api, brand) == "missing"


def test_the_client_approves_or_refuses_and_what_was_approved_is_approved_anew_once_it_changed(
    api: Served, brand: str
) -> None:
    path = f"/v1/brands/{brand}/calendar/posts/guji"
    api.client.put(f"/v1/brands/{brand}/calendar/settings", json={"approval_required": True})
    plan(api, brand, at=NOW + HOUR)
    refused = api.client.post(f"{path}/refuse", json={"why": "too loud"}).json()
    assert (refused["status"], refused["approval_why"]) == ("refused", "too loud")
    approved = api.client.post(f"{path}/approve").json()
    assert (approved["status"], approved["approval"], approved["approval_why"]) == ("planned", "approved", None)
    same = api.client.put(path, json=terms(brand, NOW + HOUR, owner="Ada")).json()
    assert same["approval"] == "approved"
    lines = {"text": "One\n\nTwo"}
    api.client.put(path, json=terms(brand, NOW + HOUR, **lines))
    api.client.post(f"{path}/approve")
    for text in ("One\r\n\r\nTwo", "One\r\rTwo", "One\n\nTwo\n "):
        same = api.client.put(path, json=terms(brand, NOW + HOUR, text=text)).json()
        assert (same["text"], same["approval"]) == (text, "approved")
    changed = api.client.put(path, json=terms(brand, NOW + HOUR, text="Quite another text")).json()
    assert (changed["approval"], changed["approval_by"], changed["status"]) == ("wanted", None, "waiting")


def test_a_match_is_corrected_by_hand_and_the_correction_taken_back(
    api: Served, views: Database[Document], stack: Running, brand: str
) -> None:
    plan(api, brand)
    plan(api, brand, "other", text="Not a word of it in common", at=NOW)
    facts.write(views, published(brand))
    upkeep(views, stack)
    path = f"/v1/brands/{brand}/calendar/matches/{ref(brand, views)}"
    assert api.client.put(path, json={"plan": "other"}).status_code == 200
    upkeep(views, stack)
    assert (status(api, brand), status(api, brand, "other")) == ("missing", "early")
    assert api.client.put(path, json={"plan": None}).status_code == 200
    upkeep(views, stack)
    days = api.client.get(f"/v1/brands/{brand}/calendar", params={"from": (NOW - HOUR).date().isoformat()}).json()
    assert [each["id"] for each in days["unplanned"]] == [ref(brand, views)]
    assert api.client.delete(path).status_code == 200
    upkeep(views, stack)
    assert status(api, brand) == "on_time"
    for wanted, field in (({"plan": "nobody"}, "plan"), ({}, "plan")):
        answer = api.client.put(path, json=wanted)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_a_calendar_comes_in_parts_in_order_of_time_with_nothing_twice_and_nothing_left_out(
    api: Served, views: Database[Document], stack: Running, brand: str, limit: int
) -> None:
    day = (NOW - 40 * HOUR).replace(hour=6, minute=0, second=0)
    for number, hours in enumerate((0, 1, 1, 3, 5)):
        plan(api, brand, f"p{number}", at=day + hours * HOUR, text=f"Words of number {number} {'abcde'[number] * 9}")
    # The first two have their plans; then come some that nobody planned, one at the very time of a plan.
    found = ("Words of number 0 aaaaaaaaa", "Words of number 1 bbbbbbbbb", "Free", "Free", "Free")
    for number, (hours, text) in enumerate(zip((0, 1, 1, 2, 9), found, strict=True)):
        facts.write(views, published(brand, f"o{number}", day + hours * HOUR, text))
    upkeep(views, stack)
    plans, posts, cursor, parts = [], [], None, 0
    while parts == 0 or cursor is not None:
        params: dict[str, str | int] = {"from": day.date().isoformat(), "limit": limit}
        if cursor is not None:
            params["cursor"] = cursor
        part = api.client.get(f"/v1/brands/{brand}/calendar", params=params).json()
        plans += [(each["planned_at"], each["id"]) for each in part["planned"]]
        posts += [(each["published_at"], each["id"]) for each in part["unplanned"]]
        cursor, parts = part["next"], parts + 1
    assert [name for _, name in plans] == ["p0", "p1", "p2", "p3", "p4"]
    assert [name for _, name in posts] == [ref(brand, views, f"o{number}") for number in (2, 3, 4)]
    assert parts == -(-10 // limit)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"account": "nobody"}, "account"),
        ({"campaign": "none"}, "campaign"),
        ({"text": " "}, "text"),
        ({"planned_at": "tomorrow"}, "planned_at"),
        ({"media": ["smell"]}, "media.0"),
        ({"label": "other"}, "label"),
    ],
)
def test_a_bad_plan_is_refused_with_the_field(api: Served, brand: str, change: dict[str, Any], field: str) -> None:
    answer = api.client.post(f"/v1/brands/{brand}/calendar/posts", json={**terms(brand), **change})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


def test_a_file_is_taken_only_where_it_is_agreed_to_every_bad_row_is_named_and_an_export_comes_back(
    api: Served, views: Database[Document], brand: str
) -> None:
    path = f"/v1/brands/{brand}/calendar"
    rows = (
        "id,planned_at,account,text,media,label",
        f"one,2026-12-01T09:00:00+01:00,{brand}-sky,'=1+1 is two,image video,personal",
        f"two,soon,{brand}-sky,hello,,",
        "three,2026-12-01T09:00:00Z,nobody,hello,,",
        f"one,2026-12-02T09:00:00Z,{brand}-sky,again,,",
        f",2026-12-03T09:00:00Z,{brand}-sky,hello,,,too many",
    )
    headers = {"Content-Type": "text/csv"}
    looked = api.client.post(f"{path}/import", content="\n".join(rows), headers=headers).json()
    assert (looked["good"], looked["added"]) == (1, 0)
    assert [(each["line"], each["column"]) for each in looked["bad"]] == [
        (3, "planned_at"), (4, "account"), (5, "id"), (6, None),
    ]  # fmt: skip
    assert views["planned_posts"].count_documents({}) == 0
    agreed = api.client.post(f"{path}/import?agree=true", content="\n".join(rows), headers=headers).json()
    assert (agreed["added"], agreed["changed"]) == (1, 0)
    found = api.client.get(f"{path}/posts/one").json()
    assert (found["text"], found["media"], found["planned_at"]) == (
        "=1+1 is two", ["image", "video"], "2026-12-01T08:00:00Z",
    )  # fmt: skip
    exported = api.client.get(f"{path}/export").text
    assert "'=1+1 is two" in exported
    again = api.client.post(f"{path}/import?agree=true", content=exported, headers=headers).json()
    assert (again["good"], again["bad"], again["changed"]) == (1, [], 0)
    assert api.client.get(f"{path}/posts/one").json()["text"] == "=1+1 is two"
    answer = api.client.post(f"{path}/import", content="a,b", headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "file")


@pytest.mark.parametrize("text", ["שלום (Rapport)\u200f!", "over\u202e\u2028so\u00adft", " \r\n x;=1+1;\n-y \n"])
def test_an_export_that_comes_back_as_it_was_changes_nothing(api: Served, brand: str, text: str) -> None:
    path = f"/v1/brands/{brand}/calendar"
    api.client.put(f"{path}/settings", json={"approval_required": True})
    plan(api, brand, at=NOW + HOUR, text=text, owner="Gra\u202ece\u200f")
    approved = api.client.post(f"{path}/posts/guji/approve").json()
    exported = api.client.get(f"{path}/export").text
    again = api.client.post(f"{path}/import?agree=true", content=exported, headers={"Content-Type": "text/csv"}).json()
    assert (again["good"], again["added"], again["changed"]) == (1, 0, 0)
    assert api.client.get(f"{path}/posts/guji").json() == approved
    another = exported.replace("guji", "new")
    api.client.post(f"{path}/import?agree=true", content=another, headers={"Content-Type": "text/csv"})
    assert api.client.get(f"{path}/posts/new").json()["text"] == written(text)


def test_who_has_the_feeds_address_reads_the_calendar_until_there_is_a_new_one(api: Served, brand: str) -> None:
    plan(api, brand, at=NOW + HOUR)
    plan(api, brand, "off", at=NOW + HOUR, state="cancelled")
    address = api.client.post(f"/v1/brands/{brand}/calendar/feed").json()["path"]
    with api.with_key(None) as anybody:
        answer = anybody.get(address)
        assert answer.headers["content-type"].startswith("text/calendar")
        calendar = icalendar.Calendar.from_ical(answer.text)
        assert calendar["name"] == calendar["x-wr-calname"] == f"{brand.title()}: planned posts"
        (event,) = calendar.walk("VEVENT")
        assert event["summary"] == f"Bluesky: {TEXT}"
        assert event.decoded("dtstart") == NOW + HOUR
        api.client.post(f"/v1/brands/{brand}/calendar/feed", params={"replace": True})
        assert anybody.get(address).status_code == 404


def test_the_feed_is_what_programs_for_calendars_read(api: Served, views: Database[Document], brand: str) -> None:
    day = timedelta(days=1)
    long = 'Ünï, "so"; c:\\temp & 🎉\r\n' * 40 + "\u202e\x07end"
    plan(api, brand, "draft", at=NOW + HOUR, state="draft", text=long)
    plan(api, brand, "image", at=NOW + 2 * HOUR, text="", media=["image", "video"])
    for name, at in (("old", -59 * day), ("older", -61 * day), ("far", 399 * day), ("farther", 401 * day)):
        plan(api, brand, name, at=NOW + at, text=name)
    another = own_brand()
    api.brand(another)
    account = {"id": f"{another}-sky", "platform": "bluesky", "handle": "b", "connected_at": "2026-01-01T00:00:00Z"}
    assert api.client.post(f"/v1/brands/{another}/accounts", json=account).status_code == 201
    plan(api, another, at=NOW + HOUR)
    address = api.client.post(f"/v1/brands/{brand}/calendar/feed").json()["path"]
    assert len(address.rpartition("/")[2]) >= 32 + len(".ics")  # 192 bits
    with api.with_key(None) as anybody:
        answers = [anybody.get(address) for _ in range(2)]
    assert answers[0].headers["cache-control"] == "no-store"
    # RFC 5545, 3.1: lines end with CRLF and have at most 75 octets without it.
    lines = answers[0].content.split(b"\r\n")
    assert b"\n" not in b"".join(lines)
    assert max(map(len, lines)) <= 75
    events, again = ([*icalendar.Calendar.from_ical(each.content).walk("VEVENT")] for each in answers)
    assert [each["uid"] for each in events] == [each["uid"] for each in again]
    assert len({each["uid"] for each in events}) == 4
    summaries = [str(each["summary"]) for each in events]
    assert (summaries[0], summaries[2:]) == ("Bluesky: old", ["Bluesky: image, video", "Bluesky: far"])
    assert summaries[1].startswith('Bluesky: Ünï, "so"; c:\\temp & 🎉 Ünï')
    assert events[1]["description"] == plain(long)
    assert [each["status"] for each in events] == ["CONFIRMED", "TENTATIVE", "CONFIRMED", "CONFIRMED"]
    views["planned_posts"].update_one({"brand": brand, "plan": "draft"}, {"$set": {"updated_at": NOW + day}})
    event = icalendar.Calendar.from_ical(api.client.get(address).content).walk("VEVENT")[1]
    assert (event["uid"], event.decoded("dtstamp")) == (events[1]["uid"], NOW + day)
