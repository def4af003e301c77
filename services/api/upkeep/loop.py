"""Runs the tasks, one after the other, in one process at a time."""

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

from prometheus_client import Counter, Histogram
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, PyMongoError

from rapport.kit.mongo import Document

log = logging.getLogger("rapport.upkeep")

LEASE = timedelta(seconds=60)
"""How long the others wait for one that died. It spares work and guards nothing: writes guard themselves."""
RENEWED_AFTER = timedelta(seconds=10)
"""A task that takes long renews the lease this often."""
LOOK_SECONDS = 1.0

TOOK = Histogram(
    "rapport_upkeep_seconds",
    "How long a task of the upkeep took.",
    ["task"],
    buckets=(0.01, 0.05, 0.2, 1, 5, 20, 60, 300),
)
FAILED = Counter("rapport_upkeep_failures_total", "Tasks of the upkeep that failed and are tried again.", ["task"])


class LeaseLostError(Exception):
    """Another process does the upkeep now. What the task has not done yet is left to that one."""


def _nobody_else() -> None:
    """Nothing to renew: the task runs outside the upkeep's loop."""


@dataclass(frozen=True)
class Desk:
    """What a task works with."""

    database: Database[Document]
    producer: Any
    """A producer of kafka-python's, for what a task tells others. Await each delivery."""
    now: datetime
    keep: Callable[[], None] = _nobody_else
    """Renews the lease. Call it between the parts of long work; it raises LeaseLostError where another took over."""

    def brands(self) -> Iterator[str]:
        """The ids of all brands. Keeps the lease before each."""
        for brand in self.database["brands"].distinct("_id", {"_id": {"$gt": ""}}):
            self.keep()
            yield brand


@dataclass(frozen=True)
class Task:
    """Something to be done again and again."""

    name: str
    every: timedelta
    run: Callable[[Desk], None]


class Upkeep:
    """The tasks of one process, and whether it is its turn."""

    def __init__(self, database: Database[Document], producer: Any, tasks: Sequence[Task]) -> None:
        """Prepares; `run` begins."""
        self._database = database
        self._producer = producer
        self._tasks = tasks
        self._due = dict.fromkeys(tasks, 0.0)
        self._holder = secrets.token_hex(8)
        self._renewed = 0.0

    def run(self, stop: Event) -> None:
        """Goes on until `stop` is set."""
        while not stop.wait(LOOK_SECONDS):
            try:
                if self._ours():
                    self._round(stop)
            except PyMongoError as error:
                log.warning("the upkeep waits for MongoDB (%s: %.300s)", type(error).__name__, error)
        self._give_back()

    def _round(self, stop: Event) -> None:
        for task in self._tasks:
            if stop.is_set() or time.monotonic() < self._due[task] or not self._ours():
                continue
            began = time.monotonic()
            try:
                task.run(Desk(self._database, self._producer, datetime.now(UTC), self._keep))
            except LeaseLostError:
                log.warning("%s stops: another process does the upkeep now", task.name)
                return
            except Exception:
                # Whatever one task cannot do, the others go on; it is tried again at its next turn.
                log.exception("%s failed", task.name)
                FAILED.labels(task.name).inc()
            TOOK.labels(task.name).observe(time.monotonic() - began)
            self._due[task] = time.monotonic() + task.every.total_seconds()

    def _ours(self) -> bool:
        """Takes or renews the lease; False while another process has it."""
        now, asked_at = datetime.now(UTC), time.monotonic()
        try:
            self._database["leases"].update_one(
                {"_id": "upkeep", "$or": [{"holder": self._holder}, {"until": {"$lt": now}}]},
                {"$set": {"holder": self._holder, "until": now + LEASE}},
                upsert=True,
            )
        except DuplicateKeyError:
            return False
        self._renewed = asked_at
        return True

    def _keep(self) -> None:
        if time.monotonic() - self._renewed >= RENEWED_AFTER.total_seconds() and not self._ours():
            raise LeaseLostError

    def _give_back(self) -> None:
        try:
            self._database["leases"].delete_one({"_id": "upkeep", "holder": self._holder})
        except PyMongoError as error:
            log.info("the lease runs out by itself (%s)", type(error).__name__)
