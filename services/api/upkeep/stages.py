"""Stages that fall by themselves: followers whose time has come are looked at again."""

from datetime import timedelta

from pymongo import UpdateOne

from rapport.kit.mongo import Document
from services.api.projection.documents import stage_fields
from services.api.projection.views import noted
from services.api.repositories import scorings
from services.api.upkeep.loop import Desk, Task
from services.api.upkeep.sparing import sparing

AT_ONCE = 2_000


def fall(desk: Desk) -> None:
    """Writes the stage of followers for whom it is another one by now, where nothing else has changed it."""
    for brand in desk.brands():
        with sparing("stages", brand):
            _fall(desk, brand)


def _fall(desk: Desk, brand: str) -> None:
    due = {"brand": brand, "stage_until": {"$lte": desk.now}}
    wanted = {"standing": 1, "scoring": 1, "shadow": 1, "version": 1}
    while found := desk.database["followers"].find(due, wanted).sort("stage_until").limit(AT_ONCE).to_list():
        desk.keep()
        known = scorings.known(desk.database, {each["scoring"] for each in found})
        writes: list[UpdateOne] = []
        for each in found:
            # Looked at again tomorrow where its stage cannot be told, so that it does not hold up the others for good.
            change = UpdateOne({"_id": each["_id"]}, {"$set": {"stage_until": desk.now + timedelta(days=1)}})
            with sparing("stages", each["_id"]):
                change = _write(each, stage_fields(each, known[each["scoring"]], desk.now))
            writes.append(change)
        desk.database["followers"].bulk_write(writes, ordered=False)


def _write(follower: Document, fields: Document) -> UpdateOne:
    return UpdateOne(
        {"_id": follower["_id"], "version": follower["version"]},
        [{"$set": {**fields, "stage_noted": noted(fields["stage"]), "written_at": "$$NOW"}}],
    )


TASK = Task("stages", timedelta(seconds=5), fall)
