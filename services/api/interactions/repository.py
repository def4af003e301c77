"""Queries about interactions, and the facts about posts that they are read as."""

from collections import defaultdict
from collections.abc import Sequence

from pymongo.asynchronous.collection import AsyncCollection

from rapport.contracts.events import SPOKEN
from rapport.domain.mix.posts import PostFact
from rapport.kit.mongo import Document
from services.api.exchanges.documents import ExchangeDocument
from services.api.interactions.documents import InteractionDocument, said
from services.api.storage.tenants import Database, Tenants


class Interactions:
    """The interactions of some tenants."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._interactions: AsyncCollection[InteractionDocument] = database["interactions"]
        self._tenants = tenants

    async def of_follower(
        self, platform: str, follower: str, limit: int, conversation: str | None = None
    ) -> list[InteractionDocument]:
        """The latest interactions of a follower (in one conversation) and what is about them, newest first.

        Replies, edits and deletions often name a comment, but not who wrote it.
        """
        query: Document = {**self._tenants.filter(), "platform": platform, "follower": follower}
        if conversation is not None:
            query["conversation"] = conversation
        own = await self._interactions.find(query).sort("occurred_at", -1).limit(limit).to_list()
        objects = sorted({each["object"]["id"] for each in own})
        about = self._interactions.find(
            {**self._tenants.filter(), "platform": platform, "about": {"$in": objects}}
        ).limit(limit)
        by_id = {row["_id"]: row for row in own} | {row["_id"]: row async for row in about}
        return sorted(by_id.values(), key=lambda row: (row["occurred_at"], row["_id"]), reverse=True)[:limit]

    async def first_comments(self, exchanges: Sequence[ExchangeDocument]) -> dict[tuple[str, str], InteractionDocument]:
        """The first comment of each exchange, with the fields that policies use, by platform and object id."""
        of_platform: dict[str, list[ExchangeDocument]] = defaultdict(list)
        for each in exchanges:
            of_platform[each["platform"]].append(each)
        found: dict[tuple[str, str], InteractionDocument] = {}
        for platform, some in of_platform.items():
            # An exchange opens when its first comment occurred, so these two lists find it on the index.
            query = {
                **self._tenants.filter(),
                "platform": platform,
                "follower": {"$in": sorted({each["follower"]["id"] for each in some})},
                "occurred_at": {"$in": sorted({each["opened_at"] for each in some})},
                "kind": {"$in": sorted(SPOKEN)},
            }
            fields = dict.fromkeys(("kind", "actor.bot", "text", "media", "object.id"), 1)
            async for comment in self._interactions.find(query, fields).hint("timeline"):
                found[platform, comment["object"]["id"]] = comment
        return found


FACT = dict.fromkeys(
    (
        *("interaction", "kind", "account", "object", "follower", "occurred_at"),
        *("undo", "staff", "text", "heard", "post", "media", "about", "parent.id"),
    ),
    1,
)
"""The fields that `fact_of` needs."""


def fact_of(document: InteractionDocument) -> PostFact:
    """A stored interaction as a fact."""
    parent = document.get("parent")
    return PostFact(
        at=document["occurred_at"],
        id=document["interaction"],
        kind=document["kind"],
        object=document["object"]["id"],
        follower=document.get("follower"),
        undo=document.get("undo", False),
        staff=document.get("staff", False),
        text=said(document),
        text_kept="heard" not in document,
        account=document["account"],
        post=document.get("post"),
        media=tuple(document.get("media", ())),
        url=document["object"].get("url"),
        parent=parent["id"] if parent else None,
    )
