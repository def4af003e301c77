"""Notes how each relationship began, and counts how many began on each day.

Both follow from `followers`, `interactions` and `accounts` alone.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

from pymongo import ReplaceOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database

from rapport.domain.mix.posts import NO_MEETING, PostFact, beginning, excerpt, is_new
from rapport.kit.mongo import Document, in_transaction
from services.api.accounts.documents import AccountDocument
from services.api.followers.documents import ListedFollower
from services.api.http.periods import day_of, span_of
from services.api.interactions.documents import InteractionDocument
from services.api.interactions.repository import FACT, fact_of
from services.api.mix import brought
from services.api.new_relationships.documents import BeginningDocument, NewDayDocument
from services.api.projector.upkeep import rebuild_queue
from services.api.projector.upkeep.change_feed import ARRIVALS, FOLLOWERS, ChangeFeed, follow_changes
from services.api.projector.upkeep.isolation import isolate_each, isolated
from services.api.projector.upkeep.loop import Task, TaskRun

FOLLOWERS_AT_ONCE = 200
"""Followers per query of interactions."""
FOLLOWER = dict.fromkeys(("brand", "platform", "follower", "first_seen"), 1)
"""The fields of a follower that its beginning needs."""
MEETING = dict.fromkeys(("platform", "follower", "kind", "occurred_at"), 1)
"""The fields of an interaction that say whose beginning it may be."""


def follow(run: TaskRun) -> None:
    """Looks at followers that changed or whose first interaction arrived, then counts the changed days."""
    deadline = time.monotonic() + rebuild_queue.TURN_SECONDS
    confirmed = {"_id": {"$gt": ""}, "settings": {"$ne": None}}
    for brand in run.database["brands"].find(confirmed, {"settings.timezone": 1}):
        with isolated("beginnings", brand["_id"]):
            _follow_brand(run, brand["_id"], brand["settings"]["timezone"], deadline)
    rebuild_queue.work_off(run, "day", lambda each: _count(run.database, each["brand"], each["day"]))


def _follow_brand(run: TaskRun, brand: str, zone: str, deadline: float) -> None:
    connected = connections(run.database, brand)

    def look(followers: Sequence[ListedFollower], *, restarted: bool) -> None:
        for start in range(0, len(followers), FOLLOWERS_AT_ONCE):
            run.renew_lease()
            some = followers[start : start + FOLLOWERS_AT_ONCE]
            isolate_each("beginnings", some, lambda few: _begin(run, few, zone, connected, restarted=restarted))

    def met(arrived: Sequence[Document]) -> None:
        look(seen_first(run.database, brand, arrived), restarted=False)

    more = True
    while more:
        changed = ChangeFeed(run, "beginnings", brand, *FOLLOWERS)
        if changed.based_on({"zone": zone, "connected": connected}):
            days = _days(run.database).find({"brand": brand}, {"day": 1}).to_list()
            rebuild_queue.add(run, "day", ({"brand": brand, "day": each["day"]} for each in days))
        restarted = changed.restarted
        look(cast("list[ListedFollower]", changed.changed(FOLLOWER)), restarted=restarted)
        changed.done()
        more = changed.more and time.monotonic() < deadline
    follow_changes(run, ARRIVALS, "beginnings-arrived", brand, MEETING, met, task="beginnings", deadline=deadline)


def connections(database: Database[Any], brand: str) -> dict[str, dict[str, datetime]]:
    """When each account was first connected, by platform and account."""
    accounts: Collection[AccountDocument] = database["accounts"]
    found: dict[str, dict[str, datetime]] = {}
    for each in accounts.find({"brand": brand, "published": True}).sort("_id"):
        at = min(each.get("connections") or [each["connected_at"]])
        found.setdefault(each["platform"], {})[each["_id"]] = at
    return found


def seen_first(database: Database[Any], brand: str, arrived: Iterable[Mapping[str, Any]]) -> list[ListedFollower]:
    """The followers who were first seen when one of these interactions (read with `MEETING`) occurred.

    A follower's row can reach MongoDB before the interaction that it began with.
    """
    moments: dict[str, set[datetime]] = defaultdict(set)
    for each in arrived:
        if each.get("follower") is not None and each["kind"] not in NO_MEETING:
            moments[f"{brand}/{each['platform']}/{each['follower']}"].add(each["occurred_at"])
    followers: Collection[ListedFollower] = database["followers"]
    known = followers.find({"_id": {"$in": sorted(moments)}}, FOLLOWER)
    return [each for each in known if each["first_seen"] in moments[each["_id"]]]


def _beginnings(database: Database[Any]) -> Collection[BeginningDocument]:
    return database["beginnings"]


def _days(database: Database[Any]) -> Collection[NewDayDocument]:
    return database["new_days"]


def _begin(
    run: TaskRun,
    followers: Sequence[ListedFollower],
    zone: str,
    connected: Mapping[str, Mapping[str, datetime]],
    *,
    restarted: bool,
) -> None:
    """Writes the beginnings that changed, and has the counts that they change made again."""
    beginnings = _beginnings(run.database)
    ids = [each["_id"] for each in followers]

    def write(session: ClientSession) -> None:
        wanted = made(run.database, followers, connected)
        known = {each["_id"]: each for each in beginnings.find({"_id": {"$in": ids}}, session=session)}
        changed = [each for each in wanted.values() if known.get(each["_id"]) != each]
        counted = list(wanted.values()) if restarted else changed
        both = [*counted, *(known[each["_id"]] for each in changed if each["_id"] in known)]
        if restarted:
            days = {(each["brand"], day_of(each["at"], zone)) for each in both}
        else:
            days = _add_to_days(run.database, ((known.get(each["_id"]), each) for each in changed), zone, session)
        rebuild_queue.add(run, "day", ({"brand": brand, "day": day} for brand, day in sorted(days)), session)
        posts = {(each["brand"], each["platform"], each["post"]) for each in both if each["post"] is not None}
        named = ({"brand": brand, "platform": platform, "post": post} for brand, platform, post in sorted(posts))
        rebuild_queue.add(run, "post", named, session)
        if changed:
            writes = [ReplaceOne({"_id": each["_id"]}, each, upsert=True) for each in changed]
            beginnings.bulk_write(writes, ordered=False, session=session)
        brought.add_new(run.database, ((known.get(each["_id"]), each) for each in changed), session)

    in_transaction(run.database, write)


def _add_to_days(
    database: Database[Any],
    changes: Iterable[tuple[BeginningDocument | None, BeginningDocument]],
    zone: str,
    session: ClientSession,
) -> set[tuple[str, str]]:
    """Adds to the counts of days. Returns the days, with their brand, that have to be counted again.

    These are days without a count so far, and days that lose something, so that no count of nothing stays.
    """
    many: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    loses: set[tuple[str, str]] = set()
    for before, after in changes:
        if before is not None:
            loses.add((before["brand"], day_of(before["at"], zone)))
        many[after["brand"], day_of(after["at"], zone)][after["platform"]] += after["new"]
    again = set(loses)
    for (brand, day), platforms in sorted(many.items()):
        its = {"_id": f"{brand}/{day}", "zone": zone}
        more = {"$inc": {f"platforms.{platform}": count for platform, count in platforms.items() if count}}
        if (brand, day) in loses or not _days(database).update_one(its, more, session=session).matched_count:
            again.add((brand, day))
    return again


def made(
    database: Database[Any], followers: Iterable[ListedFollower], connected: Mapping[str, Mapping[str, datetime]]
) -> dict[str, BeginningDocument]:
    """The beginnings of followers (read with the fields of `FOLLOWER`), by id. `connected` is from `connections`."""
    listed = list(followers)
    told = firsts(database, listed, FACT)
    return {
        each["_id"]: begun(each, map(fact_of, told[each["_id"]]), connected.get(each["platform"], {}))
        for each in listed
    }


def firsts(
    database: Database[Any], followers: Iterable[ListedFollower], fields: Document
) -> dict[str, list[InteractionDocument]]:
    """The interactions of each follower (by `_id`) at the moment when it was first seen, with these fields."""
    interactions: Collection[InteractionDocument] = database["interactions"]
    found: dict[str, list[InteractionDocument]] = {}
    of_platform: dict[tuple[str, str], list[ListedFollower]] = defaultdict(list)
    for each in followers:
        found[f"{each['brand']}/{each['platform']}/{each['follower']}"] = []
        of_platform[each["brand"], each["platform"]].append(each)
    for (brand, platform), some in of_platform.items():
        seen = {each["follower"]: each["first_seen"] for each in some}
        # These two lists find them on the index, and little else: few act at the moment when another was first seen.
        query = {
            "brand": brand,
            "platform": platform,
            "follower": {"$in": sorted(seen)},
            "occurred_at": {"$in": sorted(set(seen.values()))},
        }
        for interaction in interactions.find(query, fields).hint("timeline"):
            follower = interaction["follower"]
            if interaction["occurred_at"] == seen[follower]:
                found[f"{brand}/{platform}/{follower}"].append(interaction)
    return found


def begun(follower: ListedFollower, facts: Iterable[PostFact], connected: Mapping[str, datetime]) -> BeginningDocument:
    """The beginning of a follower, from what they did when first seen. Pure."""
    first = beginning(facts)
    at = follower["first_seen"]
    return {
        "_id": follower["_id"],
        "brand": follower["brand"],
        "platform": follower["platform"],
        "follower": follower["follower"],
        "at": at,
        "new": is_new(at, first.account if first else None, connected),
        "kind": first.kind if first else None,
        "account": first.account if first else None,
        "post": first.post if first else None,
        "url": first.url if first else None,
        "interaction": first.id if first else None,
        "text": excerpt(first.text) if first and first.text_kept else None,
    }


def _count(database: Database[Any], brand: str, day: str) -> None:
    """Counts a day again, in a transaction that conflicts with others that add to it."""

    def write(session: ClientSession) -> None:
        document = counted(database, brand, day, session)
        if document is not None:
            _days(database).replace_one({"_id": document["_id"]}, document, upsert=True, session=session)

    in_transaction(database, write)


def counted(
    database: Database[Any], brand: str, day: str, session: ClientSession | None = None
) -> NewDayDocument | None:
    """The count of a day; None if there is no such brand."""
    found = database["brands"].find_one({"_id": brand}, {"settings.timezone": 1}, session=session)
    if found is None or not found["settings"]:
        return None
    zone = found["settings"]["timezone"]
    start, end = span_of(day, day, ZoneInfo(zone))
    platforms = database["beginnings"].aggregate(
        [
            {"$match": {"brand": brand, "new": True, "at": {"$gte": start, "$lt": end}}},
            {"$group": {"_id": "$platform", "count": {"$sum": 1}}},
        ],
        hint="new",
        session=session,
    )
    counts = {each["_id"]: each["count"] for each in platforms}
    return {"_id": f"{brand}/{day}", "brand": brand, "day": day, "zone": zone, "platforms": counts}


TASK = Task("beginnings", timedelta(seconds=5), follow)
