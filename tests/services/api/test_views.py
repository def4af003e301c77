import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pymongo.database import Database

from rapport.contracts.business_hours import WEEKDAYS
from rapport.contracts.events import Actor, DecisionRef, ExchangeState, FollowerRef, PolicyRef
from rapport.domain.relationships.relationship import stage
from rapport.domain.times import ms
from rapport.kit.mongo import Document
from services.api.alerts.documents import alert_document
from services.api.exchanges.documents import exchange_document
from services.api.followers.documents import follower_document
from services.api.followers.upkeep import fall
from services.api.http.ids import follower_ref
from services.api.interactions.documents import interaction_document
from services.api.projector import views as writing
from services.api.projector.batch import Batch
from services.api.projector.upkeep.loop import TaskRun
from tests.services.api import samples
from tests.services.api.conftest import Served, zone_at_noon
from tests.services.api.web.portal_session import logged_in

pytestmark = pytest.mark.stack

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)


def _write(views: Database[Document], *events: Any) -> None:
    batch = Batch()
    makers = {
        "Interaction": (batch.interactions, interaction_document),
        "Alert": (batch.alerts, alert_document),
        "ExchangeSnapshot": (batch.exchanges, lambda event: exchange_document(event, 1)),
        "FollowerRow": (batch.followers, lambda event: follower_document(event, 1)),
    }
    for event in events:
        target, make = makers[type(event).__name__]
        document = make(event)  # type: ignore[operator]
        target[document["_id"]] = document  # type: ignore[index]
    assert writing.write(views, batch) == {}


def _all(api: Served, path: str, limit: int) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        more = f"limit={limit}" + (f"&cursor={cursor}" if cursor else "")
        page = api.client.get(f"{path}{'&' if '?' in path else '?'}{more}").json()
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            return items
        assert len(page["items"]) == limit


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_open_exchanges_come_by_due_time_then_ended_ones_the_latest_first(
    api: Served, views: Database[Document], limit: int
) -> None:
    api.brand("aurora")
    _write(
        views,
        samples.exchange("b", "aurora", NOW - 3 * HOUR),
        samples.exchange("a", "aurora", NOW - 3 * HOUR),
        samples.exchange("soonest", "aurora", NOW - 5 * HOUR),
        samples.exchange("old", "aurora", NOW - 90 * HOUR, state="answered", answered_at=NOW),
        samples.exchange("new", "aurora", NOW - 80 * HOUR, state="cancelled", cancelled_because="deleted"),
        samples.exchange("merged", "aurora", NOW - 80 * HOUR, state="superseded"),
        samples.exchange("foreign", "harbour", NOW - 4 * HOUR),
    )
    assert [each["id"] for each in _all(api, "/v1/brands/aurora/exchanges", limit)] == [
        *("soonest", "a", "b"),
        *("new", "old"),
    ]
    assert [each["id"] for each in _all(api, "/v1/brands/aurora/exchanges?state=superseded", limit)] == ["merged"]
    assert [each["id"] for each in _all(api, "/v1/brands/aurora/exchanges?state=open", limit)] == ["soonest", "a", "b"]


def test_exchanges_are_filtered_by_follower_platform_and_breach(api: Served, views: Database[Document]) -> None:
    api.brand("aurora")
    strange = "at://did:plc:x/app.bsky.feed.post/3k#?&"
    _write(
        views,
        samples.exchange("one", "aurora", NOW - 30 * HOUR, breached_at=NOW - 6 * HOUR),
        samples.exchange("two", "aurora", NOW, follower=FollowerRef(id=strange)),
        samples.exchange("three", "aurora", NOW, platform="mastodon"),
    )
    ref = api.client.get("/v1/brands/aurora/exchanges?breached=false&platform=bluesky").json()["items"][0]
    assert ref["id"] == "two"
    assert ref["follower"]["platform_id"] == strange
    for query, ids in (
        (f"follower={ref['follower']['id']}", ["two"]),
        ("breached=true", ["one"]),
        ("platform=mastodon", ["three"]),
        (f"follower={ref['follower']['id']}&platform=mastodon", []),
    ):
        items = api.client.get(f"/v1/brands/aurora/exchanges?{query}").json()["items"]
        assert [each["id"] for each in items] == ids
    assert api.client.get("/v1/brands/aurora/exchanges?follower=%20").status_code == 422


def test_one_exchange_tells_why_it_is_due_and_what_happened(api: Served, views: Database[Document]) -> None:
    api.brand("aurora")
    always = {"timezone": "UTC", "week": dict.fromkeys(WEEKDAYS, (("00:00", "24:00"),))}
    rule = {"target_seconds": 7200, "when": {"kind": "comment"}, "calendar": "shop", "escalate_after_seconds": [3600]}
    answer = api.client.put("/v1/brands/aurora/policy", json={"rules": [rule], "calendars": {"shop": always}})
    assert answer.status_code == 200, answer.text
    opened = NOW - 2 * HOUR
    _write(
        views,
        samples.exchange(
            "one",
            "aurora",
            opened,
            due_at=NOW - timedelta(seconds=1),
            breached_at=NOW,
            state="answered_late",
            answered_at=NOW,
            answered_by="brand-person",
            response_seconds=7200.0,
            business_seconds=7100.0,
            policy=PolicyRef(version=1, rule=0),
        ),
        samples.interaction("1", "aurora", opened),
        samples.interaction("elsewhere", "aurora", opened, conversation="conversation-2"),
        samples.interaction("other-thread", "aurora", opened, thread="thread-2"),
        samples.interaction("other", "aurora", opened, actor=Actor(id="did:plc:bob")),
        samples.reply("2", "aurora", NOW, to="at://1"),
        samples.alert("warned", "aurora", "one", "warning", NOW - HOUR),
        samples.alert("over", "aurora", "one", "breach", NOW - timedelta(seconds=1), unconfirmed=True),
        samples.alert("foreign", "harbour", "one", "warning", NOW - HOUR),
    )
    views["deliveries"].insert_one(
        {
            "_id": "warned/team",
            "alert": "warned",
            "brand": "aurora",
            "channel": "team",
            "channel_type": "mail",
            "status": "pending",
            "attempts": 2,
            "last_error": "busy",
            "delivered_at": None,
        }
    )
    views["deliveries"].insert_one(
        {
            "_id": "warned/crm",
            "alert": "warned",
            "brand": "aurora",
            "channel": "crm",
            "channel_type": "webhook",
            "status": "skipped",
            "attempts": 1,
            "last_error": "the receiver answered 500",
            "delivered_at": None,
            "overtaken_by": "breach",
        }
    )
    one = api.client.get("/v1/brands/aurora/exchanges/one").json()
    why = one["explanation"]
    local = f"{NOW.astimezone(ZoneInfo('Europe/Berlin')):%A at %H:%M}"
    assert f"Grace answered on {local}, late, after 1 hour and 58 minutes of shop hours." in why["text"]
    assert "not everything from the platform had arrived" in why["text"]
    assert (why["calendar"], why["target_seconds"], why["rule"]["target_seconds"]) == ("shop", 7200, 7200)
    assert (why["unconfirmed"], why["applies_to"], why["ended"]["by"]) == (True, "comments", "Grace")
    assert [datetime.fromisoformat(each) for each in why["warnings_at"]] == [opened + 1.5 * HOUR]
    assert len(why["escalations_at"]) == 1
    assert one["business_seconds"] == 7100.0
    assert (one["stage_wanted"], one["decision"]) == (False, None)
    assert [(each["type"], each["id"]) for each in one["history"]] == [
        ("interaction", "1"),
        ("alert", "warned"),
        ("alert", "over"),
        ("interaction", "2"),
    ]
    skipped, waiting = one["history"][1]["deliveries"]
    assert (skipped["status"], skipped["overtaken_by"]) == ("skipped", "breach")
    assert (waiting["last_error"], waiting["overtaken_by"]) == ("busy", None)
    assert one["history"][3]["by"] == "brand"
    alerts = api.client.get("/v1/brands/aurora/alerts").json()["items"]
    assert [each["unconfirmed"] for each in alerts] == [True, False]
    assert [each["attempts"] for each in alerts[1]["deliveries"]] == [1, 2]
    assert alerts[1]["deliveries"][0]["overtaken_by"] == "breach"
    with logged_in(api) as portal:
        for page in ("/brands/aurora", "/brands/aurora/exchanges/one"):
            shown = " ".join(re.sub(r"<[^>]*>", " ", portal.get(page).text).split())
            assert "Webhook “ crm ”: skipped , replaced by “Overdue”" in shown


def test_a_decision_is_shown_with_who_took_it_when_and_why(api: Served, views: Database[Document]) -> None:
    api.brand("aurora")
    said = DecisionRef(by="Mira", at=NOW, why="Answered by phone")
    _write(
        views,
        samples.exchange("one", "aurora", NOW, state="cancelled", cancelled_because="no_reply_needed", decision=said),
        samples.exchange("two", "aurora", NOW, stage_wanted=True),
    )
    two, one = api.client.get("/v1/brands/aurora/exchanges").json()["items"]
    assert one["decision"] == {"by": "Mira", "at": NOW.isoformat().replace("+00:00", "Z"), "why": "Answered by phone"}
    assert one["cancelled_because"] == "no_reply_needed"
    assert two["stage_wanted"]


def test_followers_are_sorted_and_staged_as_of_now(api: Served, views: Database[Document]) -> None:
    api.brand("aurora")
    long_ago = NOW - timedelta(days=240)
    _write(
        views,
        samples.follower("faded", "aurora", long_ago, worth={"know": 16.0, "like": 1.0, "trust": 1.0}),
        samples.follower("known", "aurora", NOW - HOUR, worth={"know": 3.0, "like": 2.0}),
        samples.follower("liked", "aurora", NOW - 2 * HOUR, worth={"know": 5.0, "like": 6.0}),
        samples.follower("trusted", "aurora", NOW - 3 * HOUR, worth={"know": 4.0, "like": 4.5, "trust": 9.0}),
        samples.follower("buyer", "aurora", NOW - 4 * HOUR, worth={"trust": 1.0}, last_purchase_at=NOW - 99 * HOUR),
        samples.follower("minus", "aurora", NOW - 5 * HOUR, worth={"know": 0.5, "trust": -3.0}),
        samples.exchange("open", "aurora", NOW, follower=FollowerRef(id="known")),
    )
    orders = {
        "last_seen": ["known", "liked", "trusted", "buyer", "minus", "faded"],
        "know": ["liked", "trusted", "known", "faded", "minus", "buyer"],
        "trust": ["trusted", "buyer", "faded", "known", "liked", "minus"],
    }
    for sort, expected in orders.items():
        for limit in (1, 4, 50):
            found = _all(api, f"/v1/brands/aurora/followers?sort={sort}", limit)
            assert [each["platform_id"] for each in found] == expected, (sort, limit)
    stages = {
        "new": {"faded", "minus"},
        "knows": {"known"},
        "likes": {"liked"},
        "trusts": {"trusted"},
        "buys": {"buyer"},
    }
    for name, ids in stages.items():
        found = _all(api, f"/v1/brands/aurora/followers?stage={name}", 50)
        assert {each["platform_id"] for each in found} == ids
        assert {each["stage"] for each in found} == {name}
    known = _all(api, "/v1/brands/aurora/followers?stage=knows", 50)[0]
    assert known["open_exchanges"] == 1
    assert known["know"] == 41
    one = api.client.get(f"/v1/brands/aurora/followers/{known['id']}").json()
    assert one["contributions"]["know"] == [{"kind": "comment", "worth": 3.0}]


def test_stages_are_those_of_the_domain_when_written_and_when_they_fall_by_themselves(
    api: Served, views: Database[Document]
) -> None:
    api.brand("aurora")
    worths = (0.0, 1.99, 2.01, 3.99, 4.01, 4.99, 5.01, 12.0)
    combinations = [(know, like, trust) for know in worths for like in worths for trust in worths]
    now = datetime.now(UTC)
    bought = {0: now, 1: now - timedelta(days=364)}
    _write(
        views,
        *(
            samples.follower(
                str(index),
                "aurora",
                now,
                worth=dict(zip(("know", "like", "trust"), worth, strict=True)),
                last_purchase_at=bought.get(index),
            )
            for index, worth in enumerate(combinations)
        ),
    )

    def told(at: datetime) -> dict[str, str]:
        found = {}
        for each in views["followers"].find():
            last = each["last_purchase_at"]
            found[each["_id"]] = stage(each["sums"], ms(last) if last else None, ms(at))
        return found

    def written() -> dict[str, str]:
        return {each["_id"]: each["stage"] for each in views["followers"].find()}

    assert written() == told(now)
    assert set(written().values()) == {"new", "knows", "likes", "trusts", "buys"}
    later = now + timedelta(days=31)
    fall(TaskRun(views, None, later))
    assert written() == told(later) != told(now)
    fell = {name for name, held in told(now).items() if told(later)[name] != held}
    movers = api.client.get("/v1/brands/aurora/movers?limit=50").json()
    assert len(movers["lost"]) == 50
    everybody = {each["_id"]: each["stage_noted"] for each in views["followers"].find()}
    assert {name for name, noted in everybody.items() if noted["fell_at"]} == fell
    assert everybody["aurora/bluesky/1"]["from"] == "buys"
    _write(views, samples.follower("1", "aurora", now, worth={"know": 50, "like": 50, "trust": 50}, revision=2))
    risen = views["followers"].find_one({"_id": "aurora/bluesky/1"})
    assert risen is not None
    assert (risen["stage"], risen["stage_noted"]["fell_at"]) == ("trusts", None)


def test_a_followers_timeline_has_the_replies_to_it(api: Served, views: Database[Document]) -> None:
    api.brand("aurora")
    _write(
        views,
        samples.follower("did:plc:ada", "aurora", NOW, name="Ada"),
        samples.interaction("1", "aurora", NOW - 2 * HOUR),
        samples.reply("2", "aurora", NOW - HOUR, to="at://1"),
        samples.reply("3", "aurora", NOW - HOUR, to="at://unknown"),
        samples.interaction("4", "aurora", NOW, kind="reaction", text=None),
    )
    one = api.client.get(f"/v1/brands/aurora/followers/{follower_ref('bluesky', 'did:plc:ada')}").json()
    assert [each["id"] for each in one["timeline"]] == ["4", "2", "1"]


def test_the_overview_counts_by_due_time_and_leaves_out_what_is_backfilled(
    api: Served, views: Database[Document]
) -> None:
    api.brand("aurora", zone_at_noon(NOW))
    day = timedelta(days=1)

    def ended(
        id: str, due: timedelta, answered: timedelta, seconds: float, received: float | None = None, **more: Any
    ) -> Any:
        """`received`: so many seconds after it was written."""
        state: ExchangeState = "answered_late" if answered < due else "answered"
        if received is not None:
            more["received_at"] = NOW - answered - timedelta(seconds=seconds - received)
        return samples.exchange(
            id,
            "aurora",
            NOW - due - day,
            state=state,
            answered_at=NOW - answered,
            response_seconds=seconds,
            **more,
        )

    _write(
        views,
        samples.exchange("fresh", "aurora", NOW),
        samples.exchange("soon", "aurora", NOW - 23 * HOUR),
        samples.exchange("overdue", "aurora", NOW - 26 * HOUR),
        samples.exchange("from-before", "aurora", NOW - 26 * HOUR, backfilled=True),
        ended("today", 2 * HOUR, 3 * HOUR, 100.0, business_seconds=10.0, received=40.0),
        ended("late-today", 3 * HOUR, 2 * HOUR, 300.0, business_seconds=50.0, received=260.0),
        ended("last-week", 3 * day, 3.5 * day, 50.0),
        ended("before", 4 * day, 4 * day, 1.0, backfilled=True),
        ended("long-ago", 40 * day, 40 * day, 9.0),
        samples.exchange("deleted", "aurora", NOW - 26 * HOUR, state="cancelled"),
        samples.exchange(
            "deleted-late", "aurora", NOW - 26 * HOUR, state="cancelled", breached_at=NOW, cancelled_because="deleted"
        ),
        samples.exchange(
            "spam", "aurora", NOW - 26 * HOUR, state="cancelled", breached_at=NOW, cancelled_because="spam"
        ),
        samples.exchange("old-spam", "aurora", NOW - 5 * day, state="cancelled", cancelled_because="spam"),
        samples.exchange("spam-to-come", "aurora", NOW, state="cancelled", cancelled_because="spam"),
        samples.exchange("no-clock-yet", "aurora", NOW - 26 * HOUR, stage_wanted=True),
        samples.exchange("none-either", "aurora", NOW - 23 * HOUR, stage_wanted=True),
        ended("never-told", 2 * HOUR, 40 * day, 7.0, stage_wanted=True),
        samples.follower("a", "aurora", NOW),
        samples.follower("b", "aurora", NOW, first_seen=NOW - 30 * day),
    )
    found = api.client.get("/v1/brands/aurora/overview").json()
    counts = {
        name: found[name] for name in ("followers", "new_today", "open", "due_soon", "overdue", "backfilled_open")
    }
    assert counts == {"followers": 2, "new_today": 1, "open": 5, "due_soon": 1, "overdue": 1, "backfilled_open": 1}
    assert found["last_24h"] == {
        "answered": 1,
        "late": 1,
        "met": 1,
        "missed": 3,
        "spam": 1,
        "compliance": 0.25,
        "median_response_seconds": 200.0,
        "median_business_seconds": 30.0,
        "median_platform_seconds": 150.0,
        "p95_platform_seconds": 260.0,
        "median_team_seconds": 50.0,
    }
    assert found["last_7d"]["median_platform_seconds"] == 150.0, "of one of them nobody knows when it was received"
    assert found["last_7d"]["spam"] == 2
    assert found["last_7d"]["met"] == 2
    assert found["last_7d"]["median_response_seconds"] == 100.0
    assert found["compliance"] == 0.4
    across = api.client.get("/v1/overview").json()
    assert across["open"] == 5
    assert across["brands"][0] | {"at": found["at"]} == found
