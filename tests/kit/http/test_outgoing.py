"""Calls to addresses that somebody else chose, with real peers that would like more than they are given."""

import ast
import asyncio
import ipaddress
import logging
import socket
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import WebSocketException
from websockets.http11 import Request, Response

from rapport.kit.http import websocket
from rapport.kit.http.addresses import Address
from rapport.kit.http.outgoing import Guard, GuardedHttp, NoPublicAddressError, RefusedAddressError, described


class Peer:
    """An HTTP server on this machine that notes the paths and hosts it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                peer.asked.append((self.path, self.headers["Host"]))
                if self.path == "/elsewhere":
                    self.send_response(HTTPStatus.FOUND)
                    self.send_header("Location", f"http://127.0.0.1:{peer.port}/secret")
                    self.end_headers()
                    return
                self.send_response(HTTPStatus.OK)
                self.end_headers()
                for _ in count() if self.path == "/endless" else range(1):
                    try:
                        self.wfile.write(b"x" * 1000)
                    except OSError:
                        return

            def log_message(self, format: str, *args: object) -> None:
                """The tests say what matters."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A caller that hung up."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    found = Peer()
    yield found
    found.close()


def got(url: str, *, allow_private: bool, largest: int = 0, timeout: float = 10) -> tuple[int, httpx.Headers, bytes]:
    async def lookup(host: str, port: int) -> list[Address]:
        return [ipaddress.ip_address("127.0.0.1")]

    async def get() -> tuple[int, httpx.Headers, bytes]:
        async with GuardedHttp(Guard(allow_private=allow_private, lookup=lookup), timeout=timeout) as http:
            return await http.send("GET", url, {}, largest=largest)

    return asyncio.run(get())


def test_a_redirect_is_not_followed(peer: Peer) -> None:
    status, _, _ = got(f"http://shop.example:{peer.port}/elsewhere", allow_private=True)
    assert status == HTTPStatus.FOUND
    assert peer.asked == [("/elsewhere", f"shop.example:{peer.port}")]


def test_a_proxy_of_the_environment_is_not_used(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert got(f"http://127.0.0.1:{peer.port}/", allow_private=True)[0] == HTTPStatus.OK


def test_no_more_of_a_body_is_read_than_was_asked_for(peer: Peer) -> None:
    assert len(got(f"http://127.0.0.1:{peer.port}/endless", allow_private=True, largest=1500)[2]) == 1500
    assert got(f"http://127.0.0.1:{peer.port}/endless", allow_private=True)[2] == b""


HERE, NOBODY = ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("127.0.0.77")


def at_both(*found: Address) -> Guard:
    """Looks every name up as these."""

    async def lookup(host: str, port: int) -> list[Address]:
        return list(found)

    return Guard(allow_private=True, lookup=lookup)


def test_where_nobody_listens_at_the_first_address_of_a_name_the_next_is_called(peer: Peer) -> None:
    async def get(*addresses: Address) -> int:
        async with GuardedHttp(at_both(*addresses), timeout=20) as http:
            return (await http.send("GET", f"http://hook.example:{peer.port}/x", {}))[0]

    assert asyncio.run(get(NOBODY, NOBODY, HERE)) == 200
    assert peer.asked == [("/x", f"hook.example:{peer.port}")]
    with pytest.raises(httpx.ConnectError):
        asyncio.run(get(NOBODY, NOBODY))


def test_a_stream_too_is_opened_where_somebody_listens(stream: tuple[int, list[str]]) -> None:
    async def hear(*addresses: Address) -> str | bytes:
        async with websocket.connected(at_both(*addresses), f"ws://stream.example:{stream[0]}/") as connection:
            return await connection.recv()

    assert asyncio.run(hear(NOBODY, HERE)) == "hello"
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(hear(NOBODY, NOBODY))


def test_all_addresses_of_a_stream_share_the_time_to_open_it() -> None:
    async def hear(port: int) -> None:
        here = ipaddress.ip_address("127.0.0.1")
        async with websocket.connected(at_both(*[here] * 4), f"ws://stream.example:{port}/", open_timeout=2.0):
            raise AssertionError("nobody says anything there")

    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            asyncio.run(hear(silent.getsockname()[1]))
        assert time.monotonic() - began < 7, "four times as long"


def test_what_failed_is_told_without_where_and_logged_with_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(NoPublicAddressError) as raised:
        got("https://db.agency.example/", allow_private=False)
    assert "127.0.0.1" not in described(raised.value)
    assert "db.agency.example leads to 127.0.0.1" in caplog.text
    with pytest.raises(httpx.HTTPError) as refused:
        got("http://127.0.0.1:1/", allow_private=True)
    assert described(refused.value) == "no connection"


def opened(url: str, *, allow_private: bool) -> str | bytes:
    async def read() -> str | bytes:
        async with websocket.connected(Guard(allow_private=allow_private), url, open_timeout=10) as connection:
            return await connection.recv()

    return asyncio.run(read())


@pytest.fixture
def stream() -> Iterator[tuple[int, list[str]]]:
    """A WebSocket server: `/elsewhere` redirects to itself, any other path says hello. Its port, and what was asked."""
    asked: list[str] = []
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    def decide(connection: ServerConnection, request: Request) -> Response | None:
        asked.append(request.path)
        if request.path != "/elsewhere":
            return None
        answer = connection.respond(HTTPStatus.FOUND, "")
        answer.headers["Location"] = f"ws://127.0.0.1:{port}/secret"
        return answer

    async def hello(connection: ServerConnection) -> None:
        await connection.send("hello")

    async def start() -> Server:
        return await serve(hello, "127.0.0.1", 0, process_request=decide)

    async def end() -> None:
        server.close()
        await server.wait_closed()

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(20)
    port = int(next(iter(server.sockets)).getsockname()[1])
    yield port, asked
    asyncio.run_coroutine_threadsafe(end(), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)


def test_a_stream_is_not_redirected_either(stream: tuple[int, list[str]]) -> None:
    port, asked = stream
    assert opened(f"ws://127.0.0.1:{port}/", allow_private=True) == "hello"
    with pytest.raises(WebSocketException):
        opened(f"ws://127.0.0.1:{port}/elsewhere", allow_private=True)
    assert asked == ["/", "/elsewhere"]


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_stream_inside_is_refused(stream: tuple[int, list[str]], scheme: str) -> None:
    port, asked = stream
    with pytest.raises(RefusedAddressError):
        opened(f"{scheme}://127.0.0.1:{port}/", allow_private=False)
    assert asked == []


OWN_CALLS = {
    "services/ingest/connectors/bluesky/watch.py": "the addresses are Bluesky's, or given on the command line",
    "services/ingest/connectors/bluesky/names/handles.py": "the PLC directory is a setting of the installation",
    "services/imports/sending.py": "a command; the door's address is the installation's, or given by the operator",
    "services/doctor/processes.py": "the addresses are the installation's own, given by the operator",
    "rapport/kit/http/outgoing.py": "the guard",
    "rapport/kit/http/websocket.py": "the guard",
    "services/notifier/channels/mail.py": "the mail server is a setting of the installation",
}
CALLS = {"AsyncClient", "Client", "urlopen", "create_connection", "open_connection", "connect", "SMTP", "SMTP_SSL"}
MODULES = {"httpx", "websockets", "urllib", "http", "smtplib", "requests", "aiohttp", "socket"}


def test_nothing_that_runs_as_a_service_calls_out_past_the_guard() -> None:
    """Whatever has a way out is listed with its reason, so that a new one is thought about."""
    root = Path(__file__).parents[3]
    found = set()
    for path in [*(root / "services").rglob("*.py"), *(root / "rapport" / "kit").rglob("*.py")]:
        nodes = list(ast.walk(ast.parse(path.read_text())))
        imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
        called = {
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            for node in nodes
            if isinstance(node, ast.Call)
        }
        if called & CALLS and {name.partition(".")[0] for name in imported} & MODULES:
            found.add(str(path.relative_to(root)))
    assert found - set(OWN_CALLS) == set(), "calls out without the guard of rapport.kit.http.outgoing"


def test_no_service_allows_private_addresses_by_itself() -> None:
    """Only the setting does: everything that takes `allow_private` is given it."""
    root = Path(__file__).parents[3] / "services"
    given = {
        f"{path.relative_to(root)}: {ast.unparse(each.value)}"
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        for each in node.keywords
        if each.arg == "allow_private"
    }
    assert len(given) > 4
    assert {each.split(": ")[1] for each in given} == {"settings.allow_private", "allow_private"}, sorted(given)
