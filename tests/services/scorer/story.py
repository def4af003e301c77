"""Interactions, records and a lane without Kafka, for telling a partition's story in a test."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rapport.contracts import codec
from rapport.contracts.controls import (
    AccountConnected,
    FollowerAway,
    PolicyRule,
    PolicyVersion,
    ScoringSet,
)
from rapport.contracts.events import Actor, Alert, ExchangeSnapshot, Interaction, Kind, Object, Parent, Spoken, Tick
from rapport.contracts.rows import FOLLOWER, FollowerRow, row_key
from rapport.contracts.scoring import Scoring
from rapport.contracts.topics import (
    ALERTS,
    CONVERSATIONS,
    EXCHANGES,
)
from rapport.domain.times import ms, utc
from services.scorer.exchanges.handler import ExchangesHandler
from services.scorer.fenced.batch import Batch, Output
from services.scorer.relationships.handler import RelationshipsHandler

T0 = ms(utc(1_790_000_000_000))
HOUR = 3_600_000
DAY = 24 * HOUR


@dataclass
class FakeRecord:
    """What aiokafka gives, as far as handlers look."""

    value: bytes | None
    timestamp: int
    headers: tuple[tuple[str, bytes], ...]
    topic: str = CONVERSATIONS.name
    partition: int = 0
    offset: int = 0
    key: bytes | None = b"[]"


def record(event: object, timestamp: int, type: str = "rapport.interaction.v1") -> FakeRecord:
    """A record of `event`, appended at `timestamp` (ms)."""
    return FakeRecord(codec.encode(event), timestamp, tuple(codec.headers(type, id="1", source="/test")))


def interaction(kind: Kind, id: str, at: int, **more: Any) -> Interaction:
    """One interaction of brand `acme`; `follower`, `parent` and `of` (the object) are ids."""
    follower = more.pop("follower", "ada")
    parent = more.pop("parent", None)
    of = more.pop("of", id)
    thread = more.pop("thread", "post-1")
    to = more.pop("to", follower if kind == "reply" else None)
    return Interaction(
        id=id,
        brand="acme",
        platform="generic",
        account=more.pop("account", "acme-1"),
        kind=kind,
        actor=Actor(id="staff" if kind in ("reply", "hide", "unhide") else follower, handle=f"@{follower}"),
        object=Object(id=of),
        parent=Parent(id=parent, actor=to) if parent else None,
        conversation=more.pop("conversation", "post-1"),
        thread=thread,
        occurred_at=utc(at),
        observed_at=utc(at),
        **more,
    )


class Rows(dict[bytes, bytes]):
    """Committed rows, in memory."""

    def chunks(self, prefix: bytes) -> Iterator[list[tuple[bytes, bytes]]]:
        """As the store gives them."""
        if found := sorted((key, value) for key, value in self.items() if key.startswith(prefix)):
            yield found

    def take(self, batch: Batch) -> None:
        """As a commit leaves them."""
        for key, value in batch.changes():
            if value is None:
                self.pop(key, None)
            else:
                self[key] = value


@dataclass
class Story:
    """A partition that is told records one by one, as a lane would, and remembers what was said."""

    grace: int = 0
    rows: Rows = field(default_factory=Rows)
    snapshots: list[ExchangeSnapshot] = field(default_factory=list)
    spoken: list[Spoken] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    clock: int = 0

    def __post_init__(self) -> None:
        self.reopen()

    def reopen(self) -> None:
        """As another worker would find it: only the rows are left."""
        self.handler = ExchangesHandler(self.grace)
        self.handler.open(self.rows)  # type: ignore[arg-type]

    def tell(self, event: object, at: int, type: str = "rapport.interaction.v1") -> None:
        """One record, appended at `at`."""
        self.clock = max(self.clock, at)
        batch = Batch(self.rows)
        self.handler.apply(record(event, at, type), self.clock, batch)
        self._commit(batch, at)

    def _commit(self, batch: Batch, at: int) -> None:
        outputs = batch.outputs
        more = self.handler.sweep(self.clock, batch)
        self.rows.take(batch)
        self.handler.committed()
        while more:
            batch = Batch(self.rows)
            more = self.handler.sweep(self.clock, batch)
            self.rows.take(batch)
            self.handler.committed()
            outputs = [*outputs, *batch.outputs]
        for output in outputs:
            self.heard(output, at)

    def heard(self, output: Output, at: int) -> None:
        """What the scorer put out."""
        found = codec.decode(codec.type_of(output.headers), output.value)
        if output.topic == ALERTS.name:
            self.alerts.append(found)
        elif isinstance(found, ExchangeSnapshot):
            self.snapshots.append(found)
        else:
            self.spoken.append(found)

    def control(self, event: object, at: int) -> None:
        """A control record."""
        self.tell(event, at, "rapport.control.v1")

    def tick(self, at: int) -> None:
        """Time passes."""
        self.tell(Tick(), at, "rapport.tick.v1")

    def policy(
        self, at: int, *rules: PolicyRule, version: int = 1, effective_from: int | None = None, **more: Any
    ) -> None:
        """A new version of the brand's policy; `calendars` by name."""
        effective = utc(effective_from or at)
        self.control(PolicyVersion(brand="acme", version=version, effective_from=effective, rules=rules, **more), at)

    def connected(self, at: int, connected_at: int) -> None:
        """The account was connected at `connected_at`."""
        self.control(
            AccountConnected(brand="acme", account="acme-1", platform="generic", connected_at=utc(connected_at)), at
        )

    def now(self) -> list[ExchangeSnapshot]:
        """Each exchange as last published, superseded ones left out, oldest first."""
        last: dict[str, ExchangeSnapshot] = {}
        for snapshot in self.snapshots:
            if snapshot.id not in last or last[snapshot.id].revision < snapshot.revision:
                last[snapshot.id] = snapshot
        return sorted(
            (found for found in last.values() if found.state != "superseded"),
            key=lambda found: (found.follower.id, found.thread, found.opened_at),
        )

    def only(self) -> ExchangeSnapshot:
        """The one exchange there is."""
        (found,) = self.now()
        return found

    def steps(self) -> list[str]:
        """The steps of the alerts, in order."""
        return [alert.step for alert in self.alerts]


@dataclass
class Dialogue(Story):
    """A partition whose relationships agent listens, and answers into it."""

    people: Rows = field(default_factory=Rows)
    told: list[Any] = field(default_factory=list)
    """The control records that the relationships agent wrote."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.relationships = RelationshipsHandler()

    def engage(self, event: Interaction | FollowerAway, at: int) -> None:
        """One record of `engagements`."""
        kind = "rapport.interaction.v1" if isinstance(event, Interaction) else "rapport.control.v1"
        self._answer(record(event, at, kind), at)

    def heard(self, output: Output, at: int) -> None:
        super().heard(output, at)
        if output.topic == EXCHANGES.name:
            self._answer(FakeRecord(output.value, at, output.headers, topic=output.topic), at)

    def _answer(self, heard: FakeRecord, at: int) -> None:
        batch = Batch(self.people)
        self.relationships.apply(heard, at, batch)
        self.people.take(batch)
        for output in batch.outputs:
            assert output.topic == CONVERSATIONS.name
            found = codec.decode(codec.type_of(output.headers), output.value)
            self.told.append(found)
            self.control(found, at)


def day(seed: int, many: int, now: int) -> list[Interaction]:
    """Comments, replies, deletions and reactions of some followers, shuffled within an hour, some sent twice."""
    dice = random.Random(seed)
    found: list[tuple[float, Interaction]] = []
    for number in range(many):
        at = now - 5 * HOUR + number * 10_000
        follower, post = f"f{dice.randrange(many // 8 + 1)}", f"post-{dice.randrange(40)}"
        where = {"follower": follower, "thread": post, "conversation": post}
        kind = dice.choice(["comment", "comment", "reply", "delete", "reaction", "follow", "share"])
        if kind == "reply":
            made = interaction(
                "reply", f"s{seed}-{number}", at, parent=f"s{seed}-{dice.randrange(number + 1)}", **where
            )
        elif kind == "delete":
            made = interaction("delete", f"s{seed}-{number}", at, of=f"s{seed}-{dice.randrange(number + 1)}", **where)
        else:
            made = interaction(kind, f"s{seed}-{number}", at, text="It is a nice day", **where)  # type: ignore[arg-type]
        for _ in range(1 + (dice.random() < 0.1)):
            found.append((at + dice.random() * HOUR, made))
    return [made for _, made in sorted(found, key=lambda each: each[0])]


class People:
    """A partition of relationships that is told records one by one."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.reopen()

    def reopen(self) -> None:
        """As another worker would find it."""
        self.handler = RelationshipsHandler()
        self.handler.open(self.rows)  # type: ignore[arg-type]

    def tell(self, event: object, at: int = T0, type: str = "rapport.interaction.v1") -> bool:
        """One record; gives whether more is due."""
        batch = Batch(self.rows)
        self.handler.apply(record(event, at, type), at, batch)
        return self._commit(batch, at)

    def sweep(self, at: int = T0) -> bool:
        """A transaction without records."""
        return self._commit(Batch(self.rows), at)

    def _commit(self, batch: Batch, at: int) -> bool:
        more = self.handler.sweep(at, batch)
        self.rows.take(batch)
        self.handler.committed()
        return more

    def set(self, scoring: Scoring) -> bool:
        """New numbers."""
        return self.tell(ScoringSet(scoring=scoring), type="rapport.control.v1")

    def row(self, name: str = "ada") -> FollowerRow:
        """A follower's row."""
        return msgspec.json.decode(self.rows[row_key(FOLLOWER, "acme", "generic", name)], type=FollowerRow)

    def trust(self, name: str = "ada") -> float:
        """The landmark sum of a follower's trust."""
        return sum(self.row(name).contributions["trust"].values())
