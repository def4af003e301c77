"""Counts interactions by brand, hour and kind. It counts stored facts, so nothing counts twice.

An hour is counted in parts: what MongoDB stored of it within the same minute. Only parts that changed are counted
again, so a busy hour costs as much as what just arrived.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from bson import Timestamp
from pymongo import ReturnDocument, UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from rapport.kit import mongo
from rapport.kit.mongo import Document
from rapport.kit.parts import parts
from services.api.interactions.documents import InteractionDocument, hour_id
from services.api.projector.documents import HourDocument, HourPartDocument

HOURS_AT_ONCE = 100
"""Per query. An import can touch thousands of hours."""
DUPLICATE_KEY = 11000
MINUTE = 60

Hour = tuple[str, datetime]
Part = tuple[str, datetime, int | None]
"""Brand, hour, and the minute (of Unix time) of storage; None for what was stored before this was noted."""
Counts = dict[str, int]
T = TypeVar("T", HourDocument, HourPartDocument)


def part_of(interaction: InteractionDocument) -> Part:
    """The part of an hour that a stored interaction is counted in."""
    arrived = interaction.get("arrived")
    return interaction["brand"], interaction["hour"], None if arrived is None else arrived.time // MINUTE


def recount_parts(database: Database[Any], dirty: Iterable[Part]) -> None:
    """Counts these parts again and sums up their hours. Hours that an earlier version counted are counted whole."""
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
            _store(_hour_parts(database), {_part_id(part): _part(part, each) for part, each in counts.items()}, drawn)
    _sum(database, hours - whole)


def recount(database: Database[Any], hours: Iterable[Hour]) -> None:
    """Counts all parts of these hours again and sums them up."""
    for brand, its in _by_brand(hours).items():
        for some in parts(its, HOURS_AT_ONCE):
            drawn = _draw(database)
            within: Document = {"brand": brand, "hour": {"$in": some}}
            known = _hour_parts(database).find(within, {"hour": 1, "minute": 1}).hint("hour")
            counts: dict[Part, Counts] = {(brand, each["hour"], each["minute"]): {} for each in known}
            counts |= _count(database, within)
            _store(_hour_parts(database), {_part_id(part): _part(part, each) for part, each in counts.items()}, drawn)
            _sum(database, ((brand, hour) for hour in some))


def _hour_parts(database: Database[Any]) -> Collection[HourPartDocument]:
    return database["hour_parts"]


def _hours(database: Database[Any]) -> Collection[HourDocument]:
    return database["hourly"]


def _counted_before(database: Database[Any], hours: Iterable[Hour]) -> set[Hour]:
    """Those hours that a version without parts counted last."""
    ids = {hour_id(*hour): hour for hour in hours}
    found: set[Hour] = set()
    for some in parts(sorted(ids), HOURS_AT_ONCE):
        fields = {"drawn": 1, "summed": 1}
        for each in _hours(database).find({"_id": {"$in": some}}, fields):
            if each.get("summed") != each["drawn"]:
                found.add(ids[each["_id"]])
    return found


def _count(database: Database[Any], query: Document) -> dict[Part, Counts]:
    minute = {"$floor": {"$divide": [{"$tsSecond": "$arrived"}, MINUTE]}}  # null where `arrived` is null or missing
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


def _sum(database: Database[Any], hours: Iterable[Hour]) -> None:
    """Adds up the parts of hours and stores the result.

    Each count and each sum carries a number drawn before it was made. A higher number saw every fact that a lower one
    saw, so only a higher number replaces what is stored: two projectors cannot undo each other's work.
    """
    for brand, its in _by_brand(hours).items():
        for some in parts(its, HOURS_AT_ONCE):
            drawn = _draw(database)
            sums: dict[datetime, Counts] = {hour: {} for hour in some}
            for each in _hour_parts(database).find({"brand": brand, "hour": {"$in": some}}).hint("hour"):
                counts = sums[each["hour"]]
                for kind, many in each["counts"].items():
                    counts[kind] = counts.get(kind, 0) + many
            summed = {
                hour_id(brand, hour): {"brand": brand, "hour": hour, "counts": counts, "summed": drawn}
                for hour, counts in sums.items()
            }
            _store(_hours(database), summed, drawn)


def _store(collection: Collection[T], documents: Mapping[str, Mapping[str, Any]], drawn: int) -> None:
    writes = [
        UpdateOne({"_id": name, "drawn": {"$lt": drawn}}, {"$set": {**document, "drawn": drawn}}, upsert=True)
        for name, document in documents.items()
    ]
    if not writes:
        return
    try:
        collection.bulk_write(writes, ordered=False)
    except BulkWriteError as error:
        # If a later count is stored, the filter misses and the insert collides: the later one stays.
        if any(failure["code"] != DUPLICATE_KEY for failure in mongo.write_failures(error)):
            raise


def _draw(database: Database[Any]) -> int:
    counter = database["counters"].find_one_and_update(
        {"_id": "hourly"}, {"$inc": {"drawn": 1}}, upsert=True, return_document=ReturnDocument.AFTER
    )
    assert counter is not None, "an upsert returns what it made"
    drawn: int = counter["drawn"]
    return drawn


def _part_id(part: Part) -> str:
    return f"{hour_id(part[0], part[1])}/{'' if part[2] is None else part[2]}"


def _part(part: Part, counts: Counts) -> Document:
    brand, hour, minute = part
    return {"brand": brand, "hour": hour, "minute": minute, "counts": counts}


def _by_brand(hours: Iterable[Hour]) -> dict[str, list[datetime]]:
    found: dict[str, list[datetime]] = defaultdict(list)
    for brand, hour in sorted(hours):
        found[brand].append(hour)
    return found
