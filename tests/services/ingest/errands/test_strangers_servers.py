"""Who comments on Bluesky chooses the server that has the comment, and what that server says of it."""

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rapport.contracts.events import Account
from rapport.demo.vendors.serving import LocalServer
from rapport.kit.http.outgoing import Guard
from services.ingest.connectors.bluesky import speaker as bluesky
from services.ingest.connectors.bluesky.settings import BlueskySettings
from services.ingest.connectors.connector import Shared
from services.ingest.errands.speaker import Speaker
from services.ingest.polling.api import AttentionError, AwayError, RefusedError
from tests.services.ingest.errands.asking import errand

pytestmark = pytest.mark.anyio

BRAND, ADA = "did:plc:roastery", "did:plc:ada"
POST = f"at://{BRAND}/app.bsky.feed.post/3kpost"
COMMENT = f"at://{ADA}/app.bsky.feed.post/3kcomment"
WORSE = "at://did:plc:worse/app.bsky.feed.post/3kworse"
CID = "bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a"


@dataclass
class Servers:
    """The brand's own server, and Ada's, which is the directory as well."""

    own: LocalServer
    theirs: LocalServer
    written: list[dict[str, Any]]
    answer: list[Response] = field(default_factory=list)
    """What Ada's server answers to whoever asks for the comment."""
    session: list[Response] = field(default_factory=list)
    """What the brand's server answers to whoever logs in."""
    asked: list[str] = field(default_factory=list)

    def speaker(self, folder: Path) -> Speaker:
        account = Account(
            id="account", platform="bluesky", handle="roastery.example", connected_at=datetime.now(UTC),
            door_secrets=("secret",), connection={"did": BRAND, "service": self.own.address, "password": "p"},
        )  # fmt: skip
        shared = Shared(
            folder, cast("Any", None), lambda: datetime.now(UTC), logging.getLogger("test"), Guard(allow_private=True)
        )
        made = bluesky.speakers(BlueskySettings(port=0, plc_directory=self.theirs.address), shared)(account)
        assert made is not None
        return made


@pytest.fixture
def servers() -> Iterator[Servers]:
    found: list[Servers] = []

    async def own(request: Request) -> Response:
        if request.url.path.endswith("createSession"):
            return found[0].session.pop() if found[0].session else JSONResponse({"accessJwt": "jwt"})
        if request.url.path.endswith("getRecord"):
            return JSONResponse({"error": "ExpiredToken", "message": "Token has expired"}, 400)
        found[0].written.append(json.loads(await request.body()))
        return JSONResponse({"uri": "at://x", "cid": CID})

    async def theirs(request: Request) -> Response:
        found[0].asked.append(request.url.path)
        if request.url.path == f"/{ADA}":
            return JSONResponse({"service": [{"id": "#atproto_pds", "serviceEndpoint": found[0].theirs.address}]})
        return found[0].answer[0]

    def server(answer: Any) -> LocalServer:
        return LocalServer(Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])]))

    with ExitStack() as stack:
        found.append(Servers(stack.enter_context(server(own)), stack.enter_context(server(theirs)), []))
        yield found[0]


def comment(uri: str = COMMENT, cid: str = CID, root: dict[str, str] | None = None) -> Response:
    reply = {"root": root or {"uri": POST, "cid": CID}, "parent": {"uri": POST, "cid": CID}}
    return JSONResponse({"uri": uri, "cid": cid, "value": {"text": "Are you open?", "reply": reply}})


def asked(deed: str = "answer") -> Any:
    account = Account(
        id="account", platform="bluesky", handle="h", connected_at=datetime.now(UTC), door_secrets=("secret",)
    )
    return errand("brand", account, COMMENT, deed, thread=POST)


@pytest.mark.parametrize("deed", ["answer", "like"])
async def test_nothing_but_the_comment_is_answered_or_liked(tmp_path: Path, servers: Servers, deed: str) -> None:
    servers.answer.append(comment(uri=WORSE))
    await servers.speaker(tmp_path).do(asked(deed))
    (written,) = servers.written
    record = written["record"]
    about = record["reply"]["parent"] if deed == "answer" else record["subject"]
    assert about == {"uri": COMMENT, "cid": CID}
    assert deed == "like" or record["reply"]["root"] == {"uri": POST, "cid": CID}
    assert WORSE not in json.dumps(written)


@pytest.mark.parametrize(
    "said",
    [
        comment(root={"uri": WORSE, "cid": CID}),
        comment(root={"uri": POST, "cid": "x" * 100_000}),
        comment(cid="x" * 100_000),
        comment(cid=""),
    ],
    ids=["another thread", "a root that is none", "a content id that is none", "no content id"],
)
async def test_a_comment_that_is_told_otherwise_is_not_answered(
    tmp_path: Path, servers: Servers, said: Response
) -> None:
    servers.answer.append(said)
    with pytest.raises(RefusedError):
        await servers.speaker(tmp_path).do(asked())
    assert servers.written == []


@pytest.mark.parametrize(
    "said",
    [
        JSONResponse({"error": "AuthenticationRequired"}, 401),
        JSONResponse({"error": "AuthFactorTokenRequired"}, 403),
        JSONResponse({"error": "ExpiredToken"}, 400),
        JSONResponse({"error": "InternalServerError"}, 500),
        JSONResponse({"error": "RateLimitExceeded"}, 429, {"Retry-After": "3600"}),
        Response(b"<html>", 200),
        Response(b"", 302, {"Location": "http://127.0.0.1/inside"}),
    ],
    ids=["wants a login", "wants a code", "session", "fails", "limits", "no JSON", "leads elsewhere"],
)
async def test_what_is_wrong_with_their_server_is_said_of_their_server(
    tmp_path: Path, servers: Servers, said: Response
) -> None:
    """Whoever reads that the brand's own password is wrong makes a new one, for nothing."""
    servers.answer.append(said)
    with pytest.raises(AttentionError, match="the server of who wrote the comment"):
        await servers.speaker(tmp_path).do(asked())
    assert servers.written == []


async def test_a_login_that_is_refused_with_odd_words_is_told(tmp_path: Path, servers: Servers) -> None:
    servers.answer.append(comment())
    servers.session.append(JSONResponse({"error": "ExpiredToken"}, 400))
    with pytest.raises(AttentionError, match="app password"):
        await servers.speaker(tmp_path).do(asked())


async def test_a_server_that_hides_what_everybody_may_read_leaves_it_unknown(tmp_path: Path, servers: Servers) -> None:
    with pytest.raises(AwayError, match="wants a session"):
        await servers.speaker(tmp_path).find(asked())
