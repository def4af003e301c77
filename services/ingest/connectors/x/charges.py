"""What X charges for a delivery: each event costs, also one that says nothing here. Pure.

X charges once for an event within a day in UTC, and names it by `event_uuid`. What it sends twice on one day is one
charge here as there, and what it sends again on the next day is another: the day is that of receipt, and not the
event's own. A reply that it tells as a mention too is two events, and two charges.

Source: https://docs.x.com/x-api/activity/event-pricing and https://docs.x.com/x-api/getting-started/pricing
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Raw, Struct

from rapport.contracts.charges import Charge
from services.ingest.connectors.x import PLATFORM
from services.ingest.connectors.x.event import NULL, Data
from services.ingest.connectors.x.posts import readable
from services.ingest.hooks.delivery import Id, Watched, decode

READ = "posts.read"
"""What a post costs that was asked for; X has no name for it among events."""
LONGEST_TYPE, LONGEST_UUID = 64, 128
"""Characters that are kept of what X calls an event, and of its id."""


class _Event(Struct):
    data: Raw = NULL


def charge(data: Data, body: bytes, watched: Sequence[Watched], observed_at: datetime) -> Charge:
    """The charge for one event. It is the first account's where several brands share one on X.

    An event without an id is known by what it says, without how it was sent: a delivery says beside it that it is sent
    again.
    """
    what = data.event_type[:LONGEST_TYPE] or "unknown"
    its = str(data.event_uuid or "") or hashlib.sha256(decode(body, _Event).data).hexdigest()
    return _charge(what, its, watched, observed_at)


class _Post(Struct):
    id: Id | None = None


def read_charge(post: Raw, watched: Watched, observed_at: datetime) -> Charge:
    """The charge for a post that was asked for. X charges for one once in a day, however often it is read."""
    found = readable(post, _Post)
    its = str(found.id) if found is not None and found.id else hashlib.sha256(bytes(post)).hexdigest()
    return _charge(READ, its, [watched], observed_at)


def _charge(what: str, its: str, watched: Sequence[Watched], observed_at: datetime) -> Charge:
    day = observed_at.astimezone(UTC).date().isoformat()
    whose = watched[0] if watched else None
    return Charge(
        id=f"{PLATFORM}/{day}/{what}/{its[:LONGEST_UUID]}", platform=PLATFORM, what=what, at=observed_at,
        brand=whose.brand if whose else None, account=whose.account.id if whose else None,
    )  # fmt: skip
