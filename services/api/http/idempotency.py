"""`Idempotency-Key`: a POST that is sent again because its response was lost is carried out only once.

The response is kept for a day and sent again. A response with a secret is not kept, because secrets are stored nowhere.
"""

import hashlib
import re

from rapport.kit.http.asgi import App, Receive, Scope, Send
from services.api.http.asgi import Answer, answer_of, header, whole_body
from services.api.http.problems import ProblemError, invalid
from services.api.storage.request_receipts import RequestReceipts
from services.api.storage.tenants import Database

KEPT_HEADERS = frozenset({b"content-type", b"location"})
WITH_SECRETS = ("/keys", "/accounts", "/rotate-secret")
"""Ends of the paths whose responses show a secret once."""
_KEY = re.compile(r"[!-~]{1,255}")


class Idempotent:
    """Carries out a POST with an `Idempotency-Key` once."""

    def __init__(self, app: App, database: Database) -> None:
        self._app = app
        self._receipts = RequestReceipts(database)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        key = header(scope, b"idempotency-key")
        if key is None:
            await self._app(scope, receive, send)
            return
        body = await whole_body(receive)
        if body is None:
            return
        try:
            answer = await self._answer(scope, receive, key, body)
        except ProblemError as problem:
            await problem.response()(scope, receive, send)
            return
        await answer.send(send)

    async def _answer(self, scope: Scope, receive: Receive, key: str, body: bytes) -> Answer:
        if not _KEY.fullmatch(key):
            raise invalid("Idempotency-Key", "use 1 to 255 letters, digits and signs, without spaces")
        name = _hash("\n".join((_credentials(scope), scope["path"], key)).encode())
        said = _hash(scope["query_string"] + b"\n" + body)
        before = await self._receipts.take(name, said)
        if before is None:
            return await self._carry_out(scope, receive, body, name)
        # The key may have been revoked since.
        allowed = await answer_of(self._app, {**scope, "method": "GET", "path": "/v1/brands"}, b"", receive)
        if allowed.status == 401:
            return allowed
        if before["said"] != said:
            raise invalid("Idempotency-Key", "it was already used for another request")
        if before["status"] is None:
            raise ProblemError(409, "conflict", "this request is still being carried out; send it again in a moment")
        if before["body"] is None:
            why = "this was already carried out; its response held a secret, which is not kept"
            raise ProblemError(409, "conflict", why)
        headers = [(given.encode(), value.encode()) for given, value in before["headers"]]
        return Answer(before["status"], [*headers, (b"idempotent-replayed", b"true")], before["body"])

    async def _carry_out(self, scope: Scope, receive: Receive, body: bytes, name: str) -> Answer:
        done = False
        try:
            answer = await answer_of(self._app, scope, body, receive)
            if 200 <= answer.status < 300:
                headers = [[key.decode(), value.decode()] for key, value in answer.headers if key in KEPT_HEADERS]
                kept = None if scope["path"].endswith(WITH_SECRETS) else answer.body
                await self._receipts.done(name, answer.status, headers, kept)
                done = True
        finally:
            # A request that was refused or failed can be sent again.
            if not done:
                await self._receipts.drop(name)
        return answer


def _credentials(scope: Scope) -> str:
    """Who sends a request. The word before the key may be written in any case, and is the same request still."""
    scheme, _, key = (header(scope, b"authorization") or "").partition(" ")
    return f"{scheme.lower()} {key}"


def _hash(said: bytes) -> str:
    return hashlib.sha256(said).hexdigest()
