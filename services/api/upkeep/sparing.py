"""One bad thing must not stop the others: of a brand among brands, of a follower among followers."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from kafka.errors import KafkaConnectionError, KafkaTimeoutError
from prometheus_client import Counter
from pymongo.errors import ConnectionFailure

from rapport.kit.parts import halves
from services.api.upkeep.loop import LeaseLostError

log = logging.getLogger("rapport.upkeep")

LEFT_OUT = Counter(
    "rapport_upkeep_left_out_total", "Things that a task of the upkeep could not deal with and left out.", ["task"]
)
T = TypeVar("T")


AWAY: tuple[type[Exception], ...] = (ConnectionFailure, KafkaConnectionError, KafkaTimeoutError, LeaseLostError)
"""Then nothing else would work either, or another process does it."""


@contextlib.contextmanager
def sparing(task: str, what: object) -> Iterator[None]:
    """Goes on where something about `what` fails, and says so in a log line and a metric. Raises what is in AWAY."""
    try:
        yield
    except AWAY:
        raise
    except Exception as error:
        _left_out(task, what, error)


def spared(task: str, things: Sequence[T], work: Callable[[Sequence[T]], Any]) -> None:
    """Does `work` on all things at once, or on as many as it can be done on. Raises what is in AWAY."""
    halves(things, work, lambda one, error: _left_out(task, one, error), AWAY)


def _left_out(task: str, what: object, error: Exception) -> None:
    log.error("%s: %.300s is left out", task, what, exc_info=error)
    LEFT_OUT.labels(task).inc()
