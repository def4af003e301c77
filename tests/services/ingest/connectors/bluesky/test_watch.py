"""`rapport watch`, with a local Jetstream and a local directory of handles in the place of the public ones."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from rich.console import Console

from services.ingest.connectors.bluesky.watch import watch
from tests.services.ingest.jetstream import Jetstream, commit

NOW = 1_795_818_785_000_000
"""Microseconds, as the stream tells its times: in November 2026."""
ACME, FAN = "did:plc:acme", "did:plc:fan"
HANDLES = {"acme.example": ACME, "fan.example": FAN}
POST = "app.bsky.feed.post"


class _Directory(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        found: dict[str, Any] | None = None
        if asked.path.endswith("resolveHandle") and query["handle"] in HANDLES:
            found = {"did": HANDLES[query["handle"]]}
        if asked.path.endswith("getProfile"):
            found = {"handle": next((handle for handle, did in HANDLES.items() if did == query["actor"]), None)}
        body = json.dumps(found or {"error": "InvalidRequest", "message": "Unable to resolve handle"}).encode()
        self.send_response(200 if found else 400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def directory() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Directory)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def jetstream() -> Iterator[Jetstream]:
    with Jetstream() as peer:
        yield peer


def seen(jetstream: Jetstream, directory: str, *events: dict[str, Any], limit: int, as_json: bool = False) -> str:
    """What is printed of these events."""
    shown = StringIO()

    def play() -> None:
        jetstream.connected.wait(20)
        for number, event in enumerate(events):
            jetstream.send(number, event)

    player = threading.Thread(target=play)
    player.start()
    code = watch(
        "@acme.example",
        jetstream.address,
        directory=directory,
        as_json=as_json,
        limit=limit,
        console=Console(file=shown, highlight=False, soft_wrap=True),
    )
    player.join()
    assert code == 0
    return shown.getvalue()


def comment(text: str, rkey: str = "c1") -> dict[str, Any]:
    parent = {"uri": f"at://{ACME}/{POST}/p1", "cid": "c"}
    record = {"text": text, "createdAt": "2026-11-23T10:00:00Z", "reply": {"root": parent, "parent": parent}}
    return commit(FAN, NOW + 1, POST, rkey, record)


def test_interactions_are_lines_with_who_and_what(jetstream: Jetstream, directory: str) -> None:
    like = {"subject": {"uri": f"at://{ACME}/{POST}/p1", "cid": "c"}, "createdAt": "2026-11-23T10:00:00Z"}
    shown = seen(
        jetstream,
        directory,
        commit("did:plc:stranger", NOW + 1, POST, "x", {"text": "not about the brand"}),
        comment("When do you open?"),
        commit(FAN, NOW + 2, "app.bsky.feed.like", "l1", like),
        commit(FAN, NOW + 3, "app.bsky.feed.like", "l1", operation="delete"),
        limit=3,
    )
    told = shown.splitlines()
    assert "watching acme.example" in told[0]
    assert "comment   @fan.example: When do you open?" in told[1]
    assert f"https://bsky.app/profile/{FAN}/post/c1" in told[1]
    assert "reaction" in told[2]
    assert "undo reaction" in told[3]
    assert len(told) == 4


def test_as_json_each_line_is_an_interaction(jetstream: Jetstream, directory: str) -> None:
    [line] = seen(jetstream, directory, comment("Hi"), limit=1, as_json=True).splitlines()
    assert json.loads(line)["text"] == "Hi"


def test_hostile_text_cannot_steer_the_terminal(jetstream: Jetstream, directory: str) -> None:
    shown = seen(jetstream, directory, comment("\x1b[2J[bold red]\x07\n\u202eevil" + "x" * 500), limit=1)
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    assert "[bold red]" in shown
    assert len(shown.splitlines()[-1]) < 300


def test_an_unknown_handle_is_said(directory: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert watch("nobody.example", "ws://127.0.0.1:1", directory=directory) == 1
    assert "no Bluesky account 'nobody.example'" in capsys.readouterr().err


def test_no_internet_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert watch("acme.example", directory="http://127.0.0.1:1") == 1
    assert "cannot be reached" in capsys.readouterr().err


def test_no_stream_is_said(directory: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert watch("acme.example", "ws://127.0.0.1:1", directory=directory) == 1
    assert "no stream can be read (127.0.0.1:1" in capsys.readouterr().err


def test_an_address_that_is_none_is_said(directory: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert watch("acme.example", "jetstream.example", directory=directory) == 1
    assert "such as wss://host" in capsys.readouterr().err
