"""The indexes of the read side. Every query of the repositories is on one of them; a test asks for the plans."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.database import Database

from rapport.kit.mongo import Document

_UP, _DOWN = ASCENDING, DESCENDING


def _index(name: str, keys: Sequence[tuple[str, int]], **more: Any) -> IndexModel:
    return IndexModel(list(keys), name=name, **more)


INDEXES: Mapping[str, Sequence[IndexModel]] = {
    "interactions": (
        _index("timeline", [("brand", _UP), ("platform", _UP), ("follower", _UP), ("occurred_at", _DOWN)]),
        _index(
            "about",
            [("brand", _UP), ("platform", _UP), ("about", _UP)],
            partialFilterExpression={"about": {"$exists": True}},
        ),
        _index("hourly", [("brand", _UP), ("hour", _UP), ("kind", _UP)]),
    ),
    "exchanges": (
        _index("due", [("brand", _UP), ("state", _UP), ("due_at", _UP), ("_id", _UP)]),
        # What came with the account is overdue for long: without this, all of it would be read before what is due now.
        _index("due_live", [("brand", _UP), ("state", _UP), ("backfilled", _UP), ("due_at", _UP), ("_id", _UP)]),
        _index("due_everywhere", [("state", _UP), ("due_at", _UP), ("_id", _UP)]),
        _index("opened", [("brand", _UP), ("state", _UP), ("opened_at", _DOWN), ("_id", _DOWN)]),
        _index("opened_everywhere", [("state", _UP), ("opened_at", _DOWN), ("_id", _DOWN)]),
        _index("follower", [("brand", _UP), ("platform", _UP), ("follower.id", _UP), ("state", _UP)]),
        _index("outcome", [("brand", _UP), ("backfilled", _UP), ("due_at", _UP), ("state", _UP)]),
        _index(
            "answer_times",
            [
                *(("brand", _UP), ("backfilled", _UP), ("answered_at", _DOWN), ("state", _UP)),
                *(("response_seconds", _UP), ("business_seconds", _UP)),
            ],
        ),
    ),
    "followers": (
        # Below each stage by itself: all followers are the five of them, merged.
        _index("by_last_seen", [("brand", _UP), ("stage", _UP), ("last_seen", _DOWN), ("_id", _UP)]),
        _index("by_know", [("brand", _UP), ("stage", _UP), ("know_rank", _DOWN), ("_id", _UP)]),
        _index("by_like", [("brand", _UP), ("stage", _UP), ("like_rank", _DOWN), ("_id", _UP)]),
        _index("by_trust", [("brand", _UP), ("stage", _UP), ("trust_rank", _DOWN), ("_id", _UP)]),
        _index("momentum", [("brand", _UP), ("momentum_rank", _DOWN), ("_id", _UP)]),
        _index("stage_until", [("brand", _UP), ("stage_until", _UP), ("_id", _UP)]),
        _index("fell", [("brand", _UP), ("stage_noted.fell_at", _DOWN), ("_id", _UP)]),
        _index("person", [("brand", _UP), ("person", _UP)], partialFilterExpression={"person": {"$type": "string"}}),
        _index("first_seen", [("brand", _UP), ("first_seen", _DOWN)]),
        _index("written", [("brand", _UP), ("written_at", _UP)]),
    ),
    "alerts": (
        _index("latest", [("brand", _UP), ("created_at", _DOWN), ("_id", _DOWN)]),
        _index("exchange", [("brand", _UP), ("exchange", _UP)]),
    ),
    "deliveries": (_index("alert", [("brand", _UP), ("alert", _UP)]),),
    "hourly": (_index("hour", [("brand", _UP), ("hour", _UP)]),),
    "accounts": (_index("brand", [("brand", _UP)]),),
    "policies": (_index("version", [("brand", _UP), ("version", _DOWN)]),),
}


def create(database: Database[Document]) -> None:
    """Makes the indexes that are missing. Raises PyMongoError where MongoDB is away."""
    for collection, models in INDEXES.items():
        database[collection].create_indexes(list(models))


async def create_async(database: AsyncDatabase[Document]) -> None:
    """The same with asyncio."""
    for collection, models in INDEXES.items():
        await database[collection].create_indexes(list(models))
