"""A Bluesky on this machine as one account sees it: the directory of DIDs, the account's own server, and behind that
the AppView, which keeps its notifications. What people do there, and what goes wrong, is said by its methods.

Source: https://github.com/bluesky-social/atproto: `lexicons/com/atproto/repo/listRecords.json`,
`lexicons/app/bsky/notification/listNotifications.json`, `packages/pds/src/api/com/atproto/`,
`packages/bsky/src/api/app/bsky/notification/listNotifications.ts`, `packages/bsky/src/data-plane/server/`;
https://docs.bsky.app/docs/advanced-guides/rate-limits
"""

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import libipld
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rapport.demo.vendors.serving import LocalServer
from services.ingest.connectors.bluesky.frames import FOLLOW, LIKE, POST, REPOST
from tests.services.imports.files import cid_of, dag_cbor

MOST, USUAL = 100, 50
"""How many a page has, at most and if nobody says."""
NOTIFIED_HEIGHT = 5
"""How far up a thread people are told of a reply."""
_TID = "234567abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Record:
    """Something in a repository, as the network knows it."""

    uri: str
    cid: str
    value: dict[str, Any]
    root: "Record | None" = None
    parent: "Record | None" = None

    @property
    def author(self) -> str:
        return self.uri.split("/")[2]

    @property
    def strong(self) -> dict[str, str]:
        return {"uri": self.uri, "cid": self.cid}


class Asked(NamedTuple):
    """A request."""

    method: str
    query: dict[str, str]


@dataclass
class _Notification:
    record: Record
    reason: str
    subject: str | None
    at: str
    more: dict[str, Any] = field(default_factory=dict)


class AppView(LocalServer):
    """Serves one account from `with` to its end, on the loopback interface. Any thread may call its methods."""

    def __init__(self, did: str, handle: str, password: str = "abcd-efgh-ijkl-mnop") -> None:
        self.did = did
        self.password = password
        self.handles = {did: handle}
        """What the AppView calls people; `handle.invalid` where their domain says otherwise."""
        self.leads: dict[str, str] = {handle: did}
        """Where handles lead, for who asks this server."""
        self.muted: set[str] = set()
        self.follows: set[str] = set()
        """Whom the account follows: with `priority`, only they are told of."""
        self.asked: list[Asked] = []
        self.sessions = 0
        self.raw: list[tuple[str, Any]] = []
        """Items that stand in the list of notifications beside those that are made here, by their time."""
        self.largest: int | None = None
        """Items of a page from which on its answer is far too large."""
        self._posts: dict[str, Record] = {}
        self._notifications: list[_Notification] = []
        self._answers: list[tuple[str, Response]] = []
        self._left: int | None = None
        self._until = 0.0
        self._token = 0
        self._made = 0
        self._lock = threading.RLock()
        super().__init__(Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST"])]))

    # What people do.

    def post(
        self,
        author: str,
        text: str,
        at: datetime,
        *,
        reply: Record | None = None,
        quote: Record | None = None,
        mentions: Sequence[str] = (),
        **more: Any,
    ) -> Record:
        """Somebody writes a post, and the AppView tells the account of it, if it concerns it."""
        value: dict[str, Any] = {"$type": POST, "text": text, "createdAt": _iso(at), "langs": ["en"], **more}
        root = None
        if reply is not None:
            root = reply.root or reply
            value["reply"] = {"root": root.strong, "parent": reply.strong}
        if quote is not None:
            value["embed"] = {"$type": "app.bsky.embed.record", "record": quote.strong}
        if mentions:
            features = [{"$type": "app.bsky.richtext.facet#mention", "did": did} for did in mentions]
            value["facets"] = [{"index": {"byteStart": 0, "byteEnd": 1}, "features": features}]
        made = self._record(author, POST, value, at, root, reply)
        with self._lock:
            self._posts[made.uri] = made
            if author != self.did:
                self._tell_of(made, mentions, quote)
        return made

    def like(self, author: str, of: Record, at: datetime) -> Record:
        """Somebody likes a post."""
        return self._about(author, LIKE, "like", of, at)

    def repost(self, author: str, of: Record, at: datetime) -> Record:
        """Somebody reposts a post."""
        return self._about(author, REPOST, "repost", of, at)

    def follow(self, author: str, at: datetime) -> Record:
        """Somebody follows the account."""
        made = self._record(author, FOLLOW, {"$type": FOLLOW, "subject": self.did, "createdAt": _iso(at)}, at)
        self.notify(made, "follow", at)
        return made

    def notify(self, record: Record, reason: str, at: datetime, subject: str | None = None, **more: Any) -> None:
        """The AppView tells the account of a record. `more` are fields that nobody knows."""
        with self._lock:
            self._notifications.append(_Notification(record, reason, subject, _iso(at), more))

    def delete(self, record: Record) -> None:
        """Somebody deletes a record: nobody is told of it any more."""
        with self._lock:
            self._posts.pop(record.uri, None)
            self._notifications = [one for one in self._notifications if one.record.uri != record.uri]

    # What goes wrong.

    def answer(
        self, method: str, status: int, body: Any, headers: dict[str, str] | None = None, times: int = 1
    ) -> None:
        """The next requests for a method are answered with this. Bytes go as they are."""
        for _ in range(times):
            made = (
                Response(body, status, headers, "application/json")
                if isinstance(body, bytes)
                else JSONResponse(body, status, headers)
            )
            with self._lock:
                self._answers.append((method, made))

    def allow(self, requests: int, seconds: float) -> None:
        """After so many more requests it answers none for so long."""
        with self._lock:
            self._left, self._until = requests, time.time() + seconds

    def expire(self) -> None:
        """Every session ends."""
        with self._lock:
            self._token += 1

    def requests(self, method: str) -> list[dict[str, str]]:
        """What was asked of a method."""
        with self._lock:
            return [one.query for one in self.asked if one.method == method]

    # What it answers.

    async def _answer(self, request: Request) -> Response:
        body = await request.body()
        path = request.url.path
        query = dict(request.query_params)
        method = path.removeprefix("/xrpc/") if path.startswith("/xrpc/") else "directory"
        with self._lock:
            self.asked.append(Asked(method, query))
            limited = self._limited()
            if limited is not None:
                return limited
            for place, (wanted, answer) in enumerate(self._answers):
                if wanted == method:
                    del self._answers[place]
                    return answer
            if method == "directory":
                return self._document(path[1:])
            if method == "com.atproto.identity.resolveHandle":
                found = self.leads.get(query["handle"])
                return JSONResponse({"did": found}) if found else _refused("InvalidRequest", "Unable to resolve handle")
            if method == "com.atproto.server.createSession":
                return self._session(json.loads(body))
            if request.headers.get("authorization") != f"Bearer jwt-{self._token}":
                if "authorization" not in request.headers:
                    return _refused("AuthMissing", "Authentication Required", 401)
                return _refused("ExpiredToken", "Token has expired")
            if not query.get("limit", "1").isdecimal() or not 1 <= int(query.get("limit", "1")) <= MOST:
                return _refused("InvalidRequest", f"Error: limit can not be greater than {MOST}")
            if method == "com.atproto.repo.listRecords":
                return self._records(query)
            if method == "app.bsky.notification.listNotifications":
                return self._told(query)
            return _refused("MethodNotImplemented", "Method Not Implemented", 501)

    def _limited(self) -> Response | None:
        if self._left is None:
            return None
        if time.time() >= self._until:
            self._left = None
            return None
        if self._left > 0:
            self._left -= 1
            return None
        headers = {"RateLimit-Limit": "3000", "RateLimit-Remaining": "0", "RateLimit-Policy": "3000;w=300"}
        headers["RateLimit-Reset"] = str(int(self._until) + 1)
        return JSONResponse({"error": "RateLimitExceeded", "message": "Rate Limit Exceeded"}, 429, headers)

    def _document(self, did: str) -> Response:
        if did != self.did:
            return JSONResponse({"message": f"DID not registered: {did}"}, 404)
        pds = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": self.address}
        return JSONResponse({"id": did, "alsoKnownAs": [f"at://{self.handles[did]}"], "service": [pds]})

    def _session(self, said: dict[str, str]) -> Response:
        if (said["identifier"], said["password"]) != (self.did, self.password):
            return _refused("AuthenticationRequired", "Invalid identifier or password", 401)
        self.sessions += 1
        return JSONResponse({"did": self.did, "handle": self.handles[self.did], "accessJwt": f"jwt-{self._token}"})

    def _records(self, query: dict[str, str]) -> Response:
        if query["repo"] != self.did:
            return _refused("InvalidRequest", f"Could not find repo: {query['repo']}")
        own = [one for one in self._posts.values() if one.author == self.did and f"/{query['collection']}/" in one.uri]
        newest = sorted(own, key=lambda one: _key(one), reverse=True)
        left = [one for one in newest if "cursor" not in query or _key(one) < query["cursor"]]
        page = left[: int(query.get("limit", USUAL))]
        shown = [{"uri": one.uri, "cid": one.cid, "value": one.value} for one in page]
        return JSONResponse({"records": shown, **({"cursor": _key(page[-1])} if page else {})})

    def _told(self, query: dict[str, str]) -> Response:
        """What is not shown is taken out of a page after it was cut, so pages may be short, and even empty."""
        if "seenAt" in query:
            return _refused("InvalidRequest", "The seenAt parameter is unsupported")
        made = [(one.at, one.record.author, self._shown(one)) for one in self._notifications]
        every = [*made, *((at, "", item) for at, item in self.raw)]
        if query.get("priority") == "true":
            every = [one for one in every if one[1] in self.follows]
        every.sort(key=lambda one: one[0], reverse=True)
        left = [one for one in every if "cursor" not in query or one[0] < query["cursor"]]
        page = left[: int(query.get("limit", USUAL))]
        items = [item for _, author, item in page if author not in self.muted]
        if self.largest is not None and len(page) > self.largest:
            items.append({"padding": "x" * 5_000_000})
        return JSONResponse(
            {"notifications": items, "priority": False, **({"cursor": page[-1][0]} if page else {})}
        )  # fmt: skip

    def _shown(self, one: _Notification) -> dict[str, Any]:
        did = one.record.author
        return {
            "uri": one.record.uri, "cid": one.record.cid, "reason": one.reason, "record": one.record.value,
            "author": {"did": did, "handle": self.handles.get(did, "handle.invalid"), "displayName": "Somebody"},
            "isRead": True, "indexedAt": one.at, "labels": [],
            **({"reasonSubject": one.subject} if one.subject else {}), **one.more,
        }  # fmt: skip

    def _tell_of(self, made: Record, mentions: Sequence[str], quote: Record | None) -> None:
        """Once for each post: a mention first, then a quote, then a reply."""
        at = datetime.fromisoformat(made.value["createdAt"])
        if self.did in mentions:
            self.notify(made, "mention", at)
        elif quote is not None and quote.author == self.did:
            self.notify(made, "quote", at, quote.uri)
        else:
            above = made.parent
            for _ in range(1, NOTIFIED_HEIGHT):
                if above is None:
                    return
                if above.author == self.did:
                    self.notify(made, "reply", at, above.uri)
                    return
                above = above.parent

    def _about(self, author: str, collection: str, reason: str, of: Record, at: datetime) -> Record:
        made = self._record(author, collection, {"$type": collection, "subject": of.strong, "createdAt": _iso(at)}, at)
        if of.author == self.did:
            self.notify(made, reason, at, of.uri)
        return made

    def _record(
        self,
        author: str,
        collection: str,
        value: dict[str, Any],
        at: datetime,
        root: Record | None = None,
        parent: Record | None = None,
    ) -> Record:
        with self._lock:
            self._made += 1
            number = (int(at.timestamp() * 1_000_000) << 10) | (self._made & 1023)
        key = "".join(_TID[number >> (5 * place) & 31] for place in reversed(range(13)))
        cid = libipld.encode_cid(cid_of(dag_cbor(value)))
        return Record(f"at://{author}/{collection}/{key}", cid, value, root, parent)


def _key(record: Record) -> str:
    return record.uri.rpartition("/")[2]


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _refused(error: str, message: str, status: int = 400) -> Response:
    return JSONResponse({"error": error, "message": message}, status)
