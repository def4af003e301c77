"""What a relationship is made of: facts that count once, on their day, and can be taken back.

A fact is one thing a follower did or lived through: a comment, a like, the outcome of an exchange. Its newest version
wins, so neither the order of arrival nor a repetition changes the row; the sums are recomputed from whole numbers per
day, so they are equal to the last bit however the row came about.
"""

from datetime import UTC, datetime, timedelta

from msgspec import Struct

from rapport.contracts.events import KINDS, ExchangeSnapshot
from rapport.contracts.rows import FollowerRow
from rapport.domain.decay import weight_at
from rapport.domain.relationship import DIMENSIONS, HALF_LIFE_DAYS, WEIGHTS
from rapport.domain.times import ms

MOST_DAYS = 400
"""Active days kept per follower. What lies before them is worth less than a tenth of what it was."""


class Fact(Struct, omit_defaults=True):
    """The newest version of one fact. A row of the relationships agent."""

    version: tuple[int, str]
    kind: str | None = None
    """What it counts as; None where it was taken back."""
    day: str | None = None
    seen: int = 0
    """The partition's clock when this was told."""


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
    row: FollowerRow, known: Fact | None, version: tuple[int, str], kind: str | None, at: datetime
) -> Fact | None:
    """Counts a version of a fact in `row`, in place of the version `known`; gives the fact to keep, or None if older.

    `kind` is None where the fact is taken back. `at` is when the thing happened.
    """
    if known is not None and known.version >= version:
        return None
    if known is not None and known.kind is not None and known.day is not None:
        _add(row, known.kind, known.day, -1)
    day = at.astimezone(UTC).date().isoformat()
    if kind is not None:
        _add(row, kind, day, 1)
    _sum_up(row)
    return Fact(version=version, kind=kind, day=day if kind is not None else None)


def _add(row: FollowerRow, kind: str, day: str, change: int) -> None:
    if kind in KINDS:
        row.counts[kind] = row.counts.get(kind, 0) + change
        if not row.counts[kind]:
            del row.counts[kind]
    if kind not in WEIGHTS:
        return
    kinds = row.days.setdefault(day, {})
    kinds[kind] = kinds.get(kind, 0) + change
    if kinds[kind] <= 0:  # below zero where the day was forgotten before the fact was taken back
        del kinds[kind]
    if not kinds:
        del row.days[day]


def _sum_up(row: FollowerRow) -> None:
    for forgotten in sorted(row.days)[:-MOST_DAYS]:
        del row.days[forgotten]
    sums: dict[str, dict[str, float]] = {}
    bought: str | None = None
    for day in sorted(row.days):
        noon = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(hours=12)
        for kind, times in sorted(row.days[day].items()):
            weight = WEIGHTS[kind]
            if kind == "purchase":
                bought = day
            for dimension in DIMENSIONS:
                each = getattr(weight, dimension)
                if each:
                    kinds = sums.setdefault(dimension, {})
                    worth = each * min(times, weight.daily_cap) * weight_at(ms(noon), HALF_LIFE_DAYS[dimension])
                    kinds[kind] = kinds.get(kind, 0.0) + worth
    row.contributions = sums
    row.last_purchase_at = datetime.fromisoformat(bought).replace(tzinfo=UTC) if bought else None
