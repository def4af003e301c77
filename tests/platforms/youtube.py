"""A YouTube on this machine, the demonstration's, and what goes wrong with one: its quota and its errors, comments that
are deleted, rejected or held for review, videos that are gone. What can be written there with a channel's token, too.

Source: https://developers.google.com/youtube/v3/docs/comments/insert, …/docs/comments/setModerationStatus,
…/docs/comments/delete and …/docs/errors
"""

import json
import time
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from rapport.demo.vendors.youtube import server
from rapport.demo.vendors.youtube.server import SHOWN_REPLIES, Comment, comment_resource, error

__all__ = ["SHOWN_REPLIES", "YoutubeServer"]


class YoutubeServer(server.YoutubeServer):
    """Serves from `with` to its end, on the loopback interface. Its methods may be called from any thread."""

    def __init__(self, key: str = "a-key") -> None:
        self.requests: list[tuple[float, str]] = []
        """When (monotonic), and what with its query."""
        self.quota: int | None = None
        """Units left; None for no end of them."""
        self.tokens: dict[str, str] = {}
        """The channel that somebody may write for, by their token."""
        self.held: set[str] = set()
        """Comments that are held for review, or were rejected."""
        self.without_uploads: set[str] = set()
        """Channels whose list of uploads is not there."""
        self.without_comments: set[str] = set()
        """Videos below which nobody may comment: none is shown there."""
        self.blank = False
        """Whether its lists of threads have nothing, by a fault of its own."""
        self.forgets = 0
        """Of how many of the next requests for comments by their ids it knows none of them."""
        self.refuses_unknown: str | None = None
        """The reason for which it refuses a request that has an id it does not know or show; None if it leaves it out,
        as the real one does."""
        self._lost = 0
        self._failures: list[tuple[int, str]] = []
        self._failed_ids: list[tuple[int, str]] = []
        self._failed_replies: list[tuple[int, str]] = []
        self._raw: list[bytes] = []
        super().__init__(key)

    def delete(self, id: str) -> None:
        """Somebody deletes what they wrote, and what was answered to it goes with it."""
        with self._lock:
            gone = self._comments.pop(id)
            for each in gone.replies:
                self._comments.pop(each.id, None)
            its = self._threads if gone.parent is None else self._comments[gone.parent].replies
            its.remove(gone)

    def hold(self, id: str) -> None:
        """YouTube, or the channel, holds a comment for review, or rejects it: nobody sees it but the channel."""
        self.held.add(id)

    def approve(self, id: str) -> None:
        """The channel publishes what was held."""
        self.held.discard(id)

    def remove_video(self, video: str) -> None:
        """A video is deleted, and all that stands below it."""
        with self._lock:
            self._videos = [one for one in self._videos if one.id != video]
            for one in [one for one in self._threads if one.video == video]:
                self.delete(one.id)

    def answer_ids(self, body: bytes) -> None:
        """The next request for comments by their ids is answered with this."""
        self._raw.append(body)

    def fail(self, status: int, reason: str = "", times: int = 1) -> None:
        """The next requests fail."""
        with self._lock:
            self._failures += [(status, reason)] * times

    def fail_ids(self, status: int, reason: str = "", times: int = 1) -> None:
        """The next requests for comments by their ids fail."""
        self._failed_ids += [(status, reason)] * times

    def fail_replies(self, status: int, reason: str) -> None:
        """The next request for replies fails."""
        self._failed_replies.append((status, reason))

    def lose_answers(self, times: int = 1) -> None:
        """The next things that are written are there, but nobody is told: what stands before it answers 502."""
        with self._lock:
            self._lost += times

    def recover(self) -> None:
        """Requests do not fail any more."""
        with self._lock:
            self._failures.clear()

    def asked(self, word: str = "") -> list[str]:
        """Requests with a word in their path or query."""
        return [what for _, what in list(self.requests) if word in what]

    def asked_for(self, *comments: str) -> list[str]:
        """Requests for comments by their ids that name all of these."""
        its = [what for what in self.asked("/comments?") if "&id=" in what or "?id=" in what]
        return [what for what in its if all(each in what for each in comments)]

    def _routes(self) -> Sequence[BaseRoute]:
        return [
            Route("/youtube/v3/comments", self._insert, methods=["POST"]),
            Route("/youtube/v3/comments/setModerationStatus", self._moderate, methods=["POST"]),
            *super()._routes(),
        ]

    def _is_public(self, one: Comment) -> bool:
        return one.id not in self.held and one.video not in self.without_comments and super()._is_public(one)

    def _counts(self, video: str) -> dict[str, str]:
        return {} if video in self.without_comments else super()._counts(video)

    def _refused(self, request: Request, units: int = 1) -> JSONResponse | None:
        self.requests.append((time.monotonic(), f"{request.url.path}?{request.url.query}"))
        with self._lock:
            if self._failures:
                return error(*self._failures.pop(0))
        if _bearer(request):
            if _bearer(request) not in self.tokens:
                return error(401, "authError")
        elif request.method == "POST":
            return error(401, "required")
        elif (no := super()._refused(request, units)) is not None:
            return no
        if self.quota is not None:
            if self.quota < units:
                return error(403, "quotaExceeded")
            self.quota -= units
        return None

    async def _list_comments(self, request: Request) -> JSONResponse:
        names = request.query_params.get("id", "").split(",")
        answer = await super()._list_comments(request)
        failed = self._failed_replies if names == [""] else self._failed_ids
        if answer.status_code == 200 and failed:
            return error(*failed.pop(0))
        if answer.status_code != 200 or names == [""]:
            return answer
        with self._lock:
            if self._raw:
                return _Raw(self._raw.pop(0))
            if self.forgets:
                self.forgets -= 1
                return JSONResponse({"kind": "youtube#commentListResponse", "items": []})
            known = [each for each in names if each in self._comments and self._is_public(self._comments[each])]
            if self.refuses_unknown is not None and known != names:
                return error(404 if self.refuses_unknown == "commentNotFound" else 403, self.refuses_unknown)
        return answer

    async def _list_threads(self, request: Request) -> JSONResponse:
        answer = await super()._list_threads(request)
        if self.blank and answer.status_code == 200:
            return JSONResponse({"kind": "youtube#commentThreadListResponse", "items": []})
        return answer

    async def _list_uploads(self, request: Request) -> JSONResponse:
        channel = f"UC{request.query_params.get('playlistId', '')[2:]}"
        if channel in self.without_uploads:
            return self._refused(request) or error(404, "playlistNotFound")
        return await super()._list_uploads(request)

    async def _insert(self, request: Request) -> Response:
        if (no := self._refused(request, 50)) is not None:
            return no
        said = json.loads(await request.body())["snippet"]
        with self._lock:
            if said["parentId"] not in self._comments or "." in said["parentId"]:
                return error(404, "parentCommentNotFound")
            if "forbidden" in said["textOriginal"]:
                return error(400, "processingFailed")
            made = self.reply(said["parentId"], said["textOriginal"], author=self.tokens[_bearer(request)])
            return self._told(JSONResponse(comment_resource(self._comments[made])))

    async def _moderate(self, request: Request) -> Response:
        if (no := self._refused(request, 50)) is not None:
            return no
        query = request.query_params
        with self._lock:
            if query["id"] not in self._comments:
                return error(404, "commentNotFound")
            change = self.approve if query["moderationStatus"] == "published" else self.hold
            change(query["id"])
            return self._told(Response(status_code=204))

    def _told(self, answer: Response) -> Response:
        lost, self._lost = self._lost > 0, max(0, self._lost - 1)
        return Response(status_code=502) if lost else answer


class _Raw(JSONResponse):
    """A body as it is."""

    def render(self, content: bytes) -> bytes:
        """See JSONResponse."""
        return content


def _bearer(request: Request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ")
