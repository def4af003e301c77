"""Following what changes: each change is looked at twice, at once and some minutes later.

Documents get the time or the number that they are ordered by before they can be read, and several processes write at
once; so what is ordered before a place may appear after that place was passed. By the second time everybody is through.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import Timestamp

from rapport.kit.mongo import Document
from services.api.upkeep.loop import Desk

LATER = timedelta(minutes=10)
AT_ONCE = 1_000
START: Mapping[str, Any] = {
    "written_at": datetime(1970, 1, 1, tzinfo=UTC),
    "drawn": 0,
    # Not Timestamp(0, 0): MongoDB stores the current time instead of it.
    "arrived": Timestamp(1, 1),
}
"""The fields that are followed, and a value below each of theirs."""


def begin_here(desk: Desk, task: str, brand: str, collection: str, field: str) -> None:
    """Has a task follow only what changes from now on, and what may not be stored yet."""
    latest = desk.database[collection].find({"brand": brand}, {field: 1}).sort(field, -1).limit(1).to_list()
    if not latest or latest[0].get(field) is None:
        return
    here = latest[0][field]
    back = here - LATER if isinstance(here, datetime) else Timestamp(here.time - int(LATER.total_seconds()), 1)
    places = {"fresh": here, "again": back, "until": here, "until_at": desk.now, "basis": None, "anew": False}
    desk.database["trails"].replace_one({"_id": f"{task}/{brand}"}, {"brand": brand, **places}, upsert=True)


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
        start = dict.fromkeys(("fresh", "again", "until"), START[field])
        stored = desk.database["trails"].find_one({"_id": self._id}) or {}
        self._places: Document = {**start, "until_at": desk.now, "basis": None, "anew": False, **stored}
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
