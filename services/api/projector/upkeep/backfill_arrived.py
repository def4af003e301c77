"""Adds `arrived` to interactions that a projector of an earlier version stored; tasks follow interactions by it.

That version counted the hours of what it stored, so only hours that it counted are searched.
"""

from datetime import datetime, timedelta

from services.api.mix import brought
from services.api.projector import hourly
from services.api.projector.arrived import stamp
from services.api.projector.upkeep.change_feed import ChangeFeed, positions
from services.api.projector.upkeep.isolation import isolated
from services.api.projector.upkeep.loop import Task, TaskRun

AT_ONCE = 1_000


def follow(run: TaskRun) -> None:
    """Searches the hours that an earlier version counted since the last time."""
    for brand in run.brands():
        with isolated("arrivals", brand):
            _begin(run, brand)
            counted = ChangeFeed(run, "arrivals", brand, "hourly", "drawn")
            for each in counted.changed({"hour": 1, "summed": 1}):
                if each.get("summed") != each["drawn"]:
                    _take(run, brand, each["hour"])
            counted.done()


def _begin(run: TaskRun, brand: str) -> None:
    """Takes over from an earlier version's upkeep: the first time, and whenever it has run again.

    What it had followed twice need not be followed again. It did not keep the parts and sums of posts, so those are
    counted from the beginning.
    """
    trails = run.database["trails"]
    before = trails.find_one({"_id": f"posts/{brand}"})
    if before is None:
        return
    begun = {"brand": brand, **positions(before["again"], before["again"], run.now)}
    trails.update_one({"_id": f"arrivals/{brand}"}, {"$setOnInsert": begun}, upsert=True)
    brought.forget_all(run.database, brand)
    trails.delete_one({"_id": before["_id"]})


def _take(run: TaskRun, brand: str, hour: datetime) -> None:
    query = {"brand": brand, "hour": hour, "arrived": None}
    interactions = run.database["interactions"]
    while found := interactions.find(query, {"_id": 1}).hint("hour_arrived").limit(AT_ONCE).to_list():
        run.renew_lease()
        stamp(run.database, [each["_id"] for each in found])
    hourly.recount(run.database, [(brand, hour)])


TASK = Task("arrivals", timedelta(seconds=5), follow)
