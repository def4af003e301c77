"""That an exchange needs no reply, or is spam; and taking that back. It goes into the log, which alone remembers it."""

import secrets
from datetime import UTC, datetime

from rapport.contracts.controls import Decided
from rapport.domain.times import ms, utc
from rapport.kit.mongo import Document
from services.api.broker import NotAcknowledgedError
from services.api.context import Context
from services.api.problems import ProblemError, not_found, unavailable
from services.api.repositories.exchanges import Exchanges
from services.api.repositories.tenants import Tenants

BY_DECISION = frozenset({"no_reply_needed", "spam"})
TAKEN_BACK = "taken back"
_ENDED = {
    "answered": "was answered",
    "answered_late": "was answered",
    "cancelled": "was cancelled",
    "superseded": "was merged into another one",
}


async def no_reply_needed(context: Context, tenants: Tenants, exchange: str, by: str, why: str, spam: bool) -> Decided:
    """Decides that an open exchange waits for nothing.

    Returns once the broker has it. Raises ProblemError: 404 where there is none, 409 where it ended, 503 where the
    broker does not confirm.
    """
    found = await _find(context, tenants, exchange)
    if found["state"] != "open":
        raise ProblemError(409, "conflict", f"this exchange {_ENDED[found['state']]}, so there is nothing to decide")
    # An author's clock may run ahead of ours, and a decision covers what was written up to it.
    at = max(_now(), ms(found["opened_at"]))
    return await _decide(context, found, at=at, by=by, why=why, spam=spam)


async def reply_needed(context: Context, tenants: Tenants, exchange: str, by: str) -> Decided:
    """Takes back what was decided. As `no_reply_needed`; 409 where nothing was decided."""
    found = await _find(context, tenants, exchange)
    decision = found.get("decision")
    if found["state"] != "cancelled" or found.get("cancelled_because") not in BY_DECISION or decision is None:
        raise ProblemError(409, "conflict", "nobody said that this exchange needs no reply")
    # The newest holds, also where it comes from a process whose clock is behind.
    at = max(_now(), ms(decision["at"]) + 1)
    return await _decide(context, found, at=at, by=by, why=TAKEN_BACK, undone=True)


def _now() -> int:
    return ms(datetime.now(UTC))


async def _find(context: Context, tenants: Tenants, exchange: str) -> Document:
    found = await Exchanges(context.database, tenants).find(exchange)
    if found is None:
        raise not_found("exchange")
    return found


async def _decide(
    context: Context, found: Document, *, at: int, by: str, why: str, spam: bool = False, undone: bool = False
) -> Decided:
    decided = Decided(
        id=secrets.token_hex(12),
        brand=found["brand"],
        platform=found["platform"],
        thread=found["thread"],
        follower=found["follower"]["id"],
        exchange=found["_id"],
        at=utc(at),
        by=by,
        why=why,
        spam=spam,
        undone=undone,
    )
    try:
        await context.publisher.decide(decided, found["conversation"])
    except NotAcknowledgedError as error:
        raise unavailable("the log does not take the decision now; send it again when the log is back") from error
    return decided
