"""Campaigns with their entries, draws and answers.

A campaign: `_id` (`<brand>/<id>`), `brand`, `campaign` (its id), `kind`, `name`, what it is about (`accounts`,
`posts`, `hashtag`, `starts_at`, `ends_at`, and `until`, which is earlier where it was ended by hand), `followed_until`
(until when late facts are looked for), `giveaway` or `survey` (the other is null), `created_at`, `created_by`,
`revision`, `drawn_at`; the secrets `seed` and `salt` of a giveaway, the `commitment` to the seed, and the addresses of
its public pages (`proof`, `form`). The upkeep keeps `counted_revision`, `counted_at`, and the `tally`, which changes
together with what it counts.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from pymongo import ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from rapport.domain.campaign import Scope
from rapport.domain.giveaway import Rules
from rapport.domain.survey import Answer, Question
from rapport.kit.mongo import Document
from services.api.repositories.stale import marking
from services.api.repositories.tenants import Tenants
from services.api.stored import read

FOLLOWED = timedelta(days=90)
"""So long after its end late facts are looked for: nothing older is in the log."""
PART = 20_000
"""Hashes of entries in one document of a draw; a document holds 16 MB."""
_LISTED = {"seed": 0, "salt": 0}

Place = tuple[datetime, str]


class Campaigns:
    """The campaigns of some tenants."""

    def __init__(self, database: AsyncDatabase[Document], tenants: Tenants) -> None:
        self._database = database
        self._campaigns = database["campaigns"]
        self._entries = database["campaign_entries"]
        self._draws = database["campaign_draws"]
        self._answers = database["survey_answers"]
        self._links = database["survey_links"]
        self._weeks = database["stage_weeks"]
        self._tenants = tenants

    async def add(self, campaign: Document) -> bool:
        """Stores a new one; False where the brand has one of its id."""
        try:
            await self._campaigns.insert_one(campaign)
        except DuplicateKeyError:
            return False
        return True

    async def find(self, brand: str, id: str) -> Document | None:
        """One of them, without its secrets."""
        query = {"$and": [{"_id": f"{brand}/{id}"}, self._tenants.filter()]}
        return await self._campaigns.find_one(query, _LISTED)

    async def named(self, brand: str, ids: Collection[str]) -> dict[str, Document]:
        """Those of a brand that have these ids."""
        query = {"$and": [{"_id": {"$in": [f"{brand}/{each}" for each in ids]}}, self._tenants.filter()]}
        return {each["campaign"]: each async for each in self._campaigns.find(query, _LISTED)}

    async def page(self, state: str | None, now: datetime, after: Place | None, limit: int) -> list[Document]:
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

    async def change(self, campaign: Document, changes: Document) -> Document | None:
        """Stores other terms of a campaign that has not begun; None where it was changed since."""
        return await self._campaigns.find_one_and_update(
            {"$and": [{"_id": campaign["_id"], "revision": campaign["revision"]}, self._tenants.filter()]},
            {"$set": changes, "$inc": {"revision": 1}},
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
        self, brand: str, id: str, valid: bool, reason: str | None, after: Place | None, limit: int
    ) -> list[Document]:
        """Valid entries, or refused ones, or those that were refused for a reason, the latest first."""
        which = {"valid": valid} if reason is None else {"reasons": reason}
        conditions: list[Document] = [self._tenants.filter(), {"brand": brand, "campaign": id, **which}]
        if after is not None:
            at, last_id = after
            conditions.append({"at": {"$lte": at}})
            conditions.append({"$or": [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": last_id}}]})
        found = self._entries.find({"$and": conditions}).sort([("at", -1), ("_id", -1)])
        return await found.hint("listed" if reason is None else "reasons").limit(limit).to_list()

    async def entrants(self, brand: str, id: str, hashes: Collection[str]) -> dict[str, Document]:
        """The entries with these hashes that are there; those of erased people are not."""
        query = {"brand": brand, "campaign": id, "valid": True, "hash": {"$in": list(hashes)}}
        found = self._entries.find({"$and": [query, self._tenants.filter()]}).hint("hashes")
        return {each["hash"]: each async for each in found}

    async def secrets(self, brand: str, id: str, session: AsyncClientSession) -> Document | None:
        """A campaign with all that is stored of it, in the transaction of a draw."""
        query = {"$and": [{"_id": f"{brand}/{id}"}, self._tenants.filter()]}
        return await self._campaigns.find_one(query, session=session)

    async def hashes(self, brand: str, id: str, session: AsyncClientSession) -> list[str]:
        """The hashes of all valid entries, sorted."""
        query = {"brand": brand, "campaign": id, "valid": True}
        found = self._entries.find(query, {"hash": 1, "_id": 0}, session=session).hint("hashes").sort("hash", 1)
        return [each["hash"] async for each in found]

    async def store_draw(self, draw: Document, hashes: list[str], session: AsyncClientSession) -> None:
        """Stores a draw with the frozen entries, and that the campaign is drawn."""
        its = {"brand": draw["brand"], "campaign": draw["campaign"]}
        parts = [
            {"_id": f"{draw['_id']}/{part:06}", **its, "part": part, "hashes": hashes[start : start + PART]}
            for part, start in enumerate(range(0, len(hashes), PART))
        ]
        await self._draws.insert_many([draw, *parts], session=session)
        await self._campaigns.update_one({"_id": draw["_id"]}, {"$set": {"drawn_at": draw["at"]}}, session=session)

    async def draw(self, brand: str, id: str) -> Document | None:
        """The draw of a campaign."""
        return await self._draws.find_one({"$and": [{"_id": f"{brand}/{id}"}, self._tenants.filter()]})

    async def drawn_from(self, brand: str, id: str) -> AsyncIterator[list[str]]:
        """The hashes of the entries that were drawn from, sorted, in parts."""
        query = {"$and": [{"brand": brand, "campaign": id, "part": {"$gte": 0}}, self._tenants.filter()]}
        async for each in self._draws.find(query).hint("parts").sort("part", 1):
            yield each["hashes"]

    async def replace(self, draw: Document, replaced: Document) -> bool:
        """Notes that an alternate takes a winner's place; False where another change came first."""
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

    async def show_winners(self, draw: Document, shown: bool) -> None:
        """Whether the proof names the winners."""
        await self._draws.update_one(
            {"$and": [{"_id": draw["_id"]}, self._tenants.filter()]}, {"$set": {"show_winners": shown}}
        )

    async def texts(self, brand: str, id: str, question: str, after: Place | None, limit: int) -> list[Document]:
        """Those who answered a question in words of their own, the latest first."""
        conditions: list[Document] = [self._tenants.filter(), {"brand": brand, "campaign": id, "texts": question}]
        if after is not None:
            at, last_id = after
            conditions.append({"at": {"$lte": at}})
            conditions.append({"$or": [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": last_id}}]})
        found = self._answers.find({"$and": conditions}).hint("texts").sort([("at", -1), ("_id", -1)])
        return await found.limit(limit).to_list()

    async def answers_of(self, brand: str, platform: str, follower: str) -> list[Document]:
        """What a follower answered, in every survey."""
        query = {"$and": [{"brand": brand, "platform": platform, "follower": follower}, self._tenants.filter()]}
        return await self._answers.find(query).hint("follower").to_list()

    async def add_link(self, link: Document) -> None:
        """Stores a personal link to a survey's form, by its token."""
        await self._links.insert_one(link)

    async def weeks(self, brand: str, id: str) -> list[Document]:
        """Per week, what became of the relationships that a campaign started."""
        query = {"$and": [{"brand": brand, "campaign": id}, self._tenants.filter()]}
        return await self._weeks.find(query).sort("week", 1).to_list()

    async def all_of_weeks(self, brand: str, weeks: Collection[str]) -> list[Document]:
        """The same of everybody whose relationship began in these weeks."""
        query = {"$and": [{"brand": brand, "week": {"$in": list(weeks)}}, self._tenants.filter()]}
        return await self._weeks.find(query).hint("week").to_list()


class Forms:
    """Public pages, found by what only their address holds; there is no key, so no tenant."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._campaigns = database["campaigns"]
        self._links = database["survey_links"]
        self._answers = database["survey_answers"]
        self._stale = database["stale"]

    async def proof(self, token: str) -> Document | None:
        """The giveaway whose proof is at this address."""
        return await self._campaigns.find_one({"proof": token}, _LISTED)

    async def form(self, token: str) -> tuple[Document, Document | None] | None:
        """The survey whose form is at this address, and whose personal link it is."""
        found = await self._campaigns.find_one({"form": token}, _LISTED)
        if found is not None:
            return found, None
        link = await self._links.find_one({"_id": token})
        if link is None:
            return None
        found = await self._campaigns.find_one({"_id": f"{link['brand']}/{link['campaign']}"}, _LISTED)
        return (found, link) if found else None

    async def answers(self, id: str, session: AsyncClientSession) -> Document | None:
        """What is stored of somebody's answers."""
        return await self._answers.find_one({"_id": id}, session=session)

    async def store(self, before: Document | None, after: Document, now: datetime, session: AsyncClientSession) -> bool:
        """Stores answers together with the tally; False where the survey is over."""
        found = await self._campaigns.update_one(
            {"_id": f"{after['brand']}/{after['campaign']}", "starts_at": {"$lte": now}, "until": {"$gte": now}},
            {"$inc": difference(before, after)},
            session=session,
        )
        if not found.matched_count:
            return False
        await self._answers.replace_one({"_id": after["_id"]}, after, upsert=True, session=session)
        if after["follower"] is not None:
            # A community may ask for who answered.
            its = {name: after[name] for name in ("brand", "platform", "follower")}
            await self._stale.update_one(*marking("communities", its, now), upsert=True, session=session)
        return True

    async def use(self, link: Document, now: datetime, session: AsyncClientSession) -> bool:
        """Notes that a personal link was used; False where it was before."""
        found = await self._links.update_one(
            {"_id": link["_id"], "used_at": None}, {"$set": {"used_at": now}}, session=session
        )
        return found.matched_count == 1


def scope_of(campaign: Document) -> Scope:
    """What a stored campaign is about."""
    return Scope(
        id=campaign["campaign"],
        starts_at=campaign["starts_at"],
        until=campaign["until"],
        accounts=tuple(campaign["accounts"]),
        posts=tuple(campaign["posts"]),
        hashtag=campaign["hashtag"],
    )


def rules_of(campaign: Document) -> Rules:
    """What makes an entry of a stored giveaway valid."""
    return read(campaign["giveaway"], Rules)


def questions_of(campaign: Document) -> list[Question]:
    """What a stored survey asks."""
    return read(campaign["survey"]["questions"], list[Question])


def answers_of(stored: Mapping[str, Document]) -> dict[str, Answer]:
    """Stored answers, by question."""
    return read(stored, dict[str, Answer])


def answers_document(its: Document, answers: Mapping[str, Answer], objects: Collection[str], form: Any) -> Document:
    """Somebody's answers as stored: `its` names them and the survey, `form` is what came in on the form."""
    plain = {
        question: msgspec.to_builtins(each, builtin_types=(datetime,)) for question, each in sorted(answers.items())
    }
    return {
        **its,
        "answers": plain,
        "texts": [question for question, each in sorted(answers.items()) if each.text is not None],
        "at": max((each.at for each in answers.values()), default=None),
        "objects": list(objects),
        "form": form,
    }


def counted(document: Document | None) -> dict[str, int]:
    """What one entry, or one person's answers, add to the tally of their campaign."""
    if document is None:
        return {}
    if "valid" in document:
        found = {"valid" if document["valid"] else "refused": 1, "duplicates": document["duplicates"]}
        return found | {f"reasons.{reason}": 1 for reason in document["reasons"]}
    found = {"people": 1} if document["answers"] else {}
    for question, answer in document["answers"].items():
        chosen = f"options.{answer['option']}" if answer.get("option") else "texts"
        found |= {f"questions.{question}.{chosen}": 1, f"questions.{question}.by.{answer['by']}": 1}
    return found


def difference(before: Document | None, after: Document | None) -> dict[str, int]:
    """What becomes of a campaign's tally where one document of it replaces another, as for `$inc`."""
    old, new = counted(before), counted(after)
    changed = {name: new.get(name, 0) - old.get(name, 0) for name in {*old, *new}}
    # An empty `$inc` is refused; `counts` moves in any case, so that whoever draws meanwhile notices.
    return {f"tally.{name}": value for name, value in changed.items() if value} | {"counts": 1}
