"""Interactions as histories and timelines show them."""

from typing import Literal

from rapport.contracts.events import BY_THE_BRAND
from services.api.interactions.documents import InteractionDocument
from services.api.interactions.schemas import Moment


def moment_shown(document: InteractionDocument) -> Moment:
    """An interaction in a history."""
    by: Literal["follower", "brand"] = "brand" if document["kind"] in BY_THE_BRAND else "follower"
    actor = document["actor"]
    return Moment(
        at=document["occurred_at"],
        id=document["interaction"],
        kind=document["kind"],
        by=by,
        actor=actor.get("name") or actor.get("handle"),
        text=document.get("text"),
        text_expired="heard" in document,
        url=document["object"].get("url"),
        undo=document.get("undo", False),
        account=document["account"],
    )
