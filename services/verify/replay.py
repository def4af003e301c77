"""The log, replayed by the scorer's own handlers: records in; rows, and a ledger of what the views should show, out.

What the relationships agent writes back into `conversations` (stages, blocks) is taken from there, where it has its
place among the other records; what the handler would write here is left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from rapport.contracts import codec
from rapport.contracts.controls import PartitionsAdded
from rapport.contracts.topics import (
    ALERTS,
    CONVERSATIONS,
    CONVERSATIONS_UNSEEN,
    ENGAGEMENTS,
    ENGAGEMENTS_UNSEEN,
    EXCHANGES_DEAD,
)
from rapport.kit.broker.dead_letters import PLACE, REASON
from services.partitions.homes import ROWS, homes
from services.scorer.exchanges.handler import ExchangesHandler
from services.scorer.fenced.agent import Record
from services.scorer.fenced.applying import Applied
from services.scorer.fenced.batch import Batch, Headers
from services.scorer.fenced.state import Store
from services.scorer.relationships.handler import RelationshipsHandler
from services.verify.expected import Expected
from services.verify.lane import Lane, named, named_event
from services.verify.ledger import Ledger
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


class Replay:
    """Takes the records of the log, each partition's in order, and keeps what follows in `store`."""

    def __init__(self, store: Store, grace: int, added: Sequence[PartitionsAdded] = ()) -> None:
        """`grace` (ms) as the scorer has it; `added`: all that the log knows of. Goes on where `store` stands.

        Raises UnverifiableError where the store was filled with another grace.
        """
        self._store = store
        ledger = Part(store, "ledger")
        self._ledger = Ledger(ledger)
        known = ledger.get(STANDING)
        partitions = added[0].was if added else CONVERSATIONS.partitions
        self.standing = (
            Standing(grace=grace, clocks=[0] * partitions, alerts=[0] * partitions)
            if known is None
            else msgspec.json.decode(known, type=Standing)
        )
        if self.standing.grace != grace:
            raise UnverifiableError(
                f"what is kept was recomputed with a grace of {self.standing.grace / 1000:g} s, not "
                f"{grace / 1000:g} s: start again with an empty folder"
            )
        self._added = [each for each in added if each.now > self.partitions]
        self._relationship_parts: list[Part] = []
        self.expected = Expected(ledger, self._relationship_parts)
        self._open()

    @property
    def partitions(self) -> int:
        """How many there were at this place in the log."""
        return len(self.standing.clocks)

    @property
    def next_addition(self) -> PartitionsAdded | None:
        """The next time that partitions were added. Raises UnverifiableError where the log no longer knows it."""
        if not self._added and self.partitions < CONVERSATIONS.partitions:
            raise UnverifiableError(
                f"what is kept was recomputed with {self.partitions} partitions, now there are "
                f"{CONVERSATIONS.partitions}, and the record of how that came about has left the log: start again with "
                "an empty folder"
            )
        return self._added[0] if self._added else None

    def add_partitions(self) -> None:
        """Adds partitions as the log did at this place; everything up to there has to be taken."""
        added = self._added.pop(0)
        was, now = added.was, added.now
        for agent in ("exchanges", "relationships"):
            for partition in range(was):
                self._move_rows(agent, partition, was, now)
        # Only with all rows moved: if it ends before, it begins again.
        ancestors = [number % was for number in range(now)]
        self.standing.clocks = [self.standing.clocks[each] for each in ancestors]
        self.standing.alerts += [0] * (now - was)
        self._write([], [])
        self._open()

    def _move_rows(self, agent: str, partition: int, was: int, now: int) -> None:
        part = Part(self._store, f"{agent}{partition}")
        left = []
        for chunk in part.chunks(ROWS):
            for key, value in chunk:
                wanted = homes(key, value, partition, was, now, part.get)
                copies: list[tuple[bytes, bytes | None]] = [
                    (f"{agent}{home}".encode() + key, value) for home in wanted if home != partition
                ]
                self._store.write(copies, 0)
                if partition not in wanted:
                    left.append(part.name + key)
        self._store.write([(key, None) for key in left], 0)

    def _open(self) -> None:
        refused, grace = self.standing.refused, self.standing.grace
        self._exchanges = [
            Lane(Part(self._store, f"exchanges{number}"), ExchangesHandler(grace, self.partitions), clock, refused)
            for number, clock in enumerate(self.standing.clocks)
        ]
        self._relationships = [
            Lane(Part(self._store, f"relationships{number}"), RelationshipsHandler(), 0, refused)
            for number in range(self.partitions)
        ]
        self._relationship_parts[:] = [lane.part for lane in self._relationships]
        for number, lane in enumerate(self._exchanges):
            self._replay_conversations(number, [], lane.due())

    def take(self, records: Sequence[Any]) -> None:
        """Takes records of one partition. Raises UnverifiableError where they say that the replay went wrong."""
        topic, partition = records[0].topic, records[0].partition
        if topic == CONVERSATIONS.name:
            self._replay_conversations(partition, records, self._exchanges[partition].steps(records))
        elif topic == ENGAGEMENTS.name:
            lane = self._relationships[partition]
            for step in lane.steps(records):
                taken = records[: step.done]
                self._note_taken(taken)
                self._note_dead(taken, step)
                self._write(taken, [(lane, step.batch)])
        else:
            for record in records:
                if topic != ALERTS.name:
                    self._letter(record)
                    continue
                try:
                    self._ledger.alert_record(record)
                except codec.UndecodableError as error:
                    raise UnverifiableError(f"{named(record)} cannot be read: {error}") from error
            self._write(records, [])

    def passed(self, positions: dict[str, int]) -> None:
        """Notes up to where each partition (by name) was read, whatever was there."""
        self.standing.read = positions
        self._write([], [])

    def _replay_conversations(self, number: int, records: Sequence[Any], steps: Iterator[Applied]) -> None:
        lane, rest = self._exchanges[number], records
        for step in steps:
            taken, rest = rest[: step.done], rest[step.done :]
            self._note_taken(taken)
            self._note_dead(taken, step)
            told: dict[int, list[_Told]] = {}
            for output in step.batch.outputs:
                if output.topic == ALERTS.name:
                    self._ledger.alert(output, number, self.standing.alerts[number])
                    self.standing.alerts[number] += 1
                else:
                    self._ledger.exchange(output)
                    # The handler knows how many partitions there are today.
                    partition = output.partition % self.partitions
                    told.setdefault(partition, []).append(
                        _Told(output.topic, partition, 0, lane.clock, output.key, output.value, output.headers)
                    )
            changed = [(lane, step.batch)]
            left = []
            for partition, events in told.items():
                listener = self._relationships[partition]
                hearing = listener.steps(events)
                heard = next(hearing)
                self._note_dead(events, heard)
                changed.append((listener, heard.batch))
                left.append((listener, hearing, events[heard.done :]))
            self.standing.clocks[number] = lane.clock
            self._write(taken, changed)
            for listener, hearing, events in left:
                self._finish(listener, hearing, events)

    def _finish(self, listener: Lane, hearing: Iterator[Applied], events: Sequence[_Told]) -> None:
        """Whatever an agent does beyond the first step, such as to sum up everybody with new numbers."""
        for heard in hearing:
            self._note_dead(events[: heard.done], heard)
            events = events[heard.done :]
            self._write([], [(listener, heard.batch)])

    def _note_taken(self, taken: Sequence[Any]) -> None:
        if taken:
            self._ledger.interactions(taken)
            self.standing.note([record.timestamp for record in taken])

    def _note_dead(self, taken: Sequence[Record], step: Applied) -> None:
        for place, why in step.dead.items():
            self._ledger.dead(named(taken[place]), taken[place].key, why)

    def _write(self, taken: Sequence[Any], changed: list[tuple[Lane, Batch]]) -> None:
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
            place = named_event(record)
        else:
            place = headers.get(PLACE, b"?").decode("utf-8", "replace")
        self._ledger.letter("dead letter", place, record.key)
        if headers.get(REASON, b"").startswith(_TOO_LARGE):
            source, _, offset = place.rpartition(":")
            if self.standing.next.get(source, 0) > int(offset if offset.isdigit() else 0):
                raise UnverifiableError(
                    f"the log refused what {place} would write, which was not known when it was recomputed: start again"
                )
            self.standing.refused.append(place)
