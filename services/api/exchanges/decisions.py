"""Decisions that an exchange needs no reply or is spam, and their undoing. They are stored in the log only."""

import secrets

from rapport.contracts.controls import Decided
from rapport.domain.times import ms, utc
from rapport.kit import clock
from rapport.kit.broker.producer import NotAcknowledgedError
from services.api.exchanges.documents import ExchangeDocument
from services.api.exchanges.repository import Exchanges
from services.api.http.context import Context
from services.api.http.problems import ProblemError, not_found, unavailable
from services.api.storage.tenants import Tenants

BY_DECISION = frozenset({"no_reply_needed", "spam"})
TAKEN_BACK = "taken back"
_ENDED = {
    "answered": "was answered",
    "answered_late": "was answered",
    "cancelled": "was cancelled",
    "superseded": "was merged into another one",
}


async def no_reply_needed(context: Context, tenants: Tenants, exchange: str, by: str, why: str, spam: bool) -> Decided:
    """Decides that an open exchange needs no reply, and returns once the broker has the decision.

    Raises ProblemError: 404 if there is no such exchange, 409 if it has ended, 503 if the broker does not confirm.
    """
    found = await _find(context, tenants, exchange)
    if found["state"] != "open":
        raise ProblemError(409, "conflict", f"this exchange {_ENDED[found['state']]}, so there is nothing to decide")
    # A decision covers what was written before it, and an author's clock may be ahead of ours.
    at = max(ms(clock.now()), ms(found["opened_at"]))
    return await _decide(context, found, at=at, by=by, why=why, spam=spam)


async def reply_needed(context: Context, tenants: Tenants, exchange: str, by: str) -> Decided:
    """Takes a decision back. As `no_reply_needed`, but 409 if nothing was decided."""
    found = await _find(context, tenants, exchange)
    decision = found.get("decision")
    if found["state"] != "cancelled" or found.get("cancelled_because") not in BY_DECISION or decision is None:
        raise ProblemError(409, "conflict", "nobody decided that this exchange needs no reply")
    # The newest decision applies, even if it comes from a process whose clock is behind.
    at = max(ms(clock.now()), ms(decision["at"]) + 1)
    return await _decide(context, found, at=at, by=by, why=TAKEN_BACK, undone=True)


async def _find(context: Context, tenants: Tenants, exchange: str) -> ExchangeDocument:
    found = await Exchanges(context.database, tenants).find(exchange)
    if found is None:
        raise not_found("exchange")
    return found


async def _decide(
    context: Context, found: ExchangeDocument, *, at: int, by: str, why: str, spam: bool = False, undone: bool = False
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
        raise unavailable("the log cannot take the decision now; send it again later") from error
    return decided
