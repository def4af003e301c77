"""An account's usual rhythm, and whether it is quiet: silent for much longer than it usually is.

A webhook that died looks like an account to which nobody writes. Nobody can tell the two apart for certain, so this
compares an account with itself. What it misses is counted in usual minutes: the minutes in which something would have
come by now, as in the same hours of the week before. Nights and weekends add hardly any. It is quiet once it misses at
least `LEAST_MISSED` of them, and `FACTOR` times as many as its longest silence of the eight weeks before had, leaving
out one: that may have been an outage itself.

What is learned depends on the weeks before the day of the last arrival alone. So it stays as it is however long the
silence lasts, and whoever computes it again gets the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise
from typing import NamedTuple

from msgspec import Struct

from rapport.contracts.events import BY_THE_BRAND
from rapport.domain.arrivals.minutes import (
    HOUR,
    IN_AN_HOUR,
    day_of,
    first_of,
    hour_of,
    last_of,
    since,
    until,
)
from rapport.domain.times import local

WEEKS = 8
"""Long enough that one odd week does not decide, short enough that a rhythm that changed is learned."""
LEARNED_FROM = timedelta(weeks=WEEKS)
LEAST_WEEKS = 3
"""An hour of the week has to have come several times before it can be called usual."""
LEAST_FOUND = 20
"""Minutes with something in these weeks. With fewer, hours of the week mean nothing."""
LEAST_MISSED = 12.0
"""Usual minutes. If arrivals did not depend on one another, 1 silence in 160,000 would be as long as this."""
FACTOR = 2.0
LEAST_SILENCE = timedelta(hours=1)
"""Arrivals do depend on one another: a lively hour is often followed by a calm one."""
RECENT = timedelta(days=3)
"""What took longer to arrive is the past: an import, or a backlog. It is no sign that the account is heard now.
Platforms repeat a webhook that failed for up to 72 hours."""
HOURS_A_WEEK = 168

_OF_THE_BRAND = BY_THE_BRAND | {"block"}

Minutes = Mapping[datetime, int]
"""By full UTC hour: the minutes in which something arrived, as bits. Hours without any may be missing."""


class Rhythm(Struct, frozen=True):
    """What is usual for an account."""

    until: datetime
    """The UTC midnight that its weeks end at."""
    zone: str
    """The time zone of its hours of the week."""
    per_hour: tuple[float, ...]
    """In how many minutes something usually arrives, by hour of the week from Monday 0:00."""
    longest: float
    """Usual minutes that its longest silence missed, leaving out one."""

    def usual_at(self, at: datetime, zone: tzinfo) -> float:
        """In how many minutes of this hour of the week something usually arrives."""
        return self.per_hour[_slot(at, zone)]


class Silence(NamedTuple):
    """How an account is silent."""

    since: datetime
    missed: float
    """Usual minutes: in so many something would have arrived by now."""
    enough: float
    """With so many it is quiet."""
    quiet: bool


def is_sign(kind: str, staff: bool, occurred_at: datetime, observed_at: datetime) -> bool:
    """Whether an interaction shows that an account is heard: somebody outside of the brand did something just now.

    What the brand does itself does not count. It has the rhythm of a working day, and an answer that was given through
    Rapport gets here although the platform says nothing.
    """
    return kind not in _OF_THE_BRAND and not staff and observed_at - occurred_at <= RECENT


def learned_until(last_at: datetime) -> datetime:
    """Up to where the rhythm is learned that a silence after `last_at` is compared with."""
    return day_of(last_at)


def learn(arrived: Minutes, heard: Minutes, until_day: datetime, zone: tzinfo, name: str) -> Rhythm | None:
    """The rhythm of the eight weeks before a UTC midnight; None where there is too little to call anything usual.

    `heard`: the minutes in which Rapport listened. In others nothing could arrive, so they count as neither lively nor
    silent. `name`: what the zone is called.
    """
    begin = until_day - LEARNED_FROM
    active = sorted(hour for hour, bits in arrived.items() if bits and begin <= hour < until_day)
    if not active or until_day - active[0] < timedelta(weeks=LEAST_WEEKS):
        return None
    if sum(arrived[hour].bit_count() for hour in active) < LEAST_FOUND:
        return None
    found, listened = [0] * HOURS_A_WEEK, [0] * HOURS_A_WEEK
    hour = active[0]
    while hour < until_day:
        slot = _slot(hour, zone)
        found[slot] += arrived.get(hour, 0).bit_count()
        listened[slot] += (arrived.get(hour, 0) | heard.get(hour, 0)).bit_count()
        hour += HOUR
    per_hour = tuple(IN_AN_HOUR * many / of if of else 0.0 for many, of in zip(found, listened, strict=True))
    silences = sorted(_silences(arrived, active, per_hour, heard, zone), reverse=True)
    return Rhythm(until_day, name, per_hour, silences[1] if len(silences) > 1 else 0.0)


def silence(
    rhythm: Rhythm, last_at: datetime, connected_at: datetime, heard: Minutes, now: datetime, zone: tzinfo
) -> Silence:
    """How an account is silent at `now`, up to which everything that was received is known.

    It is silent since its last arrival, or since it was connected, if that is later. The longer it lasts, the more is
    missed: an account that is quiet stays so until something arrives.
    """
    began = max(last_at, connected_at)
    missed = usual_between(rhythm.per_hour, began, now, heard, zone)
    enough = max(LEAST_MISSED, FACTOR * rhythm.longest)
    return Silence(began, missed, enough, missed >= enough and now - began >= LEAST_SILENCE)


def soonest_quiet(rhythm: Rhythm, found: Silence, now: datetime, zone: tzinfo) -> datetime | None:
    """The hour in which an account that is silent at `now` can become quiet at the earliest; None within four weeks."""
    missed, hour = found.missed, hour_of(now)
    for _ in range(4 * HOURS_A_WEEK):
        missed += rhythm.usual_at(hour, zone)
        if missed >= found.enough and hour + HOUR - found.since >= LEAST_SILENCE:
            return hour
        hour += HOUR
    return None


def usual_between(per_hour: Sequence[float], began: datetime, ended: datetime, heard: Minutes, zone: tzinfo) -> float:
    """In how many minutes between two times something usually arrives, of those that Rapport listened in."""
    return sum(
        per_hour[_slot(hour, zone)] * bits.bit_count() / IN_AN_HOUR for hour, bits in _between(heard, began, ended)
    )


def found_between(arrived: Minutes, began: datetime, ended: datetime) -> int:
    """In how many minutes between two times something arrived."""
    return sum(bits.bit_count() for _, bits in _between(arrived, began, ended))


def _silences(
    arrived: Minutes, active: list[datetime], per_hour: Sequence[float], heard: Minutes, zone: tzinfo
) -> Iterator[float]:
    """What each silence of an hour and more missed. `active`: the hours with something, in order."""
    for before, after in pairwise(active):
        began = before + timedelta(minutes=last_of(arrived[before]))
        ended = after + timedelta(minutes=first_of(arrived[after]))
        if ended - began >= LEAST_SILENCE:
            yield usual_between(per_hour, began, ended, heard, zone)


def _between(minutes: Minutes, began: datetime, ended: datetime) -> Iterator[tuple[datetime, int]]:
    """The hours between two times, and their minutes of those after the first time and before the second."""
    first, last = hour_of(began), hour_of(ended)
    hour = first
    while hour <= last:
        bits = minutes.get(hour, 0)
        if hour == first:
            bits &= since(began)
        if hour == last:
            bits &= until(ended)
        if bits:
            yield hour, bits
        hour += HOUR


def _slot(at: datetime, zone: tzinfo) -> int:
    """The hour of the week of the UTC hour that a time lies in, as the clocks of a zone show its beginning."""
    shown = local(hour_of(at), zone)
    return shown.weekday() * 24 + shown.hour
