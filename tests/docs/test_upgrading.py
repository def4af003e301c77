"""The order of an upgrade in its guide: whoever reads a topic goes before whoever writes it."""

import re
from pathlib import Path

from rapport.contracts.topics import BRANDS, CATALOGUE
from services.api.projector import batch
from services.notifier import consumer
from services.scorer.agents import agents

GUIDE = Path(__file__).parents[2] / "docs" / "upgrading.md"
READERS: dict[str, set[str]] = {
    "scorer": {
        source
        for agent in agents("", Path(), grace_seconds=0, session_seconds=10)
        for source in (*agent.sources, agent.changelog)
    },
    "projector": {topic.name for topic in batch.SOURCES},
    "notifier": {*(topic.name for topic in consumer.SOURCES), BRANDS.name},
    "ingest": {BRANDS.name},
}
EACH_OTHER = {("projector", "scorer")}
"""The scorer waits for what the projector tells it, and the projector would show rows without what is new in them."""


def order() -> list[str]:
    return re.findall(r"^\d+\. (\w+)$", GUIDE.read_text(), re.MULTILINE)


def test_readers_are_upgraded_before_writers() -> None:
    places = order()
    assert set(places) == {*READERS, "api"}
    wrong = {
        (writer, reader)
        for topic in CATALOGUE
        for writer in topic.writers
        for reader, topics in READERS.items()
        if topic.name in topics and writer != reader and places.index(writer) < places.index(reader)
    }
    assert wrong == EACH_OTHER


def test_every_topic_has_a_reader_or_is_for_people() -> None:
    read = set().union(*READERS.values())
    assert [topic.name for topic in CATALOGUE if topic.name not in read and not topic.name.endswith(".dlt")] == []
