"""How relationships began: one document per follower in `beginnings`, and how many began on each day in `new_days`.

A beginning: `_id` (the follower's), `brand`, `platform`, `follower`, `at` (first seen), `new` (not from before the
account was connected), and of the interaction that began it `interaction`, `kind`, `account`, `post`, `text`, `url`;
these are null, and `sought` is there, until the views have that interaction. A day: `_id` `<brand>/<day>`, `brand`,
`day` (in the brand's `zone`), `platforms` (new ones by platform). Both follow from `followers`, `interactions` and
`accounts` alone, by `rapport.domain.published`.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from pymongo import ReplaceOne
from pymongo.client_session import ClientSession
from pymongo.database import Database

from rapport.domain.published import Fact, beginning, excerpt, is_new
from rapport.kit.mongo import Document, in_transaction
from services.api.periods import day_of, span_of
from services.api.upkeep import brought, stale
from services.api.upkeep.facts import FACT, fact_of
from services.api.upkeep.loop import Desk, Task
from services.api.upkeep.sparing import spared, sparing
from services.api.upkeep.trail import Trail

FOLLOWERS_AT_ONCE = 200
"""So many are one query of interactions."""
FOLLOWER = dict.fromkeys(("brand", "platform", "follower", "first_seen"), 1)
"""What of a stored follower its beginning is made of."""


def follow(desk: Desk) -> None:
    """Takes up followers that changed, and beginnings whose interaction has come; then counts the changed days."""
    deadline = time.monotonic() + stale.TURN_SECONDS
    confirmed = {"_id": {"$gt": ""}, "settings": {"$ne": None}}
    for brand in desk.database["brands"].find(confirmed, {"settings.timezone": 1}):
        with sparing("beginnings", brand["_id"]):
            while _follow_brand(desk, brand["_id"], brand["settings"]["timezone"]) and time.monotonic() < deadline:
                pass
    stale.take(desk, "day", lambda each: _count(desk.database, each["brand"], each["day"]))


def _follow_brand(desk: Desk, brand: str, zone: str) -> bool:
    """Takes up a part of what changed, and says whether there is more."""
    connected = connections(desk.database, brand)
    changed = Trail(desk, "beginnings", brand, "followers", "written_at")
    if changed.based_on({"zone": zone, "connected": connected}):
        days = desk.database["new_days"].find({"brand": brand}, {"day": 1}).to_list()
        stale.mark(desk, "day", ({"brand": brand, "day": each["day"]} for each in days))
    hours = Trail(desk, "beginnings-sought", brand, "hourly", "drawn")
    anew = changed.anew
    recounted = [each["hour"] for each in hours.changed({"hour": 1})]
    followers = changed.changed(FOLLOWER) + _sought(desk.database, brand, recounted)
    for start in range(0, len(followers), FOLLOWERS_AT_ONCE):
        desk.keep()
        some = followers[start : start + FOLLOWERS_AT_ONCE]
        spared("beginnings", some, lambda few: _begin(desk, few, zone, connected, anew=anew))
    changed.done()
    hours.done()
    return changed.more or hours.more


def connections(database: Database[Document], brand: str) -> dict[str, dict[str, datetime]]:
    """By platform and account, when it was first connected."""
    found: dict[str, dict[str, datetime]] = {}
    for each in database["accounts"].find({"brand": brand, "published": True}).sort("_id"):
        at = min(each.get("connections") or [each["connected_at"]])
        found.setdefault(each["platform"], {})[each["_id"]] = at
    return found


def _sought(database: Database[Document], brand: str, hours: list[datetime]) -> list[Document]:
    """The followers who were first seen in these hours, by an interaction that the views did not have."""
    if not hours:
        return []
    within = [{"at": {"$gte": hour, "$lt": hour + timedelta(hours=1)}} for hour in hours]
    found = database["beginnings"].find({"brand": brand, "sought": True, "$or": within}, {"_id": 1}).hint("sought")
    return database["followers"].find({"_id": {"$in": [each["_id"] for each in found]}}, FOLLOWER).to_list()


def _begin(
    desk: Desk, followers: Sequence[Document], zone: str, connected: Mapping[str, Mapping[str, datetime]], *, anew: bool
) -> None:
    """Writes the beginnings that are not there as they should be, and has what they change counted again."""
    beginnings = desk.database["beginnings"]
    ids = [each["_id"] for each in followers]

    def write(session: ClientSession) -> None:
        wanted = made(desk.database, followers, connected)
        known = {each["_id"]: each for each in beginnings.find({"_id": {"$in": ids}}, session=session)}
        changed = [each for each in wanted.values() if known.get(each["_id"]) != each]
        counted = list(wanted.values()) if anew else changed
        both = [*counted, *(known[each["_id"]] for each in changed if each["_id"] in known)]
        if anew:
            days = {(each["brand"], day_of(each["at"], zone)) for each in both}
        else:
            days = _add_to_days(desk.database, ((known.get(each["_id"]), each) for each in changed), zone, session)
        stale.mark(desk, "day", ({"brand": brand, "day": day} for brand, day in sorted(days)), session)
        posts = {(each["brand"], each["platform"], each["post"]) for each in both if each["post"] is not None}
        named = ({"brand": brand, "platform": platform, "post": post} for brand, platform, post in sorted(posts))
        stale.mark(desk, "post", named, session)
        if changed:
            writes = [ReplaceOne({"_id": each["_id"]}, each, upsert=True) for each in changed]
            beginnings.bulk_write(writes, ordered=False, session=session)
        brought.add_new(desk.database, ((known.get(each["_id"]), each) for each in changed), session)

    in_transaction(desk.database, write)


def _add_to_days(
    database: Database[Document],
    changes: Iterable[tuple[Document | None, Document]],
    zone: str,
    session: ClientSession,
) -> set[tuple[str, str]]:
    """Adds to the days on which relationships began; gives the days (with their brand) that must be counted again.

    These are the days that nobody counted yet, and those that lose something: so that none keeps counts of nothing.
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
        if (brand, day) in loses or not database["new_days"].update_one(its, more, session=session).matched_count:
            again.add((brand, day))
    return again


def made(
    database: Database[Document], followers: Iterable[Document], connected: Mapping[str, Mapping[str, datetime]]
) -> dict[str, Document]:
    """The beginnings of followers (with the fields of `FOLLOWER`) by id. `connected`: what `connections` gives."""
    listed = list(followers)
    told = firsts(database, listed, FACT)
    return {
        each["_id"]: begun(each, map(fact_of, told[each["_id"]]), connected.get(each["platform"], {}))
        for each in listed
    }


def firsts(database: Database[Document], followers: Iterable[Document], fields: Document) -> dict[str, list[Document]]:
    """These fields of the interactions of each follower (by `_id`) at the moment at which it was first seen."""
    found: dict[str, list[Document]] = {}
    of_platform: dict[tuple[str, str], list[Document]] = defaultdict(list)
    for each in followers:
        found[f"{each['brand']}/{each['platform']}/{each['follower']}"] = []
        of_platform[each["brand"], each["platform"]].append(each)
    for (brand, platform), some in of_platform.items():
        seen = {each["follower"]: each["first_seen"] for each in some}
        # Two lists lead to them on the index, and to little more: nobody did much at the moment of another's first.
        query = {
            "brand": brand,
            "platform": platform,
            "follower": {"$in": sorted(seen)},
            "occurred_at": {"$in": sorted(set(seen.values()))},
        }
        for each in database["interactions"].find(query, fields).hint("timeline"):
            if each["occurred_at"] == seen[each["follower"]]:
                found[f"{brand}/{platform}/{each['follower']}"].append(each)
    return found


def begun(follower: Document, facts: Iterable[Fact], connected: Mapping[str, datetime]) -> Document:
    """The beginning of a follower, from what it did when it was first seen. Pure."""
    first = beginning(facts)
    at = follower["first_seen"]
    document = {
        "_id": follower["_id"],
        "brand": follower["brand"],
        "platform": follower["platform"],
        "follower": follower["follower"],
        "at": at,
        "new": is_new(at, first.account if first else None, connected),
        **{name: getattr(first, name) if first else None for name in ("kind", "account", "post", "url")},
        "interaction": first.id if first else None,
        "text": excerpt(first.text) if first else None,
    }
    return document if first else {**document, "sought": True}


def _count(database: Database[Document], brand: str, day: str) -> None:
    """Counts a day again, in the way of those who add to it meanwhile."""

    def write(session: ClientSession) -> None:
        document = counted(database, brand, day, session)
        if document is not None:
            database["new_days"].replace_one({"_id": document["_id"]}, document, upsert=True, session=session)

    in_transaction(database, write)


def counted(
    database: Database[Document], brand: str, day: str, session: ClientSession | None = None
) -> Document | None:
    """A day's count; None where the brand is not there."""
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
