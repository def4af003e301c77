"""Follows the documents of a collection as they change, each change twice: at once, and again 10 to 20 minutes later.

A document gets its time or number a moment before it can be read, and several processes write at once. So a document
can appear behind a position that was passed already. The second reading finds it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from bson import Timestamp
from pymongo.collection import Collection

from rapport.kit.mongo import Document
from services.api.projector.upkeep.documents import Positions, TrailDocument
from services.api.projector.upkeep.isolation import isolate_each
from services.api.projector.upkeep.loop import TaskRun

LATER = timedelta(minutes=10)
TWICE_WITHIN = 2 * LATER
"""By then everything that changed was read twice. What was read once is read again together, after `LATER`. What
changes meanwhile waits for the next such turn."""
AT_ONCE = 1_000
START: Mapping[str, Any] = {
    "written_at": datetime(1970, 1, 1, tzinfo=UTC),
    "drawn": 0,
    # Not Timestamp(0, 0): MongoDB stores the current time instead of it.
    "arrived": Timestamp(1, 1),
}
"""The fields that can be followed, each with a value below any that it takes."""


class Followed(NamedTuple):
    """Documents that are followed by a rising field."""

    collection: str
    field: str


ARRIVALS, FOLLOWERS = Followed("interactions", "arrived"), Followed("followers", "written_at")


def positions(fresh: Any, again: Any, now: datetime) -> Positions:
    """The positions of a task that has read everything up to `fresh` once, and up to `again` twice."""
    return {"fresh": fresh, "again": again, "until": fresh, "until_at": now, "basis": None, "anew": False}


def start_here(run: TaskRun, task: str, brand: str, collection: str, field: str) -> None:
    """Makes a task follow only what changes from now on, and what may not be visible yet."""
    latest = run.database[collection].find({"brand": brand}, {field: 1}).sort(field, -1).limit(1).to_list()
    if not latest or latest[0].get(field) is None:
        return
    here = latest[0][field]
    back = here - LATER if isinstance(here, datetime) else Timestamp(here.time - int(LATER.total_seconds()), 1)
    begun = {"brand": brand, **positions(here, back, run.now)}
    run.database["trails"].replace_one({"_id": f"{task}/{brand}"}, begun, upsert=True)


class ChangeFeed:
    """A brand's changed documents of one collection, in the order of a rising field. Positions are kept in `trails`.

    There has to be an index on (brand, field). Call `done` once what `changed` gave has been dealt with.
    """

    def __init__(self, run: TaskRun, task: str, brand: str, collection: str, field: str) -> None:
        self._run = run
        self._brand = brand
        self._documents = run.database[collection]
        self._field = field
        self._id = f"{task}/{brand}"
        self._trails: Collection[TrailDocument] = run.database["trails"]
        self._stored = self._trails.find_one({"_id": self._id})
        start = positions(START[field], START[field], run.now)
        self._positions: TrailDocument = {"_id": self._id, "brand": brand, **start}
        if self._stored is not None:
            self._positions.update(self._stored)
        self.more = False
        """Whether there was more than `changed` gave."""

    def based_on(self, basis: Any) -> bool:
        """Starts over if `basis`, on which the results depend, has changed; says whether it did."""
        if self._positions["basis"] == basis:
            return False
        start = START[self._field]
        self._positions.update({"fresh": start, "again": start, "until": start, "basis": basis, "anew": True})
        return True

    @property
    def restarted(self) -> bool:
        """Whether it is still going through what was there when it started over."""
        return self._positions["anew"]

    def changed(self, fields: Document) -> list[Document]:
        """The next changed documents, with these fields: new ones, and those due for their second reading."""
        self._run.renew_lease()
        positions, first = self._positions, self._positions["fresh"]
        found = self._page(first, None, fields)
        if found:
            positions["fresh"] = found[-1][self._field]
        through = len(found) < AT_ONCE
        positions["anew"] = positions["anew"] and not through
        self.more = not through
        if positions["again"] < positions["until"]:
            if self._run.now - positions["until_at"] >= LATER:
                more = self._page(positions["again"], positions["until"], fields)
                positions["again"] = more[-1][self._field] if len(more) >= AT_ONCE else positions["until"]
                self.more = self.more or positions["again"] < positions["until"]
                found += more
        elif positions["until"] < first:
            positions.update({"until": first, "until_at": self._run.now})
        return list({each["_id"]: each for each in found}.values())

    def done(self) -> None:
        """Stores the positions."""
        if self._positions != self._stored:
            self._trails.replace_one({"_id": self._id}, self._positions, upsert=True)

    def _page(self, after: Any, until: Any, fields: Document) -> list[Document]:
        """Documents beyond a position, in order. All with the same value are on the same page."""
        bounds = {"$gt": after} if until is None else {"$gt": after, "$lte": until}
        wanted = {**fields, self._field: 1}
        query = {"brand": self._brand, self._field: bounds}
        found = self._documents.find(query, wanted).sort(self._field).limit(AT_ONCE).to_list()
        if len(found) < AT_ONCE:
            return found
        last = found[-1][self._field]
        found = [each for each in found if each[self._field] != last]
        return found + self._documents.find({"brand": self._brand, self._field: last}, wanted).to_list()


def follow_changes(
    run: TaskRun,
    followed: Followed,
    name: str,
    brand: str,
    fields: Document,
    work: Callable[[Sequence[Document]], object],
    *,
    task: str,
    deadline: float,
) -> bool:
    """Does `work` on a brand's changed documents, with these fields; says whether that was all of them.

    It stops after the last, or at `deadline` (by `time.monotonic`). `name` is the trail's; `task` names in log and
    metric what is left out.
    """
    while True:
        feed = ChangeFeed(run, name, brand, *followed)
        isolate_each(task, feed.changed(fields), work)
        feed.done()
        if not feed.more or time.monotonic() >= deadline:
            return not feed.more
