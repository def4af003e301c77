"""A Mastodon server on this machine, as its documents and its source say that it answers: notifications, an account's
own statuses, rate limits, the stream `user`. What people do there, and what goes wrong, is said by its methods.

`python -m tests.platforms.mastodon --port N` runs it as a process; `POST /control/<method>` with the arguments as JSON
calls a method, `GET /control/requests` and `GET /control/streams` show who read what. Scopes are not checked.

Source: https://docs.joinmastodon.org/methods/notifications/, https://docs.joinmastodon.org/methods/streaming/,
https://github.com/mastodon/mastodon: `app/models/concerns/paginable.rb`, `config/initializers/rack_attack.rb`,
`streaming/index.js`, `app/services/fan_out_on_write_service.rb`, `app/services/remove_status_service.rb`
"""

import argparse
import asyncio
import contextlib
import html
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.platforms.serving import LocalServer

TOKEN, USER, PAGING = "token", "user", "paging"
PAGED = ("min_id", "since_id", "max_id", "page")
MOST_CHARACTERS = 500
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


@dataclass
class Account:
    """Somebody; with a domain, somebody of another server."""

    id: str
    username: str
    domain: str | None
    name: str
    bot: bool = False
    fields: list[dict[str, Any]] = field(default_factory=list)

    @property
    def acct(self) -> str:
        """The name here."""
        return f"{self.username}@{self.domain}" if self.domain else self.username


@dataclass
class Status:
    """What somebody wrote, or passed on."""

    id: str
    author: str
    text: str
    at: datetime
    visibility: str
    to: str | None
    to_author: str | None
    mentions: list[str]
    reblog: str | None = None
    quote: str | None = None
    warning: str = ""
    media: list[str] = field(default_factory=list)
    edited_at: datetime | None = None


@dataclass
class Notification:
    """Something that an account is told of."""

    id: str
    whose: str
    type: str
    by: str
    at: datetime
    status: str | None = None


class _Stream(NamedTuple):
    token: str
    agent: str | None
    account: str
    frames: "asyncio.Queue[str | None]"
    names: set[str]


class MastodonServer(LocalServer):
    """Serves from `with` to its end, on the loopback interface. Its methods may be called from any thread."""

    def __init__(
        self, port: int = 0, *, ulids: bool = False, version: str = "4.5.2", ping_interval: float = 30.0
    ) -> None:
        self.limits: dict[str, Limit] = {TOKEN: Limit(300, 300), USER: Limit(1500, 300), PAGING: Limit(300, 900)}
        self.requests: list[Asked] = []
        self.silenced: set[str] = set()
        """Accounts whose notifications the policy holds back from who does not ask for them."""
        self.reading: set[str] = set()
        """Tokens that may not write."""
        self.favourites: list[tuple[str, str]] = []
        """Who favoured which status."""
        self.keeps_keys = True
        """Whether it knows a status that was sent with the same `Idempotency-Key` before."""
        self._keys: dict[tuple[str, str], str] = {}
        self.hanging = 0
        """How many requests have come and are not carried out yet."""
        self._lost = 0
        self._off = timedelta()
        self._late: list[float] = []
        self.duplicate_frames = False
        self.most_notifications = 80
        """On one page, whatever is asked for."""
        self._version, self._ulids = version, ulids
        self._lock = threading.RLock()
        self._accounts: dict[str, Account] = {}
        self._tokens: dict[str, str] = {}
        self._local: set[str] = set()
        """Accounts that have, or had, a token."""
        self._statuses: dict[str, Status] = {}
        self._notifications: list[Notification] = []
        self._follows: set[tuple[str, str]] = set()
        self._streams: list[_Stream] = []
        self._held: list[tuple[_Stream, str]] | None = None
        self._streaming = True
        self._failures: list[tuple[int, float | None]] = []
        self._hangs: list[float] = []
        self._used: Counter[tuple[str, str, int]] = Counter()
        self._made = 0
        super().__init__(
            self._app(),
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

    # What people do.

    def add_account(
        self, username: str, *, token: str | None = None, domain: str | None = None, name: str | None = None,
        bot: bool = False, fields: Iterable[dict[str, Any]] = (),
    ) -> str:  # fmt: skip
        """Adds somebody and returns their id. Who has a token can be read for."""
        with self._lock:
            shown = username.title() if name is None else name
            account = Account(self._next_id(), username, domain, shown, bot, list(fields))
            self._accounts[account.id] = account
            if token is not None:
                self._tokens[token] = account.id
                self._local.add(account.id)
            return account.id

    def add_token(self, token: str, account: str) -> None:
        """Another token of an account."""
        with self._lock:
            self._tokens[token] = account

    def post(
        self, who: str, text: str, *, to: str | None = None, mentions: Iterable[str] = (), visibility: str = "public",
        quote: str | None = None, warning: str = "", media: Iterable[str] = (), at: str | None = None,
    ) -> str:  # fmt: skip
        """Somebody writes a status. `at` is when (ISO 8601), if not now. Returns its id."""
        with self._lock:
            answered = self._statuses[to] if to else None
            status = Status(
                self._next_id(), who, text, self._time(at), visibility, to, answered.author if answered else None,
                list(dict.fromkeys(mentions)), None, quote, warning, list(media),
            )  # fmt: skip
            self._statuses[status.id] = status
            self._tell_home(status, "update")
            for whom in status.mentions:
                self._notify(whom, "mention", who, status.id)
            if quote:
                self._notify(self._statuses[quote].author, "quote", who, status.id)
            return status.id

    def comment(self, who: str, to: str, text: str, **more: Any) -> str:
        """Somebody answers a status; its author is mentioned, as every app does it. Returns the id."""
        return self.post(who, text, to=to, mentions=[self._statuses[to].author, *more.pop("mentions", ())], **more)

    answer = comment

    def mention(self, who: str, whom: str, text: str, **more: Any) -> str:
        """Somebody mentions somebody else. Returns the id."""
        return self.post(who, text, mentions=[whom, *more.pop("mentions", ())], **more)

    def message(self, who: str, whom: str, text: str, **more: Any) -> str:
        """Somebody writes to somebody in private. Returns the id."""
        return self.mention(who, whom, text, visibility="direct", **more)

    def favourite(self, who: str, status: str) -> None:
        """Somebody favourites a status."""
        with self._lock:
            self.favourites.append((who, status))
            self._notify(self._statuses[status].author, "favourite", who, status)

    def unfavourite(self, who: str, status: str) -> None:
        """Somebody takes a favourite back. The notification is gone, and nobody is told."""
        with self._lock:
            self._forget(lambda one: (one.type, one.by, one.status) == ("favourite", who, status))

    def reblog(self, who: str, status: str) -> str:
        """Somebody passes a status on. Returns the id of what is then among their own."""
        with self._lock:
            passed = Status(self._next_id(), who, "", self._time(None), "public", None, None, [], status)
            self._statuses[passed.id] = passed
            self._tell_home(passed, "update")
            self._notify(self._statuses[status].author, "reblog", who, status)
            return passed.id

    def follow(self, who: str, whom: str) -> None:
        """Somebody follows somebody."""
        with self._lock:
            self._follows.add((who, whom))
            self._notify(whom, "follow", who)

    def unfollow(self, who: str, whom: str) -> None:
        """Somebody follows somebody no longer. The notification is gone, and nobody is told."""
        with self._lock:
            self._follows.discard((who, whom))
            self._forget(lambda one: (one.type, one.by, one.whose) == ("follow", who, whom))

    def edit(self, status: str, text: str, at: str | None = None) -> None:
        """The author changes a status: told at their home, to their followers, and to who passed it on."""
        with self._lock:
            its = self._statuses[status]
            its.text, its.edited_at = text, self._time(at)
            self._tell_home(its, "status.update")
            for other in [each for each in self._statuses.values() if each.reblog == status]:
                self._notify(other.author, "update", its.author, status)

    def delete(self, status: str) -> None:
        """The author deletes a status: told at their home, to their followers, and to whom it mentions."""
        with self._lock:
            its = self._statuses.pop(status)
            for each in self._statuses.values():
                each.to = None if each.to == status else each.to
                each.quote = None if each.quote == status else each.quote
            self._forget(lambda one: one.status == status)
            for whom in {*self._at_home(its), *its.mentions}:
                self._send(whom, "delete", status)
            for passed in [each.id for each in self._statuses.values() if each.reblog == status]:
                self.delete(passed)

    def notify(self, whom: str, type: str, by: str, status: str | None = None) -> None:
        """A notification of any type."""
        with self._lock:
            self._notify(whom, type, by, status)

    # What goes wrong.

    def fail(self, status: int, times: int = 1, retry_after: float | None = None) -> None:
        """The next requests fail."""
        with self._lock:
            self._failures += [(status, retry_after)] * times

    def hang(self, seconds: float, times: int = 1) -> None:
        """The next requests are answered only after so many seconds."""
        with self._lock:
            self._hangs += [seconds] * times

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

    def drop_streams(self) -> None:
        """Ends every stream. New ones can be opened."""
        with self._lock:
            self._end(self._streams)

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

    @property
    def streams(self) -> list[tuple[str, str | None]]:
        """The token and the User-Agent of each open stream."""
        with self._lock:
            return [(each.token, each.agent) for each in self._streams]

    def asked(self, path: str = "/api/", token: str | None = None) -> list[Asked]:
        """Requests whose path begins so, of one token or of all."""
        with self._lock:
            return [one for one in self.requests if one.path.startswith(path) and token in (None, one.token)]

    # How it works.

    def _time(self, at: str | None) -> datetime:
        return datetime.fromisoformat(at) if at else datetime.now(UTC) + self._off

    def _next_id(self) -> str:
        self._made += 1
        number = (time.time_ns() // 1_000_000 << 16) + self._made
        if not self._ulids:
            return str(number)
        number <<= 64
        return "".join(_CROCKFORD[number >> (5 * place) & 31] for place in reversed(range(26)))

    def _notify(self, whom: str, type: str, by: str, status: str | None = None) -> None:
        if whom == by or whom not in self._local:
            return
        if self._ulids:
            name = self._next_id()
        else:
            self._made += 1
            name = str(34_975_000 + self._made)
        one = Notification(name, whom, type, by, self._time(None), status)
        self._notifications.append(one)
        if by not in self.silenced:
            self._send(whom, "notification", json.dumps(self._notification(one)))

    def _forget(self, which: Callable[[Notification], bool]) -> None:
        self._notifications = [one for one in self._notifications if not which(one)]

    def _at_home(self, status: Status) -> set[str]:
        """Who sees a status in their timeline."""
        followers = {who for who, whom in self._follows if whom == status.author}
        if status.visibility == "direct":
            followers &= set(status.mentions)
        return {status.author, *followers}

    def _tell_home(self, status: Status, event: str) -> None:
        for whom in self._at_home(status):
            self._send(whom, event, json.dumps(self._status(status)))

    def _send(self, account: str, event: str, payload: str) -> None:
        for stream in self._streams:
            if stream.account != account:
                continue
            for name in sorted(stream.names):
                if name == "user" or event == "notification":
                    self._deliver(stream, json.dumps({"stream": [name], "event": event, "payload": payload}))

    def _deliver(self, stream: _Stream, frame: str) -> None:
        for _ in range(2 if self.duplicate_frames else 1):
            if self._held is not None:
                self._held.append((stream, frame))
            else:
                self._put(stream, frame)

    def _end(self, streams: list[_Stream]) -> None:
        for stream in list(streams):
            self._put(stream, None)
            self._streams.remove(stream)

    def _put(self, stream: _Stream, frame: str | None) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(stream.frames.put_nowait, frame)

    def _account(self, its: Account) -> dict[str, Any]:
        where = its.domain or self.host
        return {
            "id": its.id, "username": its.username, "acct": its.acct, "display_name": its.name, "locked": False,
            "bot": its.bot, "discoverable": True, "group": False, "created_at": "2022-11-05T00:00:00.000Z", "note": "",
            "url": f"https://{where}/@{its.username}", "uri": f"https://{where}/users/{its.username}",
            "avatar": f"https://{where}/avatars/{its.id}.png", "avatar_static": f"https://{where}/avatars/{its.id}.png",
            "header": f"https://{where}/headers/{its.id}.png", "followers_count": 0, "following_count": 0,
            "statuses_count": 0, "last_status_at": None, "emojis": [], "fields": its.fields,
        }  # fmt: skip

    def _status(self, its: Status, depth: int = 0) -> dict[str, Any]:
        author = self._accounts[its.author]
        where = author.domain or self.host
        mentioned = [self._accounts[each] for each in its.mentions]
        quoted = self._statuses.get(its.quote) if its.quote and depth == 0 else None
        passed = self._statuses.get(its.reblog) if its.reblog else None
        return {
            "id": its.id, "created_at": _iso(its.at), "in_reply_to_id": its.to, "in_reply_to_account_id": its.to_author,
            "sensitive": bool(its.warning), "spoiler_text": its.warning, "visibility": its.visibility, "language": "en",
            "uri": f"https://{where}/users/{author.username}/statuses/{its.id}",
            "url": f"https://{where}/@{author.username}/{its.id}", "replies_count": 0, "reblogs_count": 0,
            "favourites_count": 0, "quotes_count": 0, "edited_at": _iso(its.edited_at) if its.edited_at else None,
            "favourited": False, "reblogged": False, "muted": False, "bookmarked": False, "filtered": [],
            "content": self._content(its, mentioned), "reblog": self._status(passed, depth) if passed else None,
            "account": self._account(author),
            "media_attachments": [
                {"id": str(place), "type": what, "url": f"https://{where}/media/{its.id}/{place}", "preview_url": None,
                 "remote_url": None, "meta": {}, "description": None, "blurhash": None}
                for place, what in enumerate(its.media)
            ],
            "mentions": [
                {"id": each.id, "username": each.username, "url": self._account(each)["url"], "acct": each.acct}
                for each in mentioned
            ],
            "tags": [], "emojis": [], "card": None, "poll": None,
            "quote": {"state": "accepted", "quoted_status": self._status(quoted, 1)} if quoted else None,
        }  # fmt: skip

    def _content(self, its: Status, mentioned: list[Account]) -> str:
        if its.reblog or not (its.text or mentioned):
            return ""
        names = "".join(
            f'<span class="h-card" translate="no"><a href="{self._account(each)["url"]}" class="u-url mention">'
            f"@<span>{each.username}</span></a></span> "
            for each in mentioned
        )
        return f"<p>{names}{html.escape(its.text, quote=False)}</p>".replace("\n", "<br />")

    def _notification(self, one: Notification) -> dict[str, Any]:
        made: dict[str, Any] = {
            "id": one.id, "type": one.type, "created_at": _iso(one.at), "group_key": f"ungrouped-{one.id}",
            "account": self._account(self._accounts[one.by]),
        }  # fmt: skip
        if one.status is not None:
            made["status"] = self._status(self._statuses[one.status])
        return made

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api/v1/notifications", self._limited(self._get_notifications)),
                Route("/api/v1/accounts/verify_credentials", self._limited(self._get_credentials)),
                Route("/api/v1/accounts/{id}/statuses", self._limited(self._get_statuses)),
                Route("/api/v1/statuses", self._limited(self._post_status), methods=["POST"]),
                Route("/api/v1/statuses/{id}", self._limited(self._get_status)),
                Route("/api/v1/statuses/{id}/context", self._limited(self._get_context)),
                Route("/api/v1/statuses/{id}/favourite", self._limited(self._post_favourite), methods=["POST"]),
                Route("/api/v2/instance", self._limited(self._get_instance, public=True)),
                Route("/api/v1/streaming/health", lambda _: PlainTextResponse("OK")),
                WebSocketRoute("/api/v1/streaming", self._stream),
                WebSocketRoute("/api/v1/streaming/", self._stream),
                Route("/control/{what}", self._control, methods=["GET", "POST"]),
            ]
        )

    def _limited(self, answer: Callable[[Request, str], Response], public: bool = False) -> Callable[[Request], Any]:
        """What every request of the API goes through: faults, the token, limits."""

        async def asked(request: Request) -> Response:
            token = _bearer(request.headers.get("authorization"))
            self._note(request.method, request.url.path, request.url.query, token, request.headers.get("user-agent"))
            with self._lock:
                hang = self._hangs.pop(0) if self._hangs else 0
                failure = self._failures.pop(0) if self._failures else None
            request.state.form = dict(parse_qsl((await request.body()).decode()))
            self.hanging += 1
            await asyncio.sleep(hang)
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
        page = _page([(one.id, one) for one in its], query, 40, self.most_notifications)
        kept = [(name, value) for name, value in query.multi_items() if name in _KEPT]
        links = _links(f"{self.address}/api/v1/notifications", kept, [name for name, _ in page], more=True)
        return JSONResponse([self._notification(one) for _, one in page], headers=links)

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
        page = _page([(one.id, one) for one in its], query, 20, 40)
        kept = [(name, value) for name, value in query.multi_items() if name not in PAGED]
        full = len(page) == _size(query, 20, 40)
        links = _links(f"{self.address}/api/v1/accounts/{whose}/statuses", kept, [name for name, _ in page], more=full)
        return JSONResponse([self._status(one) for _, one in page], headers=links)

    def _get_status(self, request: Request, account: str) -> Response:
        one = self._statuses.get(request.path_params["id"])
        if one is None or (one.visibility not in {"public", "unlisted"} and account not in (one.author, *one.mentions)):
            return JSONResponse({"error": "Record not found"}, 404)
        return JSONResponse(self._status(one))

    def _seen(self, request: Request, account: str) -> Status | None:
        one = self._statuses.get(request.path_params["id"])
        hidden = one is not None and one.visibility not in {"public", "unlisted"}
        return None if one is None or (hidden and account not in (one.author, *one.mentions)) else one

    def _get_context(self, request: Request, account: str) -> Response:
        if self._seen(request, account) is None:
            return JSONResponse({"error": "Record not found"}, 404)
        below, found = {request.path_params["id"]}, []
        for one in self._statuses.values():  # in the order in which they were written
            if one.to in below:
                below.add(one.id)
                found.append(self._status(one))
        return JSONResponse({"ancestors": [], "descendants": found})

    def _post_favourite(self, request: Request, account: str) -> Response:
        one = self._seen(request, account)
        if one is None:
            return JSONResponse({"error": "Record not found"}, 404)
        if (account, one.id) not in self.favourites:
            self.favourite(account, one.id)
        return JSONResponse({**self._status(one), "favourited": True})

    def _post_status(self, request: Request, account: str) -> Response:
        form, key = request.state.form, request.headers.get("idempotency-key")
        if key and self.keeps_keys and (known := self._keys.get((account, key))):
            return JSONResponse(self._status(self._statuses[known]))
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
        return JSONResponse(self._status(self._statuses[made]))

    def _get_instance(self, _: Request, __: str) -> Response:
        urls = {"streaming": self.address.replace("http", "ws", 1)}
        return JSONResponse({
            "domain": self.host, "title": "Mastodon", "version": self._version, "source_url": "", "description": "",
            "configuration": {"urls": urls, "statuses": {"max_characters": 500}}, "api_versions": {"mastodon": 7},
        })  # fmt: skip

    async def _stream(self, socket: WebSocket) -> None:
        offered = list(socket.scope.get("subprotocols", ()))
        given, agent = socket.headers.get("authorization"), socket.headers.get("user-agent")
        token = _bearer(given) if given else socket.query_params.get("access_token") or next(iter(offered), None)
        self._note("GET", socket.url.path, socket.url.query, token, agent)
        with self._lock:
            streaming, account = self._streaming, self._tokens.get(token or "")
        if not streaming:
            await socket.send_denial_response(PlainTextResponse("", 404))
            return
        if account is None or token is None:
            why = "Invalid access token" if token else "Missing access token"
            await socket.send_denial_response(PlainTextResponse("", 401, headers={"X-Error-Message": why}))
            return
        await socket.accept(subprotocol=offered[0] if offered else None)
        asked_for = socket.query_params.get("stream")
        stream = _Stream(token, agent, account, asyncio.Queue(), {asked_for} if asked_for else set())
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

    async def _listen(self, socket: WebSocket, stream: _Stream) -> None:
        """Takes `subscribe` and `unsubscribe`, until the reader goes away."""
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                with contextlib.suppress(ValueError, KeyError):
                    said = json.loads(await socket.receive_text())
                    with self._lock:
                        change = stream.names.add if said["type"] == "subscribe" else stream.names.discard
                        change(said["stream"])
        stream.frames.put_nowait(None)

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


_KEPT = frozenset({"limit", "account_id", "types[]", "exclude_types[]", "include_filtered"})


def _order(id: str | None) -> tuple[int, str]:
    return len(id or ""), id or ""


def _size(query: QueryParams, default: int, most: int) -> int:
    given = query.get("limit", "")
    return min(int(given), most) if given.isdigit() else default


def _page(items: list[tuple[str, Any]], query: QueryParams, default: int, most: int) -> list[tuple[str, Any]]:
    """Newest first. With `min_id` the ones that come right after it; with `since_id` the newest ones after it."""
    size, upper = _size(query, default, most), query.get("max_id")
    lower = query.get("min_id") or query.get("since_id")
    inside = sorted(
        (item for item in items
         if (not upper or _order(item[0]) < _order(upper)) and (not lower or _order(item[0]) > _order(lower))),
        key=lambda item: _order(item[0]),
    )  # fmt: skip
    chosen = inside[:size] if query.get("min_id") else inside[max(len(inside) - size, 0) :]
    return chosen[::-1]


def _links(path: str, kept: list[tuple[str, str]], ids: list[str], *, more: bool) -> dict[str, str]:
    """The header `Link`: the page before, which is older, as `next`, and the page after as `prev`."""
    if not ids:
        return {}
    older = [f'<{path}?{urlencode([*kept, ("max_id", ids[-1])])}>; rel="next"'] if more else []
    return {"Link": ", ".join([*older, f'<{path}?{urlencode([*kept, ("min_id", ids[0])])}>; rel="prev"'])}


def _bearer(header: str | None) -> str | None:
    return header.removeprefix("Bearer ") if header else None


def _iso(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


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
