"""What is said of a flood of messages, and how lines look whatever is logged."""

import hashlib
import json
import logging
import os
import re
import subprocess
import sys

from rapport.kit.log import (
    LONGEST_MESSAGE,
    LONGEST_TRACEBACK,
    MANY,
    SELDOM_SECONDS,
    JsonLine,
    OneLine,
    Seldom,
    about,
    pseudonym,
)


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
    for how in ("text", "json", ""):
        environment = {**os.environ, "RAPPORT_LOG": how}
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

        lines = done.stderr.splitlines()
        assert done.returncode == 1
        assert len(lines) == 3
        if how == "text":
            expected = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (WARNING|CRITICAL) rapport.tests "
            assert all(re.match(expected, line) for line in lines)
        else:  # not a terminal
            events = [json.loads(line) for line in lines]
            assert [each["level"] for each in events] == ["WARNING", "CRITICAL", "CRITICAL"]
            assert {(each["service"], each["logger"]) for each in events} == {("tests", "rapport.tests")}
            assert events[0]["message"] == r"hi\nthere"
            assert "IndexError" in events[1]["error"]


def test_a_line_of_json_says_what_it_is_about_and_holds_hostile_text_harmlessly() -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        said = logging.LogRecord("rapport.api", logging.ERROR, "", 0, "from %s", (HOSTILE,), sys.exc_info())
    said.created = 1_764_374_400.25
    vars(said).update(about(interaction='at://x/"\n}{', delivery="d1"))
    line = JsonLine("api").format(said)

    line.encode()
    assert line.isprintable()
    found = json.loads(line)
    assert found.keys() == {"at", "level", "service", "logger", "message", "error", "interaction", "delivery"}
    assert (found["at"], found["interaction"], found["delivery"]) == ("2025-11-29T00:00:00.250Z", r'at://x/"\n}{', "d1")
    assert found["error"].endswith(r"forged\x1b[2J\x00\u202e | b\ud800")


def test_a_flood_of_one_message_is_cut_and_counted_and_others_are_still_heard() -> None:
    now = [0.0]
    seldom = Seldom(lambda: now[0])
    heard = [seldom.filter(record("rapport.projector", "sent to the dead letters: %s", n)) for n in range(5 * MANY)]
    assert (sum(heard), heard[MANY - 1 : MANY + 1]) == (MANY, [True, False])
    assert seldom.filter(record("rapport.projector", "stopped"))
    assert seldom.filter(record("rapport.scorer", "sent to the dead letters: %s", 1))
    now[0] = SELDOM_SECONDS + 1
    next_one = record("rapport.projector", "sent to the dead letters: %s", "x")
    assert seldom.filter(next_one)
    assert next_one.getMessage() == f"sent to the dead letters: x ({4 * MANY} more like this)"


def test_a_person_is_named_in_no_line_but_the_same_person_can_be_found_again() -> None:
    one, other = "acme/bluesky/did:plc:x", "acme/bluesky/did:plc:y"
    assert pseudonym(one) != pseudonym(other)
    assert pseudonym(one) == f"#{hashlib.sha256(one.encode()).hexdigest()[:12]}"
    assert pseudonym("\ud800")
