"""Interactions that a projector of an earlier version stored: they get the time that everybody follows them by.

That version counted their hours, so these are the hours that are looked through; later ones need nothing of this.
"""

from datetime import datetime, timedelta

from services.api.projection import hourly
from services.api.projection.arrived import stamp
from services.api.upkeep import brought
from services.api.upkeep.loop import Desk, Task
from services.api.upkeep.sparing import sparing
from services.api.upkeep.trail import Trail, places

AT_ONCE = 1_000


def follow(desk: Desk) -> None:
    """Takes up the hours that an earlier version counted since the last time."""
    for brand in desk.brands():
        with sparing("arrivals", brand):
            _begin(desk, brand)
            counted = Trail(desk, "arrivals", brand, "hourly", "drawn")
            for each in counted.changed({"hour": 1, "summed": 1}):
                if each.get("summed") != each["drawn"]:
                    _take(desk, brand, each["hour"])
            counted.done()


def _begin(desk: Desk, brand: str) -> None:
    """Takes over from an earlier version's upkeep, for the first time, or because it ran once more.

    What it had followed for good needs no following again. It added nothing to parts and sums of posts and took nothing
    off them, so these are counted from the beginning.
    """
    trails = desk.database["trails"]
    before = trails.find_one({"_id": f"posts/{brand}"})
    if before is None:
        return
    begun = {"brand": brand, **places(before["again"], before["again"], desk.now)}
    trails.update_one({"_id": f"arrivals/{brand}"}, {"$setOnInsert": begun}, upsert=True)
    brought.forget_all(desk.database, brand)
    trails.delete_one({"_id": before["_id"]})


def _take(desk: Desk, brand: str, hour: datetime) -> None:
    query = {"brand": brand, "hour": hour, "arrived": None}
    interactions = desk.database["interactions"]
    while found := interactions.find(query, {"_id": 1}).hint("hour_arrived").limit(AT_ONCE).to_list():
        desk.keep()
        stamp(desk.database, [each["_id"] for each in found])
    hourly.recount(desk.database, [(brand, hour)])


TASK = Task("arrivals", timedelta(seconds=5), follow)
