"""Drops indexes that only earlier versions use: every index slows down every write.

It waits a day, because projectors of those versions may still run beside this one, or run again after a rollback.
"""

from datetime import timedelta

from pymongo import ReturnDocument
from pymongo.collection import Collection

from services.api.projector.upkeep.documents import UpkeepDocument
from services.api.projector.upkeep.loop import Task, TaskRun
from services.api.storage import indexes

KEPT = timedelta(days=1)
"""Since a projector of this version first ran."""


def drop(run: TaskRun) -> None:
    """Drops them once the day is over."""
    run.renew_lease()
    notes: Collection[UpkeepDocument] = run.database["upkeep"]
    noted = notes.find_one_and_update(
        {"_id": "indexes"}, {"$setOnInsert": {"since": run.now}}, upsert=True, return_document=ReturnDocument.AFTER
    )
    assert noted is not None, "an upsert returns what it made"
    if run.now - noted["since"] >= KEPT:
        indexes.drop_gone(run.database)


TASK = Task("indexes", timedelta(hours=1), drop)
