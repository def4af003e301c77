"""`arrived` of an interaction: when MongoDB stored it, by its own clock. No two have the same."""

from collections.abc import Sequence

from bson import Timestamp
from pymongo.database import Database

from rapport.kit.mongo import Document

WHEN_INSERTED = Timestamp(0, 0)
"""MongoDB stores its own time instead."""


def stamp(database: Database[Document], ids: Sequence[str]) -> None:
    """Gives it to those of these interactions that an earlier version stored without."""
    now = {"$currentDate": {"arrived": {"$type": "timestamp"}}}
    database["interactions"].update_many({"_id": {"$in": list(ids)}, "arrived": None}, now)
