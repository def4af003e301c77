"""Logging: one line per event on stderr, with UTC time, level, logger and message."""

import logging
import sys
import time

FORMAT = "%(asctime)sZ %(levelname)s %(name)s %(message)s"


def set_up(service: str) -> logging.Logger:
    """Log lines of this process go to stderr from INFO up; chatty libraries from WARNING. Gives its logger."""
    formatter = logging.Formatter(FORMAT, datefmt="%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # The Kafka clients log each send and heartbeat; httpx each request with its URL, which may hold a secret.
    for name in ("kafka", "aiokafka", "httpx", "httpcore", "pymongo", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return logging.getLogger(f"rapport.{service}")
