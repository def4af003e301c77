"""What one connection to the door may cost, and who is at its other end. The door runs without Kafka here."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rapport.kit.http.serving import Limits, Server
from services.ingest import app
from services.ingest.connectors.platforms import CAPABILITIES
from services.ingest.door import Door
from services.ingest.settings import IngestSettings
from tests.kit.http.connections import (
    GET,
    SHORT,
    clients,
    connected,
    everything,
    is_refused,
    running,
    status_of,
)

pytestmark = pytest.mark.slow

POST = b"POST /v1/interactions HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"
HEALTHZ = GET.replace(b"/ ", b"/healthz ", 1)


@contextlib.contextmanager
def door(data: Path, limits: Limits, trusted: str = "") -> Iterator[Server]:
    """The door, whose accounts are not known yet."""
    settings = IngestSettings(data=data, port=0, internal_port=0, kafka="127.0.0.1:1", trusted_proxies=trusted)
    with running(app.serve(app.build(settings, logging.getLogger("test")), settings, limits)) as server:
        yield server


def test_who_says_nothing_to_the_door_is_hung_up_on_before_and_after_a_request(tmp_path: Path) -> None:
    with door(tmp_path, SHORT) as server, contextlib.ExitStack() as opened:
        silent, probing, sending = (opened.enter_context(connected(server)) for _ in range(3))
        assert status_of(probing, HEALTHZ) == 200
        assert status_of(sending, POST + b"{}") == 503
        assert [everything(each) for each in (probing, sending, silent)] == [b"", b"", b""]


def test_the_door_ends_a_request_that_is_too_large_or_too_slow(tmp_path: Path) -> None:
    with door(tmp_path, SHORT) as server, contextlib.ExitStack() as opened:
        large, slow, slower = (opened.enter_context(connected(server)) for _ in range(3))
        large.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * SHORT.head_bytes)
        slow.sendall(b"GET / HT")
        slower.sendall(POST + b"{")
        for connection, status in ((large, 431), (slow, 408), (slower, 408)):
            is_refused(everything(connection), status)


def test_connections_to_platforms_end_with_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = clients(monkeypatch)
    settings = IngestSettings(data=tmp_path, port=0, internal_port=0, kafka="127.0.0.1:1")

    async def lives() -> None:
        ingest = app.build(settings, logging.getLogger("test"))
        async with ingest.router.lifespan_context(ingest):
            pass

    asyncio.run(lives())
    assert len(made) > len(CAPABILITIES)
    assert [each for each in made if not each.is_closed] == []


def test_after_an_error_that_nobody_foresaw_the_next_request_on_the_connection_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any) -> Any:
        raise RuntimeError("oops")

    with door(tmp_path, Limits()) as server, connected(server) as connection:
        with monkeypatch.context() as patched:
            patched.setattr(Door, "_received", fails)
            assert status_of(connection, POST + b"{}") == 500
        assert status_of(connection, POST + b"{}") == 503
        assert status_of(connection, HEALTHZ) == 200


@pytest.mark.parametrize(("trusted", "held"), [("", "127.0.0.1"), ("127.0.0.0/8", "203.0.113.9")])
def test_bodies_are_held_for_the_sender_and_not_for_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: str, held: str
) -> None:
    found: list[str] = []

    async def take(self: Door, _request: Any, _body: bytes) -> list[str]:
        found.extend(self._bodies._held)
        return []

    monkeypatch.setattr(Door, "_take", take)
    with door(tmp_path, Limits(), trusted) as server, connected(server) as connection:
        request = POST.replace(b"Host: a", b"Host: a\r\nX-Forwarded-For: 203.0.113.9")
        connection.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + b"{}")
        assert json.loads(everything(connection).partition(b"\r\n\r\n")[2]) == {"accepted": []}
    assert found == [held]
