"""`rapport verify` on a real log, a real scorer, a real projector: it sees what differs, and nothing else."""

import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from rapport.cli import app
from rapport.contracts import codec
from rapport.contracts.controls import FollowerErased, StageTold
from rapport.contracts.events import Kind
from rapport.contracts.topics import ALERTS, CONVERSATIONS
from rapport.domain.erasing import ERASED
from rapport.domain.times import utc
from services.verify import groups
from services.verify.figures import FIGURES
from services.verify.settle import Settling
from tests.services.scorer.story import HOUR, interaction
from tests.services.scorer.worker import broker_now, produce, read_all
from tests.services.verify.world import World
from tests.waiting import until

pytestmark = pytest.mark.stack

QUIET = {"brand": "zeta"}
"""A brand of which no clock runs out while the tests last."""


@contextmanager
def tampered(world: World, collection: str, id: Any, **changes: Any) -> Iterator[None]:
    """A document with other fields, or away where there are none; as it was after the block."""
    views = world.views[collection]
    before = views.find_one({"_id": id})
    assert before is not None
    if changes:
        views.update_one({"_id": id}, {"$set": changes})
    else:
        views.delete_one({"_id": id})
    try:
        yield
    finally:
        views.replace_one({"_id": id}, before, upsert=True)


@contextmanager
def without(world: World, collection: str, id: Any, field: str) -> Iterator[None]:
    """A document that lacks a field; as it was after the block."""
    with tampered(world, collection, id, **{field: None}):
        world.views[collection].update_one({"_id": id}, {"$unset": {field: 1}})
        yield


@contextmanager
def added(world: World, collection: str, like: Any, id: Any) -> Iterator[None]:
    """A document more, the same as another but for its id."""
    views = world.views[collection]
    found = views.find_one({"_id": like})
    assert found is not None
    views.insert_one({**found, "_id": id})
    try:
        yield
    finally:
        views.delete_one({"_id": id})


def three(world: World, collection: str, **query: Any) -> list[Any]:
    """The ids of three documents."""
    found = [each["_id"] for each in world.views[collection].find(query).sort("_id").limit(3)]
    assert len(found) == 3
    return found


def test_a_day_with_everything_in_it_agrees(busy_world: World) -> None:
    records = read_all(busy_world.running.kafka, CONVERSATIONS)
    outcome = busy_world.verify()
    assert (outcome.differences, outcome.code) == ([], 0)
    told = Counter(type(_decoded(record)) for record in records)
    assert told[StageTold] > 10
    ends = {
        (each["state"], each.get("cancelled_because"), each["backfilled"])
        for each in busy_world.views["exchanges"].find()
    }
    assert ends >= {
        ("open", None, True),
        ("answered", None, False),
        ("answered_late", None, True),
        *(("cancelled", why, False) for why in ("blocked", "deleted", "spam", "no_reply_needed", "disconnected")),
    }
    steps = {_decoded(record).step for record in read_all(busy_world.running.kafka, ALERTS)}
    assert steps == {"warning", "breach", "escalation", "retracted", "resolved"}
    summary = outcome.summary
    assert summary["verified"] is True
    figures = {figure.what for figure in FIGURES}
    compared = {what: many for what, many in summary["compared"].items() if what not in figures}
    assert compared == {
        **{
            kind: busy_world.views[collection].count_documents({})
            for kind, collection in {"interaction": "interactions", "exchange": "exchanges", "alert": "alerts"}.items()
        },
        "follower": busy_world.views["followers"].count_documents({}),
        "hour": busy_world.views["hourly"].count_documents({}),
        "alert record": busy_world.views["alerts"].count_documents({}),
        "dead letter": 3,
        "put aside": 3,
    }
    for what, collection in (("stage", "followers"), ("beginning", "beginnings"), ("stage after", "stage_after")):
        assert summary["compared"][what] == busy_world.views[collection].count_documents({}) > 10
    assert summary["compared"].keys() == compared.keys() | figures
    counted = busy_world.views["interactions"].aggregate(
        [{"$group": {"_id": {"brand": "$brand", "kind": "$kind"}, "many": {"$sum": 1}}}]
    )
    assert {(each["_id"]["brand"], each["_id"]["kind"]): each["many"] for each in counted} == {
        (brand, kind): many for brand, counts in summary["counts"].items() for kind, many in counts.items()
    }
    assert summary["records"] >= len(records)
    first, last = (datetime.fromisoformat(summary[name]).timestamp() * 1000 for name in ("first", "last"))
    assert first == min(record.timestamp for record in records)
    assert last >= max(record.timestamp for record in records)


def _decoded(record: Any) -> Any:
    try:
        return codec.decode(codec.type_of(record.headers), record.value)
    except codec.UndecodableError:
        return None


def test_an_exchange_that_differs_is_missing_or_made_up_is_told(busy_world: World) -> None:
    changed, missing, like = three(busy_world, "exchanges", **QUIET, state="open")
    with (
        tampered(busy_world, "exchanges", changed, state="answered"),
        tampered(busy_world, "exchanges", missing),
        added(busy_world, "exchanges", like, "made-up"),
    ):
        outcome = busy_world.verify()
    assert outcome.code == 1
    assert outcome.fields == {
        ("exchange", changed, "state"),
        ("exchange", missing, None),
        ("exchange", "made-up", None),
    }
    (state,) = (each for each in outcome.differences if each["field"] == "state")
    assert (state["mongodb"], state["log"]) == ("answered", "open")
    assert outcome.summary["differences"] == 3


def test_when_a_comment_was_received_is_compared_where_it_was_noted(busy_world: World) -> None:
    wrong, before = three(busy_world, "exchanges", **QUIET, state="open")[:2]
    with (
        tampered(busy_world, "exchanges", wrong, received_at=datetime(2026, 1, 1, tzinfo=UTC)),
        without(busy_world, "exchanges", before, "received_at"),
    ):
        outcome = busy_world.verify()
    assert outcome.fields == {("exchange", wrong, "received_at")}


def test_a_follower_that_differs_is_missing_or_made_up_is_told(busy_world: World) -> None:
    changed, missing, like = three(busy_world, "followers", **QUIET)
    with (
        tampered(
            busy_world,
            "followers",
            changed,
            **{"counts.comment": 77, "handle": "@nobody", "know_rank": 2.5, "version": 1},
        ),
        tampered(busy_world, "followers", missing),
        added(busy_world, "followers", like, "zeta/generic/made-up"),
    ):
        outcome = busy_world.verify()
    assert outcome.code == 1
    assert outcome.fields == {
        ("follower", changed, "counts.comment"),
        ("follower", changed, "handle"),
        ("follower", changed, "know_rank"),
        ("follower", changed, "version"),
        ("follower", missing, None),
        ("follower", "zeta/generic/made-up", None),
    }


def test_a_follower_is_called_what_the_latest_interaction_says(busy_world: World) -> None:
    said = busy_world.views["interactions"].find({**QUIET, "kind": "share"})
    names: dict[str, set[str]] = {}
    for each in said:
        names.setdefault(each["follower"], set()).add(each["actor"]["handle"])
    follower, known = next((follower, known) for follower, known in names.items() if len(known) > 1)
    stored = busy_world.views["followers"].find_one({"_id": f"zeta/generic/{follower}"})
    assert stored is not None
    (other,) = known - {stored["handle"]}
    with tampered(busy_world, "followers", stored["_id"], handle=other):
        assert busy_world.verify().fields == {("follower", stored["_id"], "handle")}


def test_an_interaction_that_differs_is_missing_or_made_up_is_told(busy_world: World) -> None:
    changed, missing, like = three(busy_world, "interactions", **QUIET, text={"$exists": True})
    with (
        tampered(busy_world, "interactions", changed, text="something else"),
        tampered(busy_world, "interactions", missing),
        added(busy_world, "interactions", like, "zeta/generic/made-up"),
    ):
        outcome = busy_world.verify()
    assert outcome.code == 1
    assert outcome.fields == {
        ("interaction", changed, "text"),
        ("interaction", missing, None),
        ("interaction", "zeta/generic/made-up", None),
    }


def test_an_alert_that_differs_is_missing_or_made_up_is_told(busy_world: World) -> None:
    changed, missing, like = three(busy_world, "alerts")
    with (
        tampered(busy_world, "alerts", changed, comments=99),
        tampered(busy_world, "alerts", missing),
        added(busy_world, "alerts", like, "made-up"),
    ):
        outcome = busy_world.verify()
    assert outcome.code == 1
    assert outcome.fields == {("alert", changed, "comments"), ("alert", missing, None), ("alert", "made-up", None)}


def test_an_hour_that_is_counted_wrong_is_missing_or_made_up_is_told(busy_world: World) -> None:
    changed, missing, like = three(busy_world, "hourly", **QUIET)
    with (
        tampered(busy_world, "hourly", changed, **{"counts.comment": 1}),
        tampered(busy_world, "hourly", missing),
        added(busy_world, "hourly", like, "zeta/2001-01-01T00"),
    ):
        outcome = busy_world.verify()
    assert outcome.code == 1
    assert outcome.fields == {
        ("hour", changed, "counts.comment"),
        ("hour", missing, None),
        ("hour", "zeta/2001-01-01T00", None),
    }


def test_another_brands_differences_are_left_out_where_one_brand_is_asked_for(busy_world: World) -> None:
    with ExitStack() as stack:
        changed = {}
        for collection in ("exchanges", "followers", "interactions", "hourly"):
            changed[collection] = three(busy_world, collection, **QUIET)[0]
            stack.enter_context(tampered(busy_world, collection, changed[collection]))
        stack.enter_context(added(busy_world, "exchanges", three(busy_world, "exchanges", **QUIET)[1], "made-up"))
        other, own = busy_world.verify("--brand", "acme"), busy_world.verify("--brand", "zeta")
    assert (other.code, other.differences) == (0, [])
    assert other.summary["compared"]["exchange"] == busy_world.views["exchanges"].count_documents({"brand": "acme"})
    assert (own.code, {each for _, each, _ in own.fields}) == (1, {*changed.values(), "made-up"})


def test_with_another_grace_than_the_scorers_other_breaches_come_out(busy_world: World) -> None:
    outcome = busy_world.verify(grace="100000")
    assert outcome.code == 1
    assert {each["what"] for each in outcome.differences} >= {"exchange", "alert", "alert record", "follower"}


def test_while_interactions_keep_coming_all_that_differs_at_first_agrees_in_the_end(
    busy_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, ended, differed = broker_now(busy_world.running), threading.Event(), threading.Event()
    add = Settling.add

    def continued(self: Settling, differing: Any, number: int) -> None:
        if differing and not differed.is_set():
            differed.set()
            busy_world.projector.process.send_signal(signal.SIGCONT)
        add(self, differing, number)

    def keep_coming() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            produce(
                busy_world.running.kafka,
                [
                    interaction(kind, f"on-{number}-{kind}", now + number, follower=f"f{number % 7}", text="And now?")
                    for kind in ("comment", "reaction", "share")
                ],
            )

    monkeypatch.setattr(Settling, "add", continued)
    busy_world.projector.process.send_signal(signal.SIGSTOP)
    coming = threading.Thread(target=keep_coming)
    coming.start()
    try:
        before = busy_world.views["interactions"].count_documents({})
        outcome = busy_world.verify()
    finally:
        busy_world.projector.process.send_signal(signal.SIGCONT)
        ended.set()
        coming.join()
    assert differed.is_set()
    assert (outcome.differences, outcome.code, outcome.summary["why"]) == ([], 0, None)
    assert busy_world.views["interactions"].count_documents({}) > before


@pytest.mark.parametrize("process", ["scorer", "projector"])
def test_what_a_process_that_stands_still_has_not_done_yet_is_no_difference(
    busy_world: World, process: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "PATIENCE_SECONDS", 1.0)
    child = getattr(busy_world, process).process
    child.send_signal(signal.SIGSTOP)
    try:
        produce(busy_world.running.kafka, [interaction("comment", f"late-{process}", broker_now(busy_world.running))])
        outcome = busy_world.verify()
    finally:
        child.send_signal(signal.SIGCONT)
    assert (outcome.code, outcome.differences, outcome.summary["verified"]) == (2, [], False)
    assert f"the group rapport-{process} has been at" in outcome.summary["why"]
    until(lambda: busy_world.verify().code == 0, "all agrees again")


def test_a_person_who_was_erased_is_expected_nowhere(busy_world: World) -> None:
    views, now = busy_world.views, broker_now(busy_world.running)
    its = {"brand": "acme", "platform": "generic", "follower": "f5"}
    assert views["interactions"].count_documents(its) > 10
    assert views["exchanges"].count_documents({"brand": "acme", "follower.id": "f5"}) > 1
    busy_world.control(FollowerErased(brand="acme", platform="generic", follower="f5", at=utc(now)))
    after = [interaction(kind, f"after-{kind}", now, follower="f5") for kind in ("comment", "reaction")]
    produce(busy_world.running.kafka, after)
    busy_world.through()
    outcome = busy_world.verify()
    assert (outcome.differences, outcome.code) == ([], 0)
    assert views["interactions"].count_documents(its) == 0
    assert views["followers"].count_documents({"_id": "acme/generic/f5"}) == 0
    assert views["exchanges"].count_documents({"brand": "acme", "follower.id": ERASED}) > 1
    made_up = views["interactions"].find_one({"brand": "acme", "follower": "f1"})
    assert made_up is not None
    views["interactions"].insert_one({**made_up, "_id": "acme/generic/back", "follower": "f5"})
    try:
        assert ("interaction", "acme/generic/back", None) in busy_world.verify().fields
    finally:
        views["interactions"].delete_one({"_id": "acme/generic/back"})


def test_an_id_that_comes_as_several_kinds_counts_in_the_hour_and_kind_that_are_shown(busy_world: World) -> None:
    views, now = busy_world.views, broker_now(busy_world.running)

    def told(id: str, kind: Kind, who: str, hours: int) -> None:
        event = interaction(kind, id, now - hours * HOUR, follower=who, conversation=f"post-{id}-{hours}")
        produce(busy_world.running.kafka, [event])

    def shown(id: str) -> str | None:
        found = views["interactions"].find_one({"_id": f"acme/generic/{id}"})
        return found["kind"] if found else None

    kinds: tuple[Kind, ...] = ("comment", "share", "reaction")
    for first in kinds:
        told(f"twice-{first}", first, "twin", 1)
        told(f"gone-{first}", first, "leaver", 1)
    until(lambda: all(shown(f"{name}-{each}") for name in ("twice", "gone") for each in kinds), "the first are shown")
    for first in kinds:
        for number, second in enumerate(kinds):
            told(f"twice-{first}", second, f"other-{number}", number)
            told(f"gone-{first}", second, f"other-{number}", number)
    busy_world.through()
    busy_world.control(FollowerErased(brand="acme", platform="generic", follower="leaver", at=utc(now)))
    busy_world.through()
    outcome = busy_world.verify()
    assert (outcome.differences, outcome.code) == ([], 0)
    for first in kinds:
        assert (shown(f"twice-{first}"), shown(f"gone-{first}")) == (first, None)
    hour = f"acme/{utc(now - HOUR).isoformat()[:13]}"
    with tampered(busy_world, "hourly", hour, counts={"comment": 10_000}):
        assert ("hour", hour, "counts.comment") in busy_world.verify().fields


def test_people_read_a_line_per_difference_and_what_was_compared(busy_world: World) -> None:
    changed = three(busy_world, "exchanges", **QUIET, state="open")[0]
    servers = {"RAPPORT_KAFKA": busy_world.running.kafka, "RAPPORT_MONGODB": busy_world.running.mongodb}
    with tampered(busy_world, "exchanges", changed, answered_by="Grace"):
        result = CliRunner().invoke(app, ["verify", "--grace", "0", "--settle", "1", "--brand", "zeta"], env=servers)
    assert result.exit_code == 1
    first, replayed, compared, counts, last = result.stdout.splitlines()
    assert first == f'exchange {changed}: answered_by is "Grace" in MongoDB; according to the log it should be nothing'
    assert replayed.startswith("Read ")
    assert " records of the log, from 20" in replayed
    assert " exchanges, " in compared
    assert counts.startswith("zeta: ")
    assert last == "One difference."
    progress = result.stderr.splitlines()
    assert any(line.startswith("reading the log: ") for line in progress)
    assert any(line.startswith("comparing exchanges: ") for line in progress)


def test_where_the_servers_are_away_it_says_so_and_ends_with_another_code(busy_world: World) -> None:
    for variable, server in (("RAPPORT_KAFKA", "Kafka"), ("RAPPORT_MONGODB", "MongoDB")):
        servers = {"RAPPORT_KAFKA": busy_world.running.kafka, "RAPPORT_MONGODB": busy_world.running.mongodb}
        away = {"RAPPORT_KAFKA": "127.0.0.1:1", "RAPPORT_MONGODB": "mongodb://127.0.0.1:1/?replicaSet=rapport"}
        servers[variable] = away[variable]
        result = CliRunner().invoke(app, ["verify"], env=servers)
        assert result.exit_code == 2
        assert f"rapport: not verified: {server} at " in result.stderr
        assert "127.0.0.1:1" in result.stderr
