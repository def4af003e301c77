"""What is known of how accounts are read, as stored: the heartbeats of ingest processes, and each account's state."""

from datetime import datetime
from typing import TypedDict

from rapport.contracts.controls import Heartbeat
from rapport.contracts.cursors import AccountState, State
from rapport.domain.times import utc


class HeartbeatDocument(TypedDict):
    """`listening`: the latest heartbeat of an ingest process, from the log, so it is no newer than the views."""

    _id: str
    """The instance."""
    version: int
    """Log time (ms)."""
    at: datetime
    behind: list[str]
    """Ids of accounts."""
    disconnected: list[str]


def heartbeat_document(heartbeat: Heartbeat, appended: int) -> HeartbeatDocument:
    """A heartbeat that the log appended at `appended` (ms)."""
    return {
        "_id": heartbeat.instance,
        "version": appended,
        "at": utc(appended),
        "behind": list(heartbeat.behind),
        "disconnected": list(heartbeat.disconnected),
    }


class AccountStateDocument(TypedDict):
    """`account_states`: how an account that is asked for news stands. Others have none."""

    _id: str
    """The account's."""
    version: int
    """Log time (ms)."""
    brand: str
    state: State
    since: datetime
    why: str | None
    checked_at: datetime | None
    latest_at: datetime | None


def account_state_document(state: AccountState, appended: int) -> AccountStateDocument:
    """A state that the log appended at `appended` (ms)."""
    return {
        "_id": state.account,
        "version": appended,
        "brand": state.brand,
        "state": state.state,
        "since": state.since,
        "why": state.why,
        "checked_at": state.checked_at,
        "latest_at": state.latest_at,
    }
