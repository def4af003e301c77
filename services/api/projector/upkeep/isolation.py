"""Isolates failures: a brand, post or follower that a task fails on must not stop the others."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from kafka.errors import KafkaConnectionError, KafkaTimeoutError
from prometheus_client import Counter
from pymongo.errors import ConnectionFailure

from rapport.kit.log import pseudonym
from rapport.kit.parts import halves
from services.api.projector.upkeep.loop import LeaseLostError

log = logging.getLogger("rapport.upkeep")

LEFT_OUT = Counter(
    "rapport_upkeep_left_out_total",
    "Things that a task of the upkeep failed on and left out.",
    ["task"],
)
T = TypeVar("T")


AWAY: tuple[type[Exception], ...] = (ConnectionFailure, KafkaConnectionError, KafkaTimeoutError, LeaseLostError)
"""A server is away, or another process has the lease: nothing else would work either."""


@contextlib.contextmanager
def isolated(task: str, what: object) -> Iterator[None]:
    """Logs and counts a failure about `what`, and goes on. Raises what is in AWAY."""
    try:
        yield
    except AWAY:
        raise
    except Exception as error:
        _left_out(task, what, error)


def isolate_each(task: str, things: Sequence[T], work: Callable[[Sequence[T]], Any]) -> None:
    """Does `work` on all things at once, leaving out those that it fails on. Raises what is in AWAY."""
    halves(things, work, lambda one, error: _left_out(task, one, error), AWAY)


def _left_out(task: str, what: object, error: Exception) -> None:
    log.error("%s: %s is left out", task, pseudonym(what), exc_info=error)
    LEFT_OUT.labels(task).inc()
