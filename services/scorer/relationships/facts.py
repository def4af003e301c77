"""Facts that count: each has versions, and counts once, as its newest version says."""

from datetime import datetime
from typing import NamedTuple

from rapport.contracts.events import Interaction
from rapport.contracts.rows import FollowerRow
from rapport.domain.relationships.counting import CountedFact, Thing, count, count_thing
from rapport.domain.times import ms
from services.scorer.fenced.batch import Batch
from services.scorer.relationships.forgetting import note_when_to_forget
from services.scorer.rows.erased import is_erased
from services.scorer.rows.relationships import current_scoring, fact_key, follower_key, thing_key


class FactVersion(NamedTuple):
    """Which fact of which follower an event tells, and in which version."""

    brand: str
    platform: str
    follower: str
    name: tuple[str, str]
    version: tuple[int, str]

    @property
    def key(self) -> bytes:
        """The key of the fact's row."""
        return fact_key(self.brand, self.platform, self.follower, *self.name)


def follower_of_news(fact: FactVersion, at: datetime, batch: Batch) -> FollowerRow | None:
    """The follower's row, begun if there is none; None where this very version was counted, or nobody is left."""
    if is_erased(batch, fact.brand, fact.platform, fact.follower):
        return None
    known = batch.row(fact.key, CountedFact)
    if known is not None and known.version == fact.version:
        return None
    found = batch.row(follower_key(fact.brand, fact.platform, fact.follower), FollowerRow)
    return found or FollowerRow(
        brand=fact.brand, platform=fact.platform, follower=fact.follower, revision=0, first_seen=at, last_seen=at
    )


def count_fact(row: FollowerRow, fact: FactVersion, kind: str | None, at: datetime, clock: int, batch: Batch) -> None:
    """Counts a fact as one of `kind`, or as nothing any more."""
    newer = count(row, batch.row(fact.key, CountedFact), fact.version, kind, at, current_scoring(batch))
    if newer is not None:
        newer.seen = clock
        batch.keep(fact.key, newer)
    # Kept even where an older version comes late: it still says when the follower was first seen.
    keep_follower(row, batch)


def count_what_was_done(row: FollowerRow, fact: FactVersion, event: Interaction, clock: int, batch: Batch) -> None:
    """Counts what a follower does to a thing once, however many records say so."""
    things: dict[bytes, Thing] = {}

    def thing_at(name: str) -> Thing:
        key = thing_key(fact.brand, fact.platform, fact.follower, event.kind, name)
        return things.setdefault(key, batch.row(key, Thing) or Thing())

    known = batch.row(fact.key, CountedFact)
    newer = count_thing(row, known, fact.version, event.occurred_at, thing_at, event, current_scoring(batch))
    if newer is not None:
        newer.seen = clock
        batch.keep(fact.key, newer)
    for key, thing in things.items():
        thing.seen = clock
        batch.keep(key, thing)
    keep_follower(row, batch)


def keep_follower(row: FollowerRow, batch: Batch) -> None:
    """Stores a follower's row in its next revision."""
    row.revision += 1
    note_when_to_forget(row, batch)
    batch.keep(follower_key(row.brand, row.platform, row.follower), row)


def note_seen(row: FollowerRow, at: datetime) -> None:
    """Notes that the follower did something at `at`."""
    row.first_seen = min(row.first_seen, at) if row.met else at
    row.last_seen = max(row.last_seen, at) if row.met else at
    row.met = True


def note_names(
    row: FollowerRow, version: tuple[int, str], until: datetime | None, clock: int, **names: str | None
) -> None:
    """Takes over what a follower is called, each part from the latest interaction that has it, whenever it came.

    `until` is when the platform's terms let it be kept. What is over by `clock` (ms) is not taken over.
    """
    for part, value in names.items():
        if value and (part not in row.named or row.named[part] < version):
            row.named[part] = version
            row.kept_until.pop(part, None)
            over = until is not None and ms(until) <= clock
            setattr(row, part, None if over else value)
            if until is not None and not over:
                row.kept_until[part] = ms(until)
