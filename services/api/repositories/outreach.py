"""What a brand did to others of its own accord, and where to look for people whom it could reach out to."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from rapport.domain.outreach import SEVERAL
from rapport.kit.mongo import Document
from services.api.repositories.tenants import Tenants

KINDS = ("reaction", "follow", "comment", "mention", "message", "share")
"""What is reaching out, where the staff does it. A reply is an answer."""
Place = tuple[datetime, str]
_LISTED = {"contributions": 0, "days": 0}
_ACT = dict.fromkeys(("kind", "object.id", "parent", "occurred_at", "undo"), 1)


def reached(document: Document) -> str:
    """Whom an interaction of the staff was to: the author of what it is about, else the thing itself."""
    parent = document.get("parent") or {}
    return str(parent.get("actor") or document["object"]["id"])


class Outreach:
    """The outreach of some tenants."""

    def __init__(self, database: AsyncDatabase[Document], tenants: Tenants) -> None:
        self._interactions = database["interactions"]
        self._followers = database["followers"]
        self._lists = database["outreach_days"]
        self._tenants = tenants

    async def done(self, after: Place | None, limit: int) -> list[Document]:
        """What the brand did, the latest first."""
        query: Document = {**self._tenants.filter(), "staff": True, "kind": {"$in": list(KINDS)}}
        if after is not None:
            at, last_id = after
            query["occurred_at"] = {"$lte": at}
            query["$or"] = [{"occurred_at": {"$lt": at}}, {"occurred_at": at, "_id": {"$lt": last_id}}]
        found = self._interactions.find(query).sort([("occurred_at", -1), ("_id", -1)])
        return await found.limit(limit).hint("outreach").to_list()

    async def contacts(
        self, followers: Mapping[str, Collection[str]], since: datetime
    ) -> dict[tuple[str, str], datetime]:
        """When the brand last turned to each of these followers (by platform), or answered it, since `since`.

        What the brand took back is left out.
        """
        found: dict[tuple[str, str], datetime] = {}
        for platform, some in followers.items():
            its = {**self._tenants.filter(), "platform": platform}
            lately, wanted = {"occurred_at": {"$gte": since}}, {"$in": sorted(some)}
            replies = self._interactions.find(
                {**its, "follower": wanted, **lately, "kind": "reply"}, {"follower": 1, "occurred_at": 1}
            )
            async for each in replies.hint("timeline"):
                _later(found, (platform, each["follower"]), each["occurred_at"])
            of_staff = {**its, **lately, "staff": True, "kind": {"$in": list(KINDS)}}
            acts: list[Document] = []
            for name, index in (("parent.actor", "reached"), ("object.id", "reached_object")):
                acts += await self._interactions.find({**of_staff, name: wanted}, _ACT).hint(index).to_list()
            # What takes an act back may name nothing but its object.
            objects = sorted({each["object"]["id"] for each in acts})
            undone = await self._interactions.find({**its, "undo": True, "object.id": {"$in": objects}}, _ACT).to_list()
            latest: dict[tuple[str, str], Document] = {}
            for each in sorted((*acts, *undone), key=lambda each: (each["occurred_at"], each["_id"])):
                latest[each["kind"], each["object"]["id"]] = each
            for each in latest.values():
                if not each.get("undo"):
                    _later(found, (platform, reached(each)), each["occurred_at"])
        return found

    async def quiet(self, stages: Sequence[str], before: datetime, limit: int) -> list[Document]:
        """Followers in these stages who were last seen before `before`, the latest of them first."""
        query = {**self._tenants.filter(), "stage": {"$in": list(stages)}, "last_seen": {"$lt": before}}
        found = self._followers.find(query, _LISTED).sort([("last_seen", -1), ("_id", 1)])
        return await found.limit(limit).to_list()

    async def unanswered(self, since: datetime, limit: int) -> list[Document]:
        """Followers with several comments and not one answer, seen since `since`, the latest seen first."""
        query = {
            **self._tenants.filter(),
            "counts.reply": None,
            "counts.comment": {"$gte": SEVERAL},
            "last_seen": {"$gte": since},
        }
        found = self._followers.find(query, _LISTED).sort([("last_seen", -1), ("_id", 1)])
        return await found.limit(limit).hint("unanswered").to_list()

    async def shares(self, since: datetime, limit: int) -> list[Document]:
        """What followers shared since `since`, the latest hours first; without what was taken back."""
        query = {
            **self._tenants.filter(),
            "hour": {"$gte": since - timedelta(hours=1)},
            "kind": "share",
            "occurred_at": {"$gte": since},
        }
        fields = dict.fromkeys(("platform", "follower", "object.id", "occurred_at", "post", "undo", "staff"), 1)
        shared = await self._interactions.find(query, fields).sort("hour", -1).limit(limit).hint("hourly").to_list()
        latest: dict[tuple[str, str, str], Document] = {}
        for each in sorted(shared, key=lambda each: (each["occurred_at"], each["_id"])):
            latest[each["platform"], each["follower"], each["object"]["id"]] = each
        return [each for each in latest.values() if not (each.get("undo") or each.get("staff"))]

    async def listed(self, brand: str, day: str) -> Document | None:
        """The list of a day: `items` (follower, reasons, when it was added), `revision`, `looked_at`."""
        return await self._lists.find_one({"$and": [{"_id": f"{brand}/{day}"}, self._tenants.filter()]})

    async def keep(self, brand: str, day: str, before: int, items: Sequence[Any], now: datetime) -> bool:
        """Stores the list of a day in place of the revision `before` (0: none). False where another one is there."""
        document = {"brand": brand, "day": day, "items": list(items), "revision": before + 1, "looked_at": now}
        try:
            result = await self._lists.replace_one(
                {"_id": f"{brand}/{day}", "brand": brand, "revision": before}, document, upsert=before == 0
            )
        except DuplicateKeyError:
            return False
        return bool(result.matched_count or result.upserted_id)


def _later(found: dict[tuple[str, str], datetime], who: tuple[str, str], at: datetime) -> None:
    found[who] = max(at, found.get(who, at))
