"""Communities with their members and events, as `services.api.upkeep.communities` keeps them."""

from collections.abc import Collection
from datetime import datetime

from pymongo import ReturnDocument
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from rapport.contracts.events import SPOKEN
from rapport.kit.mongo import Document
from services.api.community_facts import CHANGED, FOLLOWER, SAID
from services.api.repositories.tenants import Tenants

Place = tuple[datetime, str]
_NEWEST_FIRST = [("since", -1), ("_id", -1)]


class Communities:
    """The communities of some tenants. What is being removed is not there any more."""

    def __init__(self, database: AsyncDatabase[Document], tenants: Tenants) -> None:
        self._communities = database["communities"]
        self._removed = database["removed_communities"]
        self._members = database["community_members"]
        self._events = database["community_events"]
        self._tenants = tenants

    def _there(self, brand: str, id: str) -> Document:
        return {"$and": [{"_id": f"{brand}/{id}", "removed_at": None}, self._tenants.filter()]}

    async def page(self, after: str | None, limit: int) -> list[Document]:
        """All of them by id, without the rule's JSON."""
        query: Document = {**self._tenants.filter(), "removed_at": None}
        if after is not None:
            query["_id"] = {"$gt": after}
        return await self._communities.find(query).sort("_id").hint("listed").limit(limit).to_list()

    async def count(self) -> int:
        """How many there are."""
        return await self._communities.count_documents({**self._tenants.filter(), "removed_at": None}, hint="listed")

    async def find(self, brand: str, id: str) -> Document | None:
        """One of them."""
        return await self._communities.find_one(self._there(brand, id))

    async def named(self, brand: str, ids: Collection[str]) -> list[Document]:
        """Those of a brand that have these ids, by id."""
        query = {"_id": {"$in": [f"{brand}/{each}" for each in ids]}, "removed_at": None}
        return await self._communities.find({"$and": [query, self._tenants.filter()]}).sort("_id").to_list()

    async def add(self, community: Document) -> bool:
        """Stores a new one; False where the brand has one of its id, if only until it is removed."""
        try:
            await self._communities.insert_one(community)
        except DuplicateKeyError:
            return False
        return True

    async def change(self, brand: str, id: str, changes: Document, *, judge: bool) -> Document | None:
        """Stores changes. With `judge` its rule is another one, by which everybody is judged again."""
        more: Document = {"$inc": {"revision": 1}} if judge else {}
        changes = {**changes, **({"checked_after": ""} if judge else {})}
        return await self._communities.find_one_and_update(
            self._there(brand, id), {"$set": changes, **more}, return_document=ReturnDocument.AFTER
        )

    async def remove(self, brand: str, id: str, at: datetime) -> bool:
        """Removes one; its members and events follow. False where it was not there."""
        found = await self._communities.find_one_and_update(self._there(brand, id), {"$set": {"removed_at": at}})
        if found is None:
            return False
        await self._removed.replace_one({"_id": found["_id"]}, {**found, "removed_at": at}, upsert=True)
        return True

    async def removed(self, brand: str, id: str) -> Document | None:
        """One that was removed in the last days."""
        return await self._removed.find_one({"$and": [{"_id": f"{brand}/{id}"}, self._tenants.filter()]})

    async def restore(self, removed: Document) -> bool:
        """Brings one back, with everybody still to be judged; False where another one has its id."""
        fresh = {"removed_at": None, "checked_after": ""}
        query = {"$and": [{"_id": removed["_id"], "removed_at": {"$ne": None}}, self._tenants.filter()]}
        found = await self._communities.update_one(query, {"$set": fresh, "$inc": {"revision": 1}})
        if found.matched_count == 0:
            counts = {"members": 0, "events": 0, "checked_revision": 0}
            if not await self.add({**removed, **fresh, **counts}):
                return False
        await self._removed.delete_one({"_id": removed["_id"]})
        return True

    async def members(self, id: str, after: Place | None, limit: int) -> list[Document]:
        """Members, the latest first."""
        conditions: list[Document] = [self._tenants.filter(), {"community": id}]
        if after is not None:
            since, last_id = after
            conditions.append({"since": {"$lte": since}})
            conditions.append({"$or": [{"since": {"$lt": since}}, {"since": since, "_id": {"$lt": last_id}}]})
        found = self._members.find({"$and": conditions}).sort(_NEWEST_FIRST).hint("listed")
        return await found.limit(limit).to_list()

    async def of_follower(self, platform: str, follower: str) -> list[Document]:
        """The memberships of a follower, by the community's id."""
        query = {**self._tenants.filter(), "platform": platform, "follower": follower}
        return await self._members.find(query).sort("community").hint("follower").to_list()

    async def events(self, id: str, before: int | None, limit: int) -> list[Document]:
        """Joins and leaves, the latest first; those before the one of a number."""
        query: Document = {**self._tenants.filter(), "community": id}
        if before is not None:
            query["number"] = {"$lt": before}
        return await self._events.find(query).sort("number", -1).hint("listed").limit(limit).to_list()


class Samples:
    """What a rule that is not stored yet is tried on: some followers with what they wrote and entered."""

    def __init__(self, database: AsyncDatabase[Document], tenants: Tenants) -> None:
        self._database = database
        self._tenants = tenants

    async def persons(self, brand: str, followers: Collection[Document]) -> list[Document]:
        """The rest of these followers' persons."""
        linked = sorted({each["person"] for each in followers if each["person"] is not None})
        query = {"$and": [{"brand": brand, "person": {"$in": linked}}, self._tenants.filter()]}
        return await self._database["followers"].find(query, FOLLOWER).hint("person").to_list()

    async def said(
        self, platform: str, followers: Collection[str], limit: int
    ) -> tuple[list[Document], list[Document]]:
        """What followers of one platform wrote, so many at most, and what became of that."""
        interactions = self._database["interactions"]
        its: Document = {**self._tenants.filter(), "platform": platform}
        spoken = {**its, "kind": {"$in": sorted(SPOKEN)}}
        query = {**spoken, "follower": {"$in": sorted(followers)}}
        said = await interactions.find(query, SAID).hint("timeline").limit(limit).to_list()
        things = sorted({each["object"]["id"] for each in said})
        changed = {**its, "about": {"$in": things}, "kind": {"$in": list(CHANGED)}}
        undone = {**spoken, "object.id": {"$in": things}, "undo": True}
        return said, [
            *await interactions.find(changed, SAID).hint("about").to_list(),
            *await interactions.find(undone, SAID).hint("undone").to_list(),
        ]

    async def entries(self, platform: str, followers: Collection[str]) -> list[Document]:
        """The campaigns that followers of one platform entered or answered: `follower` and `campaign` of each."""
        query = {**self._tenants.filter(), "platform": platform, "follower": {"$in": sorted(followers)}}
        fields = dict.fromkeys(("platform", "follower", "campaign"), 1)
        return [
            each
            for collection in ("campaign_entries", "survey_answers")
            for each in await self._database[collection].find(query, fields).hint("follower").to_list()
        ]
