"""How accounts are read, as stored: the heartbeats of ingest, each account's state, and when something arrived."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NotRequired, TypedDict

from rapport.contracts.controls import Heartbeat
from rapport.contracts.cursors import AccountState, State
from rapport.domain.arrivals.lateness import counted
from rapport.domain.arrivals.minutes import HOUR
from rapport.domain.arrivals.rhythm import Rhythm, found_between
from rapport.domain.times import utc

HEARD_WITHIN = timedelta(minutes=1)
"""A process without a heartbeat for so long counts as gone, as it does for the scorer; so does one without ticks."""


class HeartbeatDocument(TypedDict):
    """`listening`: the latest heartbeat of an ingest process, from the log, so it is no newer than the views."""

    _id: str
    """The instance."""
    version: int
    """Log time (ms)."""
    at: datetime
    behind: list[str]
    """Ids of accounts."""
    disconnected: list[str]


def heartbeat_document(heartbeat: Heartbeat, appended: int) -> HeartbeatDocument:
    """A heartbeat that the log appended at `appended` (ms)."""
    return {
        "_id": heartbeat.instance,
        "version": appended,
        "at": utc(appended),
        "behind": list(heartbeat.behind),
        "disconnected": list(heartbeat.disconnected),
    }


class AccountStateDocument(TypedDict):
    """`account_states`: how an account that is asked for news stands. Others have none."""

    _id: str
    """The account's."""
    version: int
    """Log time (ms)."""
    claim: int
    offset: int
    brand: str
    state: State
    since: datetime
    why: str | None
    checked_at: datetime | None
    posts_checked_at: NotRequired[datetime | None]
    """Where its own posts are read less often than the rest: when they were last read."""
    latest_at: datetime | None


def account_state_document(state: AccountState, appended: int, offset: int) -> AccountStateDocument:
    """A state that the log appended at `appended` (ms), at `offset`."""
    return {
        "_id": state.account,
        "version": appended,
        "claim": state.claim,
        "offset": offset,
        "brand": state.brand,
        "state": state.state,
        "since": state.since,
        "why": state.why,
        "checked_at": state.checked_at,
        "posts_checked_at": state.posts_checked_at,
        "latest_at": state.latest_at,
    }


Bits = dict[str, int]
"""By hour of the day (`0` to `23`): minutes as bits, see `rapport.domain.arrivals.minutes`."""
KEPT_MINUTES = 100 * 86_400
"""Seconds: as long as what can be replayed, and longer than the weeks that a rhythm is learned from."""
UNKNOWN_STEP = "u"
"""Instead of the step of a delay that is not known."""


class HeardDocument(TypedDict):
    """`heard_minutes`: in which minutes of a UTC day the log took a heartbeat of any ingest process."""

    _id: str
    """The day, such as `2026-11-29`."""
    day: datetime
    hours: Bits


class HorizonDocument(TypedDict):
    """`horizons`: up to where the views have what was received, by partition of `conversations`."""

    _id: int
    at: datetime
    """When the log took the latest heartbeat in it."""
    since: NotRequired[datetime]
    """When it took the first one after a pause of more than `HEARD_WITHIN`; missing while none is known."""


class TickDocument(TypedDict):
    """`ticks`: up to where somebody has scored each partition of `conversations`."""

    _id: int
    at: datetime
    """As the latest tick of the scorer that owns it says."""


class ArrivedDocument(TypedDict):
    """`account_minutes`: in which minutes of a UTC day something of an account was received."""

    _id: str
    """`<account>/<day>`"""
    account: str
    brand: str
    platform: str
    day: datetime
    signs: NotRequired[Bits]
    """Of what shows that it is heard: see `rapport.domain.arrivals.rhythm.is_sign`."""
    steps: NotRequired[dict[str, Bits]]
    """By step of the platform's delay: see `rapport.domain.arrivals.lateness`."""


class LearnedDocument(TypedDict):
    """What is usual for an account: a `rapport.domain.arrivals.rhythm.Rhythm`, and the platform's usual delay."""

    until: datetime
    zone: str
    per_hour: list[float] | None
    """None where too little is known to call anything usual."""
    longest: float
    delay: float | None
    """The 95th percentile in seconds; None without any."""


class RhythmDocument(TypedDict):
    """`account_rhythms`: when something of an account last came, and whether it is quiet or late."""

    _id: str
    """The account's."""
    brand: str
    platform: str
    last_at: datetime
    """When the latest sign that it is heard was received."""
    latest_at: datetime
    """When the newest of these interactions occurred."""
    learned: NotRequired[LearnedDocument]
    judged: NotRequired[datetime]
    """The `last_at` that the following is about. Of another one it says nothing."""
    quiet: NotRequired[bool]
    since: NotRequired[datetime]
    """Since when it is silent."""
    missed: NotRequired[float]
    """In how many minutes something would usually have come since then."""
    late_since: NotRequired[datetime | None]
    """Since when its platform tells far later than usual."""
    late_by: NotRequired[float | None]
    """Seconds: the median of its delay when it was last late."""
    look_at: NotRequired[datetime]
    """When it has to be judged again although nothing came."""


def minutes_of(days: Iterable[tuple[datetime, Mapping[str, int]]]) -> dict[datetime, int]:
    """The minutes of some days by full UTC hour."""
    return {day + int(hour) * HOUR: bits for day, hours in days for hour, bits in hours.items()}


def heard_id(day: datetime) -> str:
    """The `_id` of the minutes of a day in which Rapport listened."""
    return day.date().isoformat()


def arrived_id(account: str, day: datetime) -> str:
    """The `_id` of an account's minutes of a day."""
    return f"{account}/{heard_id(day)}"


def learned_rhythm(learned: LearnedDocument | None) -> Rhythm | None:
    """What is usual for an account; None where too little is known."""
    if learned is None or learned["per_hour"] is None:
        return None
    return Rhythm(learned["until"], learned["zone"], tuple(learned["per_hour"]), learned["longest"])


def steps_between(
    days: Iterable[ArrivedDocument], began: datetime | None = None, ended: datetime | None = None
) -> list[int]:
    """Minutes by step of the platform's delay: of some days, or of the part of them between two times."""
    steps: dict[int, int] = defaultdict(int)
    for each in days:
        for step, hours in each.get("steps", {}).items():
            if step != UNKNOWN_STEP:
                minutes = minutes_of([(each["day"], hours)])
                steps[int(step)] += (
                    sum(bits.bit_count() for bits in minutes.values())
                    if began is None or ended is None
                    else found_between(minutes, began, ended)
                )
    return counted(steps)
