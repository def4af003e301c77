"""The examples of every topic are what this version reads and writes, and the schemas are those of the structs."""

import json
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from rapport.contracts import codec, schema
from rapport.contracts.controls import Control
from rapport.contracts.rows import FollowerRow
from rapport.contracts.topics import CATALOGUE, EXCHANGES_CHANGELOG, Topic

EXAMPLES = Path(codec.__file__).parent / "examples"
FILES = sorted(EXAMPLES.glob("*/*.json"))
PRIVATE = {EXCHANGES_CHANGELOG.name}
"""Rows that nobody but the scorer reads."""


def decode(type: str, value: bytes) -> object:
    """What this version makes of an example."""
    if type == "rapport.row.v1":
        return msgspec.json.decode(value, type=FollowerRow)
    return codec.decode(type, value)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_an_example_is_read_and_written_again_without_loss(file: Path) -> None:
    example = json.loads(file.read_text())
    topic = next(topic for topic in CATALOGUE if topic.name == file.parent.name)
    assert example["type"] in topic.types
    value = json.dumps(example["value"]).encode()
    event = decode(example["type"], value)
    assert msgspec.json.decode(codec.encode(event)) == example["value"]


@pytest.mark.parametrize(
    "topic",
    [topic for topic in CATALOGUE if not topic.name.endswith(".dlt") and topic.name not in PRIVATE],
    ids=lambda topic: topic.name,
)
def test_every_topic_has_an_example_of_each_type(topic: Topic) -> None:
    types = {json.loads(file.read_text())["type"] for file in EXAMPLES.glob(f"{topic.name}/*.json")}
    assert types == set(topic.types)


def test_every_control_record_has_an_example() -> None:
    found = {json.loads(file.read_text())["value"].get("control") for file in EXAMPLES.glob("*/*.json")}
    assert {shape.__struct_config__.tag for shape in get_args(Control)} <= found


def test_the_schemas_in_the_repository_are_those_of_the_structs() -> None:
    committed = {file.name: file.read_text() for file in schema.FOLDER.glob("*.json")}
    assert committed == schema.documents(), "run `python -m rapport.contracts.schema`"
