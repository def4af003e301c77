"""What a platform's terms no longer let be kept is gone from every collection, and every figure is as it was."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from bson.json_util import dumps
from pymongo.database import Database

from rapport.contracts.events import Actor, Alert, FirstComment, FollowerRef, Interaction, WebhookChannel
from rapport.contracts.rows import FollowerRow
from rapport.domain import retention
from rapport.domain.retention import GAP, Limits
from rapport.domain.times import ms
from rapport.kit.broker import kafka
from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.alerts.documents import alert_document
from services.api.exchanges.documents import exchange_document
from services.api.followers.documents import follower_document
from services.api.http.ids import follower_ref
from services.api.interactions.documents import interaction_document, profile_document
from services.api.projector import views as writing
from services.api.projector.batch import Batch
from services.api.projector.upkeep.change_feed import LATER
from services.api.projector.upkeep.isolation import LEFT_OUT
from services.api.projector.upkeep.loop import TaskRun
from services.api.projector.upkeep.tasks import TASKS
from services.api.retention import upkeep
from services.notifier import outbox
from tests.services.api import facts, samples
from tests.services.api.campaigns import data as campaign_data
from tests.services.api.conftest import Served, own_brand
from tests.services.api.test_figures import BRAND, differing, filled
from tests.services.api.web.portal_session import logged_in

pytestmark = pytest.mark.stack

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BLUESKY = {"bluesky": Limits(texts=400 * DAY, profiles=300 * DAY)}
"""Limits for the platform of the tests' data; no test lasts as long."""
WROTE = {"id": "fruit", "name": "Fruit", "rule": 'wrote "fruit"'}
STAY = (
    *("campaign_entries", "campaigns", "community_members", "communities"),
    *("hourly", "posts", "new_days", "stage_weeks"),
)
"""Collections that do not change at all."""


@pytest.fixture
def limited(
    stack: Running, api: Served, views: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> Database[Document]:
    """A brand of which the upkeep keeps something of everything, on a platform with limits."""
    monkeypatch.setattr(retention, "LIMITS", BLUESKY)
    free = samples.follower

    def follower(id: str, brand: str, seen: datetime, **more: Any) -> FollowerRow:
        """As the scorer has them on such a platform."""
        until = dict.fromkeys(("handle", "name"), ms(seen + 300 * DAY))
        return free(id, brand, seen, **{"kept_until": until, **more})

    monkeypatch.setattr(samples, "follower", follower)
    filled(stack, api, views)
    answer = api.client.post(f"/v1/brands/{BRAND}/communities", json=WROTE)
    assert answer.status_code == 201, answer.text
    turns(stack, views)
    return views


def turns(stack: Running, views: Database[Document]) -> None:
    """So many turns of every task that everything was looked at twice."""
    producer = kafka.producer(stack.kafka, "test")
    for turn in range(4):
        for task in TASKS:
            task.run(TaskRun(views, producer, datetime.now(UTC) + turn * (LATER + timedelta(seconds=1))))
    producer.close()


def forget(views: Database[Document], after: timedelta) -> None:
    """The upkeep of the terms, as of some time later."""
    failures = LEFT_OUT.labels("forgetting")._value.get()
    upkeep.follow(TaskRun(views, None, datetime.now(UTC) + after))
    assert LEFT_OUT.labels("forgetting")._value.get() == failures


def holding(views: Database[Document], words: set[str]) -> dict[str, list[Any]]:
    """The documents that hold one of some texts, by collection."""
    found: dict[str, list[Any]] = {}
    for collection in views.list_collection_names():
        for each in views[collection].find():
            if any(word in dumps(each, ensure_ascii=False) for word in words):
                found.setdefault(collection, []).append(each["_id"])
    return found


def written(views: Database[Document]) -> tuple[set[str], set[str]]:
    """What people wrote, and what they are called."""
    texts, names = set(), set()
    for each in views["interactions"].find({"kind": {"$nin": ["post", "reply"]}, "staff": {"$ne": True}}):
        texts.add(each.get("text") or "")
        names |= {each["actor"].get(name) or "" for name in ("name", "handle")}
    for each in views["followers"].find():
        names |= {each[name] or "" for name in ("name", "handle")}
    own = {"", "Guji", "Kenya"}
    return texts - own, {f'"{each}"' for each in names - own}


def stored(views: Database[Document], collections: tuple[str, ...]) -> dict[str, list[Document]]:
    """These collections."""
    return {name: list(views[name].find().sort("_id")) for name in collections}


def test_nothing_of_what_people_wrote_and_are_called_stays_and_every_figure_does(
    limited: Database[Document], stack: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, names = written(limited)
    assert len(texts) > 8
    assert "Because it tastes of 3 kinds of fruit" in texts
    assert holding(limited, texts).keys() >= {"interactions", "survey_answers", "beginnings"}
    assert limited["community_members"].count_documents({"community": "fruit"}) == len(campaign_data.PEOPLE)
    before = stored(limited, STAY)
    forget(limited, 401 * DAY)
    assert holding(limited, texts) == {}
    assert holding(limited, names) == {}
    assert limited["interactions"].count_documents({"forget_at": {"$exists": True}}) == 0
    assert stored(limited, STAY) == before
    assert differing(limited, monkeypatch) == set()
    # Whoever is looked at again because of something new is judged by what stands in for the texts.
    now = datetime.now(UTC)
    for person in campaign_data.PEOPLE:
        who = f"did:plc:{person.split()[0].lower()}"
        facts.write(limited, facts.on("post", f"again-{who}", BRAND, now, who, kind="reaction", text=None))
        limited["followers"].update_one({"follower": who}, {"$set": {"written_at": now}})
    turns(stack, limited)
    assert differing(limited, monkeypatch) == set()
    assert limited["community_members"].count_documents({"community": "fruit"}) == len(campaign_data.PEOPLE)
    assert {(each["_id"], each["valid"]) for each in limited["campaign_entries"].find()} == {
        (each["_id"], each["valid"]) for each in before["campaign_entries"]
    }


def test_profiles_leave_before_texts_where_the_terms_say_so(limited: Database[Document]) -> None:
    _, names = written(limited)
    forget(limited, 301 * DAY)
    assert holding(limited, {"Because it tastes of 3 kinds of fruit"}).keys() >= {"interactions", "survey_answers"}
    assert "followers" not in holding(limited, names)
    left = [each["actor"].keys() for each in limited["interactions"].find({"profile_until": {"$exists": True}})]
    assert left
    assert all(each <= {"id", "bot"} for each in left)


def linkedin(brand: str, seen: datetime, id: str = "1", **more: Any) -> Interaction:
    """A comment of a named person on LinkedIn."""
    who = Actor(
        id="urn:li:person:ada", handle="ada-handle", name="Ada Name", avatar_url="https://pic.example/ada",
        url="https://linkedin.example/ada",
    )  # fmt: skip
    return samples.interaction(id, brand, seen, platform="linkedin", actor=who, text="a secret refund", **more)


def batch_of(brand: str, seen: datetime) -> Batch:
    """What the projector reads of one comment, its exchange, its alert and its author."""
    batch = Batch()
    event = linkedin(brand, seen)
    document, profile = interaction_document(event), profile_document(event)
    assert profile is not None
    batch.interactions[document["_id"]] = document
    batch.profiles[profile["_id"]] = profile
    who = FollowerRef(id=event.actor.id, handle="ada-handle", name="Ada Name", kept_until=seen + DAY)
    first = FirstComment(id="at://1", url="https://example.org/1", text="a secret refund", kept_until=seen + 2 * DAY)
    its: dict[str, Any] = {"platform": "linkedin", "follower": who, "first": first}
    batch.exchanges["x1"] = exchange_document(samples.exchange("x1", brand, seen, **its), 1)
    batch.alerts["a1"] = alert_document(alert(brand, seen))
    until = ms(seen + DAY)
    row = samples.follower(
        event.actor.id, brand, seen, platform="linkedin", handle="ada-handle", name="Ada Name",
        avatar_url="https://pic.example/ada", kept_until={"handle": until, "name": until, "avatar_url": until},
    )  # fmt: skip
    found = follower_document(row, 1)
    batch.followers[found["_id"]] = found
    return batch


def alert(brand: str, seen: datetime) -> Alert:
    """A warning about it."""
    who = FollowerRef(id="urn:li:person:ada", handle="ada-handle", name="Ada Name", kept_until=seen + DAY)
    first = FirstComment(id="at://1", text="a secret refund", kept_until=seen + 2 * DAY)
    return samples.alert("a1", brand, "x1", "warning", seen + 20 * HOUR, platform="linkedin", follower=who, first=first)


NAMES, TEXT = {"ada-handle", "Ada Name", "pic.example", "linkedin.example"}, {"secret"}


@pytest.mark.parametrize(
    ("age", "left"),
    [(HOUR, {"names", "text"}), (DAY + HOUR, {"text"}), (2 * DAY + HOUR, set())],
)
def test_a_rebuild_from_the_log_brings_nothing_back(views: Database[Document], age: timedelta, left: set[str]) -> None:
    brand = own_brand()
    writing.write(views, batch_of(brand, datetime.now(UTC) - age))
    assert bool(holding(views, NAMES)) == ("names" in left)
    assert bool(holding(views, TEXT)) == ("text" in left)
    assert [views[name].count_documents({"brand": brand}) for name in ("exchanges", "alerts")] == [1, 1]
    found = views["interactions"].find_one({"brand": brand})
    assert found is not None
    assert found.get("heard") == (None if "text" in left else GAP)
    # Written again and again, at whatever time, it comes to the same.
    writing.write(views, batch_of(brand, datetime.now(UTC) - age))
    forget(views, 3 * DAY)
    assert holding(views, NAMES | TEXT) == {}
    writing.write(views, batch_of(brand, datetime.now(UTC) - age - 3 * DAY))
    assert holding(views, NAMES | TEXT) == {}


def test_what_is_written_anew_meanwhile_keeps_what_is_new(views: Database[Document]) -> None:
    brand, now = own_brand(), datetime.now(UTC)
    writing.write(views, batch_of(brand, now))
    before = {name: list(views[name].find({"brand": brand})) for name in ("exchanges", "followers", "profiles")}
    newer = batch_of(brand, now + HOUR)
    for collection in (newer.exchanges, newer.followers, newer.profiles):
        for each in collection.values():
            each["version"] += 1  # type: ignore[index]
    writing.write(views, newer)
    run = TaskRun(views, None, now + DAY + HOUR / 2)
    for name, found in before.items():
        upkeep._DROP[name](run, found)
    assert holding(views, {"Ada Name", "linkedin.example"}).keys() >= {"exchanges", "followers", "profiles"}


def test_deliveries_lose_it_too_and_one_that_is_late_never_has_it(views: Database[Document]) -> None:
    rows, brand, now = outbox.deliveries(views), own_brand(), datetime.now(UTC)
    channel = WebhookChannel(id="hook", url="https://hook.example", secret="whsec_x")
    told = outbox.Told(alert(brand, now), (channel,))
    outbox.insert(rows, [told], now)
    assert rows.count_documents({"payload.first.text": "a secret refund", "forget_at": {"$exists": True}}) == 1
    forget(views, DAY + HOUR)
    assert holding(views, NAMES) == {}
    assert holding(views, TEXT).keys() == {"deliveries"}
    forget(views, 2 * DAY + HOUR)
    assert holding(views, NAMES | TEXT) == {}
    assert isinstance(outbox.notice_of(rows.find_one({"brand": brand})["payload"]), Alert)  # type: ignore[index]
    late = msgspec.structs.replace(alert(brand, now - 3 * DAY), id="a2")
    outbox.insert(rows, [outbox.Told(late, (channel,))], now)
    assert holding(views, NAMES | TEXT) == {}
    assert rows.count_documents({"brand": brand, "forget_at": {"$exists": True}}) == 0


def test_many_go_in_parts_and_one_that_fails_holds_up_nobody(
    views: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    brand, seen = own_brand(), datetime.now(UTC)
    monkeypatch.setattr(upkeep, "AT_ONCE", 10)
    facts.write(views, *(linkedin(brand, seen, str(number)) for number in range(35)))
    views["interactions"].update_one({"interaction": "7"}, {"$set": {"actor": "nobody"}})
    upkeep.follow(TaskRun(views, None, seen + 3 * DAY))
    left = [each["interaction"] for each in views["interactions"].find({"text": {"$exists": True}})]
    assert left == ["7"]


def test_api_and_portal_say_that_a_text_is_no_longer_kept(api: Served, views: Database[Document]) -> None:
    brand = own_brand()
    api.brand(brand)
    writing.write(views, batch_of(brand, datetime.now(UTC) - 3 * DAY))
    views["exchanges"].update_one({"_id": "x1"}, {"$set": {"conversation": "conversation-1"}})
    (shown,) = api.client.get(f"/v1/brands/{brand}/exchanges").json()["items"]
    assert (shown["first"]["text"], shown["first"]["text_expired"]) == (None, True)
    assert (shown["follower"]["name"], shown["follower"]["handle"]) == (None, None)
    detail = api.client.get(f"/v1/brands/{brand}/exchanges/x1").json()
    (said,) = [each for each in detail["history"] if each["type"] == "interaction"]
    assert (said["text"], said["text_expired"], said["actor"]) == (None, True, None)
    ref = follower_ref("linkedin", "urn:li:person:ada")
    with logged_in(api) as portal:
        for page in (f"/brands/{brand}/exchanges", f"/brands/{brand}/exchanges/x1", f"/brands/{brand}/followers/{ref}"):
            answer = portal.get(page)
            assert answer.status_code == 200, page
            assert "Text no longer kept (LinkedIn&#39;s terms)" in answer.text, page
            assert "LinkedIn member ada" in answer.text, page
