"""Serves channels as YouTube's documents say: threads, replies and uploads page by page, comments and videos by id.

What is not public is left out, and nobody is told that it was there.

Source: https://developers.google.com/youtube/v3/docs/commentThreads/list, …/docs/comments/list,
…/docs/channels/list, …/docs/playlistItems/list, …/docs/videos/list and …/docs/errors
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from rapport.demo.vendors.serving import LocalServer

SHOWN_REPLIES = 5
"""How many replies a thread's page has at most."""
MOST_THREADS, MOST_VIDEOS, MOST_IDS = 100, 50, 50

T = TypeVar("T")


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
    name: str | None = None
    """The author's, as YouTube shows it: mostly a handle."""
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
        self._threads: list[Comment] = []
        self._comments: dict[str, Comment] = {}
        self._channels: set[str] = set()
        self._videos: list[Video] = []
        self._lock = threading.RLock()
        self._made = 0
        super().__init__(Starlette(routes=self._routes()))

    def channel(self, id: str) -> str:
        """Adds a channel."""
        self._channels.add(id)
        return id

    def remember(self, comments: Iterable[Comment], videos: Iterable[Video]) -> None:
        """Adds what was written and uploaded before, answers after what they answer."""
        with self._lock:
            self._videos += videos
            for one in comments:
                (self._threads if one.parent is None else self._comments[one.parent].replies).append(one)
                self._comments[one.id] = one

    def upload(self, channel: str, title: str, description: str = "", *, public: bool = True) -> str:
        """A channel uploads a video. Returns its id."""
        with self._lock:
            at = datetime.now(UTC) if public else None
            made = Video(f"video-{self._next_id()}", channel, title, description, at)
            self.remember((), [made])
            return made.id

    def publish(self, video: str) -> None:
        """A video becomes public."""
        with self._lock:
            next(one for one in self._videos if one.id == video).at = datetime.now(UTC)

    def comment(self, channel: str, text: str, *, author: str = "UCada", video: str = "video") -> str:
        """Somebody comments under a video of a channel. Returns the id."""
        with self._lock:
            made = Comment(self._next_id(), author, text, datetime.now(UTC), channel, video)
            self.remember([made], ())
            return made.id

    def reply(self, to: str, text: str, *, author: str = "UCada") -> str:
        """Somebody answers a comment on top. Returns the id."""
        with self._lock:
            top = self._comments[to]
            made = Comment(f"{to}.{self._next_id()}", author, text, datetime.now(UTC), top.channel, top.video, to)
            self.remember([made], ())
            return made.id

    def edit(self, id: str, text: str) -> None:
        """Somebody changes what they wrote."""
        with self._lock:
            self._comments[id].text, self._comments[id].updated_at = text, datetime.now(UTC)

    def answers(self, comment: str) -> list[str]:
        """What was answered to a comment."""
        with self._lock:
            return [one.text for one in self._comments[comment].replies]

    def _next_id(self) -> str:
        self._made += 1
        return f"Ugy{self._made:08d}"

    def _routes(self) -> Sequence[BaseRoute]:
        return [
            Route("/youtube/v3/commentThreads", self._list_threads),
            Route("/youtube/v3/comments", self._list_comments),
            Route("/youtube/v3/channels", self._list_channels),
            Route("/youtube/v3/playlistItems", self._list_uploads),
            Route("/youtube/v3/videos", self._list_videos),
        ]

    def _refused(self, request: Request, units: int = 1) -> JSONResponse | None:  # noqa: ARG002 - nobody counts here
        given = request.headers.get("x-goog-api-key") or request.query_params.get("key")
        return None if given == self.key else error(400, "keyInvalid")

    def _is_public(self, one: Comment) -> bool:
        """Whether a comment is shown to those who do not own the channel."""
        return one.parent is None or self._is_public(self._comments[one.parent])

    def _public(self, comments: Iterable[Comment]) -> list[Comment]:
        return [one for one in comments if self._is_public(one)]

    async def _list_threads(self, request: Request) -> JSONResponse:
        if (no := self._refused(request)) is not None:
            return no
        query = request.query_params
        channel = query.get("allThreadsRelatedToChannelId", "")
        if channel not in self._channels:
            return error(404, "channelNotFound")
        assert query.get("order", "time") == "time"
        with self._lock:
            its = self._public(one for one in self._threads if one.channel == channel)
            found = sorted(its, key=lambda one: one.at)[::-1]
            items, more = _page(found, request, 20, MOST_THREADS)
            return _list("commentThread", more, map(self._shown, items))

    async def _list_comments(self, request: Request) -> JSONResponse:
        if (no := self._refused(request)) is not None:
            return no
        query = request.query_params
        with self._lock:
            if (named := query.get("id")) is not None:
                names = named.split(",")
                if len(names) > MOST_IDS or "parentId" in query:
                    return error(400, "invalidFilters")
                there = self._public(self._comments[name] for name in names if name in self._comments)
                bare = query["part"] == "id"
                return _list("comment", {}, ({"id": one.id} if bare else comment_resource(one) for one in there))
            top = self._comments.get(query.get("parentId", ""))
            if top is None or not self._is_public(top):
                return error(404, "commentNotFound")
            items, more = _page(self._public(top.replies), request, 20, MOST_THREADS)
            return _list("comment", more, map(comment_resource, items))

    async def _list_channels(self, request: Request) -> JSONResponse:
        if (no := self._refused(request)) is not None:
            return no
        channel = request.query_params.get("id", "")
        uploads = {"relatedPlaylists": {"uploads": f"UU{channel[2:]}"}}
        found = [{"id": channel, "contentDetails": uploads}] if channel in self._channels else []
        return _list("channel", {}, found)

    async def _list_uploads(self, request: Request) -> JSONResponse:
        if (no := self._refused(request)) is not None:
            return no
        channel = f"UC{request.query_params.get('playlistId', '')[2:]}"
        with self._lock:
            if channel not in self._channels:
                return error(404, "playlistNotFound")
            found = [one for one in self._videos if one.channel == channel][::-1]
            items, more = _page(found, request, 5, MOST_VIDEOS)
            return _list("playlistItem", more, map(_upload, items))

    async def _list_videos(self, request: Request) -> JSONResponse:
        if (no := self._refused(request)) is not None:
            return no
        with self._lock:
            names = dict.fromkeys(request.query_params["id"].split(","))
            known = {one.id for one in self._videos if one.at is not None} | {one.video for one in self._threads}
            found = [{"id": each, "statistics": self._counts(each)} for each in names if each in known]
            return _list("video", {}, found)

    def _counts(self, video: str) -> dict[str, str]:
        """What `videos.list` counts, as the strings that it writes."""
        return {"commentCount": str(len(self._public(one for one in self._comments.values() if one.video == video)))}

    def _shown(self, one: Comment) -> dict[str, Any]:
        replies = self._public(one.replies)
        return {
            "kind": "youtube#commentThread",
            "id": one.id,
            "snippet": {
                "channelId": one.channel,
                "videoId": one.video,
                "topLevelComment": comment_resource(one),
                "canReply": True,
                "totalReplyCount": len(replies),
                "isPublic": True,
            },
            **({"replies": {"comments": list(map(comment_resource, replies[:SHOWN_REPLIES]))}} if replies else {}),
        }


def error(status: int, reason: str) -> JSONResponse:
    """A refusal."""
    detail = {"message": reason, "domain": "youtube.quota", "reason": reason}
    whole = {"code": status, "message": reason, "errors": [detail] if reason else []}
    return JSONResponse({"error": whole}, status_code=status)


def comment_resource(one: Comment) -> dict[str, Any]:
    """A comment as it is shown."""
    return {
        "kind": "youtube#comment",
        "id": one.id,
        "snippet": {
            "textDisplay": one.text,
            "textOriginal": one.text,
            "authorDisplayName": one.name or f"@{one.author.lower()}",
            "authorChannelId": {"value": one.author},
            "publishedAt": _iso(one.at),
            "updatedAt": _iso(one.updated_at or one.at),
            **({"parentId": one.parent} if one.parent else {}),
        },
    }


def _list(kind: str, more: dict[str, str], items: Iterable[dict[str, Any]]) -> JSONResponse:
    its = [{"kind": f"youtube#{kind}", **each} for each in items]
    return JSONResponse({"kind": f"youtube#{kind}ListResponse", **more, "items": its})


def _page(found: Sequence[T], request: Request, usual: int, most: int) -> tuple[Sequence[T], dict[str, str]]:
    query = request.query_params
    start = int(query.get("pageToken") or 0)
    end = start + min(int(query.get("maxResults", usual)), most)
    return found[start:end], {"nextPageToken": str(end)} if end < len(found) else {}


def _upload(one: Video) -> dict[str, Any]:
    return {
        "id": f"item-{one.id}",
        "snippet": {"channelId": one.channel, "title": one.title, "description": one.description},
        "contentDetails": {"videoId": one.id, **({"videoPublishedAt": _iso(one.at)} if one.at else {})},
    }


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
