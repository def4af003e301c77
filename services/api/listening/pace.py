"""What comes of an account and what usually does, as its page, the API and a brand's page say it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from rapport.domain.arrivals.minutes import day_of
from rapport.domain.arrivals.rhythm import found_between, usual_between
from rapport.domain.figures import noun
from services.api.accounts.documents import AccountDocument
from services.api.listening.documents import RhythmDocument, arrived_id, learned_rhythm, minutes_of
from services.api.listening.repository import Listening
from services.api.storage.tenants import Database

A_DAY = timedelta(days=1)


class Pace(NamedTuple):
    """What comes of an account, and what usually does. Counted in minutes in which something came."""

    last_at: datetime
    """When the last of it was received."""
    latest_at: datetime
    """When the newest of it occurred."""
    quiet_since: datetime | None
    missed: float
    """If it is quiet: in how many minutes something would usually have come since then."""
    per_hour: float | None
    """Usual at this hour of the week; None where too little is known."""
    found: int
    """In the last 24 hours."""
    usual: float | None
    """In the same 24 hours of a usual week."""
    late_since: datetime | None
    """Since when its platform tells far later than usual."""
    late_by: float | None
    """Seconds: by how much half of it."""


async def paces_of(
    database: Database, connected: Iterable[AccountDocument], zone_name: str, now: datetime, *, last_day: bool = True
) -> dict[str, Pace]:
    """What comes of accounts. Without `last_day`, the figures of the last 24 hours are left out."""
    listening = Listening(database)
    accounts = {each["_id"]: each for each in connected}
    rhythms = await listening.rhythms(accounts)
    zone = ZoneInfo(zone_name)
    counted = await _last_day(listening, rhythms, zone, now) if last_day else {}
    found: dict[str, Pace] = {}
    for name, its in rhythms.items():
        usual, since = learned_rhythm(its.get("learned")), quiet_since(its, accounts[name])
        many, many_usual = counted.get(name, (0, None))
        found[name] = Pace(
            last_at=its["last_at"],
            latest_at=its["latest_at"],
            quiet_since=since,
            missed=its.get("missed", 0.0),
            per_hour=usual.usual_at(now, zone) if usual else None,
            found=many,
            usual=many_usual,
            late_since=its.get("late_since"),
            late_by=its.get("late_by"),
        )
    return found


async def _last_day(
    listening: Listening, rhythms: Mapping[str, RhythmDocument], zone: ZoneInfo, now: datetime
) -> dict[str, tuple[int, float | None]]:
    """In how many of the last 24 hours' minutes something came of accounts, and in how many it usually does."""
    until = min(now, await listening.horizon() or now)
    began, days = until - A_DAY, (day_of(until - A_DAY), day_of(until))
    heard = minutes_of((each["day"], each["hours"]) for each in await listening.heard(days))
    arrived: dict[str, dict[datetime, int]] = defaultdict(dict)
    for each in await listening.arrived(arrived_id(name, day) for name in rhythms for day in days):
        arrived[each["account"]] |= minutes_of([(each["day"], each.get("signs", {}))])
    found: dict[str, tuple[int, float | None]] = {}
    for name, its in rhythms.items():
        usual = learned_rhythm(its.get("learned"))
        found[name] = (
            found_between(arrived[name], began, until),
            usual_between(usual.per_hour, began, until, heard, zone) if usual else None,
        )
    return found


def quiet_since(rhythm: RhythmDocument, account: AccountDocument) -> datetime | None:
    """Since when an account is quiet. What was judged before something came, or before it was connected, is over."""
    since = rhythm.get("since")
    if not rhythm.get("quiet") or rhythm.get("judged") != rhythm["last_at"] or since is None:
        return None
    return since if since >= account["connected_at"] else None


def usually(pace: Pace) -> str:
    """What would have come, in words: `usually about 12 an hour at this time`."""
    if pace.per_hour is not None and pace.per_hour >= 1:
        return f"usually about {pace.per_hour:.0f} an hour at this time"
    missed = round(pace.missed)
    return f"usually something would have come about {missed} {noun(missed, 'time')} since then"
