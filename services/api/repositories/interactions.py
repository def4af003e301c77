"""Interactions of a follower, with what was said or done about them."""

from collections import defaultdict
from collections.abc import Sequence

from pymongo.asynchronous.database import AsyncDatabase

from rapport.contracts.events import SPOKEN
from rapport.kit.mongo import Document
from services.api.repositories.tenants import Tenants


class Interactions:
    """The interactions of some tenants."""

    def __init__(self, database: AsyncDatabase[Document], tenants: Tenants) -> None:
        self._interactions = database["interactions"]
        self._tenants = tenants

    async def of_follower(
        self, platform: str, follower: str, limit: int, conversation: str | None = None
    ) -> list[Document]:
        """The latest of a follower (in one conversation) and what is about them, newest first.

        A reply often names the comment that it answers, but not whose comment that is; so do edits and deletions.
        """
        query: Document = {**self._tenants.filter(), "platform": platform, "follower": follower}
        if conversation is not None:
            query["conversation"] = conversation
        own = await self._interactions.find(query).sort("occurred_at", -1).limit(limit).to_list()
        objects = sorted({each["object"]["id"] for each in own})
        about = self._interactions.find(
            {**self._tenants.filter(), "platform": platform, "about": {"$in": objects}}
        ).limit(limit)
        found = {each["_id"]: each for each in own} | {each["_id"]: each async for each in about}
        return sorted(found.values(), key=lambda each: (each["occurred_at"], each["_id"]), reverse=True)[:limit]

    async def first_comments(self, exchanges: Sequence[Document]) -> dict[tuple[str, str], Document]:
        """What a policy looks at of each exchange's first comment, by platform and object id."""
        of_platform: dict[str, list[Document]] = defaultdict(list)
        for each in exchanges:
            of_platform[each["platform"]].append(each)
        found: dict[tuple[str, str], Document] = {}
        for platform, some in of_platform.items():
            # An exchange opens when its first comment occurred, so two lists lead to it on the index.
            query = {
                **self._tenants.filter(),
                "platform": platform,
                "follower": {"$in": sorted({each["follower"]["id"] for each in some})},
                "occurred_at": {"$in": sorted({each["opened_at"] for each in some})},
                "kind": {"$in": sorted(SPOKEN)},
            }
            fields = dict.fromkeys(("kind", "actor.bot", "text", "media", "object.id"), 1)
            async for each in self._interactions.find(query, fields).hint("timeline"):
                found[platform, each["object"]["id"]] = each
        return found
