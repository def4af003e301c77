"""Logging: one line per event on stderr, with UTC time, level, logger and message."""

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import TracebackType

from rapport.kit.text import escaped

FORMAT = "%(asctime)sZ %(levelname)s %(name)s %(message)s"
DATE_FORMAT = "%Y-%m-%dT%H:%M:%S"
LONGEST_MESSAGE = 2_000
LONGEST_TRACEBACK = 8_000


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


class OneLine(logging.Formatter):
    """One bounded line per event, whatever is logged: what people sent could otherwise forge lines or steer a terminal.

    A traceback's lines follow the message on the same line, separated by ` | `.
    """

    def __init__(self) -> None:
        super().__init__(FORMAT, datefmt=DATE_FORMAT)
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a line break at its end."""
        record.message = escaped(record.getMessage(), LONGEST_MESSAGE)
        record.asctime = self.formatTime(record, self.datefmt)
        parts = [self.formatMessage(record)]
        if record.exc_info and record.exc_info[0] is not None:
            said = "".join(traceback.format_exception(*record.exc_info))
            trace = " | ".join(line.strip() for line in said.splitlines() if line.strip())
            parts.append(escaped(trace, LONGEST_TRACEBACK))
        return " | ".join(parts)


def set_up(service: str) -> logging.Logger:
    """Log lines of this process go to stderr from INFO up; chatty libraries from WARNING. Gives its logger.

    What nobody catches is logged in the same way.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    handler.addFilter(Seldom())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # The Kafka clients log each send and heartbeat; httpx each request with its URL, which may hold a secret.
    for name in ("kafka", "aiokafka", "httpx", "httpcore", "pymongo", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # With each connection it says that the password is not encrypted on its way.
    logging.getLogger("kafka.net.sasl").setLevel(logging.ERROR)
    log = logging.getLogger(f"rapport.{service}")

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            log.critical("ended by %s", kind.__name__, exc_info=(kind, error, trace))

    sys.excepthook = uncaught
    threading.excepthook = lambda args: (
        uncaught(args.exc_type, args.exc_value, args.exc_traceback) if args.exc_value is not None else None
    )
    return log
