"""`rapport dlt` on a real broker."""

import json
import uuid
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rapport.cli import app
from rapport.contracts.topics import ENGAGEMENTS, ENGAGEMENTS_DEAD
from rapport.kit.broker import dead_letters, kafka
from rapport.kit.broker.dead_letter_box import Letter, Place, opened
from rapport.kit.broker.producer import Producer
from rapport.local.servers.stack import Running
from tests.services.scorer.worker import read_all

pytestmark = pytest.mark.stack


def dlt(own: Running, *arguments: str, input: str | None = None) -> Result:
    result = CliRunner().invoke(app, ["dlt", *arguments, "--kafka", own.kafka], input=input)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def put(own: Running, value: bytes, reason: str, *, whole: bool = True) -> Letter:
    """A record, and the letter about it."""
    mark = uuid.uuid4().hex.encode()
    producer = Producer(lambda: kafka.producer(own.kafka, "test"))
    headers = [("ce_type", b"rapport.interaction.v1"), ("mark", mark)]
    producer.send(ENGAGEMENTS.name, key=b"acme", value=value, headers=headers, partition=2).get(30)
    record = next(each for each in read_all(own.kafka, ENGAGEMENTS) if dict(each.headers)["mark"] == mark)
    letter = dead_letters.letter(record, reason, whole=whole)
    sent: Any = producer.send(
        ENGAGEMENTS_DEAD.name, key=letter.key, value=letter.value, headers=letter.headers, partition=2
    )
    metadata = sent.get(30)
    producer.close(10)
    (found,) = opened(own.kafka, [Place(ENGAGEMENTS_DEAD.name, 2, metadata.offset)])
    return found.letter


def test_without_letters_it_says_so_and_exits_with_0(own: Running) -> None:
    result = dlt(own, "list")
    assert (result.exit_code, result.stdout) == (0, "there are no dead letters\n"), result.stderr


def test_letters_are_listed_the_latest_first_and_shown_without_what_would_harm_a_terminal(own: Running) -> None:
    first = put(own, b"{}", "it has no brand")
    second = put(own, b"\x1b[2J\xff", "it is \x1b[31mno JSON")
    result = dlt(own, "list", "--json")
    assert result.exit_code == 1
    listed = json.loads(result.stdout)
    assert [each["letter"] for each in listed[:2]] == [str(second.place), str(first.place)]
    assert listed[1]["reason"] == "it has no brand"
    assert len(json.loads(dlt(own, "list", "--json", "--most", "1").stdout)) == 1
    assert "\x1b" not in dlt(own, "list").stdout
    shown = dlt(own, "show", str(second.place))
    assert shown.exit_code == 0
    assert "value: \\x1b[2J\\xff" in shown.stdout
    assert "\x1b" not in shown.stdout
    headers = json.loads(dlt(own, "show", str(first.place), "--json").stdout)["headers"]
    assert headers["ce_type"] == "rapport.interaction.v1"


@pytest.mark.parametrize("whole", [True, False], ids=["the letter has all of it", "the letter has only its place"])
def test_a_record_is_written_once_more_as_it_was(own: Running, whole: bool) -> None:
    letter = put(own, b'{"a": 1}', "a bug", whole=whole)
    source = Place.parse(letter.source)
    before = len(read_all(own.kafka, ENGAGEMENTS))
    assert dlt(own, "replay", str(letter.place), input="n\n").exit_code == 1
    assert len(read_all(own.kafka, ENGAGEMENTS)) == before
    result = dlt(own, "replay", str(letter.place), str(letter.place), "--yes")
    assert (result.exit_code, result.stdout) == (0, "written once more: 1\n")
    there = [each for each in read_all(own.kafka, ENGAGEMENTS) if each.partition == source.partition]
    original, again = next(each for each in there if each.offset == source.offset), there[-1]
    assert again.offset > original.offset
    assert (again.key, again.value, again.headers) == (original.key, original.value, original.headers)


@pytest.mark.parametrize(
    ("letter", "why"),
    [
        ("nonsense", "'nonsense' is not <topic>:<partition>:<offset>"),
        ("rapport.conversations.v1:0:0", "is not a topic of dead letters"),
        (f"{ENGAGEMENTS_DEAD.name}:0:999999", "is not there"),
        (f"{ENGAGEMENTS_DEAD.name}:77:0", "there is no partition"),
        ("nobody.dlt:0:0", "there is no partition"),
    ],
)
def test_a_letter_that_is_not_there_is_named(own: Running, letter: str, why: str) -> None:
    for command in (("show", letter), ("replay", letter, "--yes")):
        result = dlt(own, *command)
        assert result.exit_code == 1
        assert why in result.stderr
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ([("rapport_dead_from", b"rapport.brands.v1:2:0")], "whose dead letters are elsewhere"),
        ([("rapport_dead_from", f"{ENGAGEMENTS.name}:1:0".encode())], "whose dead letters are elsewhere"),
        ([("rapport_dead_from", b"\x1b[2J")], "does not say where the record was"),
        ([("rapport_reason", b"an old one"), ("rapport_offset", b"17")], "does not say where the record was"),
        ([], "does not say where the record was"),
    ],
)
def test_nothing_is_written_where_a_letter_only_says_that_it_came_from(
    own: Running, headers: list[tuple[str, bytes]], why: str
) -> None:
    place = strange(own, headers)
    result = dlt(own, "replay", place, "--yes")
    assert result.exit_code == 1
    assert why in result.stderr
    assert "\x1b" not in result.stderr


def test_a_letter_that_a_stranger_made_harms_no_terminal_and_no_list(own: Running) -> None:
    place = strange(own, [("\x1b[31mred", b"\x1b[0m"), ("rapport_dead_because", b"\x1b[2J")], timestamp=-(2**62))
    shown = dlt(own, "show", place)
    assert shown.exit_code == 0
    assert "\x1b" not in shown.stdout
    assert json.loads(dlt(own, "show", place, "--json").stdout)["at"] is None
    assert place in [each["letter"] for each in json.loads(dlt(own, "list", "--json").stdout)]
    asked = dlt(own, "replay", place, input="n\n")
    assert "\x1b" not in asked.stderr


def strange(own: Running, headers: list[tuple[str, bytes]], timestamp: int | None = None) -> str:
    """The place of a letter that none of our processes wrote."""
    producer = kafka.producer(own.kafka, "test")
    sent = producer.send(
        ENGAGEMENTS_DEAD.name, b"x", key=b"x", headers=headers, partition=2, timestamp_ms=timestamp
    ).get(30)
    producer.close()
    return f"{ENGAGEMENTS_DEAD.name}:2:{sent.offset}"
