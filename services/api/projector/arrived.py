"""`arrived`: when MongoDB stored an interaction, by its own clock. No two have the same."""

from collections.abc import Sequence

from bson import Timestamp
from pymongo.database import Database

from rapport.kit.mongo import Document

WHEN_INSERTED = Timestamp(0, 0)
"""MongoDB replaces it with its own time."""


def stamp(database: Database[Document], ids: Sequence[str]) -> None:
    """Sets it on those of these interactions that an earlier version stored without it."""
    now = {"$currentDate": {"arrived": {"$type": "timestamp"}}}
    database["interactions"].update_many({"_id": {"$in": list(ids)}, "arrived": None}, now)
