"""How an account stands, from what became of the last attempts to read it. Pure."""

from datetime import datetime
from typing import NamedTuple

from rapport.contracts.cursors import AccountState, State
from services.ingest.polling.api import AttentionError, AwayError, LimitedError

LONG_WAIT_SECONDS = 120.0
"""A limit that lasts no longer than this is an everyday matter and leaves the account live."""
STARTING = "it has not been read to its end yet"


class Trouble(NamedTuple):
    """Why an account cannot be read to its end, in words, and what that makes of it."""

    state: State
    why: str


def trouble_of(error: Exception) -> Trouble | None:
    """What an error means; None for one that means nothing yet."""
    match error:
        case AttentionError():
            return Trouble("attention", str(error))
        case LimitedError():
            return Trouble("behind", str(error)) if error.seconds > LONG_WAIT_SECONDS else None
        case AwayError():
            return Trouble("incident" if error.incident else "behind", str(error))
        case _:
            return Trouble("behind", f"it could not be stored: {error}" if str(error) else type(error).__name__)


def stands(
    before: AccountState | None,
    now: datetime,
    trouble: Trouble | None,
    *,
    brand: str,
    account: str,
    platform: str,
    claim: int,
    checked_at: datetime | None,
    latest_at: datetime | None,
    posts_checked_at: datetime | None = None,
) -> AccountState:
    """How an account stands now. `since` stays while the state does; one that is behind is so since it was complete."""
    state: State = trouble.state if trouble else "live"
    checked = checked_at or (before.checked_at if before else None)
    if before is not None and before.state == state:
        since = before.since
    else:
        since = (checked or now) if state == "behind" else now
    return AccountState(
        brand=brand, account=account, platform=platform, state=state, since=since, claim=claim,
        why=trouble.why if trouble else None, checked_at=checked,
        latest_at=max(filter(None, (latest_at, before.latest_at if before else None)), default=None),
        posts_checked_at=posts_checked_at,
    )  # fmt: skip
