"""Removes indexes that only earlier versions use: each costs every write.

Not at once, since projectors of those versions may still run beside this one, or again where an upgrade is taken back.
"""

from datetime import timedelta

from pymongo import ReturnDocument

from services.api.repositories import indexes
from services.api.upkeep.loop import Desk, Task

KEPT = timedelta(days=1)
"""How long they stay after a projector of this version first ran."""


def tidy(desk: Desk) -> None:
    """Removes them once their time is over."""
    desk.keep()
    noted = desk.database["upkeep"].find_one_and_update(
        {"_id": "indexes"}, {"$setOnInsert": {"since": desk.now}}, upsert=True, return_document=ReturnDocument.AFTER
    )
    assert noted is not None, "an upsert gives what it made"
    if desk.now - noted["since"] >= KEPT:
        indexes.drop_gone(desk.database)


TASK = Task("indexes", timedelta(hours=1), tidy)
