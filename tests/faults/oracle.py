"""The oracle: what the pure handlers make of the log, held against everything that the workers left behind."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import RetriableError
from rocksdict import AccessType, Options, Rdict

from rapport.contracts import codec
from rapport.contracts.codec import UndecodableError
from rapport.contracts.controls import FollowerErased
from rapport.contracts.events import ExchangeSnapshot, Interaction
from rapport.contracts.rows import FOLLOWER, FollowerRow, parts_of
from rapport.contracts.topics import (
    ALERTS,
    CONVERSATIONS,
    CONVERSATIONS_DEAD,
    ENGAGEMENTS,
    ENGAGEMENTS_DEAD,
    EXCHANGES,
    EXCHANGES_CHANGELOG,
    EXCHANGES_DEAD,
    RELATIONSHIPS_CHANGELOG,
    SCORER_GROUP,
    Topic,
)
from rapport.domain.relationships.counting import COUNT_ONCE, thing_of
from rapport.kit.broker import kafka
from rapport.kit.broker.kafka_login import login
from services.scorer.exchanges.handler import ExchangesHandler
from services.scorer.fenced.agent import Handler
from services.scorer.fenced.batch import Batch, Output
from services.scorer.fenced.state import POSITION, Position
from services.scorer.relationships.handler import RelationshipsHandler
from services.scorer.rows import ROWS_FORMAT
from services.scorer.rows.relationships import OpenExchangeRow
from tests.faults.worker import Worker
from tests.services.scorer.story import Rows
from tests.services.scorer.worker import read_all
from tests.waiting import until

TOGETHER = 100
"""Records that the model takes in one go: rows that many of them change are then decoded once."""
SOURCES: dict[str, tuple[Topic, ...]] = {"exchanges": (CONVERSATIONS,), "relationships": (ENGAGEMENTS, EXCHANGES)}
CHANGELOGS = {"exchanges": EXCHANGES_CHANGELOG, "relationships": RELATIONSHIPS_CHANGELOG}
DEAD_LETTERS = (CONVERSATIONS_DEAD, ENGAGEMENTS_DEAD, EXCHANGES_DEAD)
PARTITIONS = range(CONVERSATIONS.partitions)
_MARKER = b"\x00marker"
_SHOWN = 300
_ENDINGS = 5


def is_tick(record: Any) -> bool:
    """Whether a record only moves the clock."""
    return ("ce_type", b"rapport.tick.v1") in record.headers


class Log:
    """Everything committed in the scorer's topics, each read once, when first asked for."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._read: dict[str, list[Any]] = {}

    def __getitem__(self, topic: Topic) -> list[Any]:
        if topic.name not in self._read:
            self._read[topic.name] = read_all(self._bootstrap, topic)
        return self._read[topic.name]

    def partition(self, topic: Topic, number: int) -> list[Any]:
        """The records of one partition, in order."""
        return [record for record in self[topic] if record.partition == number]

    def compacted(self, agent: str, number: int, before: int | None = None) -> Rows:
        """The rows that a changelog partition stands for; up to an offset, if one is given."""
        rows = Rows()
        for record in self.partition(CHANGELOGS[agent], number):
            if before is not None and record.offset >= before:
                break
            if record.value is None:
                rows.pop(record.key, None)
            else:
                rows[record.key] = record.value
        return rows

    def position(self, agent: str, number: int) -> Position:
        """How far a partition was processed, by its own row."""
        value = self.compacted(agent, number).get(POSITION)
        return Position(next={}, clock=0) if value is None else msgspec.json.decode(value, type=Position)

    def processed(self, agent: str, number: int) -> list[Any]:
        """The records that a partition was given and is through with: in order; of several sources by their time."""
        following = self.position(agent, number).next
        records = [
            record
            for topic in SOURCES[agent]
            for record in self.partition(topic, number)
            if record.offset < following.get(f"{topic.name}:{number}", 0)
        ]
        # Stable, and of several sources no one's times ever fall. Of one source they may, where a test sets them.
        return records if len(SOURCES[agent]) == 1 else sorted(records, key=lambda record: record.timestamp)

    @cached_property
    def unprocessed(self) -> list[Any]:
        """The records, without ticks, that nobody is through with."""
        found = []
        for agent, topics in SOURCES.items():
            for number in PARTITIONS:
                following = self.position(agent, number).next
                found += [
                    record
                    for topic in topics
                    for record in self.partition(topic, number)
                    if record.offset >= following.get(f"{topic.name}:{number}", 0) and not is_tick(record)
                ]
        return found


@dataclass
class Model:
    """One partition of one agent as it should be."""

    handler: Handler
    rows: Rows = field(default_factory=Rows)
    outputs: list[Output] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    """Where the records were that cannot be processed."""
    position: Position = field(default_factory=lambda: Position(next={}, clock=0, format=ROWS_FORMAT))

    def __post_init__(self) -> None:
        self.handler.open(self.rows)  # type: ignore[arg-type]

    def take(self, records: Sequence[Any]) -> None:
        """Processes records in order. Some at a time, for speed; one by one where one of them cannot be processed."""
        at = 0
        while at < len(records):
            some = records[at : at + TOGETHER]
            try:
                taken, more, batch = self._apply(some)
            except Exception:
                self.handler.rolled_back()
                for record in some:
                    self._alone(record)
                at += len(some)
                continue
            self._commit(batch)
            self._finish(more)
            at += taken

    def _apply(self, records: Sequence[Any]) -> tuple[int, bool, Batch]:
        """Applies records up to one after which more is due than goes along."""
        batch, position = Batch(self.rows), _copy(self.position)
        for place, record in enumerate(records):
            position.clock = max(position.clock, record.timestamp)
            _note(position, record)
            self.handler.apply(record, position.clock, batch)
            if self.handler.sweep(position.clock, batch):
                self.position = position
                return place + 1, True, batch
        self.position = position
        return len(records), False, batch

    def _alone(self, record: Any) -> None:
        try:
            _, more, batch = self._apply([record])
        except Exception:
            self.handler.rolled_back()
            self.dead.append(f"{record.topic}:{record.partition}:{record.offset}")
            self.position.clock = max(self.position.clock, record.timestamp)
            _note(self.position, record)
            batch = Batch(self.rows)
            more = self.handler.sweep(self.position.clock, batch)
        self._commit(batch)
        self._finish(more)

    def _finish(self, more: bool) -> None:
        while more:
            batch = Batch(self.rows)
            more = self.handler.sweep(self.position.clock, batch)
            self._commit(batch)

    def _commit(self, batch: Batch) -> None:
        batch.keep(POSITION, self.position)
        self.rows.take(batch)
        self.outputs += batch.outputs
        self.handler.committed()


def _copy(position: Position) -> Position:
    return Position(next=dict(position.next), clock=position.clock, format=position.format)


def _note(position: Position, record: Any) -> None:
    source = f"{record.topic}:{record.partition}"
    position.next[source] = record.offset + 1


def models(log: Log, grace: int = 0) -> dict[tuple[str, int], Model]:
    """Every partition of both agents, told what the workers are through with."""
    found: dict[tuple[str, int], Model] = {}
    for number in PARTITIONS:
        found["exchanges", number] = Model(ExchangesHandler(grace))
        found["relationships", number] = Model(RelationshipsHandler())
    for (agent, number), model in found.items():
        model.take(log.processed(agent, number))
    return found


def wrong(
    bootstrap: str,
    ledger: Iterable[Interaction] = (),
    disks: Collection[Path] = (),
    *,
    grace: int = 0,
    finished: bool = True,
) -> list[str]:
    """What is not as it should be, in words; empty where all is well. Ask when no worker runs.

    `ledger`: what was acknowledged. `disks`: the data folders of workers. `grace` (ms): their breach grace. With
    `finished`, everything in the log has to be processed.
    """
    log = Log(bootstrap)
    expected = models(log, grace)
    return [
        *_lost(log, ledger),
        *_unfinished(log, finished),
        *_ahead(log, bootstrap),
        *_rows(log, expected),
        *_disks(log, disks),
        *_outputs(log, expected),
        *_dead(log, expected),
        *_once(log),
        *_counts(log),
    ]


def _lost(log: Log, ledger: Iterable[Interaction]) -> Iterator[str]:
    there = {record.value for topic in (CONVERSATIONS, ENGAGEMENTS) for record in log[topic]}
    lost = [each.id for each in ledger if codec.encode(each) not in there]
    if lost:
        yield f"{len(lost)} acknowledged interactions are not in the log, such as {lost[0]}"


def _unfinished(log: Log, finished: bool) -> Iterator[str]:
    if finished and log.unprocessed:
        yield f"{len(log.unprocessed)} records are not processed, such as {_where(log.unprocessed[0])}"


def _ahead(log: Log, bootstrap: str) -> Iterator[str]:
    """Group offsets are committed with the rows, so they stand where the rows stand."""
    for (topic, number), offset in committed(bootstrap).items():
        agent = next(agent for agent, topics in SOURCES.items() if topic in {each.name for each in topics})
        at = log.position(agent, number).next.get(f"{topic}:{number}", 0)
        if offset != at:
            yield f"the group stands at {offset} of {topic}:{number}, the rows at {at}"


def _rows(log: Log, expected: dict[tuple[str, int], Model]) -> Iterator[str]:
    """The changelog, compacted, is the model."""
    for (agent, number), model in expected.items():
        yield from _differences(f"{agent}[{number}]", comparable(log.compacted(agent, number)), comparable(model.rows))


def _disks(log: Log, disks: Collection[Path]) -> Iterator[str]:
    """Every disk holds what the changelog held at its marker, and the newest holds all of it."""
    for agent in SOURCES:
        for number in PARTITIONS:
            newest = -1
            for disk in disks:
                path = disk / "scorer" / "rapport-1" / agent / str(number)
                if not path.exists():
                    continue
                rows, marker = stored(path)
                newest = max(newest, marker)
                there = log.compacted(agent, number, before=marker)
                yield from _differences(f"the disk {disk.name} of {agent}[{number}]", rows, there)
            last = max((record.offset for record in log.partition(CHANGELOGS[agent], number)), default=-1)
            if disks and newest <= last:
                yield f"no disk has {agent}[{number}] up to {last}, the newest up to {newest}"


def _outputs(log: Log, expected: dict[tuple[str, int], Model]) -> Iterator[str]:
    """Exchanges and alerts are those of the model, each as often; but for poison, which others put there."""
    dead = {where for model in expected.values() for where in model.dead}
    for topic in (EXCHANGES, ALERTS):
        there = Counter(
            record.value for record in log[topic] if f"{record.topic}:{record.partition}:{record.offset}" not in dead
        )
        wanted = Counter(
            output.value for model in expected.values() for output in model.outputs if output.topic == topic.name
        )
        for what, some in (("missing", wanted - there), ("too many", there - wanted)):
            if some:
                yield f"{topic.name}: {some.total()} {what}, such as {_short(next(iter(some)))}"


def _dead(log: Log, expected: dict[tuple[str, int], Model]) -> Iterator[str]:
    """What is read is processed or dead: exactly what cannot be processed lies in the dead-letter topics, once."""
    there = Counter(
        dict(record.headers)["rapport_dead_from"].decode() for topic in DEAD_LETTERS for record in log[topic]
    )
    wanted = Counter(where for model in expected.values() for where in model.dead)
    if there != wanted:
        yield f"dead letters: {there - wanted} too many, {wanted - there} missing"


def _once(log: Log) -> Iterator[str]:
    """No alert twice; of each exchange every revision once, in order, and so one outcome."""
    alerts = Counter(codec.decode("rapport.alert.v1", record.value).id for record in log[ALERTS])
    twice = [alert for alert, times in alerts.items() if times > 1]
    if twice:
        yield f"{len(twice)} alerts were sent twice, such as {twice[0]}"
    revisions: defaultdict[str, list[int]] = defaultdict(list)
    for record in log[EXCHANGES]:
        event = _decoded(record)
        if isinstance(event, ExchangeSnapshot):
            revisions[event.id].append(event.revision)
    jumping = [exchange for exchange, found in revisions.items() if found != list(range(1, len(found) + 1))]
    if jumping:
        yield f"{len(jumping)} exchanges have other revisions than 1, 2, …, such as {jumping[0]}"


def _counts(log: Log) -> Iterator[str]:
    """What is counted of each follower is what can be counted in the log, by hand."""
    facts: dict[tuple[str, str, str], tuple[Any, bool]] = {}
    gone: set[str] = set()
    things: dict[tuple[str, str, str], str] = {}
    erased: set[str] = set()
    for number in PARTITIONS:
        for record in log.processed("relationships", number):
            if record.topic == ENGAGEMENTS.name and (event := _interaction(record)) is not None:
                key, version = (event.actor.id, event.kind, event.object.id), (event.occurred_at, event.id)
                if key not in facts or facts[key][0] < version:
                    facts[key] = (version, not event.undo)
                if event.kind in COUNT_ONCE and not event.undo:
                    things[key] = thing_of(event)
        for record in log.processed("exchanges", number):
            event = _decoded(record)
            if isinstance(event, FollowerErased):
                erased.add(event.follower)
            if not isinstance(event, Interaction):
                continue
            if event.kind == "delete":
                gone.add(event.object.id)
            elif event.kind in ("hide", "unhide"):
                gone.add(event.object.id)  # counted again when it is shown again, which is not for this to follow
            elif event.kind in ("comment", "mention", "message"):
                facts.setdefault((event.actor.id, event.kind, event.object.id), (None, True))
    standing = {
        (who, kind, things.get((who, kind, of), of))
        for (who, kind, of), (_, counts) in facts.items()
        if counts and of not in gone and who not in erased
    }
    wanted = Counter((who, kind) for who, kind, _ in standing)
    hidden = Counter(
        (who, kind) for (who, kind, of), (_, counts) in facts.items() if counts and of in gone and who not in erased
    )
    there: Counter[tuple[str, str]] = Counter()
    for number in PARTITIONS:
        for row_key, value in log.compacted("relationships", number).items():
            if parts_of(row_key)[0] == FOLLOWER:
                row = msgspec.json.decode(value, type=FollowerRow)
                there.update({(row.follower, kind): many for kind, many in row.counts.items() if kind != "reply"})
    for each in set(wanted) | set(there):
        if not wanted[each] <= there[each] <= wanted[each] + hidden[each]:
            yield f"{each} counts {there[each]}, by hand {wanted[each]}"
            return


def _interaction(record: Any) -> Interaction | None:
    event = _decoded(record)
    return event if isinstance(event, Interaction) else None


def _decoded(record: Any) -> Any:
    """The event in a record, or None where it is poison."""
    try:
        return codec.decode(codec.type_of(record.headers), record.value)
    except UndecodableError:
        return None


def stored(path: Path) -> tuple[Rows, int]:
    """The rows of a RocksDB that nobody has open, and the changelog offset they stand for."""
    database = Rdict(str(path), Options(raw_mode=True), access_type=AccessType.read_only())
    try:
        found: Any = database.items()
        rows = Rows(dict(found))
    finally:
        database.close()
    return rows, int(rows.pop(_MARKER, b"0"))


def comparable(rows: Rows) -> Rows:
    """Rows without what depends on how an agent's two sources were interleaved.

    That is how often a follower's row was written, when a fact was last told, and the order in which things were met;
    also whether a lifted block was known before the end of an exchange that it had ended, where another one followed.
    """
    found = Rows(rows)
    for key, value in rows.items():
        if parts_of(key)[0] in (FOLLOWER, "fact", "thing", "position"):
            row = msgspec.json.decode(value)
            row.pop("revision", None)
            row.pop("seen", None)
            row.pop("last", None)
            # A lane also passes the markers of transactions, of which the model knows nothing.
            row.pop("passed", None)
            found[key] = msgspec.json.encode(row, order="deterministic")
        elif parts_of(key)[0] == "open" and msgspec.json.decode(value, type=OpenExchangeRow).blocked:
            del found[key]
    return found


def _differences(what: str, there: Rows, wanted: Rows) -> Iterator[str]:
    different = [key for key in {**there, **wanted} if there.get(key) != wanted.get(key)]
    if different:
        key = different[0]
        yield (
            f"{what}: {len(different)} of {len(wanted)} rows differ, such as {key!r}: "
            f"{_short(there.get(key))} instead of {_short(wanted.get(key))}"
        )


def _short(value: bytes | None) -> str:
    return repr(value)[:_SHOWN]


def _where(record: Any) -> str:
    return f"{record.topic}:{record.partition}:{record.offset}"


def committed(bootstrap: str) -> dict[tuple[str, int], int]:
    """How far the group has committed each partition of the sources."""
    found: dict[tuple[str, int], int] = {}

    def answered() -> bool:
        admin = KafkaAdminClient(bootstrap_servers=bootstrap, **login())
        try:
            offsets = admin.list_group_offsets(SCORER_GROUP)[SCORER_GROUP]
        except RetriableError:  # its coordinator moves, or the broker that was asked is just starting
            return False
        finally:
            admin.close()
        found.update({(partition.topic, partition.partition): known.offset for partition, known in offsets.items()})
        return True

    until(answered, "the coordinator of the group answers", 60)
    return found


def behind(bootstrap: str) -> int:
    """How many records, without ticks, the group has not committed yet. Costs by what is left, not by what is there."""
    reader = kafka.consumer(bootstrap, None, "test")
    try:
        # Once more: what the agents tell each other arrives there last.
        return sum(_left(bootstrap, reader, topic) for topic in (CONVERSATIONS, ENGAGEMENTS, EXCHANGES, CONVERSATIONS))
    finally:
        reader.close()


def _left(bootstrap: str, reader: Any, topic: Topic) -> int:
    partitions = [TopicPartition(topic.name, number) for number in PARTITIONS]
    ends = reader.end_offsets(partitions)
    known = committed(bootstrap)
    reader.assign(partitions)
    for partition in partitions:
        reader.seek(partition, known.get((topic.name, partition.partition), 0))
    left = 0
    while any(reader.position(partition) < ends[partition] for partition in partitions):
        for records in reader.poll(200, max_records=5_000).values():
            left += sum(not is_tick(record) for record in records)
    return left


def through(bootstrap: str) -> bool:
    """Whether the workers are through with everything that is in the log."""
    return behind(bootstrap) == 0


def finish(bootstrap: str, workers: Collection[Worker]) -> None:
    """Returns once workers that were asked to end have left nothing to process.

    What falls due while they end is in the log, and is for whoever starts next: so they start.
    """
    for _ in range(_ENDINGS):
        if through(bootstrap):
            return
        for worker in workers:
            worker.start()
        until(lambda: through(bootstrap), "what fell due meanwhile is processed")
        for worker in workers:
            worker.end()
    raise AssertionError(f"ended {_ENDINGS} times, they always left something")


def check(bootstrap: str, ledger: Iterable[Interaction] = (), workers: Collection[Worker] = ()) -> None:
    """Fails where anything is `wrong` with what workers did that were asked to end, and says what."""
    finish(bootstrap, workers)
    found = wrong(bootstrap, ledger, [worker.disk for worker in workers])
    assert not found, "\n".join(found)
