"""`Idempotency-Key`: a POST that is sent again, because its answer was lost, is carried out once.

The answer is kept for a day and given again. One that holds a secret is not kept, since secrets are stored nowhere.
"""

import hashlib
import re
from datetime import UTC, datetime, timedelta

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from rapport.kit.asgi import App, Receive, Scope, Send
from rapport.kit.mongo import Document
from services.api.asgi import Answer, answer_of, header, whole_body
from services.api.problems import ProblemError, invalid

KEPT_HEADERS = frozenset({b"content-type", b"location"})
WITH_SECRETS = ("/keys", "/accounts", "/rotate-secret")
"""How the paths end whose answers show a secret this once."""
ABANDONED_AFTER = timedelta(minutes=2)
"""No request takes this long: whoever was carrying it out is gone."""
_KEY = re.compile(r"[!-~]{1,255}")


class Idempotent:
    """Carries out a POST with an `Idempotency-Key` once."""

    def __init__(self, app: App, database: AsyncDatabase[Document]) -> None:
        self._app = app
        self._receipts = database["request_receipts"]

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
            raise invalid("Idempotency-Key", "1 to 255 letters, digits and signs are needed, without blanks")
        name = _hash("\n".join((header(scope, b"authorization") or "", scope["path"], key)).encode())
        said = _hash(scope["query_string"] + b"\n" + body)
        before = await self._take(name, said)
        if before is None:
            return await self._carry_out(scope, receive, body, name)
        # The key may have been revoked since.
        allowed = await answer_of(self._app, {**scope, "method": "GET", "path": "/v1/brands"}, b"", receive)
        if allowed.status == 401:
            return allowed
        if before["said"] != said:
            raise invalid("Idempotency-Key", "it was used for another request already")
        if before["status"] is None:
            raise ProblemError(409, "conflict", "this request is still being carried out; send it again in a moment")
        if before["body"] is None:
            why = "this was carried out already; its answer held a secret, which is not kept"
            raise ProblemError(409, "conflict", why)
        headers = [(given.encode(), value.encode()) for given, value in before["headers"]]
        return Answer(before["status"], [*headers, (b"idempotent-replayed", b"true")], before["body"])

    async def _take(self, name: str, said: str) -> Document | None:
        """None where it is for the caller to carry out; else what is known of it."""
        now = datetime.now(UTC)
        fresh = {"said": said, "at": now, "status": None, "headers": [], "body": None}
        try:
            await self._receipts.insert_one({"_id": name, **fresh})
        except DuplicateKeyError:
            query = {"_id": name, "status": None, "at": {"$lt": now - ABANDONED_AFTER}}
            if await self._receipts.find_one_and_update(query, {"$set": fresh}) is None:
                return await self._receipts.find_one({"_id": name})
        return None

    async def _carry_out(self, scope: Scope, receive: Receive, body: bytes, name: str) -> Answer:
        done = False
        try:
            answer = await answer_of(self._app, scope, body, receive)
            if 200 <= answer.status < 300:
                headers = [[key.decode(), value.decode()] for key, value in answer.headers if key in KEPT_HEADERS]
                kept = None if scope["path"].endswith(WITH_SECRETS) else answer.body
                change = {"status": answer.status, "headers": headers, "body": kept}
                await self._receipts.update_one({"_id": name}, {"$set": change})
                done = True
        finally:
            # What was refused, or failed, can be sent again.
            if not done:
                await self._receipts.delete_one({"_id": name})
        return answer


def _hash(said: bytes) -> str:
    return hashlib.sha256(said).hexdigest()
