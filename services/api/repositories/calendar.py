"""Planned posts, and which published post is which.

A planned post: `_id` (`<brand>/<id>`), `brand`, `plan` (its id), `platform`, `account`, `planned_at`, `text`, `media`,
`label`, `campaign`, `owner`, `post` (what it is to be on the platform, where somebody said so), `state`, `approval`
with `approval_by`, `approval_at` and `approval_why`, `revision`, `created_at`, `updated_at`; and by the upkeep
`published` (the post's `_id`), `published_at`, `missing_since`, `untold` (a reminder is due) and `told` (its id).

`removed_posts` has those that were removed, with `removed_at`, for `UNDO_WITHIN`.
`post_plans` has the plan of each post that has one, by the post's `_id`; `post_matches` what was said of that by hand.
"""

from datetime import datetime, timedelta

from pymongo import ReturnDocument
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from rapport.domain.mix import LABELS, UNSORTED
from rapport.kit.mongo import Document
from services.api.repositories.stale import marking
from services.api.repositories.tenants import Tenants

Place = tuple[datetime, str]
"""A time and an `_id`, by which both what is planned and what was published are in order."""

UNDO_WITHIN = timedelta(days=7)
"""So long a removed post can be brought back; MongoDB removes it then."""
MATCH = "match"
"""What asks the upkeep to match an account's posts with its plans again."""


class Calendar:
    """The planned posts of some tenants."""

    def __init__(self, database: AsyncDatabase[Document], tenants: Tenants) -> None:
        self._planned = database["planned_posts"]
        self._removed = database["removed_posts"]
        self._plans = database["post_plans"]
        self._matches = database["post_matches"]
        self._posts = database["posts"]
        self._settings = database["calendar_settings"]
        self._stale = database["stale"]
        self._tenants = tenants

    async def between(self, start: datetime, end: datetime, after: Place | None, limit: int) -> list[Document]:
        """What is planned in `[start, end)` and beyond a place, in order."""
        query = {"$and": [self._tenants.filter(), *_span("planned_at", start, end, after)]}
        found = self._planned.find(query).sort([("planned_at", 1), ("_id", 1)]).hint("when")
        return await found.limit(limit).to_list()

    async def published(self, start: datetime, end: datetime, after: Place | None, limit: int) -> list[Document]:
        """What was published in `[start, end)` and beyond a place, in order."""
        # Every label by name, so that the index of each can be read in order and merged.
        labels = {"label": {"$in": [*LABELS, UNSORTED]}}
        query = {"$and": [self._tenants.filter(), labels, *_span("published_at", start, end, after)]}
        found = self._posts.find(query).sort([("published_at", 1), ("_id", 1)]).hint("listed")
        return await found.limit(limit).to_list()

    async def plans_of(self, posts: list[str]) -> dict[str, Document]:
        """What says of these posts (by `_id`) which plan is theirs."""
        query = {"$and": [{"_id": {"$in": posts}}, self._tenants.filter()]}
        return {each["_id"]: each async for each in self._plans.find(query)}

    async def all(self, after: str, limit: int) -> list[Document]:
        """All planned posts, by `_id`."""
        query = {"$and": [self._tenants.filter(), {"_id": {"$gt": after}}]}
        return await self._planned.find(query).sort("_id").hint("listed").limit(limit).to_list()

    async def find(self, id: str) -> Document | None:
        """One planned post, by `_id`."""
        return await self._planned.find_one({"$and": [{"_id": id}, self._tenants.filter()]})

    async def add(self, planned: Document, now: datetime) -> bool:
        """Stores a new one; False where one has its id."""
        try:
            await self._planned.insert_one(planned)
        except DuplicateKeyError:
            return False
        await self._ask(planned, now)
        return True

    async def change(self, planned: Document, changes: Document, now: datetime) -> Document | None:
        """Changes one, unless somebody else did since it was read (None)."""
        found = await self._planned.find_one_and_update(
            {"$and": [{"_id": planned["_id"], "revision": planned["revision"]}, self._tenants.filter()]},
            {"$set": {**changes, "updated_at": now}, "$inc": {"revision": 1}},
            return_document=ReturnDocument.AFTER,
        )
        if found is not None:
            for each in (planned, found):
                await self._ask(each, now)
        return found

    async def remove(self, planned: Document, now: datetime) -> None:
        """Removes one, and keeps it aside for some days."""
        await self._removed.replace_one({"_id": planned["_id"]}, {**planned, "removed_at": now}, upsert=True)
        await self._planned.delete_one({"$and": [{"_id": planned["_id"]}, self._tenants.filter()]})
        await self._ask(planned, now)

    async def removed(self, id: str) -> Document | None:
        """One that was removed, as it was."""
        query = {"$and": [{"_id": id}, self._tenants.filter()]}
        return await self._removed.find_one(query, projection={"removed_at": False})

    async def forget_removed(self, planned: Document) -> None:
        """It is there again."""
        await self._removed.delete_one({"$and": [{"_id": planned["_id"]}, self._tenants.filter()]})

    async def match(self, post: Document, plan: str | None, by: str, now: datetime) -> None:
        """Keeps that a post belongs to a plan, or to none."""
        its = {"brand": post["brand"], "account": post["account"]}
        await self._matches.replace_one({"_id": post["_id"]}, {**its, "plan": plan, "by": by, "at": now}, upsert=True)
        await self._ask(post, now)

    async def unmatch(self, post: Document, now: datetime) -> None:
        """Forgets what was said by hand."""
        await self._matches.delete_one({"$and": [{"_id": post["_id"]}, self._tenants.filter()]})
        await self._ask(post, now)

    async def settings(self, brand: str) -> Document | None:
        """A brand's settings."""
        return await self._settings.find_one({"$and": [{"_id": brand}, self._tenants.filter()]})

    async def set(self, brand: str, changes: Document) -> None:
        """Changes a brand's settings."""
        await self._settings.update_one(
            {"$and": [{"_id": brand}, self._tenants.filter()]}, {"$set": {"brand": brand, **changes}}, upsert=True
        )

    async def of_feed(self, token: str) -> Document | None:
        """The settings of the brand whose feed has this token (by its hash)."""
        return await self._settings.find_one({"$and": [{"feed": token}, self._tenants.filter()]}, hint="feed")

    async def _ask(self, whose: Document, now: datetime) -> None:
        its, change = marking(MATCH, {"brand": whose["brand"], "account": whose["account"]}, now)
        await self._stale.update_one(its, change, upsert=True)


def _span(field: str, start: datetime, end: datetime, after: Place | None) -> list[Document]:
    if after is None:
        return [{field: {"$gte": start, "$lt": end}}]
    at, last_id = after
    return [{field: {"$gte": at, "$lt": end}}, {"$or": [{field: {"$gt": at}}, {field: at, "_id": {"$gt": last_id}}]}]
