"""LinkedIn's interface on this machine, as far as a page is asked for what its webhook did not deliver.

Notifications in the webhook's own shape, by spans of time and page by page, 60 days back; a subscription that can go;
refusals and limits in LinkedIn's own words.

Source: https://learn.microsoft.com/en-us/linkedin/marketing/community-management/organizations/organization-social-action-notifications
"""

import json
import re
import threading
import time
from typing import Any
from urllib.parse import parse_qsl, unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rapport.demo.vendors.serving import LocalServer
from tests.platforms.writing import LinkedIn, Refusal

KEPT_SECONDS = 60 * 86_400
_RANGE = re.compile(r"\(start:(\d+),end:(\d+)\)")
_KEY = re.compile(
    r"\(developerApplication:(.+),user:(.+),entity:(.+),eventType:ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS\)"
)


class LinkedInServer(LocalServer):
    """Serves from `with` to its end. Its methods may be called from any thread."""

    ENDED = LinkedIn.EXPIRED
    """What is said to a token whose grant was taken back."""
    NO_ROLE = LinkedIn.DENIED
    """… to a member who is no longer an administrator of the page."""
    LIMITED = LinkedIn.LIMITED
    FAILS = Refusal(500, {"status": 500, "message": "Internal server error"})

    def __init__(self, page: int = 10) -> None:
        """`page`: how many notifications it gives at once at most."""
        self.tokens: set[str] = set()
        self.subscribed: dict[str, float] = {}
        """When the subscription of each page ends (seconds)."""
        self.administrators: set[str] | None = None
        """Who may subscribe pages; None for everybody."""
        self.webhooks: dict[str, str] = {}
        """Where the subscriptions that were made here lead, by page."""
        self.members: dict[str, set[str]] = {}
        """For whom, by page: each of its administrators may have a subscription."""
        self.asked: list[tuple[float, str]] = []
        """When, and what."""
        self._page = page
        self._posts: list[dict[str, Any]] = []
        self._notifications: list[dict[str, Any]] = []
        self._refusals: list[Refusal] = []
        self._lock = threading.RLock()
        routes = [Route("/rest/{path:path}", self._answer, methods=["GET", "PUT", "DELETE"])]
        super().__init__(Starlette(routes=routes))

    def happen(self, organization: str, action: str, number: int, at: float, **more: Any) -> dict[str, Any]:
        """Something happens on a page at a time (seconds). Returns the notification, as the webhook would have it."""
        post = f"urn:li:activity:{7_000_000_000_000_000_000 + number // 1000}"
        comment = f"urn:li:comment:({post.removeprefix('urn:li:')},{number})"
        made = {
            "notificationId": number, "organizationalEntity": organization, "action": action, "sourcePost": post,
            "generatedActivity": comment, "subscriber": "urn:li:person:admin", "lastModifiedAt": int(at * 1000),
            "decoratedSourcePost": {"entity": post, "owner": organization, "text": "A post", "mediaCategory": "NONE"},
            "decoratedGeneratedActivity": {
                "comment": {"entity": comment, "owner": "urn:li:person:ada", "text": f"hello {number}", "object": post}
            },
            **more,
        }  # fmt: skip
        with self._lock:
            self._notifications.append(made)
        return made

    def post(self, organization: str, number: int, at: float, **more: Any) -> str:
        """A page publishes at a time (seconds). Returns the post's URN."""
        made = {
            "id": f"urn:li:share:{7_000_000_000_000_000_000 + number}", "author": organization, "commentary": "",
            "lifecycleState": "PUBLISHED", "visibility": "PUBLIC", "isReshareDisabledByAuthor": False,
            "lifecycleStateInfo": {"isEditedByAuthor": False},
            "createdAt": int(at * 1000), "publishedAt": int(at * 1000), "lastModifiedAt": int(at * 1000), **more,
        }  # fmt: skip
        with self._lock:
            self._posts.append(made)
        return str(made["id"])

    def refuse(self, refusal: Refusal, times: int = 1) -> None:
        """The next requests are refused."""
        with self._lock:
            self._refusals += [refusal] * times

    def recover(self) -> None:
        """Refuses no more."""
        with self._lock:
            self._refusals.clear()

    def spans(self) -> list[tuple[float, float]]:
        """The spans of time that were asked for (seconds), in order."""
        found = [_RANGE.search(unquote(what)) for _, what in self.asked]
        return [(int(each[1]) / 1000, int(each[2]) / 1000) for each in found if each]

    async def _answer(self, request: Request) -> Response:
        path = request.scope["raw_path"].decode().removeprefix("/rest/")
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        query = request.scope["query_string"].decode()
        assert (path == "posts") == (request.headers.get("x-restli-method") == "FINDER"), path
        return self.handle(request.method, path, query, token, await request.body())

    def handle(self, method: str, path: str, query: str, token: str, body: bytes) -> Response:
        """The answer to a request for a path below `/rest/`, as it was sent."""
        with self._lock:
            self.asked.append((time.monotonic(), f"{path}?{query}"))
            if self._refusals:
                return _said(self._refusals.pop(0))
            if token not in self.tokens:
                return _said(self.ENDED)
            if path == "organizationalEntityNotifications":
                return self._listed(query)
            if path == "posts":
                return self._published(dict(parse_qsl(query)))
            key = _KEY.fullmatch(path.removeprefix("eventSubscriptions/"))
            assert key is not None, path
            entity = unquote(key[3])
            if method != "GET":
                return self._changed(method, unquote(key[2]), entity, body)
            if entity not in self.subscribed:
                return JSONResponse({"status": 404, "message": "Not found"}, 404)
            ends = int(self.subscribed[entity] * 1000)
            webhook = self.webhooks.get(entity, "https://rapport.example/v1/platforms/linkedin")
            return JSONResponse({"webhook": webhook, "expiresAt": ends})

    def _changed(self, method: str, member: str, entity: str, body: bytes) -> Response:
        if self.administrators is not None and member not in self.administrators:
            return _said(self.NO_ROLE)
        if method == "DELETE":
            its = self.members.setdefault(entity, set())
            its.discard(member)
            if not its:
                self.subscribed.pop(entity, None)
            return Response(status_code=204)
        self.members.setdefault(entity, set()).add(member)
        self.webhooks[entity] = json.loads(body)["webhook"]
        self.subscribed[entity] = time.time() + KEPT_SECONDS
        return Response(status_code=200)

    def _published(self, asked: dict[str, str]) -> Response:
        assert (asked["q"], asked["sortBy"]) == ("author", "LAST_MODIFIED")
        of_it = sorted(
            (each for each in self._posts if each["author"] == asked["author"]), key=lambda one: -one["lastModifiedAt"]
        )
        start, count = int(asked.get("start", 0)), int(asked.get("count", 10))
        body = {"elements": of_it[start : start + count], "paging": {"start": start, "count": count, "links": []}}
        return Response(json.dumps(body), media_type="application/json")

    def _listed(self, query: str) -> Response:
        assert "actions=List(" in query, "brackets of lists must stay as they are"
        asked = dict(parse_qsl(query))
        assert asked["q"] == "criteria"
        span = _RANGE.fullmatch(asked["timeRange"])
        assert span is not None, asked
        oldest = (time.time() - KEPT_SECONDS) * 1000
        if int(span[1]) < oldest:
            return JSONResponse({"status": 400, "message": "timeRange is more than 60 days ago"}, 400)
        actions = asked["actions"].removeprefix("List(").removesuffix(")").split(",")
        of_it = [
            each
            for each in reversed(self._notifications)
            if each["organizationalEntity"] == asked["organizationalEntity"]
            and each["action"] in actions
            and int(span[1]) <= each["lastModifiedAt"] <= int(span[2])
        ]
        start, count = int(asked.get("start", 0)), min(self._page, int(asked.get("count", 10)))
        shown = of_it[start : start + count]
        links = [{"rel": "next", "type": "application/json", "href": "/x"}] if start + count < len(of_it) else []
        body = {"elements": shown, "paging": {"start": start, "count": count, "links": links}}
        return Response(json.dumps(body), media_type="application/json")


def _said(refusal: Refusal) -> Response:
    return JSONResponse(refusal.body, refusal.status)
