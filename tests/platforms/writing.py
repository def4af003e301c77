"""Meta's, LinkedIn's and TikTok's interfaces on this machine, as far as something is written there: answers, hidings,
likes. They refuse, limit and fail in the vendors' own shapes.

Source: https://developers.facebook.com/docs/graph-api/guides/error-handling/,
https://developers.facebook.com/docs/instagram-platform/comment-moderation,
https://developers.facebook.com/docs/threads/reply-management,
https://learn.microsoft.com/linkedin/marketing/community-management/shares/comments-api,
https://business-api.tiktok.com/portal/docs?id=1762228496862209
"""

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from rapport.demo.vendors.serving import LocalServer


class Refusal(NamedTuple):
    """How something is refused: the status and the body."""

    status: int
    body: Any


@dataclass
class Said:
    """A comment, or an answer to one."""

    id: str
    to: str
    by: str
    text: str
    post: str = ""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def iso(self) -> str:
        """When it was written, as Meta writes it."""
        return self.at.strftime("%Y-%m-%dT%H:%M:%S+0000")


@dataclass
class Asked:
    """A request."""

    method: str
    path: str
    query: dict[str, str]
    sent: dict[str, Any] = field(default_factory=dict)


CONNECTED = "17841405793087218"
"""The id of the account at Meta."""


class Server(LocalServer):
    """Serves from `with` to its end. Its methods may be called from any thread."""

    EXPIRED: Refusal
    """What is said to a token that is good for nothing any more."""
    DENIED: Refusal
    """… to one that lacks a permission."""
    LIMITED: Refusal
    GONE: Refusal
    """… of a comment that is not there."""
    BAD: Refusal
    """… of a text that it does not take."""
    WORDS = "That text is not allowed here"

    def __init__(self) -> None:
        self.token = "the-token"
        self.said: list[Said] = []
        self.hidden: set[str] = set()
        self.liked: set[str] = set()
        self.asked: list[Asked] = []
        self._drafts: dict[str, Said] = {}
        self._refusals: list[Refusal] = []
        self._lost: list[Response] = []
        self._made = 0
        self._lock = threading.RLock()
        routes = [Route("/{path:path}", self._answer, methods=["GET", "POST"])]
        super().__init__(Starlette(routes=routes))

    def comment(self, id: str, post: str) -> str:
        """Somebody comments. Returns the id."""
        with self._lock:
            self.said.append(Said(id, post, "ada", "Are you open?", post))
            return id

    def answers(self, comment: str) -> list[str]:
        """What was answered to a comment."""
        with self._lock:
            return [one.text for one in self.said if one.to == comment]

    def refuse(self, refusal: Refusal, times: int = 1) -> None:
        """The next requests are refused."""
        with self._lock:
            self._refusals += [refusal] * times

    def lose_answers(self, times: int = 1, failing: Refusal | None = None) -> None:
        """The next things that are written are there, but nobody is told: what stands before it answers 502.

        Or the platform itself is `failing`, and says so in its own way.
        """
        with self._lock:
            self._lost += [PlainTextResponse("", 502) if failing is None else _response(failing)] * times

    async def _answer(self, request: Request) -> Response:
        body = await request.body()
        kind = request.headers.get("content-type", "")
        sent = json.loads(body) if body and kind == "application/json" else dict(parse_qsl(body.decode()))
        asked = Asked(request.method, request.scope["raw_path"].decode(), dict(request.query_params), sent)
        with self._lock:
            self.asked.append(asked)
            if self._refusals:
                return _response(self._refusals.pop(0))
            if self.given(request) != self.token:
                return _response(self.EXPIRED)
            found = self.route(asked)
            answer = _response(found) if isinstance(found, Refusal) else self.good(found)
            if request.method == "POST" and self._lost and not isinstance(found, Refusal):
                return self._lost.pop(0)
            return answer

    def given(self, request: Request) -> str:
        """The token of a request."""
        return request.headers.get("authorization", "").removeprefix("Bearer ")

    def good(self, found: Any) -> Response:
        """An answer where all went well."""
        return JSONResponse(found)

    def route(self, asked: Asked) -> Any:
        """What a request is answered with."""
        raise NotImplementedError

    def find(self, id: str) -> Said | None:
        """What has an id."""
        return next((one for one in self.said if one.id == id), None)

    def write(self, to: str, text: str, id: Callable[[int], str], *, draft: bool = False) -> Said | Refusal:
        """The brand answers."""
        top = self.find(to)
        if top is None:
            return self.GONE
        if "forbidden" in text:
            return self.BAD
        self._made += 1
        made = Said(id(self._made), to, "brand", text, top.post)
        if draft:
            self._drafts[made.id] = made
        else:
            self.said.append(made)
        return made

    def above(self, id: str) -> str | None:
        """What an answer answers, if that is a comment."""
        found = self.find(id)
        return found.to if found is not None and self.find(found.to) is not None else None

    def publish(self, draft: str) -> Said | Refusal:
        """What was made before is seen from now on."""
        made = self._drafts.pop(draft, None)
        if made is None:
            return self.GONE
        self.said.append(made)
        return made


def _response(refusal: Refusal) -> Response:
    return JSONResponse(refusal.body, refusal.status)


def _graph(code: int, message: str, status: int = 400, subcode: int = 0) -> Refusal:
    error = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A1b2"}
    return Refusal(status, {"error": {**error, **({"error_subcode": subcode} if subcode else {})}})


class Meta(Server):
    """Facebook's, Instagram's and Threads' interfaces."""

    EXPIRED = _graph(190, "Error validating access token: the session has expired", 401, 463)
    DENIED = _graph(200, "(#200) Permissions error", 403)
    LIMITED = _graph(32, "(#32) Page request limit reached")
    GONE = _graph(100, "Unsupported post request. Object with ID '1' does not exist", subcode=33)
    BAD = _graph(1705, Server.WORDS)
    TOO_LATE: Mapping[str, Refusal] = MappingProxyType({
        "facebook": _graph(10, "(#10) This message is sent outside of allowed window.", 400, 2018278),
        "instagram": _graph(10, "This message is sent outside of allowed window.", 400, 2534022),
    })  # fmt: skip
    UNREADY = _graph(24, "The requested resource does not exist", 400, 4279009)
    BLOCKED = _graph(368, "The action attempted has been deemed abusive or is otherwise disallowed")
    NOBODY = _graph(551, "(#551) This person isn't available right now.", 400, 1545041)

    def __init__(self) -> None:
        self.unready = 0
        """How many of the next answers on Threads are published too soon."""
        self.hiding: set[str] = set()
        """People with whom no conversation is shown any more."""
        self.talks: list[Any] | None = None
        """What is shown instead of all conversations."""
        super().__init__()

    def route(self, asked: Asked) -> Any:
        """See Server."""
        thing, _, edge = asked.path.removeprefix("/v24.0/").partition("/")
        if thing == "me":
            return self._talks(asked) if asked.method == "GET" else self._written(asked)
        if asked.method == "GET":
            of_it = [one for one in self.said if one.to == thing]
            if edge == "replies" and thing == CONNECTED:
                # Threads: what the account itself answered.
                own = [one for one in reversed(self.said) if one.by == "brand"]
                return self._paged(asked, [{**self._shown(one), "replied_to": {"id": one.to}} for one in own])
            if self.find(thing) is None:
                return self.GONE
            if not edge:
                above = self.above(thing)
                return {"id": thing, **({"parent_id": above, "parent": {"id": above}} if above else {})}
            return self._paged(asked, [self._shown(one) for one in reversed(of_it)])
        match edge:
            case "comments" | "replies":
                # On Instagram an answer to an answer stands below the comment that both belong to.
                to = (self.above(thing) if edge == "replies" else None) or thing
                return self._made_id(self.write(to, asked.sent.get("message", ""), lambda number: f"{to}_{number}"))
            case "likes":
                return self._done(thing, lambda: self.liked.add(thing))
            case "threads":
                assert asked.sent["media_type"] == "TEXT"
                to, text = asked.sent["reply_to_id"], asked.sent["text"]
                return self._made_id(self.write(to, text, lambda number: f"18{number:015d}", draft=True))
            case "threads_publish" if self.unready:
                self.unready -= 1
                return self.UNREADY
            case "threads_publish":
                return self._made_id(self.publish(asked.sent["creation_id"]))
        wanted = asked.sent.get("is_hidden") or asked.sent.get("hide")
        assert edge in ("", "manage_reply"), asked
        assert wanted in ("true", "false"), asked
        change = self.hidden.add if wanted == "true" else self.hidden.discard
        return self._done(thing, lambda: change(thing))

    def message(self, person: str, text: str, *, mine: bool = False) -> str:
        """Somebody writes to the account in private, or it answers them. Returns the id."""
        with self._lock:
            self._made += 1
            made = Said(f"m_{self._made}-Zm9v/YmFy==", f"to {person}", "brand" if mine else person, text)
            self.said.append(made)
            return made.id

    def _written(self, asked: Asked) -> Any:
        assert asked.path == "/v24.0/me/messages", asked
        person, text = json.loads(asked.sent["recipient"])["id"], json.loads(asked.sent["message"])["text"]
        assert asked.sent.get("messaging_type") in (None, "RESPONSE")
        if not any(one.by == person for one in self.said):
            return self.NOBODY
        if "forbidden" in text:
            return self.BAD
        return {"recipient_id": person, "message_id": self.message(person, text, mine=True)}

    def _talks(self, asked: Asked) -> Any:
        assert asked.path == "/v24.0/me/conversations", asked
        assert asked.query["platform"] in ("messenger", "instagram")
        person = asked.query["user_id"]
        if person in self.hiding:
            return self.NOBODY
        with_them = [self._shown(one) for one in self.said if one.to == f"to {person}"]
        talks = [{"id": "t_1", "messages": {"data": with_them[::-1][:20]}}] if with_them else []
        return {"data": talks if self.talks is None else self.talks}

    def _paged(self, asked: Asked, every: list[Any]) -> Any:
        start, many = int(asked.query.get("after", "0")), int(asked.query["limit"])
        more = {"next": "https://graph.example/next"} if len(every) > start + many else {}
        return {"data": every[start : start + many], "paging": {"cursors": {"after": str(start + many)}, **more}}

    def _made_id(self, made: Said | Refusal) -> Any:
        return made if isinstance(made, Refusal) else {"id": made.id}

    def _done(self, thing: str, do: Callable[[], None]) -> Any:
        if self.find(thing) is None:
            return self.GONE
        do()
        return {"success": True}

    def _shown(self, one: Said) -> dict[str, Any]:
        mine = one.by == "brand"
        return {
            "id": one.id, "message": one.text, "text": one.text, "is_reply_owned_by_me": mine,
            "from": {"id": CONNECTED if mine else "9" if one.post else one.by, "name": one.by},
            "timestamp": one.iso, "created_time": one.iso,
        }  # fmt: skip


class LinkedIn(Server):
    """LinkedIn's interface."""

    EXPIRED = Refusal(401, {"status": 401, "code": "REVOKED_ACCESS_TOKEN", "message": "The token has been revoked"})
    DENIED = Refusal(403, {"status": 403, "code": "ACCESS_DENIED", "message": "Not enough permissions to access"})
    LIMITED = Refusal(429, {"status": 429, "code": "TOO_MANY_REQUESTS", "message": "Resource level throttle"})
    GONE = Refusal(404, {"status": 404, "code": "NOT_FOUND", "message": "Comment not found"})
    BAD = Refusal(422, {"status": 422, "message": Server.WORDS})

    def route(self, asked: Asked) -> Any:
        """See Server."""
        if asked.path == "/rest/reactions":
            if self.find(asked.sent["root"]) is None:
                return self.GONE
            assert asked.query["actor"] == "urn:li:organization:1"
            assert asked.sent["reactionType"] == "LIKE"
            self.liked.add(asked.sent["root"])
            return {"id": "urn:li:reaction:1"}
        found = re.fullmatch(r"/rest/socialActions/([^/:]+)/comments", asked.path)
        assert found is not None, asked.path
        thing = unquote(found[1])
        if asked.method == "GET":
            of_it = [one for one in self.said if one.to == thing]
            if self.find(thing) is None:
                return self.GONE
            start = int(asked.query.get("start", "0"))
            shown = of_it[start : start + 20]  # fewer than are asked for
            paging = {"start": start, "count": 20, "total": len(of_it), "links": []}
            return {"elements": [self._shown(one) for one in shown], "paging": paging}
        assert asked.sent["parentComment"] == thing
        assert asked.sent["actor"] == "urn:li:organization:1"
        post = asked.sent["object"]
        made = self.write(thing, asked.sent["message"]["text"], lambda number: f"urn:li:comment:({post},{number})")
        return made if isinstance(made, Refusal) else self._shown(made)

    def _shown(self, one: Said) -> dict[str, Any]:
        return {
            "id": one.id.rpartition(",")[2].rstrip(")"), "commentUrn": one.id, "object": one.post,
            "actor": "urn:li:organization:1" if one.by == "brand" else "urn:li:person:ada",
            "message": {"attributes": [], "text": one.text}, "created": {"time": int(one.at.timestamp() * 1000)},
        }  # fmt: skip


def _tiktok(code: int, message: str) -> Refusal:
    return Refusal(200, {"code": code, "message": message, "request_id": "2026", "data": {}})


class TikTok(Server):
    """TikTok's interface for business accounts."""

    EXPIRED = _tiktok(40105, "Access token is incorrect or has been revoked")
    DENIED = _tiktok(40001, "No permission to operate the account")
    LIMITED = _tiktok(40100, "Too many requests")
    GONE = _tiktok(40002, "The comment does not exist")
    BAD = _tiktok(40002, Server.WORDS)

    def given(self, request: Request) -> str:
        """See Server."""
        return request.headers.get("access-token", "")

    def good(self, found: Any) -> Response:
        """See Server."""
        return JSONResponse({"code": 0, "message": "OK", "request_id": "2026", "data": found})

    def route(self, asked: Asked) -> Any:
        """See Server."""
        what = asked.path.removeprefix("/open_api/v1.3/business/comment/").rstrip("/")
        its = asked.query if asked.method == "GET" else asked.sent
        thing = its["comment_id"]
        if self.find(thing) is None or its["business_id"] != "bus-1":
            return self.GONE
        match what:
            case "reply/list":
                every = [self._shown(one) for one in reversed(self.said) if one.to == thing]
                start, many = int(its.get("cursor", "0")), int(its["max_count"])
                following = {"cursor": start + many, "has_more": len(every) > start + many}
                return {"comments": every[start : start + many], **following}
            case "reply/create":
                assert its["video_id"] == "7000000000000000001"
                made = self.write(thing, its["text"], lambda number: str(7_100_000_000_000_000_000 + number))
                return made if isinstance(made, Refusal) else {"comment_id": made.id}
            case "like":
                self.liked.add(thing)
                return {}
        assert what == "hide", what
        (self.hidden.add if its["action"] == "HIDE" else self.hidden.discard)(thing)
        return {}

    def _shown(self, one: Said) -> dict[str, Any]:
        return {
            "comment_id": one.id, "text": one.text, "owner": one.by == "brand", "parent_comment_id": one.to,
            "create_time": str(int(one.at.timestamp())),
        }  # fmt: skip
