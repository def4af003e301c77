"""Planned posts, published posts beside them, and a brand's calendar settings."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pymongo import ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from rapport.domain.mix.labels import LABELS, UNSORTED
from rapport.kit.mongo import Document, in_async_transaction
from services.api.calendar.documents import (
    CalendarSettingsDocument,
    MatchByHand,
    PlanChanges,
    PlannedPost,
    PlanOfPost,
    RemovedPost,
)
from services.api.http.paging import Position
from services.api.mix.documents import PostDocument
from services.api.storage.rebuild_marks import rebuild_mark
from services.api.storage.tenants import Database, Tenants

UNDO_WITHIN = timedelta(days=7)
"""How long a removed post can be brought back. MongoDB deletes it then."""
MATCH = "match"
"""Asks the upkeep to match an account's posts with its plans again."""


class Calendar:
    """The planned posts of some tenants."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._database = database
        self._planned: AsyncCollection[PlannedPost] = database["planned_posts"]
        self._removed: AsyncCollection[RemovedPost] = database["removed_posts"]
        self._plans: AsyncCollection[PlanOfPost] = database["post_plans"]
        self._matches: AsyncCollection[MatchByHand] = database["post_matches"]
        self._posts: AsyncCollection[PostDocument] = database["posts"]
        self._settings: AsyncCollection[CalendarSettingsDocument] = database["calendar_settings"]
        self._stale = database["stale"]
        self._tenants = tenants

    async def between(self, start: datetime, end: datetime, after: Position | None, limit: int) -> list[PlannedPost]:
        """What is planned in `[start, end)` after a position, in order of time."""
        query = {"$and": [self._tenants.filter(), *_span("planned_at", start, end, after)]}
        found = self._planned.find(query).sort([("planned_at", 1), ("_id", 1)]).hint("when")
        return await found.limit(limit).to_list()

    async def published(self, start: datetime, end: datetime, after: Position | None, limit: int) -> list[PostDocument]:
        """What was published in `[start, end)` after a position, in order of time."""
        # Every label by name, so that the index of each can be read in order and merged.
        labels = {"label": {"$in": [*LABELS, UNSORTED]}}
        query = {"$and": [self._tenants.filter(), labels, *_span("published_at", start, end, after)]}
        found = self._posts.find(query).sort([("published_at", 1), ("_id", 1)]).hint("listed")
        return await found.limit(limit).to_list()

    async def plans_of(self, posts: list[str]) -> dict[str, PlanOfPost]:
        """The plans of these posts, by the post's `_id`."""
        query = {"$and": [{"_id": {"$in": posts}}, self._tenants.filter()]}
        return {each["_id"]: each async for each in self._plans.find(query)}

    async def all(self, after: str, limit: int) -> list[PlannedPost]:
        """All planned posts, by `_id`."""
        query = {"$and": [self._tenants.filter(), {"_id": {"$gt": after}}]}
        return await self._planned.find(query).sort("_id").hint("listed").limit(limit).to_list()

    async def find(self, id: str) -> PlannedPost | None:
        """One planned post, by `_id`."""
        return await self._planned.find_one({"$and": [{"_id": id}, self._tenants.filter()]})

    async def add(self, planned: PlannedPost, now: datetime, *, again: bool = False) -> bool:
        """Stores a new one, or `again` one that was removed. False if one has its id."""

        async def write(session: AsyncClientSession) -> None:
            await self._planned.insert_one(planned, session=session)
            if again:
                its = {"$and": [{"_id": planned["_id"]}, self._tenants.filter()]}
                await self._removed.delete_one(its, session=session)
            await self._ask(planned, now, session)

        try:
            await in_async_transaction(self._database, write)
        except DuplicateKeyError:
            return False
        return True

    async def change(self, planned: PlannedPost, changes: PlanChanges, now: datetime) -> PlannedPost | None:
        """Changes one. None if somebody else changed it since it was read."""

        async def write(session: AsyncClientSession) -> PlannedPost | None:
            found = await self._planned.find_one_and_update(
                {"$and": [{"_id": planned["_id"], "revision": planned["revision"]}, self._tenants.filter()]},
                {"$set": {**changes, "updated_at": now}, "$inc": {"revision": 1}},
                return_document=ReturnDocument.AFTER,
                session=session,
            )
            if found is not None:
                for each in (planned, found):
                    await self._ask(each, now, session)
            return found

        return await in_async_transaction(self._database, write)

    async def remove(self, planned: PlannedPost, now: datetime) -> None:
        """Removes one, and keeps a copy for some days."""
        removed: RemovedPost = {**planned, "removed_at": now}

        async def write(session: AsyncClientSession) -> None:
            await self._removed.replace_one({"_id": planned["_id"]}, removed, upsert=True, session=session)
            await self._planned.delete_one({"$and": [{"_id": planned["_id"]}, self._tenants.filter()]}, session=session)
            await self._ask(planned, now, session)

        await in_async_transaction(self._database, write)

    async def removed(self, id: str) -> PlannedPost | None:
        """A removed one, as it was."""
        query = {"$and": [{"_id": id}, self._tenants.filter()]}
        return await self._removed.find_one(query, projection={"removed_at": False})

    async def match(self, post: Mapping[str, Any], plan: str | None, by: str, now: datetime) -> None:
        """Stores that a post belongs to a plan, or to none."""
        match: MatchByHand = {
            "_id": post["_id"],
            "brand": post["brand"],
            "account": post["account"],
            "plan": plan,
            "by": by,
            "at": now,
        }

        async def write(session: AsyncClientSession) -> None:
            await self._matches.replace_one({"_id": post["_id"]}, match, upsert=True, session=session)
            await self._ask(post, now, session)

        await in_async_transaction(self._database, write)

    async def unmatch(self, post: Mapping[str, Any], now: datetime) -> None:
        """Forgets what was said by hand."""

        async def write(session: AsyncClientSession) -> None:
            await self._matches.delete_one({"$and": [{"_id": post["_id"]}, self._tenants.filter()]}, session=session)
            await self._ask(post, now, session)

        await in_async_transaction(self._database, write)

    async def settings(self, brand: str) -> CalendarSettingsDocument | None:
        """A brand's settings."""
        return await self._settings.find_one({"$and": [{"_id": brand}, self._tenants.filter()]})

    async def set(self, brand: str, changes: Mapping[str, Any]) -> None:
        """Changes a brand's settings."""
        await self._settings.update_one(
            {"$and": [{"_id": brand}, self._tenants.filter()]}, {"$set": {"brand": brand, **changes}}, upsert=True
        )

    async def of_feed(self, token: str) -> CalendarSettingsDocument | None:
        """The settings of the brand whose feed has the token with this hash."""
        return await self._settings.find_one({"$and": [{"feed": token}, self._tenants.filter()]}, hint="feed")

    async def _ask(self, post: Mapping[str, Any], now: datetime, session: AsyncClientSession) -> None:
        its, change = rebuild_mark(MATCH, {"brand": post["brand"], "account": post["account"]}, now)
        await self._stale.update_one(its, change, upsert=True, session=session)


def _span(field: str, start: datetime, end: datetime, after: Position | None) -> list[Document]:
    if after is None:
        return [{field: {"$gte": start, "$lt": end}}]
    at, last_id = after
    return [{field: {"$gte": at, "$lt": end}}, {"$or": [{field: {"$gt": at}}, {field: at, "_id": {"$gt": last_id}}]}]
