"""X's interface on this machine: the webhook of an application, its subscriptions, what it sends again, and mentions.

A webhook can stop being valid, and be validated again; a subscription can go; what was sent in the last 24 hours is
sent again for whole minutes; mentions come page by page. It refuses and limits in X's own shapes.

Source: https://docs.x.com/x-api/webhooks/introduction, …/x-api/webhooks/create-replay-job-for-webhook,
…/x-api/activity/introduction, …/x-api/activity/create-x-activity-subscription and …/x-api/users/get-mentions
"""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rapport.demo.vendors.serving import LocalServer
from services.ingest.connectors.x.normalise import READ_EVENTS

BEARER, SECRET = "an-app-bearer-token", "a-consumer-secret"
_SCOPES = {"dm": "dm.read", "chat": "dm.read", "like": "like.read", "mute": "mute.read", "block": "block.read"}
SUBSCRIPTIONS = 10
"""On a page."""
OURS = "https://rapport.example/v1/platforms/x"


class Problem(NamedTuple):
    """A refusal, with further headers."""

    status: int
    body: Any
    headers: Mapping[str, str] = MappingProxyType({})


class XServer(LocalServer):
    """Serves from `with` to its end. Its methods may be called from any thread."""

    EXPIRED = Problem(401, {"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"})
    NO_CREDIT = Problem(402, {"title": "CreditsDepleted", "detail": "Your enrolled account has no credits left"})
    NOT_IN_PACKAGE = Problem(403, {"title": "Forbidden", "detail": "Replay is not part of your package", "status": 403})
    FAILS = Problem(503, {"title": "Service Unavailable", "status": 503})

    def __init__(self) -> None:
        self.webhook = str(uuid4().int)[:19]
        self.valid = True
        self.passes = True
        """Whether it would pass the check when it is validated."""
        self.registered = True
        self.subscribed: set[str] = set()
        """Accounts that were subscribed to before, with each event but those that have `ended`."""
        self.ended: set[str] = set()
        self.made: dict[str, dict[str, Any]] = {}
        """Subscriptions that were made here, by id."""
        self.not_in_package: set[str] = set()
        """Events that cannot be subscribed to."""
        self.tokens: dict[str, str] = {}
        """The user of each token."""
        self.granted: list[str] | None = None
        """The scopes of the tokens; None for all."""
        self.deliver_to: str | None = None
        """Where it pushes."""
        self.replays: list[tuple[datetime, datetime]] = []
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        """Method, path and query."""
        self._sent: list[tuple[datetime, bytes]] = []
        self._mentions: list[dict[str, Any]] = []
        self._refusals: dict[str, list[Problem]] = {}
        self._lock = threading.RLock()
        methods = ["GET", "POST", "PUT", "DELETE"]
        super().__init__(Starlette(routes=[Route("/2/{path:path}", self._answer, methods=methods)]))

    @staticmethod
    def limited(reset: datetime) -> Problem:
        """What is said beyond a limit: it is reset at `reset`."""
        headers = {
            "x-rate-limit-limit": "450", "x-rate-limit-remaining": "0",
            "x-rate-limit-reset": str(int(reset.timestamp())),
        }  # fmt: skip
        return Problem(429, {"title": "Too Many Requests", "status": 429, "type": "about:blank"}, headers)

    def mention(self, user: str, number: int, at: datetime, **more: Any) -> dict[str, Any]:
        """Somebody mentions a user. Returns the event, as the webhook has it."""
        post = {
            "id": str(1_990_000_000_000_000_000 + number), "author_id": "2222222222222222222",
            "text": f"@roastery hello {number}", "created_at": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "conversation_id": str(1_990_000_000_000_000_000 + number), "lang": "en",
            "edit_history_tweet_ids": [str(1_990_000_000_000_000_000 + number)],
            "entities": {"mentions": [{"start": 0, "end": 9, "username": "roastery", "id": user}]}, **more,
        }  # fmt: skip
        with self._lock:
            self._mentions.append(post)
        event = {
            "event_uuid": str(number), "filter": {"user_id": user}, "event_type": "post.mention.create",
            "payload": post,
        }  # fmt: skip
        return {"data": event}

    def send(self, event: dict[str, Any], at: datetime) -> int:
        """Pushes an event, and keeps it for 24 hours whether or not it arrived. Returns the status; 0 for none."""
        body = json.dumps(event).encode()
        with self._lock:
            self._sent.append((at, body))
        return self._push(body)

    def refuse(self, path: str, problem: Problem, times: int = 1) -> None:
        """The next requests for a path that begins so are refused."""
        with self._lock:
            self._refusals.setdefault(path, []).extend([problem] * times)

    def recover(self) -> None:
        """Refuses no more."""
        with self._lock:
            self._refusals.clear()

    def count(self, path: str) -> int:
        """How many requests there were for a path that begins so."""
        return sum(where.startswith(path) for _, where, _ in self.asked)

    def _push(self, body: bytes) -> int:
        if self.deliver_to is None:
            return 0
        digest = hmac.new(SECRET.encode(), body, hashlib.sha256).digest()
        headers = {"x-twitter-webhooks-signature": f"sha256={base64.b64encode(digest).decode()}"}
        try:
            return httpx.post(self.deliver_to, content=body, headers=headers, timeout=10).status_code
        except httpx.TransportError:
            return 0

    async def _answer(self, request: Request) -> Response:
        path, query, body = request.path_params["path"], dict(request.query_params), await request.body()
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return self.handle(request.method, path, query, token, body)

    def handle(self, method: str, path: str, query: dict[str, str], token: str, body: bytes) -> Response:
        """The answer to a request for a path below `/2/`."""
        with self._lock:
            self.asked.append((method, path, query))
            for begins, problems in self._refusals.items():
                if path.startswith(begins) and problems:
                    return _said(problems.pop(0))
            if path.startswith("users/"):
                return self._listed(path, query, token)
            if method == "POST" and path == "activity/subscriptions":
                return self._subscribed(json.loads(body), token)
            if token != BEARER:
                return _said(self.EXPIRED)
            if method == "DELETE":
                its = self.made.pop(path.removeprefix("activity/subscriptions/"), None)
                return JSONResponse({"data": {"deleted": its is not None}}, 200 if its else 404)
            if path == "webhooks/replay":
                return self._replayed(json.loads(body))
            if path == "activity/subscriptions":
                return self._subscriptions(query)
            if method == "PUT":
                assert path == f"webhooks/{self.webhook}"
                self.valid = self.passes
                return JSONResponse({"data": {"valid": self.valid}})
            assert path == "webhooks", path
            its = {"id": self.webhook, "url": OURS, "valid": self.valid, "created_at": "2026-11-01T00:00:00.000Z"}
            other = {
                **its,
                "id": "1",
                "url": "https://elsewhere.example/hook",
                "created_at": "2026-12-01T00:00:00.000Z",
            }
            return JSONResponse({"data": [its, other] if self.registered else [other], "meta": {"result_count": 2}})

    def _subscriptions(self, query: dict[str, str]) -> Response:
        every = [
            {
                "subscription_id": f"{user}{place}", "event_type": what, "filter": {"user_id": user},
                "webhook_id": self.webhook, "created_at": "2026-11-01T00:00:00Z", "updated_at": "2026-11-01T00:00:00Z",
            }
            for user in sorted(self.subscribed)
            for place, what in enumerate(sorted(READ_EVENTS - self.ended))
        ] + list(self.made.values())  # fmt: skip
        start = int(query.get("pagination_token", "0"))
        shown = every[start : start + SUBSCRIPTIONS]
        more = {"next_token": str(start + SUBSCRIPTIONS)} if start + SUBSCRIPTIONS < len(every) else {}
        return JSONResponse({"data": shown, "meta": {"result_count": len(shown), **more}})

    def _subscribed(self, asked: dict[str, Any], token: str) -> Response:
        """An event is subscribed to with the token of the account that it is about, and only once."""
        user, event = asked["filter"]["user_id"], asked["event_type"]
        assert asked["webhook_id"] == self.webhook
        if self.tokens.get(token) != user:
            return _said(self.EXPIRED)
        if (
            self.granted is not None
            and (scope := _SCOPES.get(event.partition(".")[0], "tweet.read")) not in self.granted
        ):
            return JSONResponse({"title": "Forbidden", "detail": f"{event} requires {scope}", "status": 403}, 403)
        if event in self.not_in_package:
            return JSONResponse({"title": "Forbidden", "detail": f"{event} is not in your package", "status": 403}, 403)
        if any(each["event_type"] == event and each["filter"]["user_id"] == user for each in self.made.values()):
            return JSONResponse({"title": "Conflict", "detail": "the subscription exists", "status": 409}, 409)
        its = {
            "subscription_id": str(uuid4().int)[:19], "event_type": event, "filter": {"user_id": user},
            "webhook_id": self.webhook, "created_at": "2026-11-01T00:00:00Z", "updated_at": "2026-11-01T00:00:00Z",
        }  # fmt: skip
        self.made[its["subscription_id"]] = its
        return JSONResponse({"data": its, "meta": {"total_subscriptions": len(self.made)}}, 201)

    def _replayed(self, asked: dict[str, str]) -> Response:
        assert asked["webhook_id"] == self.webhook
        since, until = (_time(asked[name]) for name in ("from_date", "to_date"))
        self.replays.append((since, until))
        if until <= since:
            return JSONResponse({"title": "Invalid Request", "detail": "to_date is not after from_date"}, 400)
        for at, body in self._sent:
            if since <= at < until:
                event = {**json.loads(body), "meta": {"replay": True}}
                threading.Thread(target=self._push, args=(json.dumps(event).encode(),)).start()
        return JSONResponse({"created_at": datetime.now(UTC).isoformat(), "job_id": "1915510368169844736"})

    def _listed(self, path: str, query: dict[str, str], token: str) -> Response:
        user = path.split("/")[1]
        assert path == f"users/{user}/mentions"
        assert "expansions" not in query, "each profile that comes along is charged for"
        if self.tokens.get(token) != user:
            return _said(self.EXPIRED)
        of_it = [
            each
            for each in sorted(self._mentions, key=lambda each: str(each["created_at"]), reverse=True)
            if query["start_time"] <= each["created_at"] <= query["end_time"]
            and any(its["id"] == user for its in each["entities"]["mentions"])
        ]
        start = int(query.get("pagination_token", "0"))
        shown = of_it[start : start + 2]
        more = {"next_token": str(start + 2)} if start + 2 < len(of_it) else {}
        found = {"data": shown} if shown else {}
        return JSONResponse({**found, "meta": {"result_count": len(shown), **more}})


def _said(problem: Problem) -> Response:
    return JSONResponse(problem.body, problem.status, headers=dict(problem.headers))


def _time(written: str) -> datetime:
    return datetime.strptime(written, "%Y%m%d%H%M").replace(tzinfo=UTC)
