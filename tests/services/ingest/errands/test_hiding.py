"""Hiding a reply on Bluesky: what the account's own server is asked, and what people change there meanwhile stays."""

import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rapport.contracts.errands import Errand
from rapport.contracts.events import Account
from rapport.demo.vendors.serving import LocalServer
from rapport.kit.http.outgoing import Guard
from services.ingest.connectors.bluesky import speaker as bluesky
from services.ingest.connectors.bluesky.frames import THREADGATE
from services.ingest.connectors.bluesky.gates import FULL, ODD
from services.ingest.connectors.bluesky.records import MOST_HIDDEN
from services.ingest.connectors.bluesky.settings import BlueskySettings
from services.ingest.connectors.connector import Shared
from services.ingest.errands.speaker import Speaker
from services.ingest.polling.api import AttentionError, AwayError, RefusedError
from tests.services.ingest.errands.asking import errand

pytestmark = pytest.mark.anyio

BRAND, ADA = "did:plc:roastery", "did:plc:ada"
POST, COMMENT = f"at://{BRAND}/app.bsky.feed.post/3kpost", f"at://{ADA}/app.bsky.feed.post/3kcomment"
OTHERS = f"at://{ADA}/app.bsky.feed.post/3kother"
GATE: dict[str, Any] = {
    "$type": THREADGATE, "post": POST, "createdAt": "2026-01-01T00:00:00.000Z", "allow": [], "later": {"than": "this"},
}  # fmt: skip


@dataclass
class Server:
    """The account's own server: it has one gate, and replaces it only for who knows the newest."""

    gate: dict[str, Any] | None = None
    cid: int = 1
    meanwhile: list[str] = field(default_factory=list)
    """What somebody else hides, one each time that the gate has been read."""
    read: list[Response] = field(default_factory=list)
    """What it answers, the last first, to whoever reads the gate."""
    written: list[dict[str, Any]] = field(default_factory=list)
    sessions: int = 0
    ends: int = 0
    """How many of the next requests find their session ended."""

    def replace(self, gate: dict[str, Any]) -> None:
        self.gate, self.cid = gate, self.cid + 1

    def hidden(self) -> list[str]:
        assert self.gate is not None
        return cast("list[str]", self.gate["hiddenReplies"])

    async def answer(self, request: Request) -> Response:
        what = request.url.path.rpartition(".")[2]
        if what == "createSession":
            self.sessions += 1
            return JSONResponse({"accessJwt": "jwt"})
        assert request.headers["Authorization"] == "Bearer jwt"
        if self.ends:
            self.ends -= 1
            return JSONResponse({"error": "ExpiredToken"}, 400)
        return self._get(request) if what == "getRecord" else self._put(json.loads(await request.body()))

    def _get(self, request: Request) -> Response:
        assert dict(request.query_params) == {"repo": BRAND, "collection": THREADGATE, "rkey": "3kpost"}
        if self.read:
            return self.read.pop()
        if self.gate is None:
            found: Response = JSONResponse({"error": "RecordNotFound", "message": "Could not locate record"}, 400)
        else:
            found = JSONResponse({"uri": "at://x", "cid": f"cid{self.cid}", "value": self.gate})
        if self.meanwhile:
            before = self.gate or GATE
            self.replace({**before, "hiddenReplies": [*before.get("hiddenReplies", []), self.meanwhile.pop()]})
        return found

    def _put(self, body: dict[str, Any]) -> Response:
        assert (body["repo"], body["collection"], body["rkey"]) == (BRAND, THREADGATE, "3kpost")
        if body["swapRecord"] != (None if self.gate is None else f"cid{self.cid}"):
            return JSONResponse({"error": "InvalidSwap", "message": f"Record was at cid{self.cid}"}, 400)
        self.written.append(body["record"])
        self.replace(body["record"])
        return JSONResponse({"uri": "at://x", "cid": f"cid{self.cid}"})


@contextmanager
def speaking(server: Server, folder: Path) -> Iterator[Speaker]:
    """What speaks for the account. Nobody else's server is there: whoever asked one would fail."""
    with LocalServer(Starlette(routes=[Route("/{path:path}", server.answer, methods=["GET", "POST"])])) as local:
        account = Account(
            id="account", platform="bluesky", handle="roastery.example", connected_at=datetime.now(UTC),
            door_secrets=("secret",), connection={"did": BRAND, "service": local.address, "password": "p"},
        )  # fmt: skip
        guard = Guard(allow_private=True)
        shared = Shared(folder, cast("Any", None), lambda: datetime.now(UTC), logging.getLogger("test"), guard)
        settings = BlueskySettings(port=0, plc_directory="http://127.0.0.1:1")
        made = bluesky.speakers(settings, shared)(account)
        assert made is not None
        yield made


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def speaker(server: Server, tmp_path: Path) -> AsyncIterator[Speaker]:
    with speaking(server, tmp_path) as made:
        yield made


def asked(deed: str = "hide", thread: str | None = POST, thing: str = COMMENT) -> Errand:
    account = Account(
        id="account", platform="bluesky", handle="h", connected_at=datetime.now(UTC), door_secrets=("secret",)
    )
    return errand("brand", account, thing, deed, thread=thread)


async def test_a_thread_without_a_gate_gets_one_and_the_same_again_changes_nothing(
    server: Server, speaker: Speaker
) -> None:
    one = asked()
    for _ in range(2):
        await speaker.do(one)
    at = one.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert server.written == [{"$type": THREADGATE, "post": POST, "createdAt": at, "hiddenReplies": [COMMENT]}]
    for _ in range(2):
        await speaker.do(asked("unhide"))
    assert server.written[1:] == [{**server.written[0], "hiddenReplies": []}]
    assert server.sessions == 1


async def test_nothing_is_written_to_show_what_no_gate_hides(server: Server, speaker: Speaker) -> None:
    await speaker.do(asked("unhide"))
    server.gate = GATE
    await speaker.do(asked("unhide"))
    assert server.written == []


async def test_all_else_in_a_gate_stays(server: Server, speaker: Speaker) -> None:
    server.gate = {**GATE, "hiddenReplies": [OTHERS]}
    await speaker.do(asked())
    assert server.gate == {**GATE, "hiddenReplies": [OTHERS, COMMENT]}
    await speaker.do(asked("unhide"))
    assert server.gate == {**GATE, "hiddenReplies": [OTHERS]}


@pytest.mark.parametrize("gate", [None, GATE], ids=["that made the gate", "that changed it"])
async def test_what_somebody_else_hides_at_the_same_time_is_not_lost(
    server: Server, speaker: Speaker, gate: dict[str, Any] | None
) -> None:
    server.gate, server.meanwhile = gate, [f"{OTHERS}2", f"{OTHERS}1"]
    await speaker.do(asked())
    assert server.hidden() == [f"{OTHERS}1", f"{OTHERS}2", COMMENT]
    assert len(server.written) == 1


async def test_what_somebody_else_has_hidden_meanwhile_is_done(server: Server, speaker: Speaker) -> None:
    server.gate, server.meanwhile = GATE, [COMMENT]
    await speaker.do(asked())
    assert (server.hidden(), server.written) == ([COMMENT], [])


async def test_a_gate_that_changes_all_the_time_is_tried_again_later(server: Server, speaker: Speaker) -> None:
    server.meanwhile = [f"{OTHERS}{number}" for number in range(50)]
    with pytest.raises(AwayError, match="somebody else"):
        await speaker.do(asked())
    assert server.written == []
    assert len(server.meanwhile) == 50 - bluesky.TRIES


@pytest.mark.parametrize(
    ("gate", "why"),
    [
        ({**GATE, "hiddenReplies": [f"{OTHERS}{number}" for number in range(MOST_HIDDEN)]}, FULL),
        ({**GATE, "post": OTHERS}, ODD),
        ({**GATE, "hiddenReplies": "all"}, ODD),
    ],
    ids=["full", "of another post", "of another shape"],
)
async def test_a_gate_that_cannot_hide_it_is_told(
    server: Server, speaker: Speaker, gate: dict[str, Any], why: str
) -> None:
    server.gate = gate
    with pytest.raises(RefusedError, match=why):
        await speaker.do(asked())
    assert server.written == []


@pytest.mark.parametrize(
    "thread",
    [OTHERS, None, "", "3kpost", f"at://{BRAND}x/app.bsky.feed.post/3kpost", f"at://{BRAND}/app.bsky.feed.like/3kpost"],
    ids=["somebody else's", "not known", "empty", "no address", "of one with a longer name", "no post"],
)
async def test_below_somebody_elses_post_nothing_is_hidden_and_nobody_is_asked(
    server: Server, speaker: Speaker, thread: str | None
) -> None:
    for deed in ("hide", "unhide"):
        with pytest.raises(RefusedError, match="below a post of somebody else"):
            await speaker.do(asked(deed, thread))
    assert (server.sessions, server.written) == (0, [])


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        (JSONResponse({"error": "RepoNotFound"}, 400), RefusedError),
        (JSONResponse({"error": "InvalidRequest", "message": "not today"}, 400), RefusedError),
        (JSONResponse({"error": "InternalServerError"}, 500), AwayError),
        (JSONResponse({"error": "AuthenticationRequired"}, 401), AttentionError),
        (JSONResponse({"uri": "at://x", "value": GATE}), AwayError),
        (JSONResponse({"uri": "at://x", "cid": "cid", "value": [GATE]}), AwayError),
        (Response(b"<html>"), AwayError),
    ],
    ids=["no such account", "refused", "fails", "wants a login", "no version", "no record", "no JSON"],
)
async def test_where_it_is_not_known_whether_there_is_a_gate_none_is_written(
    server: Server, speaker: Speaker, said: Response, trouble: type[Exception]
) -> None:
    for deed in ("hide", "unhide"):
        server.read.append(said)
        with pytest.raises(trouble):
            await speaker.do(asked(deed))
    assert server.written == []


async def test_a_session_that_ends_is_opened_again(server: Server, speaker: Speaker) -> None:
    await speaker.do(asked(thing=OTHERS))
    server.ends = 1
    await speaker.do(asked())
    assert (server.hidden(), server.sessions) == ([OTHERS, COMMENT], 2)
    server.ends = 2
    with pytest.raises(AttentionError, match="ends every session"):
        await speaker.do(asked("unhide"))
