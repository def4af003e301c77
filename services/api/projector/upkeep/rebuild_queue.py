"""What has to be rebuilt: posts, days, campaigns. It stays in `stale` until it is, so a crash forgets nothing."""

import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from pymongo import DeleteOne, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection

from rapport.kit.log import pseudonym
from rapport.kit.mongo import Document
from services.api.projector.upkeep.documents import StaleDocument
from services.api.projector.upkeep.isolation import AWAY, LEFT_OUT, log
from services.api.projector.upkeep.loop import TaskRun
from services.api.storage.rebuild_marks import rebuild_mark

AT_ONCE = 500
TURN_SECONDS = 2.0
"""Then the other tasks have their turn. At least one thing is rebuilt."""
TRIED_AGAIN = timedelta(minutes=10)
"""How long something that could not be rebuilt is left alone."""


def add(run: TaskRun, what: str, things: Iterable[Document], session: ClientSession | None = None) -> None:
    """Queues things of a kind; their fields identify them."""
    writes = [UpdateOne(*rebuild_mark(what, thing, run.now), upsert=True) for thing in things]
    if writes:
        run.database["stale"].bulk_write(writes, ordered=False, session=session)


def work_off(run: TaskRun, what: str, work: Callable[[Any], Any]) -> None:
    """Does `work` on things of a kind, the longest waiting first, and takes what is done off the queue.

    What fails is counted and stays. It is not tried again for a while, so that it delays nothing else.
    """
    began = time.monotonic()
    queue: Collection[StaleDocument] = run.database["stale"]
    due = {"what": what, "held_until": {"$not": {"$gt": run.now}}}
    for each in queue.find(due).sort("since").limit(AT_ONCE).to_list():
        # If it was queued again meanwhile, it stays.
        its = {name: each[name] for name in ("_id", "since", "marks")}
        run.renew_lease()
        try:
            work(each)
        except AWAY:
            raise
        except Exception:
            log.exception("%s: %s is left for later", what, pseudonym(each["_id"]))
            LEFT_OUT.labels(what).inc()
            queue.update_one(its, {"$set": {"held_until": run.now + TRIED_AGAIN}})
        else:
            if not queue.delete_one(its).deleted_count:
                _do_again(run, each)
        if time.monotonic() - began > TURN_SECONDS:
            return


def work_off_together(run: TaskRun, what: str, work: Callable[[list[Any]], Any], at_once: int) -> bool:
    """Does `work` on the things of a kind that have waited longest, all at once; says whether there may be more.

    `work` leaves out by itself what fails.
    """
    queue: Collection[StaleDocument] = run.database["stale"]
    found = queue.find({"what": what}).sort("since").limit(at_once).to_list()
    if found:
        run.renew_lease()
        work(found)
        # One that was queued again meanwhile stays.
        done = [DeleteOne({name: each[name] for name in ("_id", "since", "marks")}) for each in found]
        queue.bulk_write(done, ordered=False)
    return len(found) == at_once


def _do_again(run: TaskRun, done: StaleDocument) -> None:
    """Puts back what another process took off meanwhile: our older result may have overwritten its newer one."""
    mark = {name: value for name, value in done.items() if name not in ("_id", "held_until")}
    again = {"$setOnInsert": {**mark, "since": run.now, "marks": 1}}
    run.database["stale"].update_one({"_id": done["_id"]}, again, upsert=True)
