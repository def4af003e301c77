"""Two processes do the upkeep at once where one was held up: nothing is told twice with different content."""

from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any

import pytest
from pymongo.database import Database

from rapport.contracts import codec
from rapport.contracts.controls import PersonTold
from rapport.kit.mongo import Document
from services.api.identities import upkeep as identities
from services.api.projector.upkeep import loop
from services.api.projector.upkeep.loop import LeaseLostError, Task, TaskRun, Upkeep
from services.api.projector.upkeep.tasks import TASKS
from tests.waiting import until

PAST = datetime(2020, 1, 1, tzinfo=UTC)

pytestmark = pytest.mark.stack


class OneRound(Event):
    """Lets the upkeep look once."""

    looked = False

    def wait(self, timeout: float | None = None) -> bool:
        """False the first time."""
        del timeout
        looked, self.looked = self.looked, True
        return looked


class Outbox:
    """A producer that keeps what it is given."""

    def __init__(self) -> None:
        self.told: list[PersonTold] = []

    def send(self, topic: str, value: bytes, **_: Any) -> "Outbox":
        """Takes a record."""
        del topic
        event = codec.decode("rapport.control.v1", value)
        assert isinstance(event, PersonTold)
        self.told.append(event)
        return self

    def get(self, timeout: float) -> None:
        """The broker has it at once."""
        del timeout


def end_lease(views: Database[Document]) -> None:
    views["leases"].update_one({"_id": "upkeep"}, {"$set": {"until": PAST}})


def test_a_lease_that_a_wrong_clock_wrote_holds_up_nobody(views: Database[Document]) -> None:
    ran: list[datetime] = []
    views["leases"].insert_one({"_id": "upkeep", "holder": "dead", "until": datetime.now(UTC) + timedelta(days=365)})
    Upkeep(views, None, [Task("figures", timedelta(seconds=1), lambda run: ran.append(run.now))]).run(OneRound())
    assert len(ran) == 1


def test_one_revision_has_one_content_when_another_projector_takes_over_in_the_middle(
    views: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {**identities.NOBODY, "person": "older"}
    held_up = False

    def content(*_: Any) -> Document:
        nonlocal held_up, wanted
        found = wanted
        if not held_up:
            held_up = True
            end_lease(views)
            wanted = {**wanted, "person": "newer"}
            views["linked"].update_one({}, {"$set": {"dirty": "second"}})
            Upkeep(views, outbox, [identities.TASK]).run(OneRound())
        return found

    monkeypatch.setattr(identities, "content", content)
    views["linked"].insert_one({"_id": "lantern/bluesky/ada", "brand": "lantern", "dirty": "first"})
    outbox = Outbox()
    Upkeep(views, outbox, [identities.TASK]).run(OneRound())
    contents: dict[int, set[str | None]] = {}
    for each in outbox.told:
        contents.setdefault(each.revision, set()).add(each.person)
    assert contents == {1: {"newer"}}
    stored = views["linked"].find_one({"_id": "lantern/bluesky/ada"})
    assert stored is not None
    assert (stored["revision"], stored["told"]["person"], stored["pending"]) == (1, "newer", None)
    assert "dirty" not in stored


def test_a_late_sender_does_not_take_back_a_higher_revision(views: Database[Document]) -> None:
    newer = {**identities.NOBODY, "person": "newer"}

    class Late(Outbox):
        def get(self, timeout: float) -> None:
            del timeout
            if len(self.told) == 1:
                views["linked"].update_one({}, {"$set": {"revision": 2, "told": newer, "pending": None}})

    waiting = {"revision": 1, "content": {**identities.NOBODY, "person": "older"}}
    views["linked"].insert_one({"_id": "lantern/bluesky/ada", "dirty": "x", "pending": waiting})
    outbox = Late()
    Upkeep(views, outbox, [identities.TASK]).run(OneRound())
    assert [(each.revision, each.person) for each in outbox.told] == [(1, "older"), (3, None)]


def test_long_work_renews_the_lease_and_stops_where_it_is_lost(
    views: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "RENEWED_AFTER", timedelta(0))
    views["brands"].insert_many([{"_id": name} for name in ("a", "b", "c")])
    done: list[str] = []

    def work(run: TaskRun) -> None:
        for brand in run.brands():
            done.append(brand)
            lease = views["leases"].find_one({"_id": "upkeep"})
            assert lease is not None
            assert lease["until"] > datetime.now(UTC)
            if brand == "b":
                views["leases"].update_one({"_id": "upkeep"}, {"$set": {"holder": "another"}})
            else:
                end_lease(views)

    def next_task(_: TaskRun) -> None:
        done.append("next")

    tasks = [Task("long", timedelta(0), work), Task("next", timedelta(0), next_task)]
    Upkeep(views, None, tasks).run(OneRound())
    assert done == ["a", "b"]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_task_keeps_the_lease_and_stops_without_it(views: Database[Document], task: Task) -> None:
    now = datetime.now(UTC)
    views["brands"].insert_one({"_id": "lantern", "settings": {"timezone": "Europe/Berlin"}})
    erased = {"_id": "e", "brand": "lantern", "platform": "bluesky", "follower": "ada", "noted_at": now}
    views["erased"].insert_one(erased)
    views["linked"].insert_one({"_id": "lantern/bluesky/ada", "dirty": "x"})
    views["communities"].insert_one({"_id": "lantern/c", "brand": "lantern", "removed_at": now})
    views["stale"].insert_one(
        {"_id": "campaigns", "what": "campaigns", "brand": "lantern", "hour": PAST, "since": now, "marks": 1}
    )

    def lost() -> None:
        raise LeaseLostError

    with pytest.raises(LeaseLostError):
        task.run(TaskRun(views, None, now, lost))


def test_upkeep_that_hangs_or_has_died_is_named(views: Database[Document], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "STUCK_SECONDS", 0.5)
    begun, go_on, stop = Event(), Event(), Event()

    def hang(run: TaskRun) -> None:
        begun.set()
        go_on.wait(60)
        while not stop.wait(0.05):
            run.renew_lease()

    upkeep = Upkeep(views, None, [Task("counting", timedelta(seconds=5), hang)])
    thread = Thread(target=upkeep.run, args=(stop,))
    thread.start()
    try:
        assert begun.wait(30)
        assert "upkeep has been stuck at counting for" in until(upkeep.stuck, "it is stuck")
        go_on.set()
        until(lambda: upkeep.stuck() is None, "it goes on")
    finally:
        stop.set()
        thread.join()
    until(upkeep.stuck, "nobody does it any more")
