"""The log, told again to the scorer's own handlers: records in; rows, and a ledger of what the views should show, out.

What the relationships agent writes back into `conversations` (stages, blocks) is taken from there, where it has its
place among the other records; what the handler would write here is left out.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import msgspec

from rapport.contracts import codec
from rapport.contracts.topics import (
    ALERTS,
    CONVERSATIONS,
    CONVERSATIONS_UNSEEN,
    ENGAGEMENTS,
    ENGAGEMENTS_UNSEEN,
    EXCHANGES,
    EXCHANGES_DEAD,
)
from rapport.kit.dead_letters import PLACE, REASON
from services.scorer.exchanges import ExchangesHandler
from services.scorer.fenced.agent import Handler, Record
from services.scorer.fenced.batch import Batch, Headers
from services.scorer.fenced.state import Store
from services.scorer.relationships import RelationshipsHandler
from services.verify.ledger import Expected, Ledger
from services.verify.log import UnverifiableError
from services.verify.rows import STANDING, Part, Standing, write

_OLD_OFFSET = "rapport_offset"
"""What named the place of a record that the projector put aside, in letters from before all were written alike."""
_TOO_LARGE = (b"MessageSizeTooLargeError:", b"RecordListTooLargeError:")
"""How the reason begins where not the handler but the log refused what a record would write."""
_UNSEEN = {CONVERSATIONS_UNSEEN.name: CONVERSATIONS.name, ENGAGEMENTS_UNSEEN.name: ENGAGEMENTS.name}


@dataclass(slots=True)
class _Told:
    """What the exchanges agent puts out, as the relationships agent reads it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class _Step(NamedTuple):
    batch: Batch
    done: int
    failed: dict[int, str]
    """Why, by the place of the record."""


class _Lane:
    """One partition of one agent, record by record as `services.scorer.fenced.lane` does it."""

    def __init__(self, part: Part, handler: Handler, clock: int, refused: Collection[str]) -> None:
        """`refused`: which records (`where`) the log itself refused."""
        self.part = part
        self.clock = clock
        self.handler = handler
        self._refused = refused
        handler.open(cast(Store, part))

    def steps(self, records: Sequence[Record]) -> Iterator[_Step]:
        """What comes of the records, in steps, each to be written before the next is asked for."""
        rest = records
        while rest:
            step, more = self._apply(rest)
            yield step
            self.handler.committed()
            rest = rest[step.done :]
            if more:
                yield from self.due()

    def due(self) -> Iterator[_Step]:
        """Everything that is due at the clock."""
        more = True
        while more:
            batch = Batch(self.part)
            more = self.handler.sweep(self.clock, batch)
            yield _Step(batch, 0, {})
            self.handler.committed()

    def _apply(self, records: Sequence[Record]) -> tuple[_Step, bool]:
        """Applies the records up to one after which more is due than goes along, and says whether that is so."""
        failed: dict[int, str] = {}
        if self._refused:
            refused = [place for place, record in enumerate(records) if where(record) in self._refused]
            failed = dict.fromkeys(refused, "the log refuses what this record would write")
        while True:
            batch, clock = Batch(self.part), self.clock
            for place, record in enumerate(records):
                clock = max(clock, record.timestamp)
                if place not in failed:
                    try:
                        self.handler.apply(record, clock, batch)
                    except codec.NewerError as error:
                        raise UnverifiableError(
                            f"a later version wrote {where(record)}; verify with that version: {error}"
                        ) from error
                    except Exception as error:
                        failed[place] = f"{type(error).__name__}: {error}"
                        break
                if self.handler.sweep(clock, batch):
                    self.clock = clock
                    done = place + 1
                    return _Step(batch, done, {at: why for at, why in failed.items() if at < done}), True
            else:
                self.clock = clock
                return _Step(batch, len(records), failed), False
            self.handler.rolled_back()


class Replay:
    """Takes the records of the log, each partition's in order, and keeps what follows in `store`."""

    def __init__(self, store: Store, grace: int) -> None:
        """`grace` (ms) as the scorer has it. Goes on where `store` stands.

        Raises UnverifiableError where the store was filled with another grace.
        """
        self._store = store
        ledger = Part(store, "ledger")
        self._ledger = Ledger(ledger)
        known = ledger.get(STANDING)
        partitions = CONVERSATIONS.partitions
        self.standing = (
            Standing(grace=grace, clocks=[0] * partitions, alerts=[0] * partitions)
            if known is None
            else msgspec.json.decode(known, type=Standing)
        )
        if self.standing.grace != grace:
            raise UnverifiableError(
                f"what is kept was recomputed with a grace of {self.standing.grace / 1000:g} s, not "
                f"{grace / 1000:g} s: begin anew with an empty folder"
            )
        refused = self.standing.refused
        self._exchanges = [
            _Lane(Part(store, f"exchanges{number}"), ExchangesHandler(grace), clock, refused)
            for number, clock in enumerate(self.standing.clocks)
        ]
        self._relationships = [
            _Lane(Part(store, f"relationships{number}"), RelationshipsHandler(), 0, refused)
            for number in range(EXCHANGES.partitions)
        ]
        self.expected = Expected(ledger, [lane.part for lane in self._relationships])
        for number, lane in enumerate(self._exchanges):
            self._converse(number, [], lane.due())

    def take(self, records: Sequence[Any]) -> None:
        """Takes records of one partition. Raises UnverifiableError where they say that the replay went wrong."""
        topic, partition = records[0].topic, records[0].partition
        if topic == CONVERSATIONS.name:
            self._converse(partition, records, self._exchanges[partition].steps(records))
        elif topic == ENGAGEMENTS.name:
            lane = self._relationships[partition]
            for step in lane.steps(records):
                taken = records[: step.done]
                self._take_in(taken)
                self._fail(taken, step)
                self._write(taken, [(lane, step.batch)])
        else:
            for record in records:
                if topic != ALERTS.name:
                    self._letter(record)
                    continue
                try:
                    self._ledger.alert_record(record)
                except codec.UndecodableError as error:
                    raise UnverifiableError(f"{where(record)} cannot be read: {error}") from error
            self._write(records, [])

    def passed(self, positions: dict[str, int]) -> None:
        """Notes up to where each partition (by name) was read, whatever was there."""
        self.standing.read = positions
        self._write([], [])

    def _converse(self, number: int, records: Sequence[Any], steps: Iterator[_Step]) -> None:
        lane, rest = self._exchanges[number], records
        for step in steps:
            taken, rest = rest[: step.done], rest[step.done :]
            self._take_in(taken)
            self._fail(taken, step)
            told: dict[int, list[_Told]] = {}
            for output in step.batch.outputs:
                if output.topic == ALERTS.name:
                    self._ledger.alert(output, number, self.standing.alerts[number])
                    self.standing.alerts[number] += 1
                else:
                    self._ledger.exchange(output)
                    told.setdefault(output.partition, []).append(
                        _Told(output.topic, output.partition, 0, lane.clock, output.key, output.value, output.headers)
                    )
            changed = [(lane, step.batch)]
            left = []
            for partition, events in told.items():
                listener = self._relationships[partition]
                hearing = listener.steps(events)
                heard = next(hearing)
                self._fail(events, heard)
                changed.append((listener, heard.batch))
                left.append((listener, hearing, events[heard.done :]))
            self.standing.clocks[number] = lane.clock
            self._write(taken, changed)
            for listener, hearing, events in left:
                self._hear(listener, hearing, events)

    def _hear(self, listener: _Lane, hearing: Iterator[_Step], events: Sequence[_Told]) -> None:
        """What an agent has to do beyond the first step, such as to sum up everybody with new numbers."""
        for heard in hearing:
            self._fail(events[: heard.done], heard)
            events = events[heard.done :]
            self._write([], [(listener, heard.batch)])

    def _take_in(self, taken: Sequence[Any]) -> None:
        if taken:
            self._ledger.interactions(taken)
            self.standing.note([record.timestamp for record in taken])

    def _fail(self, taken: Sequence[Record], step: _Step) -> None:
        for place, why in step.failed.items():
            self._ledger.dead(where(taken[place]), taken[place].key, why)

    def _write(self, taken: Sequence[Any], changed: list[tuple[_Lane, Batch]]) -> None:
        if taken:
            self.standing.next[f"{taken[-1].topic}:{taken[-1].partition}"] = taken[-1].offset + 1
        self._ledger.batch.keep(STANDING, self.standing)
        parts = [(lane.part, batch) for lane, batch in changed]
        write(self._store, [*parts, (self._ledger.part, self._ledger.batch)])
        self._ledger.begin()

    def _letter(self, record: Any) -> None:
        """A record of a dead-letter topic."""
        headers = dict(record.headers)
        if source := _UNSEEN.get(record.topic):
            offset = headers.get(_OLD_OFFSET, b"?").decode("utf-8", "replace")
            place = headers.get(PLACE, f"{source}:{record.partition}:{offset}".encode()).decode("utf-8", "replace")
            self._ledger.letter("put aside", place, record.key)
            return
        if record.topic == EXCHANGES_DEAD.name:
            place = _named(record)
        else:
            place = headers.get(PLACE, b"?").decode("utf-8", "replace")
        self._ledger.letter("dead letter", place, record.key)
        if headers.get(REASON, b"").startswith(_TOO_LARGE):
            source, _, offset = place.rpartition(":")
            if self.standing.next.get(source, 0) > int(offset if offset.isdigit() else 0):
                raise UnverifiableError(
                    f"the log refused what {place} would write, which was not known when it was recomputed: begin anew"
                )
            self.standing.refused.append(place)


def where(record: Record) -> str:
    """How a dead letter names the record it was."""
    if record.topic == EXCHANGES.name:
        return _named(record)
    return f"{record.topic}:{record.partition}:{record.offset}"


def _named(record: Record) -> str:
    """An event of `exchanges`, which has no offset here: by its key and its id."""
    parts = record.key or b"", dict(record.headers).get("ce_id") or b""
    return ":".join([EXCHANGES.name, *(part.decode("utf-8", "replace") for part in parts)])
