"""Runs the tasks one after the other, in one process at a time."""

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

from prometheus_client import Counter, Gauge, Histogram
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, PyMongoError

from rapport.kit.clock import BOGUS
from services.api.projector.upkeep.documents import LeaseDocument

log = logging.getLogger("rapport.upkeep")

LEASE = timedelta(seconds=60)
"""How long others wait for a process that died. The lease only saves work: writes are safe without it."""
RENEWED_AFTER = timedelta(seconds=10)
"""How often a long task renews the lease."""
LOOK_SECONDS = 1.0
STUCK_SECONDS = 300.0
"""Without a sign of life from a task. Each renews the lease between parts of its work, which take seconds."""

TOOK = Histogram(
    "rapport_upkeep_seconds",
    "How long a task of the upkeep took.",
    ["task"],
    buckets=(0.01, 0.05, 0.2, 1, 5, 20, 60, 300),
)
FINISHED = Gauge(
    "rapport_upkeep_finished_timestamp_seconds",
    "When a task of the upkeep last went through, in the process that ran it.",
    ["task"],
)
FAILED = Counter("rapport_upkeep_failures_total", "Tasks of the upkeep that failed; they are tried again.", ["task"])


class LeaseLostError(Exception):
    """Another process has the lease now. It does what this task has not done yet."""


def _no_lease() -> None:
    """For a task that runs outside of the loop."""


def _all_read(_at: datetime) -> bool:
    """For a task that runs where no projector reads."""
    return True


@dataclass(frozen=True)
class TaskRun:
    """What one run of a task works with."""

    database: Database[Any]
    producer: Any
    """A `rapport.kit.broker.producer.Producer`. Wait for each delivery."""
    now: datetime
    renew_lease: Callable[[], None] = _no_lease
    """Call it between the parts of long work. Raises LeaseLostError if another process has taken over."""
    read_to: Callable[[datetime], bool] = _all_read
    """Whether the views have all engagements that the log took before a time. Raises KafkaError."""

    def brands(self) -> Iterator[str]:
        """The ids of all brands. Renews the lease before each."""
        for brand in self.database["brands"].distinct("_id", {"_id": {"$gt": ""}}):
            self.renew_lease()
            yield brand


@dataclass(frozen=True)
class Task:
    """Something to be done every so often."""

    name: str
    every: timedelta
    run: Callable[[TaskRun], None]


class Upkeep:
    """Runs the tasks while this process holds the lease."""

    def __init__(
        self,
        database: Database[Any],
        producer: Any,
        tasks: Sequence[Task],
        read_to: Callable[[datetime], bool] = _all_read,
    ) -> None:
        """`run` starts it."""
        self._database = database
        self._leases: Collection[LeaseDocument] = database["leases"]
        self._producer = producer
        self._tasks = tasks
        self._read_to = read_to
        self._due = dict.fromkeys(tasks, 0.0)
        self._holder = secrets.token_hex(8)
        self._renewed = 0.0
        self._moved = time.monotonic()
        self._at = "waiting"

    def run(self, stop: Event) -> None:
        """Runs until `stop` is set."""
        while not stop.wait(LOOK_SECONDS):
            self._moved, self._at = time.monotonic(), "waiting"
            try:
                if self._take_lease():
                    self._round(stop)
            except PyMongoError as error:
                log.warning("upkeep is waiting for MongoDB (%s: %.300s)", type(error).__name__, error)
        self._release_lease()

    def stuck(self) -> str | None:
        """Why the figures are not kept up to date although this process should do it; None while all is well."""
        seconds = time.monotonic() - self._moved
        return f"upkeep has been stuck at {self._at} for {seconds:.0f} s" if seconds > STUCK_SECONDS else None

    def _round(self, stop: Event) -> None:
        for task in self._tasks:
            if stop.is_set() or time.monotonic() < self._due[task] or not self._take_lease():
                continue
            began = self._moved = time.monotonic()
            self._at = task.name
            try:
                now = datetime.now(UTC)
                task.run(TaskRun(self._database, self._producer, now, self._renew_lease, self._read_to))
            except LeaseLostError:
                log.warning("%s stops: another process has the upkeep now", task.name)
                return
            except Exception:
                # The other tasks go on; this one is tried again at its next turn.
                log.exception("%s failed", task.name)
                FAILED.labels(task.name).inc()
            else:
                FINISHED.labels(task.name).set_to_current_time()
            TOOK.labels(task.name).observe(time.monotonic() - began)
            self._due[task] = time.monotonic() + task.every.total_seconds()

    def _take_lease(self) -> bool:
        """Takes or renews the lease. False while another process has it."""
        now, asked_at = datetime.now(UTC), time.monotonic()
        try:
            self._leases.update_one(
                {
                    "_id": "upkeep",
                    "$or": [{"holder": self._holder}, {"until": {"$lt": now}}, {"until": {"$gt": now + BOGUS}}],
                },
                {"$set": {"holder": self._holder, "until": now + LEASE}},
                upsert=True,
            )
        except DuplicateKeyError:
            return False
        self._renewed = asked_at
        return True

    def _renew_lease(self) -> None:
        self._moved = time.monotonic()
        if time.monotonic() - self._renewed >= RENEWED_AFTER.total_seconds() and not self._take_lease():
            raise LeaseLostError

    def _release_lease(self) -> None:
        try:
            self._leases.delete_one({"_id": "upkeep", "holder": self._holder})
        except PyMongoError as error:
            log.info("the lease was not released and will expire (%s)", type(error).__name__)
