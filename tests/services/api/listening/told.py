"""Puts interactions and heartbeats through the projector, for tests of what comes of accounts."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, NamedTuple

from pymongo.database import Database

from rapport.contracts import codec
from rapport.contracts.controls import Heartbeat
from rapport.contracts.events import Interaction, Tick
from rapport.contracts.topics import CONVERSATIONS
from rapport.domain.arrivals.minutes import WHOLE_HOUR, day_of
from rapport.domain.times import ms
from rapport.kit.mongo import Document
from services.api.listening.documents import heard_id, heartbeat_document
from services.api.listening.upkeep import judge
from services.api.projector import batch
from services.api.projector.upkeep.loop import TaskRun
from services.api.projector.views import write


class _Partition(NamedTuple):
    topic: str
    partition: int


def told(database: Database[Document], interactions: Iterable[Interaction]) -> None:
    """Puts interactions through the projector."""
    _through(
        database, {_Partition(CONVERSATIONS.name, 0): [_record(each, 0, each.observed_at) for each in interactions]}
    )


def beat(database: Database[Document], at: datetime, instance: str = "ingest-1", partitions: int | None = None) -> None:
    """A heartbeat in every partition, or in the first few."""
    many = CONVERSATIONS.partitions if partitions is None else partitions
    event = Heartbeat(instance=instance, behind=())
    _through(
        database,
        {_Partition(CONVERSATIONS.name, number): [_record(event, number, at)] for number in range(many)},
    )


def listened(database: Database[Document], begin: datetime, until: datetime) -> None:
    """Rapport listened from a day up to a time: what a heartbeat every ten seconds leaves behind."""
    day = day_of(begin)
    while day <= until:
        hours = {str(hour): WHOLE_HOUR for hour in range(24) if day + timedelta(hours=hour) <= until}
        document = {"_id": heard_id(day), "day": day, "hours": hours}
        database["heard_minutes"].replace_one({"_id": heard_id(day)}, document, upsert=True)
        day += timedelta(days=1)
    beat(database, until)


def running(database: Database[Document]) -> None:
    """Ingest and scorers run, also while a test takes a minute; how far the views are stays as it is."""
    soon = datetime.now(UTC) + timedelta(minutes=1)
    document = heartbeat_document(Heartbeat(instance="ingest-1", behind=()), ms(soon))
    database["listening"].replace_one({"_id": document["_id"]}, dict(document), upsert=True)
    ticked(database, soon)


def ticked(database: Database[Document], at: datetime, partitions: int | None = None) -> None:
    """A tick in every partition, or in the first few, of scorers that have everything until then."""
    many = CONVERSATIONS.partitions if partitions is None else partitions
    _through(
        database,
        {_Partition(CONVERSATIONS.name, number): [_record(Tick(scored=at), number, at)] for number in range(many)},
    )


def judged(database: Database[Document], now: datetime) -> None:
    """Runs the upkeep's task."""
    judge(TaskRun(database, None, now))


def _record(event: Interaction | Heartbeat | Tick, partition: int, at: datetime) -> Any:
    what = {Interaction: "interaction", Heartbeat: "control", Tick: "tick"}[type(event)]
    return SimpleNamespace(
        topic=CONVERSATIONS.name, partition=partition, offset=0, key=b"k", value=codec.encode(event),
        timestamp=ms(at.astimezone(UTC)), headers=codec.headers(f"rapport.{what}.v1", id="x", source="/test"),
    )  # fmt: skip


def _through(database: Database[Document], polled: dict[_Partition, list[Any]]) -> None:
    found = batch.read(polled)
    assert not found.halts
    assert not found.unreadable
    assert not write(database, found)
