"""How many interactions of each kind a brand had in an hour: counted from the facts, so that nothing counts twice.

An hour is counted in parts: what MongoDB stored of it in the same minute. Only the parts that changed are counted
again, so a busy hour costs what came lately, not what it has.

A part: in `hour_parts`, `_id` (`<brand>/<hour>/<minute>`), `brand`, `hour`, `minute`, `counts`, `drawn`.
An hour: in `hourly`, `_id` (`<brand>/<hour>`), `brand`, `hour`, `counts` (the sum of its parts), `drawn` and `summed`,
which are the same unless an earlier version counted it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from bson import Timestamp
from pymongo import ReturnDocument, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from rapport.kit.mongo import Document
from rapport.kit.parts import parts
from services.api.projection.documents import hour_id

HOURS_AT_ONCE = 100
"""An import can touch thousands of hours; this many are one query."""
DUPLICATE_KEY = 11000
MINUTE = 60

Hour = tuple[str, datetime]
Part = tuple[str, datetime, int | None]
"""Brand, hour, and the minute (of Unix time) in which it was stored; None for what was before that was noted."""
Counts = dict[str, int]


def part_of(interaction: Document) -> Part:
    """The part of an hour that a stored interaction is counted in."""
    arrived = interaction.get("arrived")
    return interaction["brand"], interaction["hour"], None if arrived is None else arrived.time // MINUTE


def recount_parts(database: Database[Document], dirty: Iterable[Part]) -> None:
    """Counts these parts again, and sums up their hours; all of an hour that an earlier version counted."""
    of_minute: dict[tuple[str, int | None], list[datetime]] = defaultdict(list)
    hours: set[Hour] = set()
    for brand, hour, minute in sorted(dirty, key=lambda part: (part[0], part[1], part[2] or 0)):
        of_minute[brand, minute].append(hour)
        hours.add((brand, hour))
    whole = _counted_before(database, hours)
    recount(database, whole)
    for (brand, minute), its in of_minute.items():
        left = [hour for hour in its if (brand, hour) not in whole]
        for some in parts(left, HOURS_AT_ONCE):
            drawn = _draw(database)
            stored: Any = None
            if minute is not None:
                stored = {"$gte": Timestamp(minute * MINUTE, 0), "$lt": Timestamp((minute + 1) * MINUTE, 0)}
            counts: dict[Part, Counts] = {(brand, hour, minute): {} for hour in some}
            counts |= _count(database, {"brand": brand, "hour": {"$in": some}, "arrived": stored})
            _store(database, "hour_parts", {_part_id(part): _part(part, each) for part, each in counts.items()}, drawn)
    _sum(database, hours - whole)


def recount(database: Database[Document], hours: Iterable[Hour]) -> None:
    """Counts all parts of these hours again, and sums them up."""
    for brand, its in _by_brand(hours).items():
        for some in parts(its, HOURS_AT_ONCE):
            drawn = _draw(database)
            within: Document = {"brand": brand, "hour": {"$in": some}}
            known = database["hour_parts"].find(within, {"hour": 1, "minute": 1}).hint("hour")
            counts: dict[Part, Counts] = {(brand, each["hour"], each["minute"]): {} for each in known}
            counts |= _count(database, within)
            _store(database, "hour_parts", {_part_id(part): _part(part, each) for part, each in counts.items()}, drawn)
            _sum(database, ((brand, hour) for hour in some))


def _counted_before(database: Database[Document], hours: Iterable[Hour]) -> set[Hour]:
    """Those of these hours that were last counted by a version that does not know parts."""
    ids = {hour_id(*hour): hour for hour in hours}
    found: set[Hour] = set()
    for some in parts(sorted(ids), HOURS_AT_ONCE):
        fields = {"drawn": 1, "summed": 1}
        for each in database["hourly"].find({"_id": {"$in": some}}, fields):
            if each.get("summed") != each["drawn"]:
                found.add(ids[each["_id"]])
    return found


def _count(database: Database[Document], query: Document) -> dict[Part, Counts]:
    minute = {"$floor": {"$divide": [{"$tsSecond": "$arrived"}, MINUTE]}}  # null of null, and of nothing
    counts: dict[Part, Counts] = defaultdict(dict)
    for found in database["interactions"].aggregate(
        [
            {"$match": query},
            {"$group": {"_id": {"hour": "$hour", "minute": minute, "kind": "$kind"}, "count": {"$sum": 1}}},
        ],
        hint="hour_arrived",
    ):
        its = found["_id"]
        minute_of = None if its["minute"] is None else int(its["minute"])
        counts[query["brand"], its["hour"], minute_of][its["kind"]] = found["count"]
    return counts


def _sum(database: Database[Document], hours: Iterable[Hour]) -> None:
    """Adds up the parts of hours and stores the result.

    Each count and each sum carries a number drawn before it was made. One with a higher number saw every fact that one
    with a lower number saw, so only a higher number replaces what is there: two projectors cannot undo each other's
    work.
    """
    for brand, its in _by_brand(hours).items():
        for some in parts(its, HOURS_AT_ONCE):
            drawn = _draw(database)
            sums: dict[datetime, Counts] = {hour: {} for hour in some}
            for each in database["hour_parts"].find({"brand": brand, "hour": {"$in": some}}).hint("hour"):
                counts = sums[each["hour"]]
                for kind, many in each["counts"].items():
                    counts[kind] = counts.get(kind, 0) + many
            summed = {
                hour_id(brand, hour): {"brand": brand, "hour": hour, "counts": counts, "summed": drawn}
                for hour, counts in sums.items()
            }
            _store(database, "hourly", summed, drawn)


def _store(database: Database[Document], collection: str, documents: Mapping[str, Document], drawn: int) -> None:
    writes = [
        UpdateOne({"_id": name, "drawn": {"$lt": drawn}}, {"$set": {**document, "drawn": drawn}}, upsert=True)
        for name, document in documents.items()
    ]
    if not writes:
        return
    try:
        database[collection].bulk_write(writes, ordered=False)
    except BulkWriteError as error:
        # Where a later count is stored, the filter misses and the insert collides: the later one stays.
        if any(failure["code"] != DUPLICATE_KEY for failure in error.details["writeErrors"]):
            raise


def _draw(database: Database[Document]) -> int:
    counter = database["counters"].find_one_and_update(
        {"_id": "hourly"}, {"$inc": {"drawn": 1}}, upsert=True, return_document=ReturnDocument.AFTER
    )
    assert counter is not None, "an upsert gives what it made"
    drawn: int = counter["drawn"]
    return drawn


def _part_id(part: Part) -> str:
    return f"{hour_id(part[0], part[1])}/{'' if part[2] is None else part[2]}"


def _part(part: Part, counts: Counts) -> Document:
    return {**dict(zip(("brand", "hour", "minute"), part, strict=True)), "counts": counts}


def _by_brand(hours: Iterable[Hour]) -> dict[str, list[datetime]]:
    found: dict[str, list[datetime]] = defaultdict(list)
    for brand, hour in sorted(hours):
        found[brand].append(hour)
    return found
