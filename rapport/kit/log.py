"""Logging: one line per event on stderr, with UTC time, level, logger and message."""

import logging
import sys
import time
from collections.abc import Callable

FORMAT = "%(asctime)sZ %(levelname)s %(name)s %(message)s"


SELDOM_SECONDS = 10.0
"""aiokafka says thousands of times a second that a broker is away; so often is enough."""


class Seldom(logging.Filter):
    """Lets each message of the Kafka clients through once in a while, with how many were left out since."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """True where it is to be said."""
        if record.name.partition(".")[0] not in ("kafka", "aiokafka"):
            return True
        key, now = (record.name, str(record.msg)), self._clock()
        at, left_out = self._said.get(key, (now - SELDOM_SECONDS, 0))
        if now - at < SELDOM_SECONDS:
            self._said[key] = (at, left_out + 1)
            return False
        if left_out:
            record.msg, record.args = f"{record.getMessage()} ({left_out} more like this)", None
        self._said[key] = (now, 0)
        return True


def set_up(service: str) -> logging.Logger:
    """Log lines of this process go to stderr from INFO up; chatty libraries from WARNING. Gives its logger."""
    formatter = logging.Formatter(FORMAT, datefmt="%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(Seldom())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # The Kafka clients log each send and heartbeat; httpx each request with its URL, which may hold a secret.
    for name in ("kafka", "aiokafka", "httpx", "httpcore", "pymongo", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return logging.getLogger(f"rapport.{service}")
