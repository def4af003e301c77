"""A Mastodon server on this machine, the demonstration's, and what goes wrong with one: failures, limits, streams that
end or say things twice. What people do there, and what goes wrong, is said by its methods.

`python -m tests.platforms.mastodon --port N` runs it as a process; `POST /control/<method>` with the arguments as JSON
calls a method, `GET /control/requests` and `GET /control/streams` show who read what.

Source of the limits: https://github.com/mastodon/mastodon: `config/initializers/rack_attack.rb`
"""

import argparse
import asyncio
import contextlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.websockets import WebSocket

from rapport.demo.vendors.mastodon import server
from rapport.demo.vendors.mastodon.paging import PAGED
from rapport.demo.vendors.mastodon.server import PING_SECONDS, Stream, bearer
from rapport.demo.vendors.mastodon.town import Status

TOKEN, USER, PAGING = "token", "user", "paging"
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Limit(NamedTuple):
    """So many requests in each period of so many seconds; periods begin at multiples of their length."""

    most: int
    seconds: float


class Asked(NamedTuple):
    """A request: when (monotonic), what, by whom."""

    at: float
    method: str
    path: str
    token: str | None
    agent: str | None


class MastodonServer(server.MastodonServer):
    """Serves from `with` to its end, on the loopback interface. Its methods may be called from any thread."""

    def __init__(
        self, port: int = 0, *, ulids: bool = False, version: str = "4.5.2", ping_interval: float = PING_SECONDS
    ) -> None:
        self.limits: dict[str, Limit] = {TOKEN: Limit(300, 300), USER: Limit(1500, 300), PAGING: Limit(300, 900)}
        self.requests: list[Asked] = []
        self.reading: set[str] = set()
        """Tokens that may not write."""
        self.token_in_protocol = False
        """Whether streams look for the token where browsers put it, and nowhere else, as Pleroma's and Iceshrimp's."""
        self.keeps_keys = True
        """Whether it knows a status that was sent with the same `Idempotency-Key` before."""
        self.tells_sources = True
        """Whether it gives statuses as they were sent."""
        self.hidden: set[str] = set()
        """Accounts whose notifications it leaves out of a page that is cut already, as GoToSocial does."""
        self.newest_first = False
        """Whether it takes `min_id` for `since_id`, as Friendica does."""
        self.hanging = 0
        """How many requests have come and are not carried out yet."""
        self._lost = 0
        self._off = timedelta()
        self._late: list[float] = []
        self.duplicate_frames = False
        self._ulids = ulids
        self._held: list[tuple[Stream, str]] | None = None
        self._streaming = True
        self._failures: list[tuple[int, float | None]] = []
        self._hangs: list[float] = []
        self._holding = False
        self._used: Counter[tuple[str, str, int]] = Counter()
        super().__init__(port, version=version, ping_interval=ping_interval)

    # What goes wrong.

    def fail(self, status: int, times: int = 1, retry_after: float | None = None) -> None:
        """The next requests fail."""
        with self._lock:
            self._failures += [(status, retry_after)] * times

    def hang(self, seconds: float, times: int = 1) -> None:
        """The next requests are answered only after so many seconds."""
        with self._lock:
            self._hangs += [seconds] * times

    def hold(self) -> None:
        """Carries out no request until `release`."""
        self._holding = True

    def release(self) -> None:
        """Carries out what it held."""
        self._holding = False

    def lose_answers(self, times: int = 1) -> None:
        """The next things that are written are there, but nobody is told: what stands before it answers 502."""
        with self._lock:
            self._lost += times

    def answer_late(self, seconds: float) -> None:
        """The next thing that is written is there at once, but is answered only after so many seconds."""
        with self._lock:
            self._late.append(seconds)

    def answers(self, status: str) -> list[Status]:
        """What was written in answer to a status."""
        with self._lock:
            return [one for one in self._statuses.values() if one.to == status]

    def limit(self, which: str, most: int, seconds: float) -> None:
        """Sets a rate limit: `token`, `user` or `paging`."""
        with self._lock:
            self.limits[which] = Limit(most, seconds)

    def revoke(self, token: str) -> None:
        """A token is good for nothing any more; its streams end."""
        with self._lock:
            self._tokens.pop(token, None)
            self._end([each for each in self._streams if each.token == token])

    def stop_streaming(self) -> None:
        """Ends every stream and opens none."""
        with self._lock:
            self._streaming = False
            self._end(self._streams)

    def start_streaming(self) -> None:
        """Opens streams again."""
        with self._lock:
            self._streaming = True

    def clock_is(self, seconds: float) -> None:
        """Sets its clock: so many seconds before or after ours."""
        with self._lock:
            self._off = timedelta(seconds=seconds)

    def duplicate(self, on: bool = True) -> None:
        """From now on each frame is sent twice, or once again."""
        with self._lock:
            self.duplicate_frames = on

    def hold_frames(self) -> None:
        """Keeps frames back until they are released."""
        with self._lock:
            self._held = []

    def release_frames(self, backwards: bool = True) -> None:
        """Sends what was kept back, the newest first."""
        with self._lock:
            held, self._held = self._held or [], None
            for stream, frame in reversed(held) if backwards else held:
                self._put(stream, frame)

    def send_frame(self, account: str, frame: str) -> None:
        """Sends a frame of any kind to the streams of an account."""
        with self._lock:
            for stream in self._streams:
                if stream.account == account:
                    self._deliver(stream, frame)

    # What was read, and by whom.

    def asked(self, path: str = "/api/", token: str | None = None) -> list[Asked]:
        """Requests whose path begins so, of one token or of all."""
        with self._lock:
            return [one for one in self.requests if one.path.startswith(path) and token in (None, one.token)]

    # How it works.

    def _routes(self) -> list[BaseRoute]:
        source = Route("/api/v1/statuses/{id}/source", self._limited(self._get_source))
        return [*super()._routes(), source, Route("/control/{what}", self._control, methods=["GET", "POST"])]

    def _time(self, at: str | None) -> datetime:
        return super()._time(at) if at else datetime.now(UTC) + self._off

    def _next_id(self) -> str:
        number = int(super()._next_id())
        if not self._ulids:
            return str(number)
        number <<= 64
        return "".join(_CROCKFORD[number >> (5 * place) & 31] for place in reversed(range(26)))

    def _next_notification_id(self) -> str:
        return self._next_id() if self._ulids else super()._next_notification_id()

    def _deliver(self, stream: Stream, frame: str) -> None:
        for _ in range(2 if self.duplicate_frames else 1):
            if self._held is not None:
                self._held.append((stream, frame))
            else:
                super()._deliver(stream, frame)

    def _limited(self, answer: Callable[[Request, str], Response], public: bool = False) -> Callable[[Request], Any]:
        """What every request of the API goes through: faults, the token, limits."""

        async def asked(request: Request) -> Response:
            token = bearer(request.headers.get("authorization"))
            self._note(request.method, request.url.path, request.url.query, token, request.headers.get("user-agent"))
            with self._lock:
                hang = self._hangs.pop(0) if self._hangs else 0
                failure = self._failures.pop(0) if self._failures else None
            request.state.form = dict(parse_qsl((await request.body()).decode()))
            self.hanging += 1
            await asyncio.sleep(hang)
            while self._holding:  # noqa: ASYNC110 - released from another thread
                await asyncio.sleep(0.02)
            self.hanging -= 1
            if failure is not None:
                waits = {} if failure[1] is None else {"Retry-After": f"{failure[1]:g}"}
                return JSONResponse({"error": "Something went wrong on our end"}, failure[0], headers=waits)
            with self._lock:
                account = self._tokens.get(token or "")
                if account is None and not public:
                    return JSONResponse({"error": "The access token is invalid"}, 401)
                limits, exceeded = self._count(token or "", account or "", request.query_params)
                if exceeded:
                    return JSONResponse({"error": "Too many requests"}, 429, headers=limits)
                if request.method == "POST" and token in self.reading:
                    why = "This action is outside the authorized scopes"
                    return JSONResponse({"error": why}, 403, headers=limits)
                answered = answer(request, account or "")
                answered.headers.update(limits)
                lost = request.method == "POST" and self._lost > 0
                self._lost -= lost
                late = self._late.pop(0) if request.method == "POST" and self._late else 0
            await asyncio.sleep(late)
            return PlainTextResponse("", 502) if lost else answered

        return asked

    def _count(self, token: str, account: str, query: QueryParams) -> tuple[dict[str, str], bool]:
        """Counts a request, and says how near the nearest limit is and whether it is exceeded."""
        now, keys = time.time(), {TOKEN: token, USER: account}
        if any(query.get(name) for name in PAGED):
            keys[PAGING] = account
        left = []
        for which, key in keys.items():
            limit = self.limits[which]
            period = int(now // limit.seconds)
            self._used[which, key, period] += 1
            left.append((limit.most - self._used[which, key, period], limit, (period + 1) * limit.seconds))
        remaining, limit, reset = min(left)
        return {
            "X-RateLimit-Limit": str(limit.most),
            "X-RateLimit-Remaining": str(max(remaining, 0)),
            "X-RateLimit-Reset": datetime.fromtimestamp(reset, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }, remaining < 0

    def _get_notifications(self, request: Request, account: str) -> Response:
        if self.newest_first:
            query = request.scope["query_string"].replace(b"min_id", b"since_id")
            request = Request({**request.scope, "query_string": query})
        whole = super()._get_notifications(request, account)
        shown = [one for one in json.loads(bytes(whole.body)) if one["account"]["id"] not in self.hidden]
        return JSONResponse(shown, headers={"Link": whole.headers["Link"]} if "Link" in whole.headers else {})

    def _get_source(self, request: Request, account: str) -> Response:
        one = self._seen(request, account)
        if one is None or not self.tells_sources:
            return JSONResponse({"error": "Record not found"}, 404)
        return JSONResponse({"id": one.id, "text": one.text, "spoiler_text": one.warning or ""})

    def _content(self, its: Status, mentioned: list[Any]) -> str:
        """Addresses are shown without their beginning."""
        shown = r'<a href="\g<0>" rel="nofollow"><span class="invisible">https://</span><span>\1</span></a>'
        return re.sub(r'(?<!")https://([^\s<]+)', shown, super()._content(its, mentioned))

    def _post_status(self, request: Request, account: str) -> Response:
        if not self.keeps_keys:
            self._keys.clear()
        return super()._post_status(request, account)

    async def _stream_lines(self, request: Request) -> Response:
        token = bearer(request.headers.get("authorization")) or request.query_params.get("access_token")
        self._note("GET", request.url.path, request.url.query, token, request.headers.get("user-agent"))
        return await super()._stream_lines(request) if self._streaming else PlainTextResponse("", 404)

    async def _stream(self, socket: WebSocket) -> None:
        offered, given = socket.scope.get("subprotocols", ()), socket.headers.get("authorization")
        token = bearer(given) if given else socket.query_params.get("access_token") or next(iter(offered), None)
        self._note("GET", socket.url.path, socket.url.query, token, socket.headers.get("user-agent"))
        if self.token_in_protocol and not offered:
            await socket.send_denial_response(PlainTextResponse("", 403))
        elif self._streaming:
            await super()._stream(socket)
        else:
            await socket.send_denial_response(PlainTextResponse("", 404))

    def _note(self, method: str, path: str, query: str, token: str | None, agent: str | None) -> None:
        with self._lock:
            self.requests.append(Asked(time.monotonic(), method, f"{path}?{query}" if query else path, token, agent))

    async def _control(self, request: Request) -> Response:
        what = request.path_params["what"]
        if request.method == "GET":
            with self._lock:
                return JSONResponse(self.streams if what == "streams" else [one._asdict() for one in self.requests])
        if what.startswith("_") or not callable(getattr(self, what, None)):
            return JSONResponse({"error": f"no method {what}"}, 404)
        body = await request.body()
        return JSONResponse({"result": getattr(self, what)(**(json.loads(body) if body else {}))})


def main() -> None:
    """Serves until it is ended, and says where on a line of JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ulids", action="store_true", help="ids as GoToSocial has them")
    given = parser.parse_args()
    with MastodonServer(given.port, ulids=given.ulids) as server:
        print(json.dumps({"address": server.address}), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
