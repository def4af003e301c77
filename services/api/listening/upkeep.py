"""Judges which accounts are quiet, and whose platform tells far later than usual.

It is judged up to what the views have: the oldest of the latest heartbeats of all partitions. For an account that is
asked for news, that is its last reading. So neither our own delay nor an outage of ours makes an account quiet.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pymongo import UpdateOne
from pymongo.database import Database

from rapport.contracts.topics import CONVERSATIONS
from rapport.domain.arrivals import lateness, rhythm
from rapport.domain.arrivals.minutes import day_of
from rapport.domain.arrivals.rhythm import LEARNED_FROM, LEAST_FOUND, Minutes, Rhythm
from rapport.domain.times import utc
from rapport.kit.mongo import Document
from rapport.kit.parts import parts
from services.api.accounts.documents import AccountDocument
from services.api.accounts.service import is_asked
from services.api.listening.documents import (
    HEARD_WITHIN,
    AccountStateDocument,
    ArrivedDocument,
    LearnedDocument,
    RhythmDocument,
    arrived_id,
    learned_rhythm,
    minutes_of,
    steps_between,
)
from services.api.projector.upkeep.isolation import isolated
from services.api.projector.upkeep.loop import Task, TaskRun

AT_ONCE = 50
LOOKED_AGAIN = timedelta(minutes=10)
"""Where an account is quiet, or its platform late: how soon the figures are brought up to date."""
AT_THE_LATEST = timedelta(days=1)
CLOCKS_OF_BROKERS = timedelta(seconds=1)
"""How much the times may differ that brokers put on records of different topics."""


@dataclass(frozen=True)
class _Known:
    """What all accounts are judged by."""

    heard: Minutes
    until: datetime
    """Up to where the views have what was received."""
    zones: Mapping[str, str | None]
    """By brand."""
    states: Mapping[str, AccountStateDocument]
    """By account, of those that are asked for news."""


class Span(NamedTuple):
    """From when to when the views have what an account posted: at most while it is connected."""

    since: datetime
    until: datetime


class HeardUntil(NamedTuple):
    """What is known of what happened on accounts."""

    spans: Mapping[str, Span]
    """By account. One that is being caught up with is not there."""
    since: datetime
    """Since when some ingest process was always there."""
    last: datetime
    """When it was last heard."""
    told_at: datetime
    """By when the log had taken all that this rests on. What an account posted lies before that, in another topic."""


def judge(run: TaskRun) -> None:
    """Judges the accounts of which something came since the last time, and those that have to be looked at again."""
    run.renew_lease()
    until = horizon(run.database)
    if until is None:
        return
    due = {"$or": [{"$expr": {"$ne": ["$last_at", "$judged"]}}, {"look_at": {"$lte": run.now}}]}
    rhythms: list[RhythmDocument] = run.database["account_rhythms"].find(due).sort("_id").to_list()
    if not rhythms:
        return
    heard = minutes_of((each["day"], each["hours"]) for each in run.database["heard_minutes"].find().sort("_id"))
    brands = run.database["brands"].find({"settings": {"$ne": None}}, {"settings.timezone": 1}).sort("_id")
    zones = {each["_id"]: each["settings"].get("timezone") for each in brands}
    for some in parts(rhythms, AT_ONCE):
        run.renew_lease()
        named = {"_id": {"$in": [each["_id"] for each in some]}}
        accounts = {each["_id"]: each for each in run.database["accounts"].find({**named, "published": True})}
        states = {each["_id"]: each for each in run.database["account_states"].find(named)}
        known = _Known(heard, until, zones, states)
        writes: list[UpdateOne] = []
        for each in some:
            with isolated("rhythms", each["_id"]):
                found = _judged(run, each, accounts.get(each["_id"]), known)
                writes.append(UpdateOne({"_id": each["_id"]}, {"$set": found}))
        if writes:
            run.database["account_rhythms"].bulk_write(writes, ordered=False)


def horizon(database: Database[Any]) -> datetime | None:
    """Up to where the views have what was received; None while there is a partition of which nobody knows."""
    found = {each["_id"]: each["at"] for each in database["horizons"].find().sort("_id")}
    times = [found.get(partition) for partition in range(CONVERSATIONS.partitions)]
    known = [at for at in times if at is not None]
    return min(known) if len(known) == len(times) else None


def heard(database: Database[Any], accounts: Iterable[str]) -> HeardUntil | None:
    """Up to when the views have what accounts posted; None while there is a partition of which nobody knows."""
    until = horizon(database)
    if until is None:
        return None
    named = {"_id": {"$in": sorted(accounts)}}
    # Compared in the log's time: while the horizon stands still, nothing newer is known of an account. What a process
    # said that has ended counts until the horizon is a minute past it; by then its successor says how they stand.
    processes = database["listening"].find({"at": {"$gt": until - HEARD_WITHIN}}).to_list()
    missed = {account for each in processes for account in (*each["behind"], *each["disconnected"])}
    states = {each["_id"]: each for each in database["account_states"].find(named)}
    found: dict[str, Span] = {}
    for account in database["accounts"].find({**named, "published": True}):
        state = states.get(account["_id"]) if is_asked(account) else None
        checked_at = until if state is None else state.get("posts_checked_at") or state["checked_at"]
        if account["_id"] not in missed and checked_at is not None:
            its_end = min(until, checked_at, account.get("disconnected_at") or until)
            found[account["_id"]] = Span(account["connected_at"], its_end)
    paused = [each["since"] for each in database["horizons"].find().sort("_id") if "since" in each]
    told_at = max([until, *(each["at"] for each in processes), *(utc(each["version"]) for each in states.values())])
    since = max(paused, default=datetime.min.replace(tzinfo=UTC))
    return HeardUntil(found, since, until, told_at + CLOCKS_OF_BROKERS)


def _judged(run: TaskRun, document: RhythmDocument, account: AccountDocument | None, known: _Known) -> Document:
    """What is to be noted of an account."""
    last_at, until = document["last_at"], known.until
    found: Document = {"judged": last_at, "quiet": False, "late_since": None, "look_at": run.now + AT_THE_LATEST}
    zone = known.zones.get(document["brand"])
    if account is None or account.get("disconnected_at") is not None or zone is None:
        return found
    if is_asked(account):
        # Without a state nobody asks it, for want of what the installation needs for that: then it is only pushed.
        state = known.states.get(document["_id"])
        if state is not None:
            checked_at = state["checked_at"]
            if checked_at is None:
                return {**found, "look_at": run.now + LOOKED_AGAIN}
            until = min(until, checked_at)
    if known.until < rhythm.learned_until(last_at):
        # The views are being filled from the log: half of a past would be learned, and kept.
        return {**found, "look_at": run.now + LOOKED_AGAIN}
    learned = document.get("learned")
    if learned is None or learned["until"] != rhythm.learned_until(last_at) or learned["zone"] != zone:
        learned = found["learned"] = _learn(run.database, document["_id"], last_at, known.heard, zone)
    found |= _lateness(run, document, learned, until)
    usual = learned_rhythm(learned)
    if usual is None:
        return found
    silence = rhythm.silence(usual, last_at, account["connected_at"], known.heard, until, ZoneInfo(zone))
    stayed = document.get("quiet") and document.get("judged") == last_at and document.get("since") == silence.since
    quiet = silence.quiet or bool(stayed)
    soonest = None if quiet else rhythm.soonest_quiet(usual, silence, until, ZoneInfo(zone))
    if quiet:
        soonest = run.now + LOOKED_AGAIN
    elif soonest is not None:
        # Until then it misses too little, whatever happens.
        soonest = max(soonest, run.now)
    found["look_at"] = min(at for at in (found["look_at"], soonest) if at is not None)
    return {**found, "quiet": quiet, "since": silence.since, "missed": silence.missed}


def _learn(database: Database[Any], account: str, last_at: datetime, heard: Minutes, zone: str) -> LearnedDocument:
    until = rhythm.learned_until(last_at)
    days = {"account": account, "day": {"$gte": until - LEARNED_FROM, "$lt": until}}
    stored: list[ArrivedDocument] = database["account_minutes"].find(days).to_list()
    arrived = minutes_of((each["day"], each.get("signs", {})) for each in stored)
    found: Rhythm | None = rhythm.learn(arrived, heard, until, ZoneInfo(zone), zone)
    delays = steps_between(stored)
    return {
        "until": until,
        "zone": zone,
        "per_hour": list(found.per_hour) if found else None,
        "longest": found.longest if found else 0.0,
        "delay": lateness.quantile(delays, 0.95) if sum(delays) >= LEAST_FOUND else None,
    }


def _lateness(run: TaskRun, document: RhythmDocument, learned: LearnedDocument, until: datetime) -> Document:
    """Whether the platform tells far later than usual."""
    began = until - lateness.LOOKED_BACK
    names = {arrived_id(document["_id"], day_of(at)) for at in (began, until)}
    days: Iterable[ArrivedDocument] = run.database["account_minutes"].find({"_id": {"$in": sorted(names)}})
    recent = steps_between(days, began, until)
    if not lateness.is_late(recent, learned["delay"]):
        return {"late_since": None, "late_by": None}
    return {
        "late_since": document.get("late_since") or until,
        "late_by": lateness.quantile(recent, 0.5),
        "look_at": run.now + LOOKED_AGAIN,
    }


TASK = Task("rhythms", timedelta(minutes=1), judge)
