"""Ingest's own fixtures, on the session's real Kafka."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.services.api.log import brands, remove
from tests.services.ingest.service import Ingest, Log


@pytest.fixture(scope="module")
def ingest(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingest]:
    """The service, ready; one for a module's tests."""
    service = Ingest(stack.kafka, tmp_path_factory.mktemp("ingest")).start()
    try:
        yield service.ready()
        assert service.stop() == 0
    finally:
        service.close()


@pytest.fixture
def own_ingest(stack: Any, tmp_path: Path) -> Iterator[Ingest]:
    """The service, not started; one for a test that stops it."""
    before = brands(stack.kafka)
    service = Ingest(stack.kafka, tmp_path)
    yield service
    service.close()
    remove(stack.kafka, brands(stack.kafka) - before)


@pytest.fixture
def log(stack: Any) -> Iterator[Log]:
    """The topics of interactions from here on."""
    reader = Log(stack.kafka)
    yield reader
    reader.close()
