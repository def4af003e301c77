"""TikTok's interface for business accounts on this machine, as far as an account is asked for its comments.

Videos, comments and answers page by page; a callback address that can be missing; refusals and limits in the `code` of
a body with the status 200, as TikTok has them.

Source: https://business-api.tiktok.com/portal/docs?id=1762228496862209 and
https://business-api.tiktok.com/portal/docs?id=1737172488964097
"""

import json
import threading
import time
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rapport.demo.vendors.serving import LocalServer
from tests.platforms.writing import Refusal, TikTok

APP, SECRET = "7364320000000000001", "a-secret-of-the-app"
FIRST = 7_300_000_000_000_000_000


@dataclass
class Comment:
    """A comment, or an answer to one."""

    id: str
    video: str
    by: str
    text: str
    at: float
    parent: str = "0"
    hidden: bool = False


def _refusal(code: int, message: str) -> Refusal:
    return Refusal(200, {"code": code, "message": message, "request_id": "2026", "data": {}})


class TiktokServer(LocalServer):
    """Serves from `with` to its end. Its methods may be called from any thread."""

    EXPIRED, DENIED, LIMITED = TikTok.EXPIRED, TikTok.DENIED, TikTok.LIMITED
    NO_SCOPE = _refusal(40130, "The user did not authorize the scope required for completing this request")
    FAILS = _refusal(50000, "System error")

    def __init__(self, page: int = 5) -> None:
        """`page`: how many items it gives at once at most."""
        self.tokens: dict[str, str] = {}
        """The business account of each token."""
        self.callback: str | None = "https://rapport.example/v1/platforms/tiktok"
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._page = page
        self._videos: dict[str, list[tuple[str, float, str]]] = {}
        self._comments: list[Comment] = []
        self._refusals: list[Refusal] = []
        self._made = 0
        self._lock = threading.RLock()
        super().__init__(Starlette(routes=[Route("/open_api/v1.3/business/{path:path}", self._answer)]))

    def video(self, business: str, ago: float = 0.0, caption: str = "") -> str:
        """An account's video. Returns its id."""
        with self._lock:
            made = self._id()
            self._videos.setdefault(business, []).insert(0, (made, time.time() - ago, caption))
            return made

    def published(self, video: str) -> float:
        """When a video was (seconds)."""
        return next(at for every in self._videos.values() for id, at, _ in every if id == video)  # noqa: A001

    def comment(self, video: str, text: str, *, by: str = "+ada", ago: float = 0.0, to: str = "0") -> Comment:
        """Somebody comments; `by` may be `owner`."""
        with self._lock:
            made = Comment(self._id(), video, by, text, time.time() - ago, to)
            self._comments.append(made)
            return made

    def refuse(self, refusal: Refusal, times: int = 1) -> None:
        """The next requests are refused."""
        with self._lock:
            self._refusals += [refusal] * times

    def recover(self) -> None:
        """Refuses no more."""
        with self._lock:
            self._refusals.clear()

    def count(self, path: str) -> int:
        """How many requests there were for a list."""
        return sum(where == path for where, _ in self.asked)

    def _id(self) -> str:
        self._made += 1
        return str(FIRST + time.time_ns() % 10**15 * 100 + self._made % 100)

    async def _answer(self, request: Request) -> Response:
        path, query = request.path_params["path"], dict(request.query_params)
        with self._lock:
            self.asked.append((path, query))
            if path == "webhook/list/":
                assert (query["app_id"], query["secret"], query["event_type"]) == (APP, SECRET, "COMMENT")
                assert "access-token" not in request.headers
                its = {"app_id": APP, "event_type": "COMMENT"}
                return _good({**its, "callback_url": self.callback} if self.callback else its)
            if self._refusals:
                refused = self._refusals.pop(0)
                return JSONResponse(refused.body, refused.status)
            business = self.tokens.get(request.headers.get("access-token", ""))
            if business is None or business != query["business_id"]:
                return JSONResponse(self.EXPIRED.body)
            match path:
                case "video/list/":
                    fields = set(json.loads(query["fields"]))
                    videos = [self._video(*each) for each in self._videos[business]]
                    assert all(fields <= each.keys() for each in videos), fields
                    asked = [{name: each[name] for name in fields} for each in videos]
                    return self._listed("videos", asked, query)
                case "comment/list/":
                    top = [each for each in self._of(query["video_id"]) if each.parent == "0"]
                    return self._listed("comments", [self._comment(each) for each in top], query)
                case "comment/reply/list/":
                    answers = [each for each in self._of(query["video_id"]) if each.parent == query["comment_id"]]
                    return self._listed("comments", [self._comment(each) for each in answers], query)
            raise AssertionError(path)

    def _of(self, video: str) -> list[Comment]:
        return sorted((each for each in self._comments if each.video == video), key=lambda one: -one.at)

    def _listed(self, name: str, every: list[dict[str, Any]], query: dict[str, str]) -> Response:
        start, count = int(query.get("cursor", 0)), min(self._page, int(query["max_count"]))
        end = start + count
        return _good({name: every[start:end], "cursor": end, "has_more": end < len(every)})

    def _video(self, id: str, at: float, caption: str) -> dict[str, Any]:
        return {
            "item_id": id, "create_time": str(int(at)), "caption": caption, "comments": len(self._of(id)),
            "share_url": f"https://www.tiktok.com/@roastery/video/{id}?utm_campaign=tt4d_open_api",
            "thumbnail_url": f"https://p16-sign.tiktokcdn.com/{id}.jpeg",
        }  # fmt: skip

    def _comment(self, one: Comment) -> dict[str, Any]:
        named = {} if one.by == "owner" else {"unique_identifier": one.by}
        return {
            "comment_id": one.id, "video_id": one.video, "user_id": "v4.1", "create_time": str(int(one.at)),
            "text": one.text, "likes": 0, "replies": sum(each.parent == one.id for each in self._comments),
            "owner": one.by == "owner", "liked": False, "pinned": False, "username": one.by.strip("+"),
            "status": "HIDDEN" if one.hidden else "PUBLIC", "parent_comment_id": one.parent, **named,
        }  # fmt: skip


def _good(data: dict[str, Any]) -> Response:
    # Ids of 19 digits are numbers in what it pushes, and strings in what it is asked for.
    return JSONResponse({"code": 0, "message": "OK", "request_id": "2026", "data": data})
