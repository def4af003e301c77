"""An alert of a type that this version does not know, without a broker."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from rapport.contracts import codec
from rapport.contracts.topics import ALERTS, ALERTS_DEAD
from rapport.kit.broker.producer import Producer
from services.notifier.consumer import _decoded


class Written:
    """A producer that remembers the topics, and whose records have all arrived."""

    def __init__(self) -> None:
        self.topics: list[str] = []

    def send(self, topic: str, **_: Any) -> "Written":
        """Remembers it."""
        self.topics.append(topic)
        return self

    def get(self, _: float) -> None:
        """It has arrived."""


def test_it_is_waited_for_unless_it_is_to_be_put_aside() -> None:
    headers = codec.headers("rapport.alert.v2", id="x", source="/rapport/scorer")
    later = SimpleNamespace(topic=ALERTS.name, partition=2, offset=7, key=b"k", value=b"{}", headers=headers)
    written = Written()
    producer = cast(Producer, written)
    with pytest.raises(codec.NewerError):
        _decoded(later, producer, frozenset({f"{ALERTS.name}:2:8"}))
    assert written.topics == []
    assert _decoded(later, producer, frozenset({f"{ALERTS.name}:2:7"})) is None
    assert written.topics == [ALERTS_DEAD.name]
