"""Campaigns with their entries, draws and answers."""

from collections.abc import AsyncIterator, Collection
from datetime import datetime, timedelta
from typing import cast

from pymongo import ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from rapport.kit.mongo import Document
from services.api.campaigns.documents import (
    AnswersDocument,
    CampaignDocument,
    CampaignTerms,
    DrawDocument,
    DrawPart,
    EntryDocument,
    GiveawayDocument,
    ReplacedWinner,
    SurveyLinkDocument,
    difference,
)
from services.api.http.paging import Position
from services.api.new_relationships.documents import StageWeekDocument
from services.api.storage.rebuild_marks import rebuild_mark
from services.api.storage.tenants import Database, Tenants

FOLLOWED = timedelta(days=90)
"""How long after its end late facts are looked for. The log keeps nothing older."""
PART = 20_000
"""Hashes in one document of a draw. MongoDB takes 16 MB a document."""
_LISTED = {"seed": 0, "salt": 0}


class Campaigns:
    """The campaigns of some tenants."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._campaigns: AsyncCollection[CampaignDocument] = database["campaigns"]
        self._entries: AsyncCollection[EntryDocument] = database["campaign_entries"]
        self._draws: AsyncCollection[DrawDocument] = database["campaign_draws"]
        self._draw_parts: AsyncCollection[DrawPart] = database["campaign_draws"]
        self._answers: AsyncCollection[AnswersDocument] = database["survey_answers"]
        self._links: AsyncCollection[SurveyLinkDocument] = database["survey_links"]
        self._weeks: AsyncCollection[StageWeekDocument] = database["stage_weeks"]
        self._tenants = tenants

    async def add(self, campaign: CampaignDocument) -> bool:
        """Stores a new one. False if the brand has one with its id."""
        try:
            await self._campaigns.insert_one(campaign)
        except DuplicateKeyError:
            return False
        return True

    async def find(self, brand: str, id: str) -> CampaignDocument | None:
        """One of them, without its secrets."""
        query = {"$and": [{"_id": f"{brand}/{id}"}, self._tenants.filter()]}
        return await self._campaigns.find_one(query, _LISTED)

    async def named(self, brand: str, ids: Collection[str]) -> dict[str, CampaignDocument]:
        """A brand's campaigns with these ids."""
        query = {"$and": [{"_id": {"$in": [f"{brand}/{each}" for each in ids]}}, self._tenants.filter()]}
        return {each["campaign"]: each async for each in self._campaigns.find(query, _LISTED)}

    async def page(
        self, state: str | None, now: datetime, after: Position | None, limit: int
    ) -> list[CampaignDocument]:
        """Those in a state (or all), the latest start first."""
        conditions: list[Document] = [self._tenants.filter()]
        if state == "planned":
            conditions += [{"starts_at": {"$gt": now}}, {"until": {"$gt": now}}]
        elif state == "running":
            conditions += [{"starts_at": {"$lte": now}}, {"until": {"$gt": now}}]
        elif state == "ended":
            conditions.append({"until": {"$lte": now}})
        if after is not None:
            at, last_id = after
            conditions.append({"starts_at": {"$lte": at}})
            conditions.append({"$or": [{"starts_at": {"$lt": at}}, {"starts_at": at, "_id": {"$lt": last_id}}]})
        found = self._campaigns.find({"$and": conditions}, _LISTED).sort([("starts_at", -1), ("_id", -1)])
        return await found.limit(limit).to_list()

    async def change(self, campaign: CampaignDocument, terms: CampaignTerms) -> CampaignDocument | None:
        """Changes a campaign that has not begun. None if somebody else changed it since it was read."""
        return await self._campaigns.find_one_and_update(
            {"$and": [{"_id": campaign["_id"], "revision": campaign["revision"]}, self._tenants.filter()]},
            {"$set": terms, "$inc": {"revision": 1}},
            projection=_LISTED,
            return_document=ReturnDocument.AFTER,
        )

    async def end(self, brand: str, id: str, now: datetime) -> None:
        """Ends a campaign that has not ended. What was counted stays: nothing of it lies after `now`."""
        await self._campaigns.update_one(
            {"$and": [{"_id": f"{brand}/{id}", "until": {"$gt": now}}, self._tenants.filter()]},
            {"$set": {"until": now, "followed_until": now + FOLLOWED}},
        )

    async def entries(
        self, brand: str, id: str, valid: bool, reason: str | None, after: Position | None, limit: int
    ) -> list[EntryDocument]:
        """Valid entries, or refused ones, or those refused for a reason; the latest first."""
        which = {"valid": valid} if reason is None else {"reasons": reason}
        conditions: list[Document] = [self._tenants.filter(), {"brand": brand, "campaign": id, **which}]
        if after is not None:
            at, last_id = after
            conditions.append({"at": {"$lte": at}})
            conditions.append({"$or": [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": last_id}}]})
        found = self._entries.find({"$and": conditions}).sort([("at", -1), ("_id", -1)])
        return await found.hint("listed" if reason is None else "reasons").limit(limit).to_list()

    async def entrants(self, brand: str, id: str, hashes: Collection[str]) -> dict[str, EntryDocument]:
        """The entries with these hashes, without those of erased people."""
        query = {"brand": brand, "campaign": id, "valid": True, "hash": {"$in": list(hashes)}}
        found = self._entries.find({"$and": [query, self._tenants.filter()]}).hint("hashes")
        return {each["hash"]: each async for each in found}

    async def secrets(self, brand: str, id: str, session: AsyncClientSession) -> GiveawayDocument | None:
        """A giveaway with its secrets, in the transaction of a draw."""
        query = {"$and": [{"_id": f"{brand}/{id}"}, self._tenants.filter()]}
        return cast("GiveawayDocument | None", await self._campaigns.find_one(query, session=session))

    async def hashes(self, brand: str, id: str, session: AsyncClientSession) -> list[str]:
        """The hashes of all valid entries, sorted."""
        query = {"brand": brand, "campaign": id, "valid": True}
        found = self._entries.find(query, {"hash": 1, "_id": 0}, session=session).hint("hashes").sort("hash", 1)
        return [each["hash"] async for each in found]

    async def store_draw(self, draw: DrawDocument, hashes: list[str], session: AsyncClientSession) -> None:
        """Stores a draw with the frozen entries, and that the campaign is drawn."""
        parts: list[DrawPart] = [
            {
                "_id": f"{draw['_id']}/{part:06}",
                "brand": draw["brand"],
                "campaign": draw["campaign"],
                "part": part,
                "hashes": hashes[start : start + PART],
            }
            for part, start in enumerate(range(0, len(hashes), PART))
        ]
        await self._draws.insert_one(draw, session=session)
        if parts:
            await self._draw_parts.insert_many(parts, session=session)
        await self._campaigns.update_one({"_id": draw["_id"]}, {"$set": {"drawn_at": draw["at"]}}, session=session)

    async def draw(self, brand: str, id: str) -> DrawDocument | None:
        """The draw of a campaign."""
        return await self._draws.find_one({"$and": [{"_id": f"{brand}/{id}"}, self._tenants.filter()]})

    async def drawn_from(self, brand: str, id: str) -> AsyncIterator[list[str]]:
        """The hashes of the entries that were drawn from, sorted, in parts."""
        query = {"$and": [{"brand": brand, "campaign": id, "part": {"$gte": 0}}, self._tenants.filter()]}
        async for each in self._draw_parts.find(query).hint("parts").sort("part", 1):
            yield each["hashes"]

    async def replace(self, draw: DrawDocument, replaced: ReplacedWinner) -> bool:
        """Notes that an alternate takes a winner's place. False if another change came first."""
        found = await self._draws.update_one(
            {
                "$and": [
                    {"_id": draw["_id"], "replaced": {"$size": len(draw["replaced"])}},
                    self._tenants.filter(),
                ]
            },
            {"$push": {"replaced": replaced}},
        )
        return found.matched_count == 1

    async def show_winners(self, draw: DrawDocument, shown: bool) -> None:
        """Whether the proof names the winners."""
        await self._draws.update_one(
            {"$and": [{"_id": draw["_id"]}, self._tenants.filter()]}, {"$set": {"show_winners": shown}}
        )

    async def texts(
        self, brand: str, id: str, question: str, after: Position | None, limit: int
    ) -> list[AnswersDocument]:
        """Those who answered a question in free words, the latest first."""
        conditions: list[Document] = [self._tenants.filter(), {"brand": brand, "campaign": id, "texts": question}]
        if after is not None:
            at, last_id = after
            conditions.append({"at": {"$lte": at}})
            conditions.append({"$or": [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": last_id}}]})
        found = self._answers.find({"$and": conditions}).hint("texts").sort([("at", -1), ("_id", -1)])
        return await found.limit(limit).to_list()

    async def answers_of(self, brand: str, platform: str, follower: str) -> list[AnswersDocument]:
        """What a follower answered, in every survey."""
        query = {"$and": [{"brand": brand, "platform": platform, "follower": follower}, self._tenants.filter()]}
        return await self._answers.find(query).hint("follower").to_list()

    async def add_link(self, link: SurveyLinkDocument) -> None:
        """Stores a personal link to a survey's form, by its token."""
        await self._links.insert_one(link)

    async def weeks(self, brand: str, id: str) -> list[StageWeekDocument]:
        """What became of the relationships that a campaign started, by week."""
        query = {"$and": [{"brand": brand, "campaign": id}, self._tenants.filter()]}
        return await self._weeks.find(query).sort("week", 1).to_list()

    async def all_of_weeks(self, brand: str, weeks: Collection[str]) -> list[StageWeekDocument]:
        """The same for everybody whose relationship began in these weeks."""
        query = {"$and": [{"brand": brand, "week": {"$in": list(weeks)}}, self._tenants.filter()]}
        return await self._weeks.find(query).hint("week").to_list()


class Forms:
    """Looks up public pages by the token in their address. Nobody logs in, so no tenant limits the queries."""

    def __init__(self, database: Database) -> None:
        self._campaigns: AsyncCollection[CampaignDocument] = database["campaigns"]
        self._links: AsyncCollection[SurveyLinkDocument] = database["survey_links"]
        self._answers: AsyncCollection[AnswersDocument] = database["survey_answers"]
        self._stale = database["stale"]

    async def proof(self, token: str) -> GiveawayDocument | None:
        """The giveaway whose proof is at this address."""
        return cast("GiveawayDocument | None", await self._campaigns.find_one({"proof": token}, _LISTED))

    async def form(self, token: str) -> tuple[CampaignDocument, SurveyLinkDocument | None] | None:
        """The survey whose form is at this address, with the personal link if it is one."""
        found = await self._campaigns.find_one({"form": token}, _LISTED)
        if found is not None:
            return found, None
        link = await self._links.find_one({"_id": token})
        if link is None:
            return None
        found = await self._campaigns.find_one({"_id": f"{link['brand']}/{link['campaign']}"}, _LISTED)
        return (found, link) if found else None

    async def answers(self, id: str, session: AsyncClientSession) -> AnswersDocument | None:
        """What is stored of somebody's answers."""
        return await self._answers.find_one({"_id": id}, session=session)

    async def store(
        self, before: AnswersDocument | None, after: AnswersDocument, now: datetime, session: AsyncClientSession
    ) -> bool:
        """Stores answers together with the tally. False if the survey is over."""
        found = await self._campaigns.update_one(
            {"_id": f"{after['brand']}/{after['campaign']}", "starts_at": {"$lte": now}, "until": {"$gte": now}},
            {"$inc": difference(before, after)},
            session=session,
        )
        if not found.matched_count:
            return False
        await self._answers.replace_one({"_id": after["_id"]}, after, upsert=True, session=session)
        if after["follower"] is not None:
            # A community's rule may ask who answered.
            its = {"brand": after["brand"], "platform": after["platform"], "follower": after["follower"]}
            await self._stale.update_one(*rebuild_mark("communities", its, now), upsert=True, session=session)
        return True

    async def use(self, link: SurveyLinkDocument, now: datetime, session: AsyncClientSession) -> bool:
        """Notes that a personal link was used. False if it had been used before."""
        found = await self._links.update_one(
            {"_id": link["_id"], "used_at": None}, {"$set": {"used_at": now}}, session=session
        )
        return found.matched_count == 1
