"""What a relationship is made of: facts that count once, on their day, and can be taken back.

A fact is one thing a follower did or lived through: a comment, a like, the outcome of an exchange. Its newest version
wins, so neither the order of arrival nor a repetition changes the row; the sums are recomputed from whole numbers per
day, so they are equal to the last bit however the row came about.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache

from msgspec import Struct

from rapport.contracts.events import KINDS, ExchangeSnapshot, Interaction
from rapport.contracts.rows import FollowerRow
from rapport.contracts.scoring import Scoring
from rapport.domain.relationships.decay import weight_at
from rapport.domain.relationships.relationship import DEFAULT, DIMENSIONS, MOMENTUM_DAYS, stage, weight_of
from rapport.domain.times import clamped, ms, shifted, utc

KEPT_DAYS = 400
"""How many days before a follower's newest one are kept. Older ones are worth less than a tenth of what they were."""
Days = Mapping[str, Mapping[str, int]]
"""Per event day (`2026-11-23`, UTC) how many of each kind count."""


MOST_RECORDS = 50
"""How many records of one thing are kept, the earliest; of the others only the number is known."""


class CountedFact(Struct, omit_defaults=True):
    """The newest version of one fact. A row of the relationships agent."""

    version: tuple[int, str]
    kind: str | None = None
    """What it counts as; None where it was taken back."""
    day: str | None = None
    seen: int = 0
    """The partition's clock when this was told."""
    thing: str | None = None
    """What it was done to, where it counts once per thing: see `Thing`."""


class Thing(Struct, omit_defaults=True):
    """What a follower did to one thing, however many records say so. A row of the relationships agent.

    A platform can hold several records of one like or one follow. It shows one, as long as any of them stands.
    """

    records: dict[str, int] = {}
    """When (ms) each record that stands was made, by its id."""
    more: int = 0
    """How many more stand."""
    day: str | None = None
    """The day that it counts on, the first of a record that stands; None where none does."""
    seen: int = 0
    """The partition's clock when this last changed."""


COUNT_ONCE = frozenset({"follow", "reaction", "share"})
"""Kinds that count once per thing."""


def thing_of(interaction: Interaction) -> str:
    """What a follow, a reaction or a share was done to. A share with words of its own is a thing by itself."""
    parent = interaction.parent.id if interaction.parent else None
    if interaction.kind == "follow":
        return interaction.account
    if interaction.kind == "reaction":
        return parent or interaction.post or interaction.object.id
    return interaction.object.id if interaction.text else interaction.post or parent or interaction.object.id


def stand(row: FollowerRow, thing: Thing, kind: str, record: str, at: datetime | None, *, stood: bool) -> None:
    """Notes in `thing` that a record stands since `at`, or (None) no more, and counts the thing once in the row's days.

    `stood` says whether it stood before. The row is to be summed up afterwards.
    """
    if at is None:
        if thing.records.pop(record, None) is None and stood:
            thing.more = max(0, thing.more - 1)
    elif record in thing.records or not stood:
        thing.records[record] = ms(at)
        if len(thing.records) > MOST_RECORDS:
            del thing.records[max(thing.records, key=lambda name: (thing.records[name], name))]
            thing.more += 1
    day: str | None
    if thing.records:
        day = clamped(utc(min(thing.records.values()))).date().isoformat()
    else:
        day = thing.day if thing.more else None
    if day == thing.day:
        return
    if thing.day is not None:
        _add(row, kind, thing.day, -1)
    if day is not None:
        _add(row, kind, day, 1)
    thing.day = day


def outcome(exchange: ExchangeSnapshot) -> tuple[str | None, datetime]:
    """What an exchange counts as for the relationship, and when. None while nothing came of it."""
    if exchange.state == "answered" and exchange.answered_at:
        return "answered", exchange.answered_at
    if exchange.state == "answered_late" and exchange.answered_at:
        return "answered_late", exchange.answered_at
    if exchange.breached_at and exchange.state in ("open", "cancelled"):
        return "unanswered", exchange.breached_at
    return None, exchange.opened_at


def count(
    row: FollowerRow,
    known: CountedFact | None,
    version: tuple[int, str],
    kind: str | None,
    at: datetime,
    scoring: Scoring = DEFAULT,
) -> CountedFact | None:
    """Counts a version of a fact in `row`, in place of the version `known`; gives the fact to keep, or None if older.

    `kind` is None where the fact is taken back. `at` is when the thing happened.
    """
    day = clamped(at).date().isoformat()
    if not takes(row, known, version, at):
        return None
    if known is not None and known.kind is not None and known.day is not None:
        _add(row, known.kind, known.day, -1)
    if kind is not None:
        _add(row, kind, day, 1)
    sum_up(row, scoring)
    return CountedFact(version=version, kind=kind, day=day if kind is not None else None)


def count_thing(
    row: FollowerRow,
    known: CountedFact | None,
    version: tuple[int, str],
    at: datetime,
    thing_at: Callable[[str], Thing],
    event: Interaction,
    scoring: Scoring = DEFAULT,
) -> CountedFact | None:
    """As `count`, for an interaction that counts once per thing. `thing_at` gives the row of a thing, to be changed."""
    if not takes(row, known, version, at):
        return None
    its = thing_of(event)
    stood = known is not None and known.kind is not None and known.thing is not None
    if known is not None and known.kind is not None and known.thing is None and known.day is not None:
        _add(row, known.kind, known.day, -1)  # counted by itself, before things were
    before = known.thing if known is not None and known.thing is not None else its
    place = before if event.undo else its
    if stood and before != place:
        stand(row, thing_at(before), event.kind, event.object.id, None, stood=True)
        stood = False
    stand(row, thing_at(place), event.kind, event.object.id, None if event.undo else at, stood=stood)
    sum_up(row, scoring)
    return CountedFact(version=version, kind=None if event.undo else event.kind, thing=place)


def takes(row: FollowerRow, known: CountedFact | None, version: tuple[int, str], at: datetime) -> bool:
    """Whether a version of a fact is newer than the one that is known.

    The day is noted also of what is older or taken back, so the days that are kept do not depend on any order.
    """
    row.newest_day = max(row.newest_day, clamped(at).date().isoformat())
    return known is None or known.version < version


def counts(row: FollowerRow, fact: CountedFact) -> bool:
    """Whether a fact still counts in a relationship's row, so that taking it back would change the row.

    Interactions are counted for good; what only adds to a day, such as an outcome, counts as long as days are kept.
    """
    if fact.kind is None:
        return False
    return fact.kind in KINDS or fact.day is None or fact.day >= _oldest_day(row)


def _oldest_day(row: FollowerRow) -> str:
    """The first day that is kept."""
    return shifted(date.fromisoformat(row.newest_day), -KEPT_DAYS).isoformat() if row.newest_day else ""


def _add(row: FollowerRow, kind: str, day: str, change: int) -> None:
    if kind in KINDS:
        row.counts[kind] = row.counts.get(kind, 0) + change
        if not row.counts[kind]:
            del row.counts[kind]
    if kind not in DEFAULT.weights:
        return
    kinds = row.days.setdefault(day, {})
    kinds[kind] = kinds.get(kind, 0) + change
    if kinds[kind] <= 0:  # below zero where the day was forgotten before the fact was taken back
        del kinds[kind]
    if not kinds:
        del row.days[day]


def sum_up(row: FollowerRow, scoring: Scoring) -> None:
    """Recomputes the sums of a row from its days, and drops days that are too old."""
    oldest = _oldest_day(row)
    for forgotten in [day for day in row.days if day < oldest]:
        del row.days[forgotten]
    row.contributions = contributions(row.days, scoring)
    row.momentum = _momentum(row.days, scoring)
    row.last_purchase_at = last_purchase(row.days)
    row.scoring = scoring.version


def standing(row: FollowerRow) -> tuple[dict[str, float], int | None]:
    """The landmark sums and the last purchase (ms) that a follower's stage follows from, the linked ones included."""
    sums = {name: sum(each.values()) for name, each in row.contributions.items()}
    bought = row.last_purchase_at
    if row.person is not None:
        for name, more in row.person.sums.items():
            sums[name] = sums.get(name, 0.0) + more
        bought = max((at for at in (bought, row.person.last_purchase_at) if at is not None), default=None)
    return sums, ms(bought) if bought else None


def contributions(days: Days, scoring: Scoring, until: str = "9999-12-31") -> dict[str, dict[str, float]]:
    """Per dimension the landmark sum that each kind brought, up to the day `until`."""
    sums: dict[str, dict[str, float]] = {}
    for day in sorted(days):
        if day > until:
            break
        noon = _noon(day)
        for kind, times in sorted(days[day].items()):
            weight = weight_of(kind, scoring)
            for dimension in DIMENSIONS:
                each = getattr(weight, dimension)
                if each:
                    kinds = sums.setdefault(dimension, {})
                    brought = each * min(times, weight.daily_cap) * weight_at(noon, scoring.half_life_days[dimension])
                    kinds[kind] = kinds.get(kind, 0.0) + brought
    return sums


def stage_on(days: Days, last: date, scoring: Scoring) -> str:
    """The stage at the end of a day (UTC), from what is counted up to it."""
    until = last.isoformat()
    sums = {name: sum(kinds.values()) for name, kinds in contributions(days, scoring, until).items()}
    bought = last_purchase({day: kinds for day, kinds in days.items() if day <= until})
    end = datetime.combine(shifted(last, 1), datetime.min.time(), UTC)
    return stage(sums, ms(bought) if bought else None, ms(end) - 1, scoring)


def last_purchase(days: Days) -> datetime | None:
    """The beginning of the last day with a purchase."""
    bought = max((day for day, kinds in days.items() if "purchase" in kinds), default=None)
    return datetime.fromisoformat(bought).replace(tzinfo=UTC) if bought else None


def _momentum(days: Days, scoring: Scoring) -> float:
    """The landmark sum of all that was brought, in every dimension, that fades within weeks."""
    total = 0.0
    for day in sorted(days):
        for kind, times in sorted(days[day].items()):
            weight = weight_of(kind, scoring)
            each = weight.know + weight.like + weight.trust
            total += each * min(times, weight.daily_cap) * weight_at(_noon(day), MOMENTUM_DAYS)
    return total


@lru_cache(maxsize=1_000)
def _noon(day: str) -> int:
    return ms(datetime.fromisoformat(day).replace(hour=12, tzinfo=UTC))
