"""What has to be made anew, kept in `stale` until it was: so a process that ends in the middle forgets nothing.

`_id`, `what`, `since` (of the latest mark), `marks` (how many), and what names the thing.
"""

import time
from collections.abc import Iterable, Iterator

from pymongo import UpdateOne

from rapport.kit.mongo import Document
from services.api.repositories.stale import marking
from services.api.upkeep.loop import Desk

AT_ONCE = 500
TURN_SECONDS = 2.0
"""After so long the other tasks have their turn; one thing is made anew at least."""


def mark(desk: Desk, what: str, things: Iterable[Document]) -> None:
    """Marks things of a kind, each named by its fields."""
    writes = [UpdateOne(*marking(what, thing, desk.now), upsert=True) for thing in things]
    if writes:
        desk.database["stale"].bulk_write(writes, ordered=False)


def marked(desk: Desk, what: str) -> Iterator[Document]:
    """Things of a kind, the longest marked first. Each is off the list once the next is asked for."""
    began = time.monotonic()
    for each in desk.database["stale"].find({"what": what}).sort("since").limit(AT_ONCE).to_list():
        yield each
        # Marked again meanwhile, it stays.
        desk.database["stale"].delete_one({"_id": each["_id"], "marks": each["marks"]})
        if time.monotonic() - began > TURN_SECONDS:
            return
