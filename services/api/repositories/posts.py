"""What a brand published: the mix, lists by label, labels by hand, and what the brand wants its mix to be."""

from datetime import datetime
from functools import partial
from typing import Any

from pymongo import ReturnDocument
from pymongo.asynchronous.database import AsyncDatabase

from rapport.domain.mix import BRINGS, LABELS, UNSORTED, Tally
from rapport.kit.mongo import Document
from services.api.repositories.counted import counted
from services.api.repositories.tenants import Tenants

Place = tuple[datetime, str]
Tallies = dict[tuple[str, str], Tally]

MANY = 5_000
"""What comes of so many posts may be some seconds old: of fewer it takes no time to speak of."""


class Posts:
    """The posts of some tenants."""

    def __init__(self, database: AsyncDatabase[Document], tenants: Tenants) -> None:
        self._posts = database["posts"]
        self._labels = database["post_labels"]
        self._plans = database["post_plans"]
        self._settings = database["mix_settings"]
        self._tenants = tenants

    async def tallies(self, start: datetime, end: datetime) -> Tallies:
        """What was published in `[start, end)`, by label and format."""
        database = self._posts.database
        key = (database.name, "tallies", self._tenants, start, end)
        found: Tallies = await counted(database).get(key, partial(self._tallies, start, end), MANY)
        return found

    async def _tallies(self, start: datetime, end: datetime) -> tuple[Tallies, int]:
        found = await self._posts.aggregate(
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
            async for each in found
        }
        return tallies, sum(each.posts for each in tallies.values())

    async def page(
        self, label: str | None, start: datetime, end: datetime, after: Place | None, limit: int
    ) -> list[Document]:
        """Those with a label (or all) that were published in `[start, end)`, the latest first."""
        conditions: list[Document] = [
            self._tenants.filter(),
            # Every label by name, so that the index of each can be read in order and merged.
            {"label": {"$in": [*LABELS, UNSORTED]} if label is None else label},
            {"published_at": {"$gte": start, "$lt": end}},
        ]
        if after is not None:
            at, last_id = after
            conditions.append({"published_at": {"$lte": at}})
            conditions.append({"$or": [{"published_at": {"$lt": at}}, {"published_at": at, "_id": {"$lt": last_id}}]})
        found = self._posts.find({"$and": conditions}).sort([("published_at", -1), ("_id", -1)])
        return await found.limit(limit).to_list()

    async def find(self, id: str) -> Document | None:
        """One of them, by `_id`."""
        return await self._posts.find_one({"$and": [{"_id": id}, self._tenants.filter()]})

    async def planned_label(self, id: str) -> str | None:
        """The label that a post's plan gives it."""
        plan = await self._plans.find_one({"$and": [{"_id": id}, self._tenants.filter()]}, {"label": 1})
        return plan.get("label") if plan else None

    async def label_by_hand(self, post: Document, label: str, by: str, at: datetime) -> None:
        """Keeps who gave a post its label, and when."""
        document = {"brand": post["brand"], "label": label, "by": by, "at": at}
        await self._labels.replace_one({"_id": post["_id"]}, document, upsert=True)

    async def forget_label(self, post: Document) -> None:
        """Removes the label by hand."""
        await self._labels.delete_one({"$and": [{"_id": post["_id"]}, self._tenants.filter()]})

    async def show_label(self, post: Document, label: str, by: str | None) -> Document | None:
        """Shows a label at once; the upkeep would come to the same. None where the post is gone."""
        return await self._posts.find_one_and_update(
            {"$and": [{"_id": post["_id"]}, self._tenants.filter()]},
            {"$set": {"label": label, "label_by": by}},
            return_document=ReturnDocument.AFTER,
        )

    async def settings(self, brand: str) -> Document | None:
        """What a brand wants its mix to be: `labels` and `formats` (targets), `rules`, and their `revision`."""
        return await self._settings.find_one({"$and": [{"_id": brand}, self._tenants.filter()]})

    async def set(self, brand: str, content: dict[str, Any]) -> Document:
        """Stores what a brand wants; every change is a new revision, by which posts are labelled anew."""
        found = await self._settings.find_one_and_update(
            {"$and": [{"_id": brand}, self._tenants.filter()]},
            {"$set": {"brand": brand, **content}, "$inc": {"revision": 1}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        assert found is not None, "an upsert gives what it made"
        return found
