"""Queries about posts, their labels, and the settings of the mix."""

from datetime import datetime
from functools import partial
from typing import Any

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection

from rapport.domain.mix.labels import BRINGS, LABELS, UNSORTED, Tally
from rapport.kit.mongo import Document
from services.api.calendar.documents import PlanOfPost
from services.api.http.paging import Position
from services.api.mix.documents import MixSettingsDocument, PostDocument, PostLabelDocument
from services.api.storage.counted import counted
from services.api.storage.tenants import Database, Tenants

Tallies = dict[tuple[str, str], Tally]

MANY = 5_000
"""The figures of so many posts are cached for some seconds. Fewer are fast to count."""


class Posts:
    """The posts of some tenants."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._database = database
        self._posts: AsyncCollection[PostDocument] = database["posts"]
        self._labels: AsyncCollection[PostLabelDocument] = database["post_labels"]
        self._plans: AsyncCollection[PlanOfPost] = database["post_plans"]
        self._settings: AsyncCollection[MixSettingsDocument] = database["mix_settings"]
        self._tenants = tenants

    async def tallies(self, start: datetime, end: datetime) -> Tallies:
        """What was published in `[start, end)`, by label and format."""
        key = (self._database.name, "tallies", self._tenants, start, end)
        tallies: Tallies = await counted(self._database).get(key, partial(self._tallies, start, end), MANY)
        return tallies

    async def _tallies(self, start: datetime, end: datetime) -> tuple[Tallies, int]:
        groups = await self._database["posts"].aggregate(
            [
                {"$match": {**self._tenants.filter(), "published_at": {"$gte": start, "$lt": end}}},
                {
                    "$group": {
                        "_id": {"label": "$label", "format": "$format"},
                        "posts": {"$sum": 1},
                        **{name: {"$sum": f"${name}"} for name in BRINGS},
                        **{f"{name}_squares": {"$sum": {"$multiply": [f"${name}", f"${name}"]}} for name in BRINGS},
                    }
                },
            ],
            hint="mix",
        )
        tallies = {
            (each["_id"]["label"], each["_id"]["format"]): Tally(
                each["posts"],
                {name: each[name] for name in BRINGS},
                {name: each[f"{name}_squares"] for name in BRINGS},
            )
            async for each in groups
        }
        return tallies, sum(each.posts for each in tallies.values())

    async def page(
        self, label: str | None, start: datetime, end: datetime, after: Position | None, limit: int
    ) -> list[PostDocument]:
        """Posts with a label (or all) that were published in `[start, end)`, the latest first."""
        conditions: list[Document] = [
            self._tenants.filter(),
            # All labels by name: MongoDB can then read the index of each in order and merge them.
            {"label": {"$in": [*LABELS, UNSORTED]} if label is None else label},
            {"published_at": {"$gte": start, "$lt": end}},
        ]
        if after is not None:
            at, last_id = after
            conditions.append({"published_at": {"$lte": at}})
            conditions.append({"$or": [{"published_at": {"$lt": at}}, {"published_at": at, "_id": {"$lt": last_id}}]})
        found = self._posts.find({"$and": conditions}).sort([("published_at", -1), ("_id", -1)])
        return await found.limit(limit).to_list()

    async def find(self, id: str) -> PostDocument | None:
        """One post, by `_id`."""
        return await self._posts.find_one({"$and": [{"_id": id}, self._tenants.filter()]})

    async def planned_label(self, id: str) -> str | None:
        """The label of a post's plan."""
        plan = await self._plans.find_one({"$and": [{"_id": id}, self._tenants.filter()]}, {"label": 1})
        return plan.get("label") if plan else None

    async def label_by_hand(self, post: PostDocument, label: str, by: str, at: datetime) -> None:
        """Stores a label by hand."""
        document = {"brand": post["brand"], "label": label, "by": by, "at": at}
        await self._labels.replace_one({"_id": post["_id"]}, document, upsert=True)

    async def forget_label(self, post: PostDocument) -> None:
        """Removes the label by hand."""
        await self._labels.delete_one({"$and": [{"_id": post["_id"]}, self._tenants.filter()]})

    async def show_label(self, post: PostDocument, label: str, by: str | None) -> PostDocument | None:
        """Shows a label at once, as the upkeep will. None if the post is gone."""
        return await self._posts.find_one_and_update(
            {"$and": [{"_id": post["_id"]}, self._tenants.filter()]},
            {"$set": {"label": label, "label_by": by}},
            return_document=ReturnDocument.AFTER,
        )

    async def settings(self, brand: str) -> MixSettingsDocument | None:
        """The targets and rules of a brand."""
        return await self._settings.find_one({"$and": [{"_id": brand}, self._tenants.filter()]})

    async def set(self, brand: str, content: dict[str, Any]) -> MixSettingsDocument:
        """Stores targets and rules as a new revision, so that posts are labelled again."""
        found = await self._settings.find_one_and_update(
            {"$and": [{"_id": brand}, self._tenants.filter()]},
            {"$set": {"brand": brand, **content}, "$inc": {"revision": 1}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        assert found is not None, "an upsert returns what it made"
        return found
