"""The relationships agent's handler: engagements, and what the exchanges agent tells, of one partition."""

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple, cast

import msgspec

from rapport.contracts import codec
from rapport.contracts.controls import (
    FollowerAway,
    FollowerBlocked,
    FollowerErased,
    PersonTold,
    ScoringSet,
    Stage,
    StageTold,
)
from rapport.contracts.events import ExchangeSnapshot, Interaction, Spoken
from rapport.contracts.rows import FOLLOWER, OPEN, AwayState, BlockState, FollowerRow, PersonState, row_key
from rapport.contracts.topics import CONVERSATIONS, key_of, partition_of
from rapport.domain.counting import COUNT_ONCE, Fact, Thing, count, count_thing, outcome, standing, sum_up
from rapport.domain.erasing import erased_name
from rapport.domain.fitting import shortened
from rapport.domain.relationship import DEFAULT, Scoring, stage
from rapport.domain.times import ms, utc
from services.scorer import lifetimes
from services.scorer.fenced.agent import Record
from services.scorer.fenced.batch import Batch, Output
from services.scorer.fenced.state import Store
from services.scorer.passage import Passage
from services.scorer.pruning import Pruner
from services.scorer.rows import ErasedRow, OpenRow, ScoringRow, erased_key, is_erased

log = logging.getLogger("rapport.scorer")

MOST_AWAYS = 10
"""So many of the platform's words on a follower's account are kept, the newest."""
_SCORING = row_key("scoring")
_FOLLOWERS = row_key(FOLLOWER)[:-1] + b","
_EVERYBODY = "everybody"


class RelationshipsHandler:
    """One partition. Keeps nothing but rows, and how far they are summed up with new numbers."""

    def __init__(self) -> None:
        self._clock = 0
        self._unsettled = Passage(lambda _: _FOLLOWERS)
        self._pruner = Pruner(
            {row_key("fact")[:-1] + b",": lifetimes.facts(), row_key("thing")[:-1] + b",": lifetimes.things()}
        )

    def open(self, stored: Store) -> None:
        """Takes up the numbers that its predecessor was not through with."""
        value = stored.get(_SCORING)
        unsettled = value is not None and msgspec.json.decode(value, type=ScoringRow).unsettled
        self._unsettled.open(stored, [_EVERYBODY] if unsettled else [])
        self._pruner.open(stored)

    def opening(self, stored: Store) -> Iterator[None]:
        """The same, which is one part."""
        self.open(stored)
        yield

    def sweep(self, clock: int, batch: Batch) -> bool:
        """Sums fade by themselves; what is too old goes, and new numbers are gone through with."""
        self._pruner.prune(clock, batch)
        if self._unsettled.waits_for(batch):
            return True
        if self._unsettled.is_over:
            return False
        self._resettle(batch)
        return True

    def committed(self) -> None:
        """What was noted stays."""
        self._unsettled.committed()

    def rolled_back(self) -> None:
        """What is gone through begins anew."""
        self._unsettled.rolled_back()

    def apply(self, record: Record, clock: int, batch: Batch) -> None:
        """Counts one fact once, and answers what an exchange has to know of its follower."""
        self._clock = clock
        event = codec.decode(codec.type_of(record.headers), record.value)
        if isinstance(event, Interaction):
            if event.kind != "post" and not event.staff:  # the brand's own; its follower is nobody
                self._engaged(shortened(event), batch)
        elif isinstance(event, Spoken):
            self._spoke(event, batch)
        elif isinstance(event, ScoringSet):
            self._set(event.scoring, batch)
        elif isinstance(event, PersonTold):
            self._link(event, batch)
        elif isinstance(event, FollowerErased):
            _forget(event, batch)
        elif isinstance(event, FollowerAway):
            self._go(event, batch)
        elif isinstance(event, ExchangeSnapshot):
            result, at = outcome(event)
            fact = _Told(event.brand, event.platform, event.follower.id, ("exchange", event.id), (event.revision, ""))
            if row := self._news(fact, at, batch):
                self._count(row, fact, result, at, batch)
                self._answer(event, row, clock, batch)

    def _set(self, scoring: Scoring, batch: Batch) -> None:
        """Takes over new numbers: every relationship will be summed up with them."""
        if scoring.version <= _scoring(batch).version:
            return
        batch.keep(_SCORING, ScoringRow(scoring, unsettled=True))
        self._unsettled.begin(_EVERYBODY, batch)

    def _resettle(self, batch: Batch) -> None:
        """Sums up the next relationships with new numbers, or notes the end."""
        scoring = _scoring(batch)
        _, found = self._unsettled.next()
        if found is None:
            batch.keep(_SCORING, ScoringRow(scoring))
            return
        for key, _ in found:
            row = batch.row(key, FollowerRow)
            if row is not None and row.scoring != scoring.version:
                try:
                    sum_up(row, scoring)
                except Exception:  # the others are summed up; this one keeps its old numbers
                    log.exception("%r cannot be summed up", key)
                    continue
                batch.keep(key, row)

    def _link(self, event: PersonTold, batch: Batch) -> None:
        """Notes what the person brings to the follower's stage."""
        if is_erased(batch, event.brand, event.platform, event.follower):
            return
        key = row_key(FOLLOWER, event.brand, event.platform, event.follower)
        row = self._begun(event.brand, event.platform, event.follower, batch)
        if row.person is not None and row.person.revision >= event.revision:
            return
        row.person = PersonState(event.revision, event.person, event.sums, event.last_purchase_at, event.shadow)
        row.revision += 1
        batch.keep(key, row)

    def _go(self, event: FollowerAway, batch: Batch) -> None:
        """Notes what became of a follower's account, and tells every exchange of theirs that it concerns."""
        if is_erased(batch, event.brand, event.platform, event.follower):
            return
        row = self._begun(event.brand, event.platform, event.follower, batch)
        if any(known.id == event.id for known in row.aways):
            return
        said = AwayState(event.at, event.id, event.how)
        row.aways = sorted([*row.aways, said], key=lambda away: (away.at, away.id))[-MOST_AWAYS:]
        for key in batch.keys(row_key(OPEN, row.brand, row.platform, row.follower)[:-1] + b","):
            place = batch.row(key, OpenRow)
            if place is None:
                continue
            batch.emit(_told_away(row, place, said))
            if place.gone and row.aways[-1].how == "back":
                batch.drop(key)
        row.revision += 1
        batch.keep(row_key(FOLLOWER, row.brand, row.platform, row.follower), row)

    def _begun(self, brand: str, platform: str, follower: str, batch: Batch) -> FollowerRow:
        """A follower's row; one of somebody who did nothing yet where there is none."""
        return batch.row(row_key(FOLLOWER, brand, platform, follower), FollowerRow) or FollowerRow(
            brand=brand, platform=platform, follower=follower, revision=0, first_seen=utc(0), last_seen=utc(0)
        )

    def _engaged(self, event: Interaction, batch: Batch) -> None:
        at, who = event.occurred_at, event.actor
        fact = _Told(event.brand, event.platform, who.id, (event.kind, event.object.id), (ms(at), event.id))
        row = self._news(fact, at, batch)
        if row is None:
            return
        if not event.undo:
            _meet(row, at)
            _name(row, (ms(at), event.id), handle=who.handle, name=who.name, avatar_url=who.avatar_url)
            row.bot = row.bot or who.bot
        if event.kind in COUNT_ONCE:
            self._count_thing(row, fact, event, batch)
        else:
            self._count(row, fact, None if event.undo else event.kind, at, batch)
        if event.kind == "block":
            self._block(row, BlockState(at=at, id=event.id, lifted=event.undo), batch)

    def _block(self, row: FollowerRow, said: BlockState, batch: Batch) -> None:
        """Tells every exchange of the follower that is open."""
        if row.block is not None and (row.block.at, row.block.id) >= (said.at, said.id):
            return
        row.block = said
        for key in batch.keys(row_key(OPEN, row.brand, row.platform, row.follower)[:-1] + b","):
            place = batch.row(key, OpenRow)
            if place is None or place.blocked != said.lifted:
                continue  # it knows already
            batch.emit(_told(row, place, said))
            if said.lifted:
                batch.drop(key)

    def _answer(self, exchange: ExchangeSnapshot, row: FollowerRow, clock: int, batch: Batch) -> None:
        """Keeps where open exchanges are; tells one of a block or its end, and of the stage if it asks."""
        key = row_key(OPEN, row.brand, row.platform, row.follower, exchange.id)
        by_block = exchange.cancelled_because == "blocked"
        is_open, removed = exchange.state == "open", exchange.cancelled_because == "deleted"
        gone = removed and bool(row.aways) and row.aways[-1].how == "deleted"
        place = OpenRow(conversation=exchange.conversation, thread=exchange.thread, blocked=by_block, gone=gone)
        blocked = row.block is not None and not row.block.lifted
        if is_open or (by_block and blocked) or gone:
            if batch.row(key, OpenRow) != place:
                batch.keep(key, place)
        elif batch.row(key, OpenRow) is not None:
            batch.drop(key)
        if row.block is not None and (exchange.state == "open" if blocked else by_block):
            batch.emit(_told(row, place, row.block))
        for said in row.aways if is_open or removed else ():
            # Told also where it may know: what it has heard once, it does not take in again.
            batch.emit(_told_away(row, place, said))
        if exchange.stage_wanted:
            told = StageTold(
                brand=row.brand, platform=row.platform, thread=exchange.thread, follower=row.follower,
                comment=exchange.first.id, stage=cast(Stage, stage(*standing(row), clock, _scoring(batch))),
            )  # fmt: skip
            batch.emit(_control(told, row, exchange.conversation, f"stage:{exchange.first.id}"))

    def _spoke(self, event: Spoken, batch: Batch) -> None:
        at, who = event.occurred_at, event.follower
        fact = _Told(event.brand, event.platform, who.id, ("spoken", event.object), (event.revision, ""))
        row = self._news(fact, at, batch)
        if row is None:
            return
        if event.kind != "reply":
            _meet(row, at)
            _name(row, (ms(at), event.object), handle=who.handle, name=who.name)
        self._count(row, fact, None if event.undone else event.kind, at, batch)

    def _news(self, fact: "_Told", at: datetime, batch: Batch) -> FollowerRow | None:
        """The follower's row, begun if there is none; None where this very fact is in it already, or nobody is left."""
        if is_erased(batch, fact.brand, fact.platform, fact.follower):
            return None
        known = batch.row(fact.key, Fact)
        if known is not None and known.version == fact.version:
            return None
        found = batch.row(row_key(FOLLOWER, fact.brand, fact.platform, fact.follower), FollowerRow)
        return found or FollowerRow(
            brand=fact.brand, platform=fact.platform, follower=fact.follower, revision=0, first_seen=at, last_seen=at
        )

    def _count_thing(self, row: FollowerRow, fact: "_Told", event: Interaction, batch: Batch) -> None:
        """Counts what a follower does to a thing once, however many records say so."""
        its: dict[bytes, Thing] = {}

        def thing_at(name: str) -> Thing:
            key = row_key("thing", fact.brand, fact.platform, fact.follower, event.kind, name)
            return its.setdefault(key, batch.row(key, Thing) or Thing())

        known = batch.row(fact.key, Fact)
        newer = count_thing(row, known, fact.version, event.occurred_at, thing_at, event, _scoring(batch))
        if newer is not None:
            newer.seen = self._clock
            batch.keep(fact.key, newer)
        for key, thing in its.items():
            thing.seen = self._clock
            batch.keep(key, thing)
        row.revision += 1
        batch.keep(row_key(FOLLOWER, row.brand, row.platform, row.follower), row)

    def _count(self, row: FollowerRow, fact: "_Told", kind: str | None, at: datetime, batch: Batch) -> None:
        newer = count(row, batch.row(fact.key, Fact), fact.version, kind, at, _scoring(batch))
        if newer is not None:
            newer.seen = self._clock
            batch.keep(fact.key, newer)
        # Kept even where an older version comes late: it still says when the follower was first seen.
        row.revision += 1
        batch.keep(row_key(FOLLOWER, row.brand, row.platform, row.follower), row)


def _forget(event: FollowerErased, batch: Batch) -> None:
    """Drops all that is kept of a follower, and notes that nothing is to be kept again."""
    its = (event.brand, event.platform, event.follower)
    key = erased_key(event.brand, erased_name(*its))
    if batch.row(key, ErasedRow) is not None:
        return
    batch.keep(key, ErasedRow())
    batch.drop(row_key(FOLLOWER, *its))
    for kind in ("fact", "thing", OPEN):
        for each in batch.keys(row_key(kind, *its)[:-1] + b","):
            batch.drop(each)


def _told(row: FollowerRow, place: OpenRow, said: BlockState) -> Output:
    event = FollowerBlocked(
        id=said.id, brand=row.brand, platform=row.platform, thread=place.thread, follower=row.follower,
        at=said.at, lifted=said.lifted,
    )  # fmt: skip
    return _control(event, row, place.conversation, f"block:{said.id}")


def _told_away(row: FollowerRow, place: OpenRow, said: AwayState) -> Output:
    event = FollowerAway(
        id=said.id, brand=row.brand, platform=row.platform, thread=place.thread, follower=row.follower,
        at=said.at, how=said.how,
    )  # fmt: skip
    return _control(event, row, place.conversation, f"away:{said.id}")


def _control(event: FollowerBlocked | FollowerAway | StageTold, row: FollowerRow, conversation: str, id: str) -> Output:
    """A record in the partition of a conversation."""
    key = key_of(row.brand, row.platform, conversation)
    return Output(
        topic=CONVERSATIONS.name,
        partition=partition_of(key, CONVERSATIONS.partitions),
        key=key,
        value=codec.encode(event),
        headers=tuple(codec.headers("rapport.control.v1", id=id, source="/rapport/scorer")),
    )


class _Told(NamedTuple):
    """Which fact of which follower an event tells, and in which version."""

    brand: str
    platform: str
    follower: str
    name: tuple[str, str]
    version: tuple[int, str]

    @property
    def key(self) -> bytes:
        """The key of the fact's row."""
        return row_key("fact", self.brand, self.platform, self.follower, *self.name)


def _meet(row: FollowerRow, at: datetime) -> None:
    row.first_seen = min(row.first_seen, at) if row.met else at
    row.last_seen = max(row.last_seen, at) if row.met else at
    row.met = True


def _name(row: FollowerRow, said: tuple[int, str], **called: str | None) -> None:
    """Takes over what a follower is called, each part from the latest interaction that has it, whenever it came."""
    for part, value in called.items():
        if value and (part not in row.named or row.named[part] < said):
            row.named[part] = said
            setattr(row, part, value)


def _scoring(batch: Batch) -> Scoring:
    row = batch.row(_SCORING, ScoringRow)
    return DEFAULT if row is None else row.scoring
