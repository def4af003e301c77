"""What is said of a flood of messages, and how lines look whatever is logged."""

import logging
import re
import subprocess
import sys

from rapport.kit.log import LONGEST_MESSAGE, LONGEST_TRACEBACK, OneLine, Seldom


def record(name: str, message: str, *parts: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "", 0, message, parts, None)


def test_a_kafka_client_that_repeats_itself_is_heard_once_in_a_while_and_the_rest_is_counted() -> None:
    now = [0.0]
    seldom = Seldom(lambda: now[0])
    heard = []
    for tenth in range(250):
        now[0] = tenth / 10
        said = record("aiokafka.conn", "Unable to connect to node %s", tenth)
        if seldom.filter(said):
            heard.append(said.getMessage())
    assert heard == [
        "Unable to connect to node 0",
        "Unable to connect to node 100 (99 more like this)",
        "Unable to connect to node 200 (99 more like this)",
    ]


def test_other_messages_and_other_loggers_are_all_heard() -> None:
    seldom = Seldom(lambda: 0.0)
    assert seldom.filter(record("aiokafka", "one"))
    assert seldom.filter(record("aiokafka", "another"))
    assert all(seldom.filter(record("rapport.scorer", "the same")) for _ in range(9))


HOSTILE = "a\r\n2026-01-01T00:00:00Z ERROR rapport.api forged\x1b[2J\x00\u202e\u2028\x85b\ud800"


def test_whatever_is_logged_is_one_line_without_control_characters() -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        said = logging.LogRecord("rapport.api", logging.ERROR, "", 0, "from %s", (HOSTILE,), sys.exc_info())
    line = OneLine().format(said)

    line.encode()
    assert line.isprintable()
    assert "ValueError: a | 2026-01-01T00:00:00Z ERROR rapport.api forged" in line
    assert r"from a\r\n2026-01-01T00:00:00Z ERROR rapport.api forged\x1b[2J\x00\u202e\u2028\x85b\ud800" in line


def test_a_line_is_bounded_and_keeps_the_end_of_its_traceback() -> None:
    try:
        raise ValueError("x" * 1_000_000 + "the end")
    except ValueError:
        said = logging.LogRecord("rapport.api", logging.ERROR, "", 0, "y" * 1_000_000, (), sys.exc_info())
    line = OneLine().format(said)

    assert len(line) < LONGEST_MESSAGE + LONGEST_TRACEBACK + 300
    assert line.endswith("the end")


def test_every_line_of_a_process_is_an_event_even_what_nobody_caught() -> None:
    program = """
import logging, threading
from rapport.kit.log import set_up
log = set_up("tests")
log.warning("hi\\nthere")
thread = threading.Thread(target=lambda: [].pop())
thread.start(); thread.join()
raise RuntimeError("one\\ntwo")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert len(lines) == 3
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (WARNING|CRITICAL) rapport.tests ", line) for line in lines)
