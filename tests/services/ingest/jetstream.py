"""A Jetstream of our own: sends the documented frames to whoever connects, and notes how it was asked."""

import asyncio
import contextlib
import json
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

MICROSECONDS = 1_000_000
FIRST_TIME = 10**15
"""Version 2 takes lower cursors for sequence numbers."""
NEWER = "/xrpc/network.bsky.jetstream.subscribeEvents"


def commit(
    did: str,
    time_us: int,
    collection: str,
    rkey: str,
    record: dict[str, Any] | None = None,
    *,
    operation: str = "create",
    rev: str | None = None,
) -> dict[str, Any]:
    """A commit as version 1 documents it. A delete has neither record nor cid."""
    body: dict[str, Any] = {
        "rev": rev or f"rev{time_us}",
        "operation": operation,
        "collection": collection,
        "rkey": rkey,
    }
    if record is not None:
        body |= {"record": {"$type": collection, **record}, "cid": f"bafyrei{rkey}"}
    return {"did": did, "time_us": time_us, "kind": "commit", "commit": body}


def as_v2(event: dict[str, Any], seq: int) -> dict[str, Any]:
    """The same commit as version 2 documents it."""
    time = datetime.fromtimestamp(event["time_us"] / MICROSECONDS, UTC).isoformat()
    payload = {
        "$type": "network.bsky.jetstream.subscribeEvents#commit",
        "seq": seq,
        "did": event["did"],
        "time": time,
        "witnessedAt": time,
        **event["commit"],
    }
    return {"$type": "message", "payload": payload}


class Jetstream:
    """Keeps what was sent, and replays from `cursor` (inclusive), as the real one does. From `with` to its end.

    It speaks version 1, and with `newer` version 2 as well. What it keeps is in one of them, as a test sends it.
    """

    def __init__(self, *, newer: bool = False) -> None:
        self._paths = {"/subscribe", NEWER} if newer else {"/subscribe"}
        self.refused: list[str] = []
        self.status = 404
        """How it refuses."""
        self.queries: list[dict[str, list[str]]] = []
        self.paths: list[str] = []
        self.connected = threading.Event()
        self._events: list[tuple[int, str]] = []
        self._loop = asyncio.new_event_loop()
        self._server: Server | None = None
        self.address = ""

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._await(self._serve())
        port = next(iter(self._server.sockets)).getsockname()[1]
        self.address = f"ws://127.0.0.1:{port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def send(self, at: int, frame: dict[str, Any] | str) -> None:
        """Sends a frame to all who are connected, and keeps it at this time for those who come later."""
        self._await(self._send(at, frame if isinstance(frame, str) else json.dumps(frame)))

    def hang_up(self) -> None:
        """Ends every connection and takes no other."""
        if self._server is not None:
            self._await(self._close(self._server))
            self._server = None

    def drop(self) -> None:
        """Ends every connection, and takes others."""
        self._await(self._drop())

    def open(self) -> list[ServerConnection]:
        """The connections that there are now."""
        return [] if self._server is None else list(self._server.connections)

    def cursors(self) -> list[int | None]:
        """The cursor of each connection so far."""
        return [int(query["cursor"][0]) if "cursor" in query else None for query in self.queries]

    async def _serve(self) -> Server:
        return await serve(
            self._connected, "127.0.0.1", 0, subprotocols=[Subprotocol("xrpc.v1.json")],
            select_subprotocol=_first, process_request=self._asked,
        )  # fmt: skip

    def _asked(self, connection: ServerConnection, request: Request) -> Response | None:
        path = urlsplit(request.path).path
        if path in self._paths:
            return None
        self.refused.append(path)
        return connection.respond(self.status, "no\n")

    async def _connected(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        asked = urlsplit(connection.request.path)
        query = parse_qs(asked.query)
        cursor = int(query["cursor"][0]) if "cursor" in query else None
        numbered = asked.path == NEWER and cursor is not None and cursor < FIRST_TIME
        places = [(_seq(raw) if numbered else at, raw) for at, raw in self._events]
        kept = [] if cursor is None else [raw for place, raw in places if place >= cursor]
        if numbered and not kept:
            info = {"$type": f"{NEWER[6:]}#info", "name": "FutureCursor", "message": f"{cursor} is not reached"}
            kept = [json.dumps({"$type": "message", "payload": info})]
        for raw in kept:
            await connection.send(raw)
        self.paths.append(asked.path)
        self.queries.append(query)
        self.connected.set()
        with contextlib.suppress(asyncio.CancelledError):
            await connection.wait_closed()

    async def _send(self, at: int, raw: str) -> None:
        self._events.append((at, raw))
        assert self._server is not None
        broadcast(self._server.connections, raw)

    async def _drop(self) -> None:
        assert self._server is not None
        for connection in list(self._server.connections):
            await connection.close()

    async def _close(self, server: Server) -> None:
        server.close()
        await server.wait_closed()

    def _await(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)


def _seq(raw: str) -> int:
    return int(json.loads(raw)["payload"].get("seq", 0))


def _first(connection: ServerConnection, offered: Any) -> Subprotocol | None:
    return next(iter(offered), None)
