"""What of a flood of messages is said."""

import logging

from rapport.kit.log import Seldom


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
