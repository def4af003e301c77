"""What another policy would have done to a fortnight of exchanges."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from rapport.contracts.business_hours import WEEKDAYS
from rapport.contracts.events import Actor, DecisionRef, FirstComment, FollowerRef, Kind, Object
from services.api.exchanges.documents import exchange_document
from services.api.interactions.documents import interaction_document
from services.api.policies import preview as previewing
from tests.services.api import samples
from tests.services.api.conftest import Served

pytestmark = pytest.mark.stack

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
PATH = "/v1/brands/aurora/policy/preview"


def _exchange(
    views: Database[Any], id: str, opened: datetime, *, kind: Kind = "comment", text: str = "Hi!", **more: Any
) -> None:
    """An exchange and its first comment."""
    comment = {name: more.pop(name) for name in ("actor", "media") if name in more}
    actor = comment.setdefault("actor", Actor(id=f"did:plc:{id}"))
    first = FirstComment(id=f"at://{id}", text=text)
    snapshot = samples.exchange(id, "aurora", opened, first=first, follower=FollowerRef(id=actor.id), **more)
    views["exchanges"].insert_one(exchange_document(snapshot, 1))
    said = samples.interaction(id, "aurora", opened, kind=kind, object=Object(id=first.id), text=text, **comment)
    views["interactions"].insert_one(interaction_document(said))


def _answered(views: Database[Any], id: str, opened: datetime, after: timedelta, **more: Any) -> None:
    late = after > timedelta(hours=24)
    _exchange(
        views, id, opened, state="answered_late" if late else "answered", answered_at=opened + after,
        breached_at=opened + timedelta(hours=24) if late else None, **more,
    )  # fmt: skip


def _preview(api: Served, rules: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    answer = api.client.post(PATH, json={"rules": rules, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_shorter_target_turns_some_answers_late_and_the_same_one_changes_nothing(
    api: Served, views: Database[Any]
) -> None:
    api.brand("aurora")
    for hours in range(1, 7):
        _answered(views, f"after-{hours}", NOW - timedelta(days=3, hours=hours), hours * HOUR)
    _answered(views, "late", NOW - timedelta(days=5), timedelta(hours=25))
    _exchange(views, "overdue", NOW - timedelta(days=6))
    _exchange(views, "fresh", NOW - 5 * HOUR)
    _exchange(views, "deleted", NOW - timedelta(days=4), state="cancelled", cancelled_because="deleted")
    said = DecisionRef(by="Mira", at=NOW - timedelta(days=4) + 5 * HOUR, why="by phone")
    _exchange(
        views, "decided", NOW - timedelta(days=4), state="cancelled", cancelled_because="no_reply_needed", decision=said
    )
    _exchange(views, "no-stage", NOW - timedelta(days=4), stage_wanted=True)
    _exchange(views, "older", NOW - timedelta(days=31))

    same = _preview(api, [{"target_seconds": 86_400}])
    now = {
        "exchanges": 12, "met": 6, "missed": 2, "open": 1, "cancelled": 2, "without_clock": 0, "stage_wanted": 1,
        "compliance": 0.75,
    }  # fmt: skip
    assert same["current"] == now
    assert same["proposed"] == {**now, "missed": 3, "stage_wanted": 0, "compliance": 6 / 9}
    assert [each["id"] for each in same["examples"]] == ["no-stage"]
    assert (same["cut"], same["differing"]) == (False, 1)

    shorter = _preview(api, [{"target_seconds": 4 * 3600}])
    assert shorter["proposed"] == {
        "exchanges": 12, "met": 4, "missed": 7, "open": 0, "cancelled": 1, "without_clock": 0, "stage_wanted": 0,
        "compliance": 4 / 11,
    }  # fmt: skip
    assert shorter["rules"][0] == {"rule": 0, **shorter["proposed"]}
    assert (shorter["rules"][1]["rule"], shorter["rules"][1]["exchanges"]) == (None, 0)
    fresh = shorter["examples"][0]
    assert (fresh["id"], fresh["old_outcome"], fresh["new_outcome"]) == ("fresh", "open", "missed")
    assert datetime.fromisoformat(fresh["old_due_at"]) == NOW + 19 * HOUR
    assert datetime.fromisoformat(fresh["new_due_at"]) == NOW - HOUR
    assert {each["id"] for each in shorter["examples"]} == {"fresh", "after-5", "after-6", "decided", "no-stage"}
    assert any("deleted" in note for note in shorter["notes"])
    assert api.client.get("/v1/brands/aurora/policy").json()["version"] == 0


def test_rules_are_tried_on_what_the_first_comment_was(api: Served, views: Database[Any]) -> None:
    api.brand("aurora")
    opened = NOW - timedelta(days=2)
    _exchange(views, "refund", opened, text="I want a REFUND now")
    _exchange(views, "bot", opened, actor=Actor(id="did:plc:bot", bot=True))
    _exchange(views, "heart", opened, text="❤️", actor=Actor(id="did:plc:same"))
    _exchange(views, "picture", opened, text="❤️", media=("image",), actor=Actor(id="did:plc:same"))
    _exchange(views, "message", opened, kind="message")
    _exchange(views, "buyer", opened)
    row = samples.follower("did:plc:buyer", "aurora", NOW, last_purchase_at=NOW)
    views["followers"].insert_one(samples.stored_follower(row))
    _exchange(views, "forgotten", opened)
    views["interactions"].delete_one({"_id": "aurora/bluesky/forgotten"})
    rules: list[dict[str, Any]] = [
        {"when": {"words": "refund"}, "target_seconds": 3600},
        {"when": {"bot": True}, "target_seconds": None},
        {"when": {"empty": True}, "target_seconds": None},
        {"when": {"kind": "message"}, "target_seconds": 3600},
        {"when": {"stage": ["buys"]}, "target_seconds": 60},
        {"when": {"kind": "comment", "platform": "bluesky", "stage": "new"}, "target_seconds": 90 * 3600},
    ]
    found = _preview(api, rules)
    assert [(each["rule"], each["exchanges"]) for each in found["rules"]] == [
        (0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (None, 0),
    ]  # fmt: skip
    assert found["proposed"]["without_clock"] == 2
    examples = {each["id"]: (each["new_outcome"], each["new_due_at"]) for each in found["examples"]}
    assert examples["bot"] == examples["heart"] == ("no_clock", None)
    assert examples["picture"][0] == "open"
    assert any("current stage" in note for note in found["notes"])
    assert any("of people: 1." in note for note in found["notes"])


def test_open_hours_are_counted_as_for_a_real_clock(api: Served, views: Database[Any]) -> None:
    api.brand("aurora")
    opened = datetime(2026, 6, 5, 16, 5, tzinfo=UTC)  # a Friday, 18:05 in Berlin
    _answered(views, "monday", opened, timedelta(hours=63))  # at 09:05
    week = {day: [["09:00", "18:00"]] for day in WEEKDAYS[:5]}
    calendars = {"support": {"timezone": "Europe/Berlin", "week": week}}
    rule = {"target_seconds": 4 * 3600, "calendar": "support"}
    found = _preview(api, [rule], calendars=calendars, **{"from": "2026-06-01T00:00:00Z", "to": "2026-06-30T00:00:00Z"})
    assert (found["current"]["missed"], found["proposed"]["met"]) == (1, 1)
    assert found["examples"][0]["new_due_at"] == "2026-06-08T11:00:00Z"
    assert (found["from"], found["to"]) == ("2026-06-01T00:00:00Z", "2026-06-30T00:00:00Z")


def test_backfilled_ones_spam_merged_ones_and_other_brands_are_left_out(api: Served, views: Database[Any]) -> None:
    api.brand("aurora")
    opened = NOW - 2 * HOUR
    _exchange(views, "there", opened)
    _exchange(views, "before", opened, backfilled=True)
    _exchange(views, "spam", opened, state="cancelled", cancelled_because="spam")
    _exchange(views, "merged", opened, state="superseded")
    views["exchanges"].insert_one(exchange_document(samples.exchange("foreign", "harbour", opened), 1))
    found = _preview(api, [{"target_seconds": 3600}])
    assert [each["id"] for each in found["examples"]] == ["there"]
    assert found["current"]["exchanges"] == 1


def test_too_many_are_cut_and_the_answer_says_so(
    api: Served, views: Database[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    api.brand("aurora")
    for hours in range(5):
        _exchange(views, f"x{hours}", NOW - (hours + 2) * HOUR)
    monkeypatch.setattr(previewing, "AT_ONCE", 2)
    monkeypatch.setattr(previewing, "MOST_SHOWN", 3)
    for most, count, cut in ((6, 5, False), (5, 5, False), (4, 4, True), (3, 3, True)):
        monkeypatch.setattr(previewing, "MOST_EXCHANGES", most)
        found = _preview(api, [{"target_seconds": 60}])
        assert (found["current"]["exchanges"], found["cut"], found["differing"]) == (count, cut, count)
        assert [each["id"] for each in found["examples"]] == ["x0", "x1", "x2"]
        assert any(f"latest {count} exchanges" in note for note in found["notes"]) == cut
    monkeypatch.setattr(previewing, "SECONDS_ALLOWED", -1.0)
    late = _preview(api, [{"target_seconds": 60}])
    assert (late["current"]["exchanges"], late["cut"], late["current"]["compliance"]) == (0, True, None)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "from"),
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-04-04T00:00:00Z"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"to": "0001-01-01T00:00:00Z"}, "to"),
        ({"start": "2026-01-01T00:00:00Z"}, "start"),
        ({"rules": [{"target_seconds": 60, "calendar": "nowhere"}]}, "rules.0.calendar"),
        ({"effective_from": "2026-01-01T00:00:00Z"}, "effective_from"),
    ],
)
def test_a_preview_that_makes_no_sense_is_refused_by_field(api: Served, more: dict[str, Any], field: str) -> None:
    api.brand("aurora")
    answer = api.client.post(PATH, json={"rules": [], **more})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    longest = {"rules": [], "from": "2026-01-01T00:00:00Z", "to": "2026-04-03T00:00:00Z"}
    assert api.client.post(PATH, json=longest).status_code == 200
