"""Stored interactions as facts about posts and beginnings."""

from rapport.domain.published import Fact
from rapport.kit.mongo import Document

FACT = dict.fromkeys(
    (
        *("interaction", "kind", "account", "object", "follower", "occurred_at"),
        *("undo", "staff", "text", "post", "media", "about", "parent.id"),
    ),
    1,
)
"""What of a stored interaction a fact is made of."""


def fact_of(document: Document) -> Fact:
    """A stored interaction as a fact. What happens to a thing has the thing as its object."""
    return Fact(
        at=document["occurred_at"],
        id=document["interaction"],
        kind=document["kind"],
        object=document["object"]["id"],
        follower=document.get("follower"),
        undo=document.get("undo", False),
        staff=document.get("staff", False),
        text=document.get("text"),
        account=document["account"],
        post=document.get("post"),
        media=tuple(document.get("media", ())),
        url=document["object"].get("url"),
        parent=(document.get("parent") or {}).get("id"),
    )
