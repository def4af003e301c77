"""What every test may ask for: a real Kafka and MongoDB, started once per session, and a database of its own."""

import functools
import os
import secrets
import uuid
from collections.abc import Iterator

import pytest
from httpx._transports import default as httpx_transports
from hypothesis import settings

from rapport.kit import mongo
from rapport.local.servers.stack import Running, Stack
from tests.platforms.bluesky.fixtures import bluesky
from tests.services.api.log import brands, close_readers, remove

__all__ = ["bluesky", "database", "stack"]

_running: list[str] = []
"""Brokers that all tests of this process share."""


def pytest_configure() -> None:
    """Servers that tests start ask for this login, and whatever a test starts beside them knows it. Logs are text.

    What Hypothesis makes up may take any time: on a busy machine it does.
    """
    settings.register_profile("any time", settings(), deadline=None)
    settings.load_profile("any time")
    os.environ.setdefault("RAPPORT_LOG", "text")
    # Reading all certificate authorities takes 27 ms, and httpx does it for each request that has no client.
    cached = functools.cache(httpx_transports.create_ssl_context)  # type: ignore[attr-defined]
    httpx_transports.create_ssl_context = cached  # type: ignore[attr-defined]
    if "RAPPORT_KAFKA" not in os.environ:
        os.environ["RAPPORT_KAFKA_USER"] = "rapport"
        os.environ["RAPPORT_KAFKA_PASSWORD"] = secrets.token_hex(16)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever asks for servers has their mark, so that no file can forget it."""
    for each in items:
        if {"stack", "bluesky"} & set(getattr(each, "fixturenames", ())):
            each.add_marker(pytest.mark.stack)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running Kafka (`.kafka`, bootstrap servers, with the catalogue's topics) and MongoDB (`.mongodb`, URI).

    Those that RAPPORT_KAFKA and RAPPORT_MONGODB name, else servers of this session, which end with it.
    """
    servers = Stack(tmp_path_factory.mktemp("stack"))
    running = servers.up(bound=True, any_port=True)
    _running.append(running.kafka)
    try:
        yield running
    finally:
        _running.remove(running.kafka)
        close_readers(running.kafka)
        servers.down()


@pytest.fixture(scope="module", autouse=True)
def _brands_end_with_their_file() -> Iterator[None]:
    yield
    for kafka in _running:
        remove(kafka, brands(kafka))


@pytest.fixture
def database(stack: Running) -> Iterator[str]:
    """The name of a database that nobody else uses; dropped after the test."""
    name = f"test_{uuid.uuid4().hex}"
    yield name
    with mongo.client(stack.mongodb) as client:
        client.drop_database(name)
