"""What one connection may cost, on real sockets: the server that API, portal and door share."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psutil
import pytest

from rapport.kit.http.serving import Limits, Server
from tests.waiting import until

QUICK = Limits(
    head_bytes=32 * 1024, head_within=0.5, body_within=0.5, idle=0.5, write_within=0.5, linger=0.5, connections=20
)
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
MEBIBYTE = 1 << 20


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Reads a body, if there is one, and answers; /large does so with 32 MiB."""
    if scope["type"] != "http":
        return
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(32 if scope["path"] == "/large" else 0):
        await send({"type": "http.response.body", "body": b"x" * MEBIBYTE, "more_body": True})
    await send({"type": "http.response.body", "body": scope["client"][0].encode()})


@contextlib.contextmanager
def served(limits: Limits, trusted: tuple[str, ...] = ()) -> Iterator[Server]:
    server = Server(app, host="127.0.0.1", port=0, trusted_proxies=trusted, graceful=1, limits=limits)
    server.config.lifespan = "off"
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started, "the server listens")
    yield server
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def quick() -> Iterator[Callable[[], socket.socket]]:
    """Opens a connection to a server that is in a hurry."""
    with served(QUICK) as server, contextlib.ExitStack() as opened:
        yield lambda: opened.enter_context(connected(server))


def connected(server: Server) -> socket.socket:
    return socket.create_connection(server.servers[0].sockets[0].getsockname(), timeout=20)


def everything(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            said += part
    return said


def answered(connection: socket.socket, request: bytes = GET) -> bool:
    """Whether a whole request is answered with 200, and the connection left open."""
    connection.sendall(request)
    said = b""
    while not said.endswith(b"0\r\n\r\n"):
        part = connection.recv(65536)
        if not part:
            return False
        said += part
    return said.startswith(b"HTTP/1.1 200 ")


def is_refused(said: bytes, status: int) -> None:
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), said[:200]
    assert b"connection: close" in head.lower()
    assert json.loads(body)["status"] == status


def test_headers_have_a_size_wherever_they_grow(quick: Callable[[], socket.socket]) -> None:
    for head in (
        b"GET / HTTP/1.1\r\nX: " + b"x" * QUICK.head_bytes,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * QUICK.head_bytes,
        b"GET /" + b"x" * 2 * QUICK.head_bytes,
        b"GET / HTTP/1.1\r\n" + b"x" * 2 * QUICK.head_bytes,
    ):
        connection = quick()
        connection.sendall(head)
        is_refused(everything(connection), 431)
    trailers = quick()
    trailers.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 30_000)
    assert not everything(trailers).startswith(b"HTTP/1.1 200")


def test_headers_of_sixty_mebibytes_take_no_memory() -> None:
    with served(replace(Limits(), linger=5)) as server:
        process = psutil.Process()
        before, most = process.memory_info().rss, 0
        connection = connected(server)
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"GET / HTTP/1.1\r\n")
            line = b"x: " + b"y" * 60_000 + b"\r\n"
            for _ in range(1000):
                connection.sendall(line)
                most = max(most, process.memory_info().rss - before)
        assert most < 16 * MEBIBYTE
        assert answered(connected(server))


def test_headers_that_trickle_in_are_ended(quick: Callable[[], socket.socket]) -> None:
    connection = quick()
    with contextlib.suppress(ConnectionError):
        connection.sendall(b"GET / HTTP/1.1\r\n")
        began = time.monotonic()
        # Longer than is allowed for all of them, each in time by itself.
        while time.monotonic() - began < 3 * QUICK.head_within:
            connection.sendall(b"a: b\r\n")
            time.sleep(QUICK.head_within / 5)
    is_refused(everything(connection), 408)


def test_a_body_that_trickles_in_is_ended_and_so_is_its_connection(quick: Callable[[], socket.socket]) -> None:
    for framing in (b"Content-Length: 1000", b"Transfer-Encoding: chunked"):
        connection = quick()
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n")
            began = time.monotonic()
            while time.monotonic() - began < 3 * QUICK.body_within:
                connection.sendall(b"1\r\nx\r\n" if b"chunked" in framing else b"x")
                time.sleep(QUICK.body_within / 5)
        is_refused(everything(connection), 408)


def test_who_says_nothing_is_hung_up_on_before_and_after_a_request(quick: Callable[[], socket.socket]) -> None:
    assert everything(quick()) == b""
    blank_lines = quick()
    blank_lines.sendall(b"\r\n\r\n")
    assert everything(blank_lines) == b""
    used = quick()
    assert answered(used)
    assert everything(used) == b""


def test_who_does_not_read_the_answer_is_hung_up_on(quick: Callable[[], socket.socket]) -> None:
    connection = quick()
    connection.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    time.sleep(4 * QUICK.write_within)
    assert len(everything(connection)) < 32 * MEBIBYTE


def test_too_many_connections_end_the_one_that_waited_longest() -> None:
    limits = replace(Limits(), connections=20)
    with served(limits) as server, contextlib.ExitStack() as opened:
        first = opened.enter_context(connected(server))
        assert answered(first)
        crowd = [opened.enter_context(connected(server)) for _ in range(3 * limits.connections)]
        for each in crowd[::2]:
            with contextlib.suppress(ConnectionError):
                each.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        late = opened.enter_context(connected(server))
        assert answered(late)
        assert everything(first) == b""
        assert len(server.server_state.connections) <= limits.connections


def test_a_thousand_idle_connections_keep_nobody_out() -> None:
    with served(Limits(connections=200)) as server, contextlib.ExitStack() as opened:
        for _ in range(400):
            opened.enter_context(connected(server))
        assert answered(opened.enter_context(connected(server)))


def test_requests_that_are_sent_ahead_are_answered_in_order_but_not_by_the_thousand(
    quick: Callable[[], socket.socket],
) -> None:
    few = quick()
    few.sendall(GET * 5)
    assert everything(few).count(b"HTTP/1.1 200 ") == 5
    many = quick()
    with contextlib.suppress(ConnectionError):
        many.sendall(GET * 10_000)
    assert everything(many).count(b"HTTP/1.1 200 ") < 10_000


def test_what_is_not_http_is_refused_as_a_problem(quick: Callable[[], socket.socket]) -> None:
    for said in (
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n\r\n",
        b"{}\r\n\r\n",
    ):
        connection = quick()
        connection.sendall(said)
        is_refused(everything(connection), 400)


@pytest.mark.parametrize(
    ("trusted", "forwarded", "client"),
    [
        ((), "203.0.113.9", "127.0.0.1"),
        (("10.0.0.0/8",), "203.0.113.9", "127.0.0.1"),
        (("127.0.0.0/8",), "203.0.113.9", "203.0.113.9"),
        (("127.0.0.1",), "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (("127.0.0.1", "203.0.113.0/24"), "198.51.100.1, 203.0.113.9", "198.51.100.1"),
    ],
)
def test_a_visitors_address_is_believed_only_from_a_trusted_proxy(
    trusted: tuple[str, ...], forwarded: str, client: str
) -> None:
    with served(Limits(), trusted) as server, connected(server) as connection:
        request = f"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {forwarded}\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        assert f"\r\n{client}\r\n".encode() in everything(connection)
