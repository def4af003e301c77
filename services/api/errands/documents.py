"""Errands as stored: what was asked for, and what became of it."""

from datetime import datetime
from typing import TypedDict, cast

from rapport.contracts.errands import Deed, Errand, ErrandState, Progress
from services.api.storage.versions import plain


class ErrandDocument(TypedDict):
    """`errands`: a `rapport.contracts.errands.Errand`, of which these fields are read."""

    _id: str
    brand: str
    platform: str
    account: str
    deed: Deed
    exchange: str
    follower: str
    thing: str
    by: str
    at: datetime
    text: str | None


class ErrandStateDocument(TypedDict):
    """`errand_states`: how an errand stands."""

    _id: str
    """The errand's."""
    version: int
    """Log time (ms)."""
    claim: int
    offset: int
    brand: str
    state: Progress
    at: datetime
    why: str | None
    done_as: str | None
    url: str | None


def errand_document(errand: Errand) -> ErrandDocument:
    """An errand as stored."""
    fields = plain(errand)
    fields["_id"] = fields.pop("id")
    fields["text"] = errand.text
    return cast("ErrandDocument", fields)


def errand_state_document(state: ErrandState, appended: int, offset: int) -> ErrandStateDocument:
    """A state that the log appended at `appended` (ms), at `offset`."""
    return {
        "_id": state.errand,
        "version": appended,
        "claim": state.claim,
        "offset": offset,
        "brand": state.brand,
        "state": state.state,
        "at": state.at,
        "why": state.why,
        "done_as": state.done_as,
        "url": state.url,
    }
