"""The generic door: `POST /v1/interactions`, signed, answered 202 only after the broker has everything in it."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from rapport.contracts.events import Account, Interaction
from rapport.kit import tracing
from rapport.kit.broker.producer import NotAcknowledgedError, Record
from rapport.kit.health import Health
from rapport.kit.http.asgi import Bodies, FullError, GoneError, TooLargeError
from rapport.kit.http.problems import FieldProblem, ProblemError
from rapport.kit.work import BusyError, Pool
from services.ingest import metrics
from services.ingest.broker import Broker
from services.ingest.directory import NOT_READ, Directory
from services.ingest.submission import NotJsonError, RejectedError, TooManyError, read

LARGEST_BODY = 1_048_576
"""Bytes: some thousands of interactions, and what one request may hold in memory."""
READ_AT_ONCE = 16 * 1024
"""Bytes that are read without handing them to a thread, which costs more than reading some dozens of interactions."""
LATER = {"Retry-After": "5"}
NOBODY = "0" * 64
"""Compared against when the account is unknown, so that the time taken does not tell which ids exist."""


class Door:
    """Takes requests for every account of the directory."""

    def __init__(self, directory: Directory, broker: Broker, health: Health, now: Callable[[], datetime]) -> None:
        self._directory = directory
        self._broker = broker
        self._health = health
        self._now = now
        self._bodies = Bodies()
        self._pool = Pool("door")

    async def post(self, request: Request) -> Response:
        """202 and the accepted ids in order; a problem document for everything else, with nothing taken."""
        try:
            accepted = await self._received(request)
        except ProblemError as problem:
            metrics.REQUESTS.labels(problem.slug).inc()
            return problem.response()
        metrics.REQUESTS.labels("accepted").inc()
        return Response(msgspec.json.encode({"accepted": accepted}), 202, media_type="application/json")

    async def _received(self, request: Request) -> list[str]:
        try:
            async with self._bodies.whole(request.scope, request.receive, LARGEST_BODY) as body:
                return await self._take(request, body)
        except TooLargeError as error:
            raise too_large(LARGEST_BODY, hang_up=error.hang_up) from None
        except FullError:
            raise ProblemError(
                503,
                "busy",
                "nothing was taken; send it again",
                headers={"Connection": "close", **LATER},
                title="Too much is being sent at once",
            ) from None
        except GoneError:
            detail = "the body never ended; nothing was taken"
            raise ProblemError(400, "gone", detail, title="The sender went away") from None

    async def _take(self, request: Request, body: bytes) -> list[str]:
        encoding = request.headers.get("content-encoding", "identity").lower()
        if encoding != "identity":
            detail = f"send the body as it is, not {encoding}"
            raise ProblemError(415, "encoded", detail, title="Content-Encoding is not supported")
        if NOT_READ in self._health.reasons():
            raise unavailable("the accounts are not read from Kafka yet")
        brand, account = self._sender(request, body)
        observed_at = self._now()
        lines = "ndjson" in request.headers.get("content-type", "").lower()
        try:
            read_items = await self._read(body, lines=lines, brand=brand, account=account, observed_at=observed_at)
        except NotJsonError as error:
            metrics.REJECTED.labels(account.platform, "not_json").inc()
            raise ProblemError(400, "not-json", f"{error}; nothing was taken", title="The body is not JSON") from None
        except TooManyError as error:
            metrics.REJECTED.labels(account.platform, "too_many").inc()
            detail = f"{error}; send them in several requests; nothing was taken"
            raise ProblemError(413, "too-many", detail, title="Too many interactions") from None
        except BusyError:
            detail = "nothing was taken; send it again"
            raise ProblemError(429, "busy", detail, headers=LATER, title="Too much of this brand is waiting") from None
        except RejectedError as error:
            metrics.REJECTED.labels(account.platform, "invalid").inc(error.count)
            raise _rejected(error) from None
        caller = tracing.named(request.headers.get("traceparent", ""))
        for _, record in read_items:
            if record.span is not None:
                record.span.link = caller
        try:
            await self._broker.append([record for _, record in read_items])
        except NotAcknowledgedError as error:
            raise unavailable(f"Kafka has not confirmed: {error}; send it again, the same ids count once") from None
        for interaction, _ in read_items:
            metrics.ACCEPTED.labels(account.platform, interaction.kind).inc()
            metrics.LAG.labels(account.platform).observe((observed_at - interaction.occurred_at).total_seconds())
        return [interaction.id for interaction, _ in read_items]

    async def _read(self, body: bytes, **of: Any) -> list[tuple[Interaction, Record]]:
        """As `submission.read`; in a thread where it takes so long that others would notice."""
        if len(body) <= READ_AT_ONCE:
            return read(body, **of)
        return await self._pool.run(of["brand"], read, body, **of)

    def _sender(self, request: Request, body: bytes) -> tuple[str, Account]:
        """Brand and account that the request is signed for, in the same time and words for every way to be wrong."""
        account_id = request.headers.get("x-rapport-account", "")
        if not account_id:
            raise _unauthorized("X-Rapport-Account is missing: the id of the account that the interactions are for")
        given = request.headers.get("x-rapport-signature-256", "")
        if not given:
            raise _unauthorized(
                "X-Rapport-Signature-256 is missing: sha256= and the hex HMAC-SHA256 of the raw body with the secret"
            )
        found = self._directory.account(account_id)
        secrets = secrets_at(found[1], self._now()) if found else ()
        if not signed(body, given, secrets or (NOBODY,)) or found is None or not secrets:
            if found is None and self._directory.hidden():
                # A sender who is told 401 may give up for good.
                raise unavailable("a brand cannot be read here yet, and the account may be one of its; try again")
            raise _unauthorized(
                f"no account {account_id!r}, or X-Rapport-Signature-256 is not sha256= and the hex HMAC-SHA256 of "
                "the raw body with one of its secrets"
            )
        return found


def secrets_at(account: Account, now: datetime) -> tuple[str, ...]:
    """The secrets that count: the newest, and while it is being rotated in the one before."""
    ended = account.old_secrets_until is not None and account.old_secrets_until <= now
    return account.door_secrets[:1] if ended else account.door_secrets


def signed(body: bytes, given: str, secrets: tuple[str, ...]) -> bool:
    """Whether `given` (`sha256=` and hex) is the body's HMAC-SHA256 with one of the secrets. Compares all of them."""
    fits = False
    for secret in secrets:
        expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        fits |= hmac.compare_digest(expected.encode(), given.encode())
    return fits


def too_large(most: int, *, hang_up: bool) -> ProblemError:
    """413: more than `most` bytes."""
    return ProblemError(
        413,
        "too-large",
        f"at most {most} bytes are taken at once; send it in several requests; nothing was taken",
        # With the rest of the body left unread, the connection cannot serve another request.
        headers={"Connection": "close"} if hang_up else None,
        title="The body is too large",
    )


@dataclass(frozen=True)
class ItemProblem(FieldProblem):
    """One wrong field of one interaction: which of the body's (from 0), and its id if it has one."""

    index: int = 0
    id: str | None = None


def _rejected(error: RejectedError) -> ProblemError:
    errors = [ItemProblem(each.where, each.why, index=each.index, id=each.id) for each in error.rejected]
    return ProblemError(
        422,
        "rejected",
        str(error),
        errors,
        title="Some interactions are wrong",
        rejected=error.rejected,  # the same with `where` for `field`, which senders of earlier versions read
    )


def _unauthorized(detail: str) -> ProblemError:
    return ProblemError(
        401,
        "unauthorized",
        f"{detail}; nothing was taken",
        headers={"WWW-Authenticate": 'RapportSignature realm="interactions"'},
        title="Not signed by a known account",
    )


def unavailable(detail: str) -> ProblemError:
    """503: the sender should try again."""
    return ProblemError(503, "unavailable", detail, headers=LATER, title="Not possible right now")
