"""Logging: one line per event on stderr, as text for people at a terminal, else as JSON for what collects logs."""

import hashlib
import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from rapport.kit.text import escaped

FORMAT = "%(asctime)sZ %(levelname)s %(name)s %(message)s"
DATE_FORMAT = "%Y-%m-%dT%H:%M:%S"
LONGEST_MESSAGE = 2_000
LONGEST_TRACEBACK = 8_000

SELDOM_SECONDS = 10.0
"""aiokafka says thousands of times a second that a broker is away; this often is enough."""
MANY = 100
"""Of one kind of message, from any other logger, within `SELDOM_SECONDS`. More are counted, and not said."""


class Seldom(logging.Filter):
    """Lets messages of one kind through now and then only, and counts those left out.

    Of the Kafka clients' one, of all others `MANY`, in `SELDOM_SECONDS`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[tuple[str, str], tuple[float, int]] = {}
        """When the present ten seconds began, and how many came in them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """True if the record is to be logged."""
        most = 1 if record.name.partition(".")[0] in ("kafka", "aiokafka") else MANY
        key, now = (record.name, str(record.msg)), self._clock()
        began, came = self._said.get(key, (now, 0))
        if now - began < SELDOM_SECONDS:
            self._said[key] = (began, came + 1)
            return came < most
        if came > most:
            record.msg, record.args = f"{record.getMessage()} ({came - most} more like this)", None
        self._said[key] = (now, 1)
        return True


def about(**ids: str) -> dict[str, dict[str, str]]:
    """What a line is about, for whoever looks for all lines about it: `log.info("…", extra=about(interaction=id))`.

    As fields of their own in JSON; in text, only where the message says them.
    """
    return {"about": ids}


def pseudonym(name: object) -> str:
    """Stands for an id or key that may name a person: the same each time, but not the name itself.

    The first 12 hexadecimal digits of its SHA-256; `printf %s ID | sha256sum` gives them too.
    """
    return f"#{hashlib.sha256(str(name).encode(errors='replace')).hexdigest()[:12]}"


class OneLine(logging.Formatter):
    """One bounded line per event. Otherwise what people sent could forge lines or control a terminal.

    A traceback's lines follow the message on the same line, separated by ` | `.
    """

    def __init__(self) -> None:
        super().__init__(FORMAT, datefmt=DATE_FORMAT)
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a final line break."""
        record.message = escaped(record.getMessage(), LONGEST_MESSAGE)
        record.asctime = self.formatTime(record, self.datefmt)
        trace = _trace(record)
        return f"{self.formatMessage(record)} | {trace}" if trace else self.formatMessage(record)


class JsonLine(logging.Formatter):
    """One bounded JSON object per event: `at` (UTC), `level`, `service`, `logger`, `message`, and `error`, a traceback.

    What the line is `about` follows, such as `interaction`, `delivery` or `request`.
    """

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The object, without a line break."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        line: dict[str, Any] = {
            "at": f"{at}Z",
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": escaped(record.getMessage(), LONGEST_MESSAGE),
        }
        if trace := _trace(record):
            line["error"] = trace
        told: dict[str, str] = getattr(record, "about", {})
        line |= {name: escaped(value, LONGEST_MESSAGE) for name, value in told.items()}
        return json.dumps(line, ensure_ascii=False)


def _trace(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    said = "".join(traceback.format_exception(*record.exc_info))
    return escaped(" | ".join(line.strip() for line in said.splitlines() if line.strip()), LONGEST_TRACEBACK)


def set_up(service: str) -> logging.Logger:
    """Sets up logging to stderr from INFO up, for chatty libraries from WARNING up. Returns the service's logger.

    RAPPORT_LOG says how: `json` or `text`. Uncaught exceptions are logged in the same way.
    """
    handler = logging.StreamHandler(sys.stderr)
    wanted = os.environ.get("RAPPORT_LOG") or ("text" if sys.stderr.isatty() else "json")
    handler.setFormatter(OneLine() if wanted == "text" else JsonLine(service))
    handler.addFilter(Seldom())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # The Kafka clients log each send and heartbeat; httpx each request with its URL, which may hold a secret.
    for name in ("kafka", "aiokafka", "httpx", "httpcore", "pymongo", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It warns at each connection that the password is not encrypted on its way.
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
