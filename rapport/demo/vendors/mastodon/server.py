"""Serves a town as Mastodon's documents and its source say: notifications, an account's own statuses, what may be
written, the stream `user`. Scopes are not checked.

Source: https://docs.joinmastodon.org/methods/notifications/, https://docs.joinmastodon.org/methods/streaming/,
https://github.com/mastodon/mastodon: `app/models/concerns/paginable.rb`, `streaming/index.js`,
`app/services/fan_out_on_write_service.rb`, `app/services/remove_status_service.rb`
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from rapport.demo.vendors.mastodon.paging import PAGED, links_of, page_of, size_of
from rapport.demo.vendors.mastodon.town import Status, Town
from rapport.demo.vendors.serving import LocalServer

MOST_CHARACTERS = 500
THUMP_SECONDS = 15.0
"""How often a stream of lines says that it is still there."""
PING_SECONDS = 30.0
_KEPT = frozenset({"limit", "account_id", "types[]", "exclude_types[]", "include_filtered"})


class Stream(NamedTuple):
    """Somebody who listens: what they gave to be let in, whose stream it is, and what they are told of."""

    token: str
    agent: str | None
    account: str
    frames: "asyncio.Queue[str | None]"
    names: set[str]


class MastodonServer(Town, LocalServer):
    """Serves from `with` to its end, on the loopback interface."""

    def __init__(self, port: int = 0, *, version: str = "4.5.2", ping_interval: float = PING_SECONDS) -> None:
        Town.__init__(self)
        self.most_notifications = 80
        """On one page, whatever is asked for."""
        self._version = version
        self._keys: dict[tuple[str, str], str] = {}
        """What was written by whom with which `Idempotency-Key`."""
        self._streams: list[Stream] = []
        LocalServer.__init__(
            self,
            _without_slash(Starlette(routes=self._routes())),
            port,
            ws_ping_interval=ping_interval,
            ws_ping_timeout=ping_interval,
            timeout_graceful_shutdown=1,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop_streams()
        super().__exit__(kind, error, trace)

    def drop_streams(self) -> None:
        """Ends every stream. New ones can be opened."""
        with self._lock:
            self._end(self._streams)

    @property
    def streams(self) -> list[tuple[str, str | None]]:
        """The token and the User-Agent of each open stream."""
        with self._lock:
            return [(each.token, each.agent) for each in self._streams]

    def _routes(self) -> list[BaseRoute]:
        return [
            Route("/api/v1/notifications", self._limited(self._get_notifications)),
            Route("/api/v1/accounts/verify_credentials", self._limited(self._get_credentials)),
            Route("/api/v1/accounts/{id}/statuses", self._limited(self._get_statuses)),
            Route("/api/v1/statuses", self._limited(self._post_status), methods=["POST"]),
            Route("/api/v1/statuses/{id}", self._limited(self._get_status)),
            Route("/api/v1/statuses/{id}/context", self._limited(self._get_context)),
            Route("/api/v1/statuses/{id}/favourite", self._limited(self._post_favourite), methods=["POST"]),
            Route("/api/v1/instance", self._limited(self._get_instance_1, public=True)),
            Route("/api/v2/instance", self._limited(self._get_instance, public=True)),
            Route("/api/v1/streaming/user", self._stream_lines),
            Route("/api/v1/streaming/health", lambda _: PlainTextResponse("OK")),
            WebSocketRoute("/api/v1/streaming", self._stream),
        ]

    def _limited(self, answer: Callable[[Request, str], Response], public: bool = False) -> Callable[[Request], Any]:
        """What every request of the API goes through: whose token it has."""

        async def asked(request: Request) -> Response:
            request.state.form = dict(parse_qsl((await request.body()).decode()))
            with self._lock:
                account = self._tokens.get(bearer(request.headers.get("authorization")) or "")
                if account is None and not public:
                    return JSONResponse({"error": "The access token is invalid"}, 401)
                return answer(request, account or "")

        return asked

    def _get_notifications(self, request: Request, account: str) -> Response:
        query = request.query_params
        types, without = query.getlist("types[]"), query.getlist("exclude_types[]")
        all_of_them = query.get("include_filtered") in {"true", "1"}
        its = [
            one for one in self._notifications
            if one.whose == account
            and (not types or one.type in types)
            and one.type not in without
            and (all_of_them or one.by not in self.silenced)
            and query.get("account_id") in (None, one.by)
        ]  # fmt: skip
        page = page_of([(one.id, one) for one in its], query, 40, self.most_notifications)
        kept = [(name, value) for name, value in query.multi_items() if name in _KEPT]
        links = links_of(f"{self.address}/api/v1/notifications", kept, [name for name, _ in page], more=True)
        return JSONResponse([self._notification(one, account) for _, one in page], headers=links)

    def _get_credentials(self, _: Request, account: str) -> Response:
        return JSONResponse({**self._account(self._accounts[account]), "source": {"privacy": "public", "note": ""}})

    def _get_statuses(self, request: Request, account: str) -> Response:
        query, whose = request.query_params, request.path_params["id"]
        if whose not in self._accounts:
            return JSONResponse({"error": "Record not found"}, 404)
        no_reblogs, no_replies = (query.get(name) in {"true", "1"} for name in ("exclude_reblogs", "exclude_replies"))
        its = [
            one for one in self._statuses.values()
            if one.author == whose
            and (account == whose or one.visibility in {"public", "unlisted"})
            and not (no_reblogs and one.reblog)
            and not (no_replies and one.to_author not in (None, whose))
        ]  # fmt: skip
        page = page_of([(one.id, one) for one in its], query, 20, 40)
        kept = [(name, value) for name, value in query.multi_items() if name not in PAGED]
        full = len(page) == size_of(query, 20, 40)
        links = links_of(
            f"{self.address}/api/v1/accounts/{whose}/statuses", kept, [name for name, _ in page], more=full
        )
        return JSONResponse([self._status(one, viewer=account) for _, one in page], headers=links)

    def _get_status(self, request: Request, account: str) -> Response:
        one = self._statuses.get(request.path_params["id"])
        if one is None or (one.visibility not in {"public", "unlisted"} and account not in (one.author, *one.mentions)):
            return JSONResponse({"error": "Record not found"}, 404)
        return JSONResponse(self._status(one, viewer=account))

    def _seen(self, request: Request, account: str) -> Status | None:
        one = self._statuses.get(request.path_params["id"])
        hidden = one is not None and one.visibility not in {"public", "unlisted"}
        return None if one is None or (hidden and account not in (one.author, *one.mentions)) else one

    def _get_context(self, request: Request, account: str) -> Response:
        asked = self._seen(request, account)
        if asked is None:
            return JSONResponse({"error": "Record not found"}, 404)
        above: list[Status] = []
        while (answered := self._statuses.get((above[0] if above else asked).to or "")) is not None:
            above.insert(0, answered)
        below, found = {asked.id}, []
        for one in self._statuses.values():  # in the order in which they were written
            if one.to in below:
                below.add(one.id)
                found.append(self._status(one, viewer=account))
        return JSONResponse({"ancestors": [self._status(one, viewer=account) for one in above], "descendants": found})

    def _post_favourite(self, request: Request, account: str) -> Response:
        one = self._seen(request, account)
        if one is None:
            return JSONResponse({"error": "Record not found"}, 404)
        if (account, one.id) not in self.favourites:
            self.favourite(account, one.id)
        return JSONResponse(self._status(one, viewer=account))

    def _post_status(self, request: Request, account: str) -> Response:
        form, key = request.state.form, request.headers.get("idempotency-key")
        if key and (known := self._keys.get((account, key))):
            return JSONResponse(self._status(self._statuses[known], viewer=account))
        text, to = form.get("status", ""), form.get("in_reply_to_id")
        if not text:
            return JSONResponse({"error": "Validation failed: Text can't be blank"}, 422)
        if len(text) > MOST_CHARACTERS:
            why = f"Validation failed: Text character limit of {MOST_CHARACTERS} exceeded"
            return JSONResponse({"error": why}, 422)
        if to and to not in self._statuses:
            return JSONResponse({"error": "The post you are trying to reply to does not appear to exist."}, 404)
        named = [each.id for each in self._accounts.values() if f"@{each.acct}" in text.split()]
        words = [word for word in text.split(" ") if word not in {f"@{self._accounts[each].acct}" for each in named}]
        made = self.post(
            account, " ".join(words), to=to, mentions=named, visibility=form.get("visibility", "public"),
            warning=form.get("spoiler_text", ""),
        )  # fmt: skip
        if key:
            self._keys[account, key] = made
        return JSONResponse(self._status(self._statuses[made], viewer=account))

    def _get_instance(self, _: Request, __: str) -> Response:
        urls = {"streaming": self.address.replace("http", "ws", 1)}
        return JSONResponse({
            "domain": self.host, "title": "Mastodon", "version": self._version, "source_url": "", "description": "",
            "configuration": {"urls": urls, "statuses": {"max_characters": MOST_CHARACTERS}},
            "api_versions": {"mastodon": 7},
        })  # fmt: skip

    def _get_instance_1(self, _: Request, __: str) -> Response:
        """The same as older apps ask for it."""
        return JSONResponse({
            "uri": self.host, "title": "Mastodon", "version": self._version, "short_description": "",
            "description": "", "email": "", "urls": {"streaming_api": self.address.replace("http", "ws", 1)},
            "stats": {"user_count": len(self._local), "status_count": len(self._statuses), "domain_count": 1},
            "languages": ["en"], "registrations": False, "approval_required": False, "invites_enabled": False,
            "configuration": {"statuses": {"max_characters": MOST_CHARACTERS}}, "contact_account": None, "rules": [],
        })  # fmt: skip

    async def _stream_lines(self, request: Request) -> Response:
        """The stream `user` as lines of server-sent events."""
        given, agent = request.headers.get("authorization"), request.headers.get("user-agent")
        token = bearer(given) if given else request.query_params.get("access_token")
        with self._lock:
            account = self._tokens.get(token or "")
        if account is None or token is None:
            return JSONResponse({"error": "Invalid access token" if token else "Missing access token"}, 401)
        stream = Stream(token, agent, account, asyncio.Queue(), {"user"})
        with self._lock:
            self._streams.append(stream)

        async def lines() -> AsyncIterator[str]:
            yield ":)\n"
            try:
                while True:
                    try:
                        frame = await asyncio.wait_for(stream.frames.get(), THUMP_SECONDS)
                    except TimeoutError:
                        yield ":thump\n"
                        continue
                    if frame is None:
                        return
                    told = json.loads(frame)
                    yield f"event: {told['event']}\ndata: {told['payload']}\n\n"
            finally:
                with self._lock, contextlib.suppress(ValueError):
                    self._streams.remove(stream)

        return StreamingResponse(lines(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def _stream(self, socket: WebSocket) -> None:
        offered = list(socket.scope.get("subprotocols", ()))
        given, agent = socket.headers.get("authorization"), socket.headers.get("user-agent")
        token = bearer(given) if given else socket.query_params.get("access_token") or next(iter(offered), None)
        with self._lock:
            account = self._tokens.get(token or "")
        if account is None or token is None:
            why = "Invalid access token" if token else "Missing access token"
            await socket.send_denial_response(PlainTextResponse("", 401, headers={"X-Error-Message": why}))
            return
        await socket.accept(subprotocol=offered[0] if offered else None)
        asked_for = socket.query_params.get("stream")
        stream = Stream(token, agent, account, asyncio.Queue(), {asked_for} if asked_for else set())
        with self._lock:
            self._streams.append(stream)
        listening = asyncio.create_task(self._listen(socket, stream))
        try:
            while (frame := await stream.frames.get()) is not None:
                await socket.send_text(frame)
            await socket.close(1001)
        except (WebSocketDisconnect, RuntimeError):
            pass  # the reader went away
        finally:
            listening.cancel()
            with self._lock, contextlib.suppress(ValueError):
                self._streams.remove(stream)

    async def _listen(self, socket: WebSocket, stream: Stream) -> None:
        """Takes `subscribe` and `unsubscribe`, until the reader goes away."""
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                with contextlib.suppress(ValueError, KeyError):
                    said = json.loads(await socket.receive_text())
                    with self._lock:
                        change = stream.names.add if said["type"] == "subscribe" else stream.names.discard
                        change(said["stream"])
        stream.frames.put_nowait(None)

    def _send(self, account: str, event: str, payload: str) -> None:
        for stream in self._streams:
            if stream.account != account:
                continue
            for name in sorted(stream.names):
                if name == "user" or event == "notification":
                    self._deliver(stream, json.dumps({"stream": [name], "event": event, "payload": payload}))

    def _deliver(self, stream: Stream, frame: str) -> None:
        self._put(stream, frame)

    def _end(self, streams: list[Stream]) -> None:
        for stream in list(streams):
            self._put(stream, None)
            self._streams.remove(stream)

    def _put(self, stream: Stream, frame: str | None) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(stream.frames.put_nowait, frame)


def _without_slash(app: ASGIApp) -> ASGIApp:
    """A slash at the end of an address means nothing, and nobody is sent elsewhere because of it."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "path": scope["path"].rstrip("/") or "/"}, receive, send)

    return serve


def bearer(header: str | None) -> str | None:
    """The token in a header."""
    return header.removeprefix("Bearer ") if header else None
