"""Heartbeats of ingest processes as stored."""

from datetime import datetime
from typing import TypedDict

from rapport.contracts.controls import Heartbeat
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
