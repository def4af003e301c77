"""What one connection may cost, on real sockets: the server that API, portal and door share."""

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from rapport.kit.http.serving import Limits, Server
from tests.kit.http.connections import GET, QUICK, connected, everything, is_refused, running, status_of
from tests.waiting import until

pytestmark = pytest.mark.slow

MEBIBYTE = 1 << 20
LONG = 600.0
"""Seconds: longer than any test."""
SECURITY = Path(__file__).parents[3] / "docs/security.md"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Reads a body, if there is one, and answers; /large with 32 MiB, /rest with 60 KiB, and /early reads nothing."""
    if scope["type"] != "http":
        return
    more = scope["path"] != "/early"
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(32 if scope["path"] == "/large" else 0):
        await send({"type": "http.response.body", "body": b"x" * MEBIBYTE, "more_body": True})
    if scope["path"] == "/rest":
        await send({"type": "http.response.body", "body": b"x" * 60 * 1024, "more_body": True})
    await send({"type": "http.response.body", "body": scope["client"][0].encode()})


def served(limits: Limits, trusted: tuple[str, ...] = ()) -> AbstractContextManager[Server]:
    return running(Server(app, host="127.0.0.1", port=0, trusted_proxies=trusted, graceful=1, limits=limits))


@pytest.fixture
def quick() -> Iterator[Callable[[], socket.socket]]:
    """Opens a connection to a server that is in a hurry."""
    with served(QUICK) as server, contextlib.ExitStack() as opened:
        yield lambda: opened.enter_context(connected(server))


def answered(connection: socket.socket, request: bytes = GET) -> bool:
    """Whether a whole request is answered with 200, and the connection left open."""
    return status_of(connection, request) == 200


def hung_up(connection: socket.socket) -> bool:
    """Whether the other side takes nothing more."""
    try:
        connection.sendall(b"x")
    except ConnectionError:
        return True
    return False


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
    with served(replace(QUICK, body_within=LONG)) as server, connected(server) as trailers:
        trailers.sendall(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 30_000
        )
        is_refused(everything(trailers), 431)


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


def trickles(connection: socket.socket, part: bytes) -> None:
    """Sends parts, each in time by itself, until there is an answer to them."""

    def answers() -> bool:
        with contextlib.suppress(ConnectionError):
            connection.sendall(part)
        return bool(select.select([connection], [], [], QUICK.head_within / 5)[0])

    until(answers, "the server to end it", 20)


def test_headers_that_trickle_in_are_ended(quick: Callable[[], socket.socket]) -> None:
    connection = quick()
    connection.sendall(b"GET / HTTP/1.1\r\n")
    trickles(connection, b"a: b\r\n")
    is_refused(everything(connection), 408)


def test_a_body_that_trickles_in_is_ended_and_so_is_its_connection(quick: Callable[[], socket.socket]) -> None:
    for framing, part in ((b"Content-Length: 1000", b"x"), (b"Transfer-Encoding: chunked", b"1\r\nx\r\n")):
        connection = quick()
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n")
        trickles(connection, part)
        is_refused(everything(connection), 408)


def test_who_says_nothing_is_hung_up_on_before_and_after_a_request(quick: Callable[[], socket.socket]) -> None:
    assert everything(quick()) == b""
    blank_lines = quick()
    blank_lines.sendall(b"\r\n\r\n")
    assert everything(blank_lines) == b""
    used = quick()
    assert answered(used)
    assert everything(used) == b""


def test_who_begins_a_request_after_another_or_during_its_answer_has_to_end_it() -> None:
    with served(replace(QUICK, head_within=2, idle=LONG)) as server, contextlib.ExitStack() as opened:
        after, blank_line, during = (opened.enter_context(connected(server)) for _ in range(3))
        during.sendall(GET + b"GET / HT")
        assert answered(after)
        after.sendall(b"GET / HT")
        assert answered(blank_line)
        blank_line.sendall(b"\r\n")
        is_refused(everything(after), 408)
        assert everything(blank_line) == b""
        first, _, second = everything(during).partition(b"0\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 200 ")
        is_refused(second, 408)


def test_a_body_may_end_after_its_answer_and_then_the_connection_may_not_idle() -> None:
    early = b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
    limits = replace(QUICK, head_within=LONG, body_within=LONG, idle=0.2)
    with served(limits) as server, connected(server) as connection, connected(server) as idle:
        assert answered(connection, early)
        time.sleep(0.6)  # longer than a connection may idle, which this one does not: its request goes on
        assert answered(connection, b"abc" + GET)
        assert answered(idle, early)
        idle.sendall(b"abc")
        assert everything(idle) == b""


def test_who_does_not_read_the_answer_is_hung_up_on(quick: Callable[[], socket.socket]) -> None:
    connection = quick()
    connection.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    time.sleep(4 * QUICK.write_within)
    assert len(everything(connection)) < 32 * MEBIBYTE


@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"])
def test_who_leaves_the_end_of_an_answer_unread_is_hung_up_on(more: bytes) -> None:
    with served(QUICK) as server, socket.socket() as connection:
        # So little fits into the system's buffers that the end of the answer stays in ours.
        with socket.socket(fileno=os.dup(server.servers[0].sockets[0].fileno())) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(server.servers[0].sockets[0].getsockname())
        connection.sendall(b"GET /rest HTTP/1.1\r\nHost: a\r\n" + more + b"\r\n")
        until(lambda: server.server_state.total_requests == 1, "the answer to be given")
        until(lambda: not server.server_state.connections, "the connection to be ended", 20)


def test_who_was_refused_can_go_on_sending_neither_for_long_nor_much(quick: Callable[[], socket.socket]) -> None:
    connection = quick()
    connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
    is_refused(everything(connection), 400)
    until(lambda: hung_up(connection), "the server to hang up", 20)
    early = b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n"
    limits = replace(QUICK, linger=LONG, body_within=LONG, idle=LONG, discarded=64 * 1024)
    for begun in (b"\x16\x03\x01\x02\x00\x01\x00", early):
        with served(limits) as server, connected(server) as much:
            much.sendall(begun)
            with pytest.raises(ConnectionError):
                much.sendall(b"x" * 200 * MEBIBYTE)


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
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    ):
        for more in (b"", GET):
            connection = quick()
            connection.sendall(said + more)
            answer = everything(connection)
            is_refused(answer, 400)
            assert answer.count(b"HTTP/1.1") == 1


def test_the_limits_are_those_that_operators_are_told() -> None:
    its, told = Limits(), SECURITY.read_text()
    for line in (
        f"| request line and headers | {its.head_bytes // 1024} KiB (431), within {its.head_within:g} s (408) |",
        f"| a body | within {its.body_within:g} s (408) |",
        f"| silence between two requests | {its.idle:g} s |",
        f"| an answer that the client does not read | {its.write_within:g} s |",
        f"| connections of a process | {its.connections}, ",
    ):
        assert line in told


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
