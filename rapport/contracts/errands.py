"""What somebody of a brand wants done on a platform, from the portal or the API, and what became of it.

`Errand` travels on its own topic, and what became of it on the topic of cursors, where each record says the claim
that it was written under.
"""

from datetime import timedelta
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from rapport.contracts.events import Text, UtcTime

Deed: TypeAlias = Literal["answer", "hide", "unhide", "like"]
Progress: TypeAlias = Literal["sending", "waiting", "done", "refused"]
"""`sending`: it is being sent, or was, and its end is not known. `waiting`: it was not sent, and is tried again."""
LONGEST_ID, LONGEST_URL = 512, 2_048
"""Characters of what a platform calls an answer, and of where it is."""
GIVEN_UP_AFTER = timedelta(hours=24)
"""An answer that comes a day late by itself may do more harm than none."""
LOOKED_BACK = GIVEN_UP_AFTER + timedelta(days=7)
"""How long after it was asked for an errand is still looked at. After an outage somebody has to be told of what was not
done: of a week ago as well."""


class Errand(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """Something to be done with one comment, mention or message. The same `id` is the same errand, done once."""

    id: Text
    brand: Text
    platform: Text
    account: Text
    deed: Deed
    exchange: Text
    follower: Text
    """Who wrote it: the platform's id."""
    thing: Text
    """What it is done with: the platform's id of the comment."""
    thing_kind: Literal["comment", "mention", "message"]
    by: Text
    """Who asked for it: the name of their key."""
    at: UtcTime
    conversation: Text | None = None
    """Of the comment. Earlier versions did not say it."""
    thread: str | None = None
    post: str | None = None
    text: Annotated[str, Meta(max_length=10_000)] | None = None
    """Of an answer."""


class ErrandState(Struct, omit_defaults=True, frozen=True, kw_only=True, tag_field="cursor", tag="errand"):
    """How an errand stands."""

    brand: Text
    account: Text
    errand: Text
    state: Progress
    at: UtcTime
    """Since when; while it is being sent, when that began."""
    claim: int
    why: str | None = None
    """Why it waits or was refused, in words for people."""
    done_as: str | None = None
    """The platform's id of the answer."""
    url: str | None = None
    """Where the answer is."""
