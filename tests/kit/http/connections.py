"""Connections to a real server, byte by byte."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from rapport.kit.http.serving import Limits, Server
from tests.waiting import until

QUICK = Limits(
    head_bytes=32 * 1024, head_within=0.5, body_within=0.5, idle=0.5, write_within=0.5, linger=0.5, connections=20
)
SHORT = replace(QUICK, head_within=3, body_within=3, idle=3)
"""For real applications, whose first answer takes longer."""
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """The server, listening, without what its application starts. Nothing but our own limits ends its connections."""
    server.config.lifespan = "off"
    server.config.timeout_keep_alive = 3600
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started, "the server listens")
    try:
        yield server
    finally:
        server.should_exit = True
        thread.join(20)


def clients(monkeypatch: pytest.MonkeyPatch) -> list[httpx.AsyncClient]:
    """The clients that are made from now on."""
    made: list[httpx.AsyncClient] = []
    begin = httpx.AsyncClient.__init__

    def noted(self: httpx.AsyncClient, *its: Any, **more: Any) -> None:
        begin(self, *its, **more)
        made.append(self)

    monkeypatch.setattr(httpx.AsyncClient, "__init__", noted)
    return made


def connected(server: Server) -> socket.socket:
    """A connection to it, on which nothing may take longer than 20 s."""
    return socket.create_connection(server.servers[0].sockets[0].getsockname(), timeout=20)


def everything(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            said += part
    return said


def status_of(connection: socket.socket, request: bytes) -> int:
    """The status of the answer to a whole request, which leaves the connection open."""
    connection.sendall(request)
    said = b""
    while not _is_whole(said):
        part = connection.recv(65536)
        assert part, said
        said += part
    return int(said.split(b" ", 2)[1])


def _is_whole(said: bytes) -> bool:
    head, end, body = said.partition(b"\r\n\r\n")
    if not end:
        return False
    lengths = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return len(body) == int(lengths[0]) if lengths else body.endswith(b"0\r\n\r\n")


def is_refused(said: bytes, status: int) -> None:
    """The connection was closed after a problem document."""
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), said[:200]
    assert b"connection: close" in head.lower()
    assert json.loads(body)["status"] == status
