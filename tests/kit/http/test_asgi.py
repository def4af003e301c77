"""Bodies within bounds, and errors that nobody has foreseen, behind a real server."""

import asyncio
import http.client
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from rapport.kit.http.asgi import Bodies, Caught, FullError, TooLargeError
from rapport.kit.http.serving import Server
from tests.waiting import until

held = Bodies(most=3000, most_of_one=2000)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Says how long the body was. /fails fails before it says anything, /breaks in the middle of it."""
    if scope["path"] == "/fails":
        raise RuntimeError("oops")
    status = 200
    try:
        async with held.whole(scope, receive, 1000) as body:
            said = str(len(body)).encode()
    except TooLargeError:
        status, said = 413, b"too large"
    except FullError:
        status, said = 503, b"full"
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": said, "more_body": True})
    if scope["path"] == "/breaks":
        raise RuntimeError("oops")
    await send({"type": "http.response.body"})


async def failed(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


@pytest.fixture
def connection() -> Iterator[http.client.HTTPConnection]:
    server = Server(Caught(app, lambda _scope, _error: failed), host="127.0.0.1", port=0, graceful=1)
    server.config.lifespan = "off"
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started, "the server listens")
    host, port = server.servers[0].sockets[0].getsockname()
    found = http.client.HTTPConnection(host, port, timeout=20)
    yield found
    found.close()
    server.should_exit = True
    thread.join(20)


def post(connection: http.client.HTTPConnection, path: str, body: Any = b"") -> tuple[int, bytes]:
    connection.request("POST", path, body)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_the_connection_goes_on_after_an_error(connection: http.client.HTTPConnection) -> None:
    assert post(connection, "/", b"abc") == (200, b"3")
    first = connection.sock
    for _ in range(3):
        assert post(connection, "/fails", b"abc") == (500, b"")
        assert post(connection, "/", b"abc") == (200, b"3")
    assert connection.sock is first


def test_half_an_answer_is_not_taken_for_a_whole_one(connection: http.client.HTTPConnection) -> None:
    with pytest.raises(http.client.IncompleteRead):
        post(connection, "/breaks")


def test_a_body_has_a_size_also_where_it_does_not_say_so(connection: http.client.HTTPConnection) -> None:
    assert post(connection, "/", b"a" * 1000) == (200, b"1000")
    assert post(connection, "/", b"a" * 1001) == (413, b"too large")
    assert post(connection, "/", (b"a" * 100 for _ in range(11))) == (413, b"too large")
    assert post(connection, "/", b"a") == (200, b"1")


def test_what_is_held_at_once_is_bounded_for_each_address_and_for_all_and_given_back(
    connection: http.client.HTTPConnection,
) -> None:
    held._hold("other", 2000)
    assert post(connection, "/", b"a" * 1000) == (200, b"1000")
    held._hold("another", 500)
    assert post(connection, "/", b"a" * 1000) == (503, b"full")
    held._release("another", 500)
    held._release("other", 2000)
    held._hold("127.0.0.1", 1500)
    assert post(connection, "/", b"a" * 1000) == (503, b"full")
    held._release("127.0.0.1", 1500)
    assert post(connection, "/", b"a" * 1000) == (200, b"1000")
    assert not held._held


def test_a_body_without_an_end_is_not_read_for_ever() -> None:
    parts = 0

    async def receive() -> dict[str, Any]:
        nonlocal parts
        parts += 1
        assert parts < 100, "it is still being read"
        return {"type": "http.request", "body": b"x" * (1 << 20), "more_body": True}

    async def read() -> None:
        async with Bodies().whole({"headers": [], "client": ("127.0.0.1", 1)}, receive, 1000):
            pass

    with pytest.raises(TooLargeError) as raised:
        asyncio.run(read())
    assert raised.value.hang_up
