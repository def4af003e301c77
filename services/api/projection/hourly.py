"""How many interactions of each kind a brand had in an hour: counted from the facts, so that nothing counts twice."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from pymongo import ReturnDocument, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from rapport.kit.mongo import Document
from services.api.projection.documents import hour_id
from services.api.projection.views import DUPLICATE_KEY

HOURS_AT_ONCE = 100
"""An import can touch thousands of hours; this many are one query."""

Hour = tuple[str, datetime]


def recount(database: Database[Document], hours: Iterable[Hour]) -> None:
    """Counts these hours again and stores the result in `hourly` (`_id` is `<brand>/<hour>`).

    Each count carries a number drawn before it was made. A count with a higher number saw every fact that one with a
    lower number saw, so only a higher number replaces what is there: two projectors cannot undo each other's work.
    """
    ordered = sorted(hours)
    for start in range(0, len(ordered), HOURS_AT_ONCE):
        some = ordered[start : start + HOURS_AT_ONCE]
        drawn = database["counters"].find_one_and_update(
            {"_id": "hourly"}, {"$inc": {"drawn": 1}}, upsert=True, return_document=ReturnDocument.AFTER
        )
        assert drawn is not None, "an upsert gives what it made"
        _store(database, _count(database, some), drawn["drawn"])


def _count(database: Database[Document], hours: list[Hour]) -> dict[Hour, dict[str, int]]:
    of_brand: dict[str, list[datetime]] = defaultdict(list)
    for brand, hour in hours:
        of_brand[brand].append(hour)
    counts: dict[Hour, dict[str, int]] = {hour: {} for hour in hours}
    for brand, its_hours in of_brand.items():
        for found in database["interactions"].aggregate(
            [
                {"$match": {"brand": brand, "hour": {"$in": its_hours}}},
                {"$group": {"_id": {"hour": "$hour", "kind": "$kind"}, "count": {"$sum": 1}}},
            ],
            hint="hourly",
        ):
            counts[brand, found["_id"]["hour"]][found["_id"]["kind"]] = found["count"]
    return counts


def _store(database: Database[Document], counts: dict[Hour, dict[str, int]], drawn: int) -> None:
    writes = [
        UpdateOne(
            {"_id": hour_id(brand, hour), "drawn": {"$lt": drawn}},
            {"$set": {"brand": brand, "hour": hour, "counts": found, "drawn": drawn}},
            upsert=True,
        )
        for (brand, hour), found in counts.items()
    ]
    try:
        database["hourly"].bulk_write(writes, ordered=False)
    except BulkWriteError as error:
        # Where a later count is stored, the filter misses and the insert collides: the later one stays.
        if any(failure["code"] != DUPLICATE_KEY for failure in error.details["writeErrors"]):
            raise
