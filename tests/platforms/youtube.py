"""YouTube on this machine: threads, replies and uploads page by page, with the quota and the errors of the real one.

Shapes: https://developers.google.com/youtube/v3/docs/commentThreads/list, …/docs/comments/list,
…/docs/channels/list, …/docs/playlistItems/list and …/docs/errors
"""

import json
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rapport.demo.vendors.serving import LocalServer

SHOWN_REPLIES = 5
"""How many replies a thread's page has at most."""


@dataclass
class Comment:
    """A comment on top, or a reply."""

    id: str
    author: str
    text: str
    at: datetime
    channel: str
    video: str
    parent: str | None = None
    updated_at: datetime | None = None
    replies: list["Comment"] = field(default_factory=list)


@dataclass
class Video:
    """What a channel uploaded. Without `at` it is not public."""

    id: str
    channel: str
    title: str
    description: str
    at: datetime | None


class YoutubeServer(LocalServer):
    """Serves from `with` to its end, on the loopback interface. Its methods may be called from any thread."""

    def __init__(self, key: str = "a-key") -> None:
        self.key = key
        self.requests: list[tuple[float, str]] = []
        """When (monotonic), and what with its query."""
        self.quota: int | None = None
        """Units left; None for no end of them."""
        self.tokens: dict[str, str] = {}
        """The channel that somebody may write for, by their token."""
        self.held: set[str] = set()
        """Comments that are held for review."""
        self._lost = 0
        self._threads: list[Comment] = []
        self._comments: dict[str, Comment] = {}
        self._channels: set[str] = set()
        self._videos: list[Video] = []
        self.without_uploads: set[str] = set()
        """Channels whose list of uploads is not there."""
        self._failures: list[tuple[int, str]] = []
        self._lock = threading.RLock()
        self._made = 0
        routes = [
            Route("/youtube/v3/commentThreads", self._list_threads),
            Route("/youtube/v3/comments", self._list_comments),
            Route("/youtube/v3/comments", self._insert, methods=["POST"]),
            Route("/youtube/v3/channels", self._list_channels),
            Route("/youtube/v3/playlistItems", self._list_uploads),
            Route("/youtube/v3/comments/setModerationStatus", self._moderate, methods=["POST"]),
        ]
        super().__init__(Starlette(routes=routes))

    def channel(self, id: str) -> str:
        """Adds a channel."""
        self._channels.add(id)
        return id

    def upload(self, channel: str, title: str, description: str = "", *, public: bool = True) -> str:
        """A channel uploads a video. Returns its id."""
        with self._lock:
            at = datetime.now(UTC) if public else None
            made = Video(f"video-{self._next_id()}", channel, title, description, at)
            self._videos.append(made)
            return made.id

    def publish(self, video: str) -> None:
        """A video becomes public."""
        with self._lock:
            next(one for one in self._videos if one.id == video).at = datetime.now(UTC)

    def comment(self, channel: str, text: str, *, author: str = "UCada", video: str = "video") -> str:
        """Somebody comments under a video of a channel. Returns the id."""
        with self._lock:
            made = Comment(self._next_id(), author, text, datetime.now(UTC), channel, video)
            self._threads.append(made)
            self._comments[made.id] = made
            return made.id

    def reply(self, to: str, text: str, *, author: str = "UCada") -> str:
        """Somebody answers a comment on top. Returns the id."""
        with self._lock:
            top = self._comments[to]
            made = Comment(f"{to}.{self._next_id()}", author, text, datetime.now(UTC), top.channel, top.video, to)
            top.replies.append(made)
            self._comments[made.id] = made
            return made.id

    def edit(self, id: str, text: str) -> None:
        """Somebody changes what they wrote."""
        with self._lock:
            self._comments[id].text, self._comments[id].updated_at = text, datetime.now(UTC)

    def fail(self, status: int, reason: str = "", times: int = 1) -> None:
        """The next requests fail."""
        with self._lock:
            self._failures += [(status, reason)] * times

    def lose_answers(self, times: int = 1) -> None:
        """The next things that are written are there, but nobody is told: what stands before it answers 502."""
        with self._lock:
            self._lost += times

    def answers(self, comment: str) -> list[str]:
        """What was answered to a comment."""
        with self._lock:
            return [one.text for one in self._comments[comment].replies]

    def recover(self) -> None:
        """Requests do not fail any more."""
        with self._lock:
            self._failures.clear()

    def asked(self, word: str = "") -> list[str]:
        """Requests with a word in their path or query."""
        return [what for _, what in list(self.requests) if word in what]

    def _next_id(self) -> str:
        self._made += 1
        return f"Ugy{self._made:08d}"

    def _refused(self, request: Request, units: int = 1) -> JSONResponse | None:
        self.requests.append((time.monotonic(), f"{request.url.path}?{request.url.query}"))
        with self._lock:
            if self._failures:
                return _error(*self._failures.pop(0))
        given = request.headers.get("x-goog-api-key") or request.query_params.get("key")
        if self._bearer(request):
            if self._bearer(request) not in self.tokens:
                return _error(401, "authError")
        elif request.method == "POST":
            return _error(401, "required")
        elif given != self.key:
            return _error(400, "keyInvalid")
        if self.quota is not None:
            if self.quota < units:
                return _error(403, "quotaExceeded")
            self.quota -= units
        return None

    def _bearer(self, request: Request) -> str:
        return request.headers.get("authorization", "").removeprefix("Bearer ")

    async def _insert(self, request: Request) -> Response:
        if (no := self._refused(request, 50)) is not None:
            return no
        said = json.loads(await request.body())["snippet"]
        with self._lock:
            if said["parentId"] not in self._comments or "." in said["parentId"]:
                return _error(404, "parentCommentNotFound")
            if "forbidden" in said["textOriginal"]:
                return _error(400, "processingFailed")
            made = self.reply(said["parentId"], said["textOriginal"], author=self.tokens[self._bearer(request)])
            return self._told(JSONResponse(_comment(self._comments[made])))

    async def _moderate(self, request: Request) -> Response:
        if (no := self._refused(request, 50)) is not None:
            return no
        query = request.query_params
        with self._lock:
            if query["id"] not in self._comments:
                return _error(404, "commentNotFound")
            change = self.held.add if query["moderationStatus"] == "heldForReview" else self.held.discard
            change(query["id"])
            return self._told(Response(status_code=204))

    def _told(self, answer: Response) -> Response:
        lost, self._lost = self._lost > 0, max(0, self._lost - 1)
        return Response(status_code=502) if lost else answer

    async def _list_threads(self, request: Request) -> JSONResponse:
        if (no := self._refused(request)) is not None:
            return no
        query = request.query_params
        channel = query.get("allThreadsRelatedToChannelId", "")
        if channel not in self._channels:
            return _error(404, "channelNotFound")
        assert query.get("order", "time") == "time"
        with self._lock:
            found = sorted((one for one in self._threads if one.channel == channel), key=lambda one: one.at)[::-1]
            items, more = _page(found, query.get("pageToken"), int(query.get("maxResults", "20")))
            whole = {"kind": "youtube#commentThreadListResponse", **more, "items": list(map(_thread, items))}
            return JSONResponse(whole)

    async def _list_channels(self, request: Request) -> JSONResponse:
        if (no := self._refused(request)) is not None:
            return no
        channel = request.query_params.get("id", "")
        found = [channel] if channel in self._channels else []
        items = [
            {
                "kind": "youtube#channel",
                "id": each,
                "contentDetails": {"relatedPlaylists": {"uploads": f"UU{each[2:]}"}},
            }
            for each in found
        ]
        return JSONResponse({"kind": "youtube#channelListResponse", "items": items})

    async def _list_uploads(self, request: Request) -> JSONResponse:
        if (no := self._refused(request)) is not None:
            return no
        query = request.query_params
        channel = f"UC{query.get('playlistId', '')[2:]}"
        with self._lock:
            if channel not in self._channels or channel in self.without_uploads:
                return _error(404, "playlistNotFound")
            found = [one for one in self._videos if one.channel == channel][::-1]
            start, most = int(query.get("pageToken") or 0), min(int(query.get("maxResults", "5")), 50)
            more = {"nextPageToken": str(start + most)} if start + most < len(found) else {}
            items = [_video(one) for one in found[start : start + most]]
            return JSONResponse({"kind": "youtube#playlistItemListResponse", **more, "items": items})

    async def _list_comments(self, request: Request) -> JSONResponse:
        if (no := self._refused(request)) is not None:
            return no
        query = request.query_params
        with self._lock:
            top = self._comments.get(query.get("parentId", ""))
            if top is None:
                return _error(404, "commentNotFound")
            items, more = _page(top.replies, query.get("pageToken"), int(query.get("maxResults", "20")))
            return JSONResponse({"kind": "youtube#commentListResponse", **more, "items": list(map(_comment, items))})


def _page(found: list[Comment], token: str | None, most: int) -> tuple[list[Comment], dict[str, str]]:
    start = int(token or 0)
    end = start + min(most, 100)
    return found[start:end], {"nextPageToken": str(end)} if end < len(found) else {}


def _thread(one: Comment) -> dict[str, Any]:
    return {
        "kind": "youtube#commentThread",
        "id": one.id,
        "snippet": {
            "channelId": one.channel,
            "videoId": one.video,
            "topLevelComment": _comment(one),
            "canReply": True,
            "totalReplyCount": len(one.replies),
            "isPublic": True,
        },
        **({"replies": {"comments": [_comment(each) for each in one.replies[:SHOWN_REPLIES]]}} if one.replies else {}),
    }


def _comment(one: Comment) -> dict[str, Any]:
    return {
        "kind": "youtube#comment",
        "id": one.id,
        "snippet": {
            "textDisplay": one.text,
            "textOriginal": one.text,
            "authorDisplayName": f"@{one.author.lower()}",
            "authorChannelId": {"value": one.author},
            "publishedAt": _iso(one.at),
            "updatedAt": _iso(one.updated_at or one.at),
            **({"parentId": one.parent} if one.parent else {}),
        },
    }


def _video(one: Video) -> dict[str, Any]:
    return {
        "kind": "youtube#playlistItem",
        "id": f"item-{one.id}",
        "snippet": {"channelId": one.channel, "title": one.title, "description": one.description},
        "contentDetails": {"videoId": one.id, **({"videoPublishedAt": _iso(one.at)} if one.at else {})},
    }


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _error(status: int, reason: str) -> JSONResponse:
    detail = {"message": reason, "domain": "youtube.quota", "reason": reason}
    whole = {"code": status, "message": reason, "errors": [detail] if reason else []}
    return JSONResponse({"error": whole}, status_code=status)
