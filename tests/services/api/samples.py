"""What the scorer and ingest would have written, for tests of the read side."""

from datetime import UTC, datetime, timedelta
from typing import Any

from rapport.contracts.events import (
    Actor,
    Alert,
    ExchangeSnapshot,
    ExchangeState,
    FirstComment,
    FollowerRef,
    Interaction,
    Kind,
    Object,
    Parent,
    PolicyRef,
    Step,
)
from rapport.contracts.rows import FollowerRow
from rapport.domain.relationships.decay import weight_at
from rapport.domain.relationships.relationship import DEFAULT, DIMENSIONS, HALF_LIFE_DAYS
from rapport.domain.times import ms
from rapport.kit.mongo import Document
from services.api.followers.documents import follower_document, stage_fields

PLATFORM = "bluesky"


def interaction(id: str, brand: str, at: datetime, *, kind: Kind = "comment", **more: Any) -> Interaction:
    """A comment of the follower `did:plc:ada`, or what `kind` and `more` say."""
    fields: dict[str, Any] = {
        "platform": PLATFORM,
        "account": f"{brand}-account",
        "actor": Actor(id="did:plc:ada", handle="ada.example", name="Ada"),
        "object": Object(id=f"at://{id}", url=f"https://example.org/{id}"),
        "conversation": "conversation-1",
        "thread": "thread-1",
        "occurred_at": at,
        "observed_at": at,
        "text": "When do you open?",
    }
    return Interaction(id=id, brand=brand, kind=kind, **{**fields, **more})


def reply(id: str, brand: str, at: datetime, to: str, **more: Any) -> Interaction:
    """A reply of the brand to the comment with the object id `to`."""
    return interaction(
        id,
        brand,
        at,
        kind="reply",
        **{"actor": Actor(id="brand-person", name="Grace"), "parent": Parent(id=to), "text": "At nine.", **more},
    )


def exchange(
    id: str, brand: str, opened_at: datetime, *, state: ExchangeState = "open", revision: int = 1, **more: Any
) -> ExchangeSnapshot:
    """An exchange of `did:plc:ada`, due a day after it opened."""
    fields: dict[str, Any] = {
        "platform": PLATFORM,
        "account": f"{brand}-account",
        "conversation": "conversation-1",
        "thread": "thread-1",
        "follower": FollowerRef(id="did:plc:ada", handle="ada.example", name="Ada"),
        "first": FirstComment(id="at://1", url="https://example.org/1", text="When do you open?"),
        "comments": 1,
        "due_at": opened_at + timedelta(hours=24),
        "policy": PolicyRef(version=0, rule=0),
    }
    return ExchangeSnapshot(
        id=id, brand=brand, opened_at=opened_at, state=state, revision=revision, **{**fields, **more}
    )


def follower(id: str, brand: str, seen: datetime, *, worth: dict[str, float] | None = None, **more: Any) -> FollowerRow:
    """A follower whose dimensions are worth what `worth` says at `seen`."""
    worths = worth or {}
    fields: dict[str, Any] = {
        "platform": PLATFORM,
        "revision": 1,
        "first_seen": seen,
        "handle": "ada.example",
        "met": True,
    }
    return FollowerRow(
        brand=brand,
        follower=id,
        last_seen=seen,
        contributions={
            name: {"comment": worths.get(name, 0.0) * weight_at(ms(seen), HALF_LIFE_DAYS[name])} for name in DIMENSIONS
        },
        **{**fields, **more},
    )


def alert(id: str, brand: str, exchange_id: str, step: Step, at: datetime, **more: Any) -> Alert:
    """An alert about an exchange."""
    fields: dict[str, Any] = {
        "platform": PLATFORM,
        "account": f"{brand}-account",
        "follower": FollowerRef(id="did:plc:ada", name="Ada"),
        "first": FirstComment(id="at://1", text="When do you open?"),
        "comments": 1,
        "opened_at": at - timedelta(hours=24),
        "due_at": at,
    }
    return Alert(id=id, brand=brand, exchange=exchange_id, step=step, created_at=at, **{**fields, **more})


def stored_follower(row: FollowerRow) -> Document:
    """A follower as the projector stores it."""
    document = follower_document(row, 1)
    return {**document, **stage_fields(document, DEFAULT, datetime.now(UTC))}
