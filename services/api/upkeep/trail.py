"""Following what changes: each change is looked at twice, at once and some minutes later.

Documents get the time or the number that they are ordered by before they can be read, and several processes write at
once; so what is ordered before a place may appear after that place was passed. By the second time everybody is through.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import Timestamp

from rapport.kit.mongo import Document
from services.api.upkeep.loop import Desk
from services.api.upkeep.sparing import spared

LATER = timedelta(minutes=10)
AT_ONCE = 1_000
START: Mapping[str, Any] = {
    "written_at": datetime(1970, 1, 1, tzinfo=UTC),
    "drawn": 0,
    # Not Timestamp(0, 0): MongoDB stores the current time instead of it.
    "arrived": Timestamp(1, 1),
}
"""The fields that are followed, and a value below each of theirs."""


def places(fresh: Any, again: Any, now: datetime) -> Document:
    """How far a task is that has looked at everything up to `fresh` once, and up to `again` twice."""
    return {"fresh": fresh, "again": again, "until": fresh, "until_at": now, "basis": None, "anew": False}


def begin_here(desk: Desk, task: str, brand: str, collection: str, field: str) -> None:
    """Has a task follow only what changes from now on, and what may not be stored yet."""
    latest = desk.database[collection].find({"brand": brand}, {field: 1}).sort(field, -1).limit(1).to_list()
    if not latest or latest[0].get(field) is None:
        return
    here = latest[0][field]
    back = here - LATER if isinstance(here, datetime) else Timestamp(here.time - int(LATER.total_seconds()), 1)
    begun = {"brand": brand, **places(here, back, desk.now)}
    desk.database["trails"].replace_one({"_id": f"{task}/{brand}"}, begun, upsert=True)


class Trail:
    """How far a task has followed a brand's documents of a collection by a rising field; kept in `trails`.

    There has to be an index on (brand, field). `done` notes the places once what was given has been dealt with.
    """

    def __init__(self, desk: Desk, task: str, brand: str, collection: str, field: str) -> None:
        self._desk = desk
        self._brand = brand
        self._documents = desk.database[collection]
        self._field = field
        self._id = f"{task}/{brand}"
        stored = desk.database["trails"].find_one({"_id": self._id}) or {}
        self._places: Document = {**places(START[field], START[field], desk.now), **stored}
        self._stored = dict(stored)
        self.more = False
        """Whether there was more than `changed` gave."""

    def based_on(self, basis: Any) -> bool:
        """Begins anew where what is made depends on something else than the last time; says whether it did."""
        if self._places["basis"] == basis:
            return False
        start = START[self._field]
        self._places |= {"fresh": start, "again": start, "until": start, "basis": basis, "anew": True}
        return True

    @property
    def anew(self) -> bool:
        """Whether what was there when it began anew is still being gone through."""
        anew: bool = self._places["anew"]
        return anew

    def changed(self, fields: Document) -> list[Document]:
        """Some documents that changed, with these fields: those that are new to it, and those seen before."""
        self._desk.keep()
        places, first = self._places, self._places["fresh"]
        found = self._page(first, None, fields)
        if found:
            places["fresh"] = found[-1][self._field]
        through = len(found) < AT_ONCE
        places["anew"] = places["anew"] and not through
        self.more = not through
        if places["again"] < places["until"]:
            if self._desk.now - places["until_at"] >= LATER:
                more = self._page(places["again"], places["until"], fields)
                places["again"] = more[-1][self._field] if len(more) >= AT_ONCE else places["until"]
                self.more = self.more or places["again"] < places["until"]
                found += more
        elif places["until"] < first:
            places |= {"until": first, "until_at": self._desk.now}
        return list({each["_id"]: each for each in found}.values())

    def done(self) -> None:
        """Notes how far it is."""
        if self._places != self._stored:
            self._desk.database["trails"].replace_one(
                {"_id": self._id}, {**self._places, "_id": self._id, "brand": self._brand}, upsert=True
            )

    def _page(self, after: Any, until: Any, fields: Document) -> list[Document]:
        """Documents beyond a place, in order. All with the same value are on the same page."""
        bounds = {"$gt": after} if until is None else {"$gt": after, "$lte": until}
        wanted = {**fields, self._field: 1}
        query = {"brand": self._brand, self._field: bounds}
        found = self._documents.find(query, wanted).sort(self._field).limit(AT_ONCE).to_list()
        if len(found) < AT_ONCE:
            return found
        last = found[-1][self._field]
        found = [each for each in found if each[self._field] != last]
        return found + self._documents.find({"brand": self._brand, self._field: last}, wanted).to_list()


def follow_arrivals(
    desk: Desk,
    name: str,
    brand: str,
    fields: Document,
    work: Callable[[Sequence[Document]], object],
    *,
    task: str,
    deadline: float,
) -> bool:
    """Does `work` on a brand's interactions that arrived, with these fields, and says whether that was all.

    It ends with the last of them, or once `deadline` (`time.monotonic`) is over. `task` is what the log and the metric
    call what is left out.
    """
    while True:
        arrived = Trail(desk, name, brand, "interactions", "arrived")
        spared(task, arrived.changed(fields), work)
        arrived.done()
        if not arrived.more or time.monotonic() >= deadline:
            return not arrived.more
