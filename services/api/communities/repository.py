"""Communities, their members and events; and samples to try a rule on."""

from collections.abc import Collection, Iterable
from datetime import datetime

from pymongo import ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from rapport.contracts.events import SPOKEN
from rapport.kit.mongo import Document, in_async_transaction
from services.api.communities.documents import CommunityDocument, CommunityTermsDocument, EventDocument, MemberDocument
from services.api.communities.facts import CHANGED, FOLLOWER, SAID, RuledFollower, Utterance, Who, who
from services.api.http.paging import Position
from services.api.storage.tenants import Database, Tenants

_NEWEST_FIRST = [("since", -1), ("_id", -1)]


class Communities:
    """The communities of some tenants, without those that are being removed."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._database = database
        self._communities: AsyncCollection[CommunityDocument] = database["communities"]
        self._removed: AsyncCollection[CommunityDocument] = database["removed_communities"]
        self._members: AsyncCollection[MemberDocument] = database["community_members"]
        self._events: AsyncCollection[EventDocument] = database["community_events"]
        self._tenants = tenants

    def _there(self, brand: str, id: str) -> Document:
        return {"$and": [{"_id": f"{brand}/{id}", "removed_at": None}, self._tenants.filter()]}

    async def page(self, after: str | None, limit: int) -> list[CommunityDocument]:
        """All of them by id."""
        query: Document = {**self._tenants.filter(), "removed_at": None}
        if after is not None:
            query["_id"] = {"$gt": after}
        return await self._communities.find(query).sort("_id").hint("listed").limit(limit).to_list()

    async def count(self) -> int:
        """How many there are."""
        return await self._communities.count_documents({**self._tenants.filter(), "removed_at": None}, hint="listed")

    async def find(self, brand: str, id: str) -> CommunityDocument | None:
        """One of them."""
        return await self._communities.find_one(self._there(brand, id))

    async def named(self, brand: str, ids: Collection[str]) -> list[CommunityDocument]:
        """A brand's communities with these ids, by id."""
        query = {"_id": {"$in": [f"{brand}/{each}" for each in ids]}, "removed_at": None}
        return await self._communities.find({"$and": [query, self._tenants.filter()]}).sort("_id").to_list()

    async def add(self, community: CommunityDocument) -> bool:
        """Stores a new one. False if the brand has one with its id, even one that is being removed."""
        try:
            await self._communities.insert_one(community)
        except DuplicateKeyError:
            return False
        return True

    async def change(
        self, brand: str, id: str, terms: CommunityTermsDocument, now: datetime, *, judge: bool
    ) -> CommunityDocument | None:
        """Stores other terms. With `judge` the rule changed, and everybody is judged again."""
        more: Document = {"$inc": {"revision": 1}} if judge else {}
        changes = {**terms, "updated_at": now, **({"checked_after": ""} if judge else {})}
        return await self._communities.find_one_and_update(
            self._there(brand, id), {"$set": changes, **more}, return_document=ReturnDocument.AFTER
        )

    async def remove(self, brand: str, id: str, at: datetime) -> bool:
        """Removes one; its members and events follow. False if there was none."""

        async def write(session: AsyncClientSession) -> bool:
            gone = {"$set": {"removed_at": at}}
            found = await self._communities.find_one_and_update(self._there(brand, id), gone, session=session)
            if found is None:
                return False
            copy: CommunityDocument = {**found, "removed_at": at}
            await self._removed.replace_one({"_id": found["_id"]}, copy, upsert=True, session=session)
            return True

        return await in_async_transaction(self._database, write)

    async def removed(self, brand: str, id: str) -> CommunityDocument | None:
        """One that was removed recently."""
        return await self._removed.find_one({"$and": [{"_id": f"{brand}/{id}"}, self._tenants.filter()]})

    async def restore(self, removed: CommunityDocument) -> bool:
        """Brings one back; everybody will be judged again. False if another one has its id."""
        fresh = {"removed_at": None, "checked_after": ""}
        query = {"$and": [{"_id": removed["_id"], "removed_at": {"$ne": None}}, self._tenants.filter()]}
        empty: CommunityDocument = {
            **removed,
            "removed_at": None,
            "checked_after": "",
            "members": 0,
            "events": 0,
            "checked_revision": 0,
        }

        async def write(session: AsyncClientSession) -> None:
            found = await self._communities.update_one(query, {"$set": fresh, "$inc": {"revision": 1}}, session=session)
            if found.matched_count == 0:
                await self._communities.insert_one(empty, session=session)
            await self._removed.delete_one({"_id": removed["_id"]}, session=session)

        try:
            await in_async_transaction(self._database, write)
        except DuplicateKeyError:
            return False
        return True

    async def members(self, id: str, after: Position | None, limit: int) -> list[MemberDocument]:
        """Members, the latest first."""
        conditions: list[Document] = [self._tenants.filter(), {"community": id}]
        if after is not None:
            since, last_id = after
            conditions.append({"since": {"$lte": since}})
            conditions.append({"$or": [{"since": {"$lt": since}}, {"since": since, "_id": {"$lt": last_id}}]})
        found = self._members.find({"$and": conditions}).sort(_NEWEST_FIRST).hint("listed")
        return await found.limit(limit).to_list()

    async def of_follower(self, platform: str, follower: str) -> list[MemberDocument]:
        """The memberships of a follower, by the community's id."""
        query = {**self._tenants.filter(), "platform": platform, "follower": follower}
        return await self._members.find(query).sort("community").hint("follower").to_list()

    async def events(self, id: str, before: int | None, limit: int) -> list[EventDocument]:
        """Joins and leaves, the latest first; only those before a number if one is given."""
        query: Document = {**self._tenants.filter(), "community": id}
        if before is not None:
            query["number"] = {"$lt": before}
        return await self._events.find(query).sort("number", -1).hint("listed").limit(limit).to_list()


class Samples:
    """Some followers with what they wrote and entered, to try a rule on that is not stored yet."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._database = database
        self._tenants = tenants

    async def persons(self, brand: str, followers: Iterable[RuledFollower]) -> list[RuledFollower]:
        """The rest of these followers' persons."""
        linked = sorted({each["person"] for each in followers if each["person"] is not None})
        query = {"$and": [{"brand": brand, "person": {"$in": linked}}, self._tenants.filter()]}
        stored: AsyncCollection[RuledFollower] = self._database["followers"]
        return await stored.find(query, FOLLOWER).hint("person").to_list()

    async def said(
        self, platform: str, followers: Collection[str], limit: int
    ) -> tuple[list[Utterance], list[Utterance]]:
        """What followers of one platform wrote, at most `limit`, and what became of that."""
        interactions: AsyncCollection[Utterance] = self._database["interactions"]
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

    async def entries(self, platform: str, followers: Collection[str]) -> list[tuple[Who, str]]:
        """The campaigns that followers of one platform entered or answered, by id."""
        query = {**self._tenants.filter(), "platform": platform, "follower": {"$in": sorted(followers)}}
        fields = dict.fromkeys(("platform", "follower", "campaign"), 1)
        return [
            (who(each), each["campaign"])
            for collection in ("campaign_entries", "survey_answers")
            for each in await self._database[collection].find(query, fields).hint("follower").to_list()
        ]
