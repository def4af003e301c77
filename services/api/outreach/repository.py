"""Queries about a brand's outreach, and about people whom it could reach out to."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from rapport.domain.outreach import SEVERAL
from rapport.kit.mongo import Document
from services.api.followers.documents import FollowerSummary
from services.api.http.paging import Position
from services.api.interactions.documents import InteractionDocument
from services.api.outreach.documents import OutreachDayDocument, SuggestedDocument
from services.api.storage.tenants import Database, Tenants

KINDS = ("reaction", "follow", "comment", "mention", "message", "share")
"""What counts as outreach if the staff does it. A reply is an answer."""
_LISTED = {"contributions": 0, "days": 0}
_ACT = dict.fromkeys(("kind", "object.id", "parent", "occurred_at", "undo"), 1)


def reached(document: InteractionDocument) -> str:
    """Whom the staff reached with an interaction: the author of its parent if known, else its object."""
    parent = document.get("parent")
    return str((parent.get("actor") if parent else None) or document["object"]["id"])


class Outreach:
    """The outreach of some tenants."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._interactions: AsyncCollection[InteractionDocument] = database["interactions"]
        self._followers: AsyncCollection[FollowerSummary] = database["followers"]
        self._lists: AsyncCollection[OutreachDayDocument] = database["outreach_days"]
        self._tenants = tenants

    async def done(self, after: Position | None, limit: int) -> list[InteractionDocument]:
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
        """When the brand last reached out to each of these followers (by platform) or answered it, since `since`.

        What the brand took back does not count.
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
            acts: list[InteractionDocument] = []
            for name, index in (("parent.actor", "reached"), ("object.id", "reached_object")):
                acts += await self._interactions.find({**of_staff, name: wanted}, _ACT).hint(index).to_list()
            # An undoing may name only the object.
            objects = sorted({each["object"]["id"] for each in acts})
            undone = await self._interactions.find({**its, "undo": True, "object.id": {"$in": objects}}, _ACT).to_list()
            latest: dict[tuple[str, str], InteractionDocument] = {}
            for each in sorted((*acts, *undone), key=lambda each: (each["occurred_at"], each["_id"])):
                latest[each["kind"], each["object"]["id"]] = each
            for each in latest.values():
                if not each.get("undo"):
                    _later(found, (platform, reached(each)), each["occurred_at"])
        return found

    async def quiet(self, stages: Sequence[str], before: datetime, limit: int) -> list[FollowerSummary]:
        """Followers in these stages last seen before `before`, the latest first."""
        query = {**self._tenants.filter(), "stage": {"$in": list(stages)}, "last_seen": {"$lt": before}}
        found = self._followers.find(query, _LISTED).sort([("last_seen", -1), ("_id", 1)])
        return await found.limit(limit).to_list()

    async def unanswered(self, since: datetime, limit: int) -> list[FollowerSummary]:
        """Followers seen since `since` with several comments and no answer, the latest seen first."""
        query = {
            **self._tenants.filter(),
            "counts.reply": None,
            "counts.comment": {"$gte": SEVERAL},
            "last_seen": {"$gte": since},
        }
        found = self._followers.find(query, _LISTED).sort([("last_seen", -1), ("_id", 1)])
        return await found.limit(limit).hint("unanswered").to_list()

    async def shares(self, since: datetime, limit: int) -> list[InteractionDocument]:
        """What followers shared since `since`, the latest hours first; without what was taken back."""
        query = {
            **self._tenants.filter(),
            "hour": {"$gte": since - timedelta(hours=1)},
            "kind": "share",
            "occurred_at": {"$gte": since},
        }
        fields = dict.fromkeys(("platform", "follower", "object.id", "occurred_at", "post", "undo", "staff"), 1)
        shared = await self._interactions.find(query, fields).sort("hour", -1).limit(limit).hint("hourly").to_list()
        latest: dict[tuple[str, str, str], InteractionDocument] = {}
        for each in sorted(shared, key=lambda each: (each["occurred_at"], each["_id"])):
            latest[each["platform"], each["follower"], each["object"]["id"]] = each
        return [each for each in latest.values() if not (each.get("undo") or each.get("staff"))]

    async def listed(self, brand: str, day: str) -> OutreachDayDocument | None:
        """The list of a day."""
        return await self._lists.find_one({"$and": [{"_id": f"{brand}/{day}"}, self._tenants.filter()]})

    async def keep(self, brand: str, day: str, before: int, items: Sequence[SuggestedDocument], now: datetime) -> bool:
        """Stores the list of a day, replacing the revision `before` (0: none). False if another revision is stored."""
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
