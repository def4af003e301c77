"""Facebook's, Instagram's and Threads' interfaces on this machine, as far as something is asked for there: posts,
comments, conversations and mentions, page by page, with the limits and the errors of the real ones.

Source: https://developers.facebook.com/docs/graph-api/results, …/guides/error-handling/, …/overview/rate-limiting/,
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-media/comments and
https://developers.facebook.com/docs/threads/retrieve-and-manage-replies
"""

import asyncio
import base64
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rapport.demo.vendors.serving import LocalServer
from tests.platforms.subscribed_apps import OF_PAGES, OTHER
from tests.platforms.subscribed_apps import asked as asked_of_apps

MOST_AT_ONCE = 100
SHOWN_REPLIES = 25
"""Of a comment, in an expansion without a limit."""


class Refusal(NamedTuple):
    """How something is refused: the status and the body."""

    status: int
    body: Any


def refusal(code: int, message: str, status: int = 400, subcode: int = 0) -> Refusal:
    """In the vendor's shape."""
    error = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A1b2"}
    return Refusal(status, {"error": {**error, **({"error_subcode": subcode} if subcode else {})}})


REVOKED = refusal(190, "Error validating access token: The user has not authorized application 1.", 400, 458)
DENIED = refusal(10, "(#10) This endpoint requires the 'pages_read_user_content' permission", 403)
LIMITED = refusal(80001, "There have been too many calls to this Page account. Wait a bit and try again.", 400, 2446079)
FAILED = refusal(2, "Service temporarily unavailable", 500)
TOO_MUCH = refusal(1, "Please reduce the amount of data you're asking for, then retry your request", 500)
UNSEEN = refusal(100, "Unsupported get request. Object with ID '1' does not exist", 400, 33)


@dataclass
class Comment:
    """What somebody wrote below a post."""

    id: str
    by: str
    text: str
    at: datetime
    parent: str | None = None
    hidden: bool = False


@dataclass
class Post:
    """A post, or what it is called there."""

    id: str
    by: str
    text: str
    at: datetime
    updated_at: datetime
    comments: list[Comment] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    """Of an album."""
    shown: str = "IMAGE"
    """Of a medium, its type."""
    surface: str = "FEED"
    """Of a medium, where it is shown."""


@dataclass
class Message:
    """What somebody wrote in private."""

    id: str
    by: str
    to: str
    text: str
    at: datetime


@dataclass
class Owner:
    """A page, an account or a profile, with what can be asked of it."""

    id: str
    name: str
    token: str
    posts: list[Post] = field(default_factory=list)
    ads: list[Post] = field(default_factory=list)
    mentions: list[Post] = field(default_factory=list)
    replies: list[tuple[Post, Comment]] = field(default_factory=list)
    """What it wrote below posts of others."""
    messages: dict[str, list[Message]] = field(default_factory=dict)
    """By the other person."""
    subscribed: list[str] | None = None
    fields: Mapping[str, str] = field(default_factory=lambda: OF_PAGES)
    """What it can be subscribed to, and the permission that each needs."""
    granted: list[str] | None = None
    """What its token may do; None for everything."""


class GraphServer(LocalServer):
    """Serves from `with` to its end, on the loopback interface. Its methods may be called from any thread."""

    APP = "1"

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        """Paths without the version, with their query."""
        self.percent = 0
        """What the headers say is used; with minutes until more is allowed if over 100."""
        self.hanging = False
        self.denied: set[str] = set()
        """Words in paths that a permission is missing for."""
        self.unseen: set[str] = set()
        """Posts that are listed and cannot be seen."""
        self.limits: Callable[[str], bool] | None = None
        """Whether a request for a path is over the limit."""
        self.late_updates = False
        """Whether posts do not say that they were commented on."""
        self.ranked = False
        """Whether comments come by rank, whatever is asked for: the newest of an odd number comes last."""
        self.most = MOST_AT_ONCE
        self.twice = False
        """Whether each page begins with the last item of the one before."""
        self.refuse_large = MOST_AT_ONCE
        """What asks for more items than this at once is told to ask for less."""
        self.apps: list[dict[str, Any]] = [OTHER]
        """Other applications that are subscribed to each page."""
        self.endless = False
        """Whether each last page names itself as the next one."""
        self.plain_next = False
        """Whether pages name the next one by its address alone."""
        self._owners: dict[str, Owner] = {}
        self._refusals: list[Refusal] = []
        self._made = 0
        self._lock = threading.RLock()
        methods = ["GET", "POST", "DELETE"]
        super().__init__(Starlette(routes=[Route("/{version}/{path:path}", self._answer, methods=methods)]))

    @property
    def api(self) -> str:
        """Its address with the version."""
        return f"{self.address}/v24.0"

    @property
    def owners(self) -> list[Owner]:
        """All that were added."""
        with self._lock:
            return list(self._owners.values())

    def owner(self, id: str | None = None, name: str = "roastery") -> Owner:
        """Adds a page, an account or a profile, subscribed to everything."""
        with self._lock:
            made = Owner(id or str(10**15 + len(self._owners)), name, f"token-{uuid4().hex}")
            made.subscribed = ["feed", "mention", "messages", "message_echoes", "comments"]
            self._owners[made.id] = made
            return made

    def post(self, owner: Owner, text: str = "Fresh beans", *, by: str | None = None, at: datetime | None = None,
             ad: bool = False) -> Post:  # fmt: skip
        """Somebody posts there."""
        with self._lock:
            when = at or datetime.now(UTC)
            made = Post(f"{owner.id}_{self._number()}", by or owner.id, text, when, when)
            (owner.ads if ad else owner.posts).append(made)
            return made

    def comment(
        self, post: Post, text: str = "Are you open?", *, by: str = "7001", to: Comment | None = None,
        at: datetime | None = None,
    ) -> Comment:  # fmt: skip
        """Somebody comments, or answers a comment."""
        with self._lock:
            number = post.id.rpartition("_")[2]
            made = Comment(f"{number}_{self._number()}", by, text, at or datetime.now(UTC), to.id if to else None)
            post.comments.append(made)
            if not self.late_updates:
                post.updated_at = max(post.updated_at, made.at)
            return made

    def mention(self, owner: Owner, text: str = "Look", *, by: str = "7001", at: datetime | None = None) -> Post:
        """Somebody names the account in a post of their own."""
        with self._lock:
            when = at or datetime.now(UTC)
            made = Post(f"{by}_{self._number()}", by, text, when, when)
            owner.mentions.append(made)
            return made

    def message(
        self, owner: Owner, person: str, text: str, *, mine: bool = False, at: datetime | None = None
    ) -> Message:
        """Somebody writes to the account, or it answers."""
        with self._lock:
            by, to = (owner.id, person) if mine else (person, owner.id)
            made = Message(f"m_{self._number()}", by, to, text, at or datetime.now(UTC))
            owner.messages.setdefault(person, []).append(made)
            return made

    def remove(self, post: Post, comment: Comment) -> None:
        """A comment is not there any more."""
        with self._lock:
            post.comments.remove(comment)

    def refuse(self, how: Refusal, times: int = 1) -> None:
        """The next requests are refused."""
        with self._lock:
            self._refusals += [how] * times

    def recover(self) -> None:
        """Nothing is refused any more."""
        with self._lock:
            self._refusals.clear()
            self.denied.clear()
        self.hanging, self.percent = False, 0

    def revoke(self, owner: Owner) -> str:
        """The owner's token is good for nothing any more. Returns the next one."""
        with self._lock:
            owner.token = f"token-{uuid4().hex}"
            return owner.token

    def paths(self, word: str = "") -> list[str]:
        """The paths asked for so far that have a word in them."""
        return [path for path, _ in list(self.asked) if word in path]

    def _number(self) -> int:
        self._made += 1
        return 5_000_000 + self._made

    async def _answer(self, request: Request) -> Response:
        while self.hanging:  # noqa: ASYNC110 - tests set it from a thread of their own
            await asyncio.sleep(0.05)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return self.handle(request.method, request.path_params["path"], dict(request.query_params), token)

    def handle(self, method: str, path: str, query: dict[str, str], token: str) -> Response:
        """The answer to a request for a path without the version."""
        with self._lock:
            self.asked.append((f"/{path}", query))
            headers = self._headers()
            if self._refusals:
                return _response(self._refusals.pop(0), headers)
            owner = next((each for each in self._owners.values() if each.token == token), None)
            if owner is None:
                return _response(REVOKED, headers)
            if self.limits is not None and self.limits(path):
                return _response(LIMITED, headers)
            if path.partition("/")[0] in self.unseen:
                return _response(UNSEEN, headers)
            if any(word in path for word in self.denied):
                return _response(DENIED, headers)
            found = self._route(owner, path, {**query, "method": method})
            return _response(found, headers) if isinstance(found, Refusal) else JSONResponse(found, headers=headers)

    def _headers(self) -> dict[str, str]:
        if not self.percent:
            return {}
        figures = {
            "type": "pages", "call_count": self.percent, "total_cputime": 1, "total_time": 2,
            "estimated_time_to_regain_access": 1 if self.percent > 100 else 0,
        }  # fmt: skip
        return {
            "X-Business-Use-Case-Usage": json.dumps({"10": [figures]}),
            "X-App-Usage": json.dumps({"call_count": 1, "total_time": 1, "total_cputime": 1}),
        }

    def _route(self, owner: Owner, path: str, query: dict[str, str]) -> Any:
        """`query` has the method of HTTP as `method`, as Meta takes it there."""
        thing, _, edge = path.partition("/")
        method = query.pop("method")
        if path in (f"{owner.id}/subscribed_apps", "me/subscribed_apps"):
            changed = asked_of_apps(method, owner.subscribed, query, self.APP, owner.fields, owner.granted, self.apps)
            owner.subscribed = changed.fields
            return Refusal(changed.status, changed.body)
        if method != "GET":
            return refusal(100, "Unsupported post request.")
        if path == "app":
            return {"id": self.APP}
        if thing == owner.id:
            return self._of_owner(owner, edge, query)
        post = next((each for each in [*owner.posts, *owner.ads] if each.id == thing), None)
        if post is not None:
            return self._of_post(owner, post, edge, query)
        top = [(post, one) for post in owner.posts for one in post.comments if one.id == thing]
        if top and edge == "replies":
            below = [one for one in top[0][0].comments if one.parent == thing]
            return self._listed(below, query, lambda one: self._shown(one, top[0][0], owner))
        return UNSEEN

    def _of_owner(self, owner: Owner, edge: str, query: dict[str, str]) -> Any:
        def newest(posts: list[Post]) -> list[Post]:
            return sorted(posts, key=lambda one: one.at, reverse=True)

        match edge:
            case "":
                return {"id": owner.id}
            case "media":
                return self._listed(newest(owner.posts), query, lambda one: self._shown_medium(one, owner))
            case "feed" | "threads":
                return self._listed(newest(owner.posts), query, lambda one: self._shown_post(one, owner))
            case "ads_posts":
                return self._listed(newest(owner.ads), query, lambda one: self._shown_post(one, owner))
            case "tagged" | "tags" | "mentions":
                return self._listed(newest(owner.mentions), query, lambda one: self._shown_post(one, owner))
            case "replies":
                said = sorted(owner.replies, key=lambda one: one[1].at, reverse=True)
                return self._listed(said, query, lambda one: self._shown(one[1], one[0], owner))
            case "conversations":
                talks = sorted(owner.messages.items(), key=lambda one: one[1][-1].at, reverse=True)
                return self._listed(talks, query, lambda one: self._shown_talk(one[0], one[1], owner))
        return UNSEEN

    def _of_post(self, owner: Owner, post: Post, edge: str, query: dict[str, str]) -> Any:
        ordered = sorted(post.comments, key=lambda one: one.at)
        if edge == "comments" and query.get("filter") != "stream":
            # As on Instagram: the newest on top, with their answers below them.
            ordered = [one for one in ordered if one.parent is None][::-1]
            return self._listed(ordered, query, lambda one: self._with_replies(one, post, owner, query))
        if edge == "comments":
            assert query["order"] in ("chronological", "reverse_chronological")
            if query["order"] == "reverse_chronological":
                ordered.reverse()
            if self.ranked:
                ordered = sorted(post.comments, key=lambda one: one.at)
                ordered = ordered[1::2] + ordered[::2]
        elif edge == "conversation":
            if query.get("reverse", "true") == "true":
                ordered.reverse()
        else:
            return UNSEEN
        return self._listed(ordered, query, lambda one: self._shown(one, post, owner))

    def _listed(self, found: Sequence[Any], query: dict[str, str], shown: Callable[[Any], dict[str, Any]]) -> Any:
        limit = int(query.get("limit", "25"))
        if limit > MOST_AT_ONCE:
            return refusal(100, "(#100) You can only read up to 100 items at once")
        if limit > self.refuse_large:
            return TOO_MUCH
        start = int(base64.b64decode(query["after"])) if "after" in query else int(query.get("offset", "0"))
        end = start + min(limit, self.most)
        first = start - 1 if self.twice and start else start
        fields = _fields(query.get("fields", "id"))
        data = [_only(shown(one), fields) for one in found[first:end]]
        if end >= len(found) and not (self.endless and found):
            return {"data": data, "paging": {"cursors": {"before": "b", "after": "e"}} if data else {}}
        end = min(end, len(found) - 1) if self.endless else end
        after = base64.b64encode(str(end).encode()).decode()
        if self.plain_next:
            return {"data": data, "paging": {"next": f"https://elsewhere.example/?offset={end}&access_token=x"}}
        paging = {"cursors": {"before": "b", "after": after}, "next": f"https://elsewhere.example/?after={after}"}
        return {"data": data, "paging": paging}

    def _shown_post(self, one: Post, owner: Owner) -> dict[str, Any]:
        return {
            "id": one.id, "created_time": _iso(one.at), "updated_time": _iso(one.updated_at), "message": one.text,
            "from": {"id": one.by, "name": f"name of {one.by}"}, "timestamp": _iso(one.at),
            "text": one.text, "username": owner.name if one.by == owner.id else f"user{one.by}",
            "has_replies": bool(one.comments), "media_type": "TEXT_POST", "is_reply": False,
            "permalink": f"https://threads.example/{one.id}",
            "attachments": {"data": [{"media_type": "photo"}]},
            "comments": {"data": [], "summary": {"order": "ranked", "total_count": len(one.comments)}},
        }  # fmt: skip

    def _shown_medium(self, one: Post, owner: Owner) -> dict[str, Any]:
        parts = {"children": {"data": [{"id": each, "media_type": "IMAGE"} for each in one.parts]}} if one.parts else {}
        return {
            "id": one.id, "timestamp": _iso(one.at), "caption": one.text, "comments_count": len(one.comments),
            "username": owner.name, "media_type": "CAROUSEL_ALBUM" if one.parts else one.shown,
            "media_product_type": one.surface, "permalink": f"https://www.instagram.com/p/{one.id}/", **parts,
        }  # fmt: skip

    def _shown(self, one: Comment, post: Post, owner: Owner) -> dict[str, Any]:
        mine = one.by == owner.id
        username = owner.name if mine else f"user{one.by}"
        return {
            "id": one.id, "created_time": _iso(one.at), "message": one.text, "is_hidden": one.hidden,
            "timestamp": _iso(one.at), "text": one.text, "hidden": one.hidden, "username": username,
            "from": {"id": one.by, "name": f"name of {one.by}", "username": username},
            "permalink": f"https://threads.example/{one.id}", "media_type": "TEXT_POST", "is_reply": True,
            "is_reply_owned_by_me": mine, "root_post": {"id": post.id}, "replied_to": {"id": one.parent or post.id},
            "hide_status": "HIDDEN" if one.hidden else "NOT_HUSHED", "media": {"id": post.id},
            **({"parent": {"id": one.parent}, "parent_id": one.parent} if one.parent else {}),
            **({"user": {"id": owner.id}} if mine else {}),
        }  # fmt: skip

    def _with_replies(self, one: Comment, post: Post, owner: Owner, query: dict[str, str]) -> dict[str, Any]:
        shown = self._shown(one, post, owner)
        below = sorted((each for each in post.comments if each.parent == one.id), key=lambda each: each.at)
        asked = re.search(r"replies\.limit\((\d+)\)", query.get("fields", ""))
        most = int(asked[1]) if asked else SHOWN_REPLIES
        if not below:
            return shown
        inner: dict[str, Any] = {"data": [self._shown(each, post, owner) for each in below[:most]]}
        if len(below) > most:
            after = base64.b64encode(str(most).encode()).decode()
            inner["paging"] = {"cursors": {"after": after}, "next": "https://elsewhere.example/"}
        return {**shown, "replies": inner}

    def _shown_talk(self, person: str, said: list[Message], owner: Owner) -> dict[str, Any]:
        def party(id: str) -> dict[str, str]:
            return {"id": id, "username": owner.name if id == owner.id else f"user{id}"}

        shown = [
            {"id": one.id, "created_time": _iso(one.at), "from": party(one.by), "to": {"data": [party(one.to)]},
             "message": one.text}
            for one in said[::-1][:20]
        ]  # fmt: skip
        return {"id": f"t_{person}", "updated_time": _iso(said[-1].at), "messages": {"data": shown}}


def _fields(asked: str) -> set[str]:
    """The names on the outside of a list of fields."""
    while "{" in asked or "(" in asked:
        asked = re.sub(r"\{[^{}]*\}|\([^()]*\)", "", asked)
    return {name.partition(".")[0] for name in asked.split(",")}


def _only(shown: dict[str, Any], fields: set[str]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name in fields or name == "id"}


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S+0000")


def _response(how: Refusal, headers: dict[str, str]) -> Response:
    return JSONResponse(how.body, how.status, headers=headers)
