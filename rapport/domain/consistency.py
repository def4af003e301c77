"""How steadily a brand publishes: against the rhythm it wants, and against its own plan.

The score is a mean of three shares: how much of the wanted rhythm was kept (ADHERENCE), how even the gaps were
(EVENNESS), and how many planned posts were out on time (ON_TIME). What is not known (no plan, too few gaps) leaves the
others their weights; without a wanted rhythm there is nothing to be consistent with, and no score.

Evenness is 1 / (1 + CV²), where CV is the standard deviation of the gaps over their mean: 1 where all gaps are the
same, a half where posts come at random (a Poisson process has a CV of 1), and towards 0 where they come in bursts.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from statistics import fmean, variance
from typing import NamedTuple
from zoneinfo import ZoneInfo

from rapport.domain.calendar import editorial
from rapport.domain.mix.labels import Interval, share
from rapport.domain.times import local, shifted

ADHERENCE, EVENNESS, ON_TIME = 0.5, 0.3, 0.2
"""What each part weighs in the score."""
OCCASION = timedelta(hours=1)
"""Posts within an hour of the first are one occasion, so the same post on three platforms makes no gap."""
FEWEST_GAPS = 3
"""With fewer gaps nobody can say how even they are."""
_WEEK = 7


class Due(NamedTuple):
    """A planned post that should have been out: when, on which account, and when it was published."""

    account: str
    at: datetime
    published_at: datetime | None


class Week(NamedTuple):
    """An ISO week (by its Monday): what was published, and what was wanted on those of its days that count.

    Those are the days of the period that are over; `whole` where all seven are. `wanted` is None without a rhythm.
    """

    monday: date
    published: int
    wanted: float | None
    whole: bool


class Gap(NamedTuple):
    """A time without a post; `open` where no post has ended it yet."""

    start: datetime
    end: datetime
    open: bool


class Gaps(NamedTuple):
    """The gaps between occasions, and how many `ended`; hours, and hours squared. None where too few did to tell."""

    ended: int
    longest: Gap | None
    mean: float | None
    variance: float | None
    evenness: float | None


class Consistency(NamedTuple):
    """How steadily one account, or a brand, published in a period."""

    published: int
    weeks: tuple[Week, ...]
    adherence: float | None
    streak: int | None
    due: int
    kept: Interval | None
    on_time: Interval | None
    gaps: Gaps
    score: float | None


class Span(NamedTuple):
    """The days of a period, in a zone; `until` is its end, or now where that is still to come (UTC)."""

    first: date
    last: date
    zone: ZoneInfo
    until: datetime


def consistency(
    span: Span, published: Iterable[datetime], before: datetime | None, due: Sequence[Due], wanted: float | None
) -> Consistency:
    """Of posts at some times within the period, the last one before it, the planned posts of it, and a rhythm.

    `wanted` is a number of posts a week, above 0; None where nobody said.
    """
    times = sorted(published)
    by_week = weeks(span, times, wanted)
    adherence = _adherence(by_week)
    kept = share(sum(each.published_at is not None for each in due), len(due))
    on_time = share(sum(_on_time(each) for each in due), len(due))
    found = gaps(times, before, span.until)
    return Consistency(
        published=len(times),
        weeks=by_week,
        adherence=adherence,
        streak=_streak(by_week) if wanted is not None else None,
        due=len(due),
        kept=kept,
        on_time=on_time,
        gaps=found,
        score=score(adherence, found.evenness, on_time.value if on_time is not None else None),
    )


def score(adherence: float | None, evenness: float | None, on_time: float | None) -> float | None:
    """0 to 100; None without an adherence."""
    if adherence is None:
        return None
    parts = ((ADHERENCE, adherence), (EVENNESS, evenness), (ON_TIME, on_time))
    known = [(weight, value) for weight, value in parts if value is not None]
    return 100 * sum(weight * value for weight, value in known) / sum(weight for weight, _ in known)


def weeks(span: Span, published: Sequence[datetime], wanted: float | None) -> tuple[Week, ...]:
    """The ISO weeks that a period touches, and what was published (in order) in each."""
    today = local(span.until, span.zone).date()
    over = min(span.last, shifted(today, -1))
    found = []
    monday = _monday(span.first)
    while monday <= min(span.last, today):
        sunday, following = shifted(monday, _WEEK - 1), shifted(monday, _WEEK)
        count = bisect_left(published, _midnight(following, span.zone)) - bisect_left(
            published, _midnight(monday, span.zone)
        )
        days = max(0, (min(sunday, over) - max(monday, span.first)).days + 1)
        found.append(Week(monday, count, None if wanted is None else wanted * days / _WEEK, whole=days == _WEEK))
        monday = following
    return tuple(found)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    # In UTC, because two times that share a zone are compared by their clocks, whatever an hour was put back between.
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _adherence(by_week: Iterable[Week]) -> float | None:
    """The share of what was wanted that was published; a week that has more makes up for no other week."""
    pairs = [(min(float(each.published), each.wanted), each.wanted) for each in by_week if each.wanted]
    return sum(kept for kept, _ in pairs) / sum(wanted for _, wanted in pairs) if pairs else None


def _streak(by_week: Sequence[Week]) -> int:
    """How many whole weeks up to now had all that was wanted; a week that is not over only counts where it has."""
    found = 0
    for number, each in enumerate(reversed(by_week)):
        whole = each.wanted is not None and each.whole and each.published >= each.wanted
        if whole:
            found += 1
        elif number or each.whole:
            break
    return found


def _on_time(due: Due) -> bool:
    return due.published_at is not None and abs(due.published_at - due.at) <= editorial.ON_TIME


def gaps(published: Sequence[datetime], before: datetime | None, until: datetime) -> Gaps:
    """Of posts in order, the last one before them, and up to when none came after them."""
    occasions: list[datetime] = []
    for at in (*([before] if before is not None else []), *published):
        if not occasions or at - occasions[-1] >= OCCASION:
            occasions.append(at)
    ended = [Gap(start, end, open=False) for start, end in pairwise(occasions)]
    lasting = [Gap(occasions[-1], until, open=True)] if occasions and occasions[-1] < until else []
    longest = max((*ended, *lasting), key=lambda gap: gap.end - gap.start, default=None)
    hours = [(gap.end - gap.start) / timedelta(hours=1) for gap in ended]
    mean = fmean(hours) if hours else None
    spread = variance(hours) if len(hours) > 1 else None
    even = 1 / (1 + spread / mean**2) if spread is not None and mean and len(hours) >= FEWEST_GAPS else None
    return Gaps(len(hours), longest, mean, spread, even)
