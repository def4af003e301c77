"""Meta's interfaces, asked every half second."""

from collections.abc import Iterator

import pytest

from services.ingest.polling import follower, repairing
from tests.platforms.graph import GraphServer


@pytest.fixture
def server() -> Iterator[GraphServer]:
    """One that nobody else uses."""
    with GraphServer() as running:
        yield running


@pytest.fixture
def _sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repairing, "EVERY_SECONDS", 0.5)
    monkeypatch.setattr(follower, "ATTENTION_SECONDS", 0.5)
    monkeypatch.setattr(follower, "LONGEST_BACKOFF_SECONDS", 2.0)
