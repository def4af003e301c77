"""What answering does to relationships, as the upkeep notes it and the API tells it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from rapport.contracts.events import ExchangeState, FollowerRef
from rapport.domain.relationships.counting import sum_up
from rapport.domain.relationships.relationship import DEFAULT
from rapport.kit.mongo import Document
from services.api.answering.upkeep import follow
from services.api.exchanges.documents import exchange_document
from services.api.projector import batch
from services.api.projector import views as views_of_the_projector
from services.api.projector.upkeep.loop import TaskRun
from tests.services.api import samples
from tests.services.api.conftest import Served

pytestmark = pytest.mark.stack

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
PATH = "/v1/brands/lighthouse/answering"


def person(views: Database[Document], name: str, opened: datetime, rises: bool) -> None:
    """A follower who knew the brand before a comment, and came back after it or did not."""
    row = samples.follower(name, "lighthouse", opened)
    row.days = {(opened - 2 * DAY).date().isoformat(): {"comment": 2, "reaction": 1}}
    if rises:
        row.days[(opened + 20 * DAY).date().isoformat()] = {"share": 3}
    sum_up(row, DEFAULT)
    views["followers"].insert_one(samples.stored_follower(row))


def written(views: Database[Document], name: str) -> None:
    """The follower is written again, as it is with every word about an exchange."""
    views["followers"].update_one({"follower": name}, {"$currentDate": {"written_at": True}})


def exchanged(views: Database[Document], name: str, opened: datetime, state: ExchangeState, **more: Any) -> None:
    """An exchange of a follower."""
    snapshot = samples.exchange(
        f"x-{name}",
        "lighthouse",
        opened,
        state=state,
        follower=FollowerRef(id=name),
        **more,
    )
    views["exchanges"].replace_one({"_id": snapshot.id}, exchange_document(snapshot, 1), upsert=True)


def test_stages_after_answers_in_time_late_ones_and_none_are_counted_with_their_interval(
    api: Served, views: Database[Document]
) -> None:
    api.brand("lighthouse")
    opened = NOW - 60 * DAY
    for number in range(10):
        person(views, f"good-{number}", opened, rises=number < 8)
        exchanged(views, f"good-{number}", opened, "answered", answered_at=opened + DAY / 2)
    person(views, "late", opened, rises=False)
    exchanged(views, "late", opened, "answered_late", answered_at=opened + 2 * DAY, breached_at=opened + DAY)
    person(views, "none", opened, rises=False)
    exchanged(views, "none", opened, "open", breached_at=opened + DAY)
    person(views, "spam", opened, rises=False)
    exchanged(views, "spam", opened, "cancelled", breached_at=opened + DAY, cancelled_because="spam")
    person(views, "young", NOW - 20 * DAY, rises=True)
    exchanged(views, "young", NOW - 20 * DAY, "answered", answered_at=NOW - 19 * DAY)
    for _ in range(2):
        follow(TaskRun(views, None, NOW))
    answer = api.client.get(PATH)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert [(each["outcome"], each["exchanges"]) for each in found["after"]] == [
        ("answered", 10),
        ("answered_late", 1),
        ("unanswered", 1),
    ]
    rose = found["after"][0]["rose"]
    assert rose["followers"] == 8
    assert rose["share"]["value"] == 0.8
    assert (round(rose["share"]["low"], 3), round(rose["share"]["high"], 3)) == (0.49, 0.943)
    assert found["after"][2]["fell"]["followers"] == 1
    last = found["to"]
    assert api.client.get(f"{PATH}?from={last}&to={last}").json()["after"][0]["exchanges"] == 0


def test_an_outcome_that_is_corrected_however_late_is_told_anew(api: Served, views: Database[Document]) -> None:
    api.brand("lighthouse")
    opened = NOW - 90 * DAY
    person(views, "ada", opened, rises=True)
    exchanged(views, "ada", opened, "open", breached_at=opened + DAY)
    follow(TaskRun(views, None, NOW))
    exchanged(views, "ada", opened, "answered", answered_at=opened + DAY / 2)
    written(views, "ada")
    follow(TaskRun(views, None, NOW + DAY))
    exchanges = {each["outcome"]: each["exchanges"] for each in api.client.get(PATH).json()["after"]}
    assert exchanges == {"answered": 1, "answered_late": 0, "unanswered": 0}
    exchanged(views, "ada", opened, "superseded")
    written(views, "ada")
    follow(TaskRun(views, None, NOW + 2 * DAY))
    assert views["answer_effects"].count_documents({}) == 0


def test_an_outcome_that_is_stored_after_its_turn_is_noted(api: Served, views: Database[Document]) -> None:
    api.brand("lighthouse")
    opened = NOW - 60 * DAY
    person(views, "ada", opened, rises=True)
    for turn in range(3):
        follow(TaskRun(views, None, NOW + turn * DAY))
    # What the projector was away for, or reads once more because the views were lost. Nobody's row changes with it.
    late = samples.exchange(
        "x-ada", "lighthouse", opened, state="open", follower=FollowerRef(id="ada"), breached_at=opened + DAY
    )
    fresh = samples.exchange("x-new", "lighthouse", NOW, follower=FollowerRef(id="ada"))
    stored = {each.id: exchange_document(each, 1) for each in (late, fresh)}
    views_of_the_projector.write(views, batch.Batch(exchanges=stored))
    assert [each["exchange"] for each in views["stale"].find({"what": "answering"})] == ["x-ada"]
    follow(TaskRun(views, None, NOW + 3 * DAY))
    assert [(each["_id"], each["outcome"]) for each in views["answer_effects"].find()] == [("x-ada", "unanswered")]
    assert views["stale"].count_documents({}) == 0


def test_a_period_that_ends_before_it_begins_is_refused(api: Served) -> None:
    api.brand("lighthouse")
    answer = api.client.get(f"{PATH}?from=2026-02-01&to=2026-01-01")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "from"
