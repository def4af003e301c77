"""What has to be made anew, kept in `stale` until it was: so a process that ends in the middle forgets nothing.

`_id`, `what`, `since` (of the latest mark), `marks` (how many), what names the thing, and, where it could not be made,
`held_until`.
"""

import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from pymongo import UpdateOne
from pymongo.client_session import ClientSession

from rapport.kit.mongo import Document
from services.api.repositories.stale import marking
from services.api.upkeep.loop import Desk
from services.api.upkeep.sparing import AWAY, LEFT_OUT, log

AT_ONCE = 500
TURN_SECONDS = 2.0
"""After so long the other tasks have their turn; one thing is made anew at least."""
TRIED_AGAIN = timedelta(minutes=10)
"""How long something that could not be rebuilt is left alone."""


def mark(desk: Desk, what: str, things: Iterable[Document], session: ClientSession | None = None) -> None:
    """Marks things of a kind, each named by its fields."""
    writes = [UpdateOne(*marking(what, thing, desk.now), upsert=True) for thing in things]
    if writes:
        desk.database["stale"].bulk_write(writes, ordered=False, session=session)


def take(desk: Desk, what: str, work: Callable[[Document], Any]) -> None:
    """Does `work` on things of a kind, the longest marked first. What is done is off the list.

    What fails is counted and stays on it. It is left alone for a while, so that it holds up nobody.
    """
    began = time.monotonic()
    due = {"what": what, "held_until": {"$not": {"$gt": desk.now}}}
    for each in desk.database["stale"].find(due).sort("since").limit(AT_ONCE).to_list():
        # Marked again meanwhile, it stays.
        its = {name: each[name] for name in ("_id", "since", "marks")}
        desk.keep()
        try:
            work(each)
        except AWAY:
            raise
        except Exception:
            log.exception("%s: %.300s is left for later", what, each["_id"])
            LEFT_OUT.labels(what).inc()
            desk.database["stale"].update_one(its, {"$set": {"held_until": desk.now + TRIED_AGAIN}})
        else:
            if not desk.database["stale"].delete_one(its).deleted_count:
                _do_again(desk, each)
        if time.monotonic() - began > TURN_SECONDS:
            return


def _do_again(desk: Desk, done: Document) -> None:
    """Puts back what another process took off the list meanwhile: older work may have come after that one's newer."""
    mark = {name: value for name, value in done.items() if name not in ("_id", "held_until")}
    again = {"$setOnInsert": {**mark, "since": desk.now, "marks": 1}}
    desk.database["stale"].update_one({"_id": done["_id"]}, again, upsert=True)
