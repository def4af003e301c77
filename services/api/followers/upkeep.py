"""Writes the stages that fall by themselves."""

from datetime import timedelta

from pymongo import UpdateOne
from pymongo.collection import Collection

from services.api.followers.documents import StageBasis, StageFields, stage_fields
from services.api.projector.upkeep.isolation import isolated
from services.api.projector.upkeep.loop import Task, TaskRun
from services.api.projector.views import noted
from services.api.scoring import repository as scorings

AT_ONCE = 2_000


def fall(run: TaskRun) -> None:
    """Writes the stage of followers for whom only time has changed it."""
    for brand in run.brands():
        with isolated("stages", brand):
            _fall(run, brand)


def _fall(run: TaskRun, brand: str) -> None:
    due = {"brand": brand, "stage_until": {"$lte": run.now}}
    wanted = {"standing": 1, "scoring": 1, "shadow": 1, "version": 1}
    followers: Collection[StageBasis] = run.database["followers"]
    while found := followers.find(due, wanted).sort("stage_until").limit(AT_ONCE).to_list():
        run.renew_lease()
        known = scorings.known(run.database, {each["scoring"] for each in found})
        writes: list[UpdateOne] = []
        for each in found:
            # If its stage cannot be told, it is tried again tomorrow, and does not block the others.
            change = UpdateOne({"_id": each["_id"]}, {"$set": {"stage_until": run.now + timedelta(days=1)}})
            with isolated("stages", each["_id"]):
                change = _write(each, stage_fields(each, known[each["scoring"]], run.now))
            writes.append(change)
        followers.bulk_write(writes, ordered=False)


def _write(follower: StageBasis, fields: StageFields) -> UpdateOne:
    return UpdateOne(
        {"_id": follower["_id"], "version": follower["version"]},
        [{"$set": {**fields, "stage_noted": noted(fields["stage"]), "written_at": "$$NOW"}}],
    )


TASK = Task("stages", timedelta(seconds=5), fall)
