"""The relationships agent's handler: engagements, and what the exchanges agent tells, of one partition."""

import logging
from collections.abc import Iterator

from rapport.contracts import codec
from rapport.contracts.controls import FollowerAway, FollowerErased, PersonTold, ScoringSet
from rapport.contracts.events import ExchangeSnapshot, Interaction, Spoken
from rapport.contracts.rows import AwayState, BlockState, FollowerRow, PersonState
from rapport.contracts.scoring import Scoring
from rapport.domain.exchanges.fitting import shortened
from rapport.domain.relationships.counting import COUNT_ONCE, outcome, sum_up
from rapport.domain.retention import kept_until
from rapport.domain.times import ms, utc
from rapport.kit.log import pseudonym
from services.scorer import lifetimes
from services.scorer.fenced.agent import Record
from services.scorer.fenced.batch import Batch, decoder
from services.scorer.fenced.state import Store
from services.scorer.pruning import Pruner
from services.scorer.relationships.facts import (
    FactVersion,
    count_fact,
    count_what_was_done,
    follower_of_news,
    keep_follower,
    note_names,
    note_seen,
)
from services.scorer.relationships.feedback import answer_exchange, tell_away, tell_block
from services.scorer.relationships.forgetting import Forgetting
from services.scorer.rows.erased import ErasedRow, erased_key, is_erased
from services.scorer.rows.relationships import (
    FACTS,
    FOLLOWERS,
    SCORING_KEY,
    THINGS,
    ScoringRow,
    current_scoring,
    details_of,
    follower_key,
    forget_key,
)
from services.scorer.walk import Walk

log = logging.getLogger("rapport.scorer")

MOST_AWAYS = 10
"""How many of the platform's reports on a follower's account are kept, the newest."""
_EVERYBODY = "everybody"


class RelationshipsHandler:
    """One partition. Keeps nothing but rows, and how far they are summed up with new numbers."""

    def __init__(self) -> None:
        self._unsettled = Walk(lambda _: FOLLOWERS)
        self._forgetting = Forgetting()
        self._pruner = Pruner({FACTS: lifetimes.facts(), THINGS: lifetimes.things()})

    def open(self, stored: Store) -> None:
        """Goes on with the new numbers that its predecessor had not finished with."""
        value = stored.get(SCORING_KEY)
        unsettled = value is not None and decoder(ScoringRow).decode(value).unsettled
        self._unsettled.open(stored, [_EVERYBODY] if unsettled else [])
        self._forgetting.open(stored)
        self._pruner.open(stored)

    def opening(self, stored: Store) -> Iterator[None]:
        """The same, which is one part."""
        self.open(stored)
        yield

    def sweep(self, clock: int, batch: Batch) -> bool:
        """Sums fade by themselves; rows that are too old are deleted, and everybody is summed up with new numbers.

        Names that may no longer be kept are dropped.
        """
        if self._forgetting.forget(clock, batch):
            return True
        self._pruner.prune(clock, batch)
        if self._unsettled.waits_for(batch):
            return True
        if self._unsettled.is_over:
            return False
        self._sum_up_next(batch)
        return True

    def committed(self) -> None:
        """The batch is in the log."""
        self._unsettled.committed()

    def rolled_back(self) -> None:
        """Walks begin again."""
        self._unsettled.rolled_back()
        self._forgetting.rolled_back()

    def apply(self, record: Record, clock: int, batch: Batch) -> None:
        """Counts one fact once, and answers what an exchange has to know of its follower."""
        event = codec.decode(codec.type_of(record.headers), record.value)
        if isinstance(event, Interaction):
            if event.kind != "post" and not event.staff:  # the brand's own; its follower is nobody
                _engaged(shortened(event), clock, batch)
        elif isinstance(event, Spoken):
            _spoke(event, clock, batch)
        elif isinstance(event, ScoringSet):
            self._set_scoring(event.scoring, batch)
        elif isinstance(event, PersonTold):
            _link_person(event, batch)
        elif isinstance(event, FollowerErased):
            _erase(event, batch)
        elif isinstance(event, FollowerAway):
            _note_away(event, batch)
        elif isinstance(event, ExchangeSnapshot):
            result, at = outcome(event)
            who = event.follower.id
            fact = FactVersion(event.brand, event.platform, who, ("exchange", event.id), (event.revision, ""))
            if row := follower_of_news(fact, at, batch):
                count_fact(row, fact, result, at, clock, batch)
                answer_exchange(event, row, clock, batch)

    def _set_scoring(self, scoring: Scoring, batch: Batch) -> None:
        """Takes over new numbers: every relationship will be summed up with them."""
        if scoring.version <= current_scoring(batch).version:
            return
        batch.keep(SCORING_KEY, ScoringRow(scoring, unsettled=True))
        self._unsettled.begin(_EVERYBODY, batch)

    def _sum_up_next(self, batch: Batch) -> None:
        """Sums up the next relationships with new numbers, or notes the end."""
        scoring = current_scoring(batch)
        _, rows = self._unsettled.next()
        if rows is None:
            batch.keep(SCORING_KEY, ScoringRow(scoring))
            return
        for key, _ in rows:
            row = batch.row(key, FollowerRow)
            if row is not None and row.scoring != scoring.version:
                try:
                    sum_up(row, scoring)
                except Exception:  # the others are summed up; this one keeps its old numbers
                    log.exception("follower %s cannot be summed up", pseudonym(key))
                    continue
                batch.keep(key, row)


def _engaged(event: Interaction, clock: int, batch: Batch) -> None:
    at, who, version = event.occurred_at, event.actor, (ms(event.occurred_at), event.id)
    fact = FactVersion(event.brand, event.platform, who.id, (event.kind, event.object.id), version)
    row = follower_of_news(fact, at, batch)
    if row is None:
        return
    if not event.undo:
        note_seen(row, at)
        until = kept_until(event.platform, "profiles", event.observed_at)
        note_names(row, version, until, clock, handle=who.handle, name=who.name, avatar_url=who.avatar_url)
        row.bot = row.bot or who.bot
    if event.kind in COUNT_ONCE:
        count_what_was_done(row, fact, event, clock, batch)
    else:
        count_fact(row, fact, None if event.undo else event.kind, at, clock, batch)
    if event.kind == "block":
        tell_block(row, BlockState(at=at, id=event.id, lifted=event.undo), batch)


def _spoke(event: Spoken, clock: int, batch: Batch) -> None:
    at, who = event.occurred_at, event.follower
    # Two conversations can name the same comment: it counts as one of them says, whichever was told first.
    said = f"{ms(at)} {event.kind}{' undone' if event.undone else ''}"
    fact = FactVersion(event.brand, event.platform, who.id, ("spoken", event.object), (event.revision, said))
    row = follower_of_news(fact, at, batch)
    if row is None:
        return
    if event.kind != "reply":
        note_seen(row, at)
        note_names(row, (ms(at), event.object), who.kept_until, clock, handle=who.handle, name=who.name)
    count_fact(row, fact, None if event.undone else event.kind, at, clock, batch)


def _link_person(event: PersonTold, batch: Batch) -> None:
    """Notes what the person's other followers bring to the follower's stage."""
    if is_erased(batch, event.brand, event.platform, event.follower):
        return
    row = _known(event, batch)
    if row.person is not None and row.person.revision >= event.revision:
        return
    row.person = PersonState(event.revision, event.person, event.sums, event.last_purchase_at, event.shadow)
    keep_follower(row, batch)


def _note_away(event: FollowerAway, batch: Batch) -> None:
    """Notes what became of a follower's account, and tells every exchange of theirs that it concerns."""
    if is_erased(batch, event.brand, event.platform, event.follower):
        return
    row = _known(event, batch)
    if any(known.id == event.id for known in row.aways):
        return
    away = AwayState(event.at, event.id, event.how)
    row.aways = sorted([*row.aways, away], key=lambda away: (away.at, away.id))[-MOST_AWAYS:]
    tell_away(row, away, batch)
    keep_follower(row, batch)


def _known(event: PersonTold | FollowerAway, batch: Batch) -> FollowerRow:
    """The follower's row; one of somebody who did nothing yet where there is none."""
    return batch.row(follower_key(event.brand, event.platform, event.follower), FollowerRow) or FollowerRow(
        brand=event.brand, platform=event.platform, follower=event.follower, revision=0,
        first_seen=utc(0), last_seen=utc(0),
    )  # fmt: skip


def _erase(event: FollowerErased, batch: Batch) -> None:
    """Deletes all that is kept of a follower, and notes that nothing is to be kept again."""
    key = erased_key(event.brand, event.platform, event.follower)
    if batch.row(key, ErasedRow) is not None:
        return
    batch.keep(key, ErasedRow())
    its = event.brand, event.platform, event.follower
    row = batch.row(follower_key(*its), FollowerRow)
    if row is not None and row.forget_at:
        batch.drop(forget_key(row.forget_at, *its))
    batch.drop(follower_key(*its))
    for prefix in details_of(event.brand, event.platform, event.follower):
        for detail in batch.keys(prefix):
            batch.drop(detail)
