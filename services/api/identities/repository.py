"""Queries about links between followers."""

import secrets
from collections.abc import Collection, Iterable
from typing import Any, Literal, TypeVar

from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.collection import Collection as SyncCollection
from pymongo.database import Database as SyncDatabase
from pymongo.errors import DuplicateKeyError

from rapport.domain.identity import Around, Link, Profile
from rapport.kit.mongo import Document, in_async_transaction
from services.api.http.paging import Position
from services.api.identities.documents import LinkDocument, LinkedDocument, LinkEventDocument, SaidDocument
from services.api.interactions.documents import ProfileDocument
from services.api.storage.tenants import Database, Tenants

Row = TypeVar("Row", LinkDocument, LinkEventDocument)


class Identities:
    """The links of some tenants."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._database = database
        self._links: AsyncCollection[LinkDocument] = database["links"]
        self._log: AsyncCollection[LinkEventDocument] = database["link_log"]
        self._linked: AsyncCollection[LinkedDocument] = database["linked"]
        self._profiles: AsyncCollection[ProfileDocument] = database["profiles"]
        self._tenants = tenants

    async def around(self, brand: str, followers: Collection[str]) -> list[Link]:
        """All links of the persons that these followers belong to."""
        going = Around(followers)
        while going.asked:
            going.add(map(link_of, await self._links.find(_touching(brand, going.asked)).to_list()))
        return list(going.links)

    async def stored(self, brand: str, links: Iterable[Link]) -> list[LinkDocument]:
        """These links as stored, the oldest first."""
        ids = [_id(brand, link) for link in links]
        query = {"$and": [{"_id": {"$in": ids}}, self._tenants.filter()]}
        return await self._links.find(query).sort("at").to_list()

    async def add(self, brand: str, link: Link, said: SaidDocument, members: Collection[str]) -> bool:
        """Stores a link and who made it; False if it exists already. The rows of `members` are told who they are."""
        document: LinkDocument = {"_id": _id(brand, link), "brand": brand, "a": link.a, "b": link.b, **said}

        async def write(session: AsyncClientSession) -> None:
            await self._links.insert_one(document, session=session)
            await self._note(_event(brand, link, "linked", said), members, session)

        try:
            await in_async_transaction(self._database, write)
        except DuplicateKeyError:
            return False
        return True

    async def remove(self, brand: str, link: Link, said: SaidDocument, members: Collection[str]) -> bool:
        """Removes a link; False if there is none. The rows of `members` are told who they are."""
        its = {"$and": [{"_id": _id(brand, link)}, self._tenants.filter()]}

        async def write(session: AsyncClientSession) -> bool:
            if not (await self._links.delete_one(its, session=session)).deleted_count:
                return False
            await self._note(_event(brand, link, "unlinked", said), members, session)
            return True

        return await in_async_transaction(self._database, write)

    async def _note(self, event: LinkEventDocument, members: Collection[str], session: AsyncClientSession) -> None:
        await self._log.insert_one(event, session=session)
        await self._linked.bulk_write(
            marks(event["brand"], members, secrets.token_hex(8)), ordered=False, session=session
        )

    async def page(self, after: Position | None, limit: int) -> list[LinkDocument]:
        """Links, the latest first."""
        return await _page(self._links, self._tenants, after, limit, 1)

    async def log(self, after: Position | None, limit: int) -> list[LinkEventDocument]:
        """Links that were made and removed, the latest first."""
        return await _page(self._log, self._tenants, after, limit, -1)

    async def linking(self, after: str, limit: int) -> list[ProfileDocument]:
        """Profiles with verified links, by `_id`."""
        query = {"$and": [self._tenants.filter(), {"links.0": {"$exists": True}, "_id": {"$gt": after}}]}
        return await self._profiles.find(query).hint("linking").sort("_id").limit(limit).to_list()

    async def at(self, urls: Collection[str]) -> list[ProfileDocument]:
        """The profiles at these addresses."""
        query = {"$and": [self._tenants.filter(), {"url": {"$in": list(urls)}}]}
        return await self._profiles.find(query).to_list()


def profile(document: ProfileDocument) -> Profile:
    """A stored profile."""
    return Profile(document["url"], frozenset(document["links"]))


def links_around(database: SyncDatabase[Any], brand: str, followers: Collection[str]) -> list[Link]:
    """`Identities.around` for the upkeep."""
    links: SyncCollection[LinkDocument] = database["links"]
    going = Around(followers)
    while going.asked:
        going.add(map(link_of, links.find(_touching(brand, going.asked))))
    return list(going.links)


def link_of(document: LinkDocument) -> Link:
    """A stored link."""
    return Link(document["a"], document["b"])


def marks(brand: str, followers: Iterable[str], token: str) -> list[UpdateOne]:
    """The writes that have these followers told who they are now. `token` tells these marks from later ones."""
    return [
        UpdateOne({"_id": f"{brand}/{name}"}, {"$set": {"brand": brand, "dirty": token}}, upsert=True)
        for name in followers
    ]


def _touching(brand: str, followers: Collection[str]) -> Document:
    names = list(followers)
    return {"$or": [{"brand": brand, "a": {"$in": names}}, {"brand": brand, "b": {"$in": names}}]}


def _id(brand: str, link: Link) -> str:
    return f"{brand}|{link.a}|{link.b}"


def _event(brand: str, link: Link, what: Literal["linked", "unlinked"], said: SaidDocument) -> LinkEventDocument:
    return {"_id": secrets.token_hex(12), "brand": brand, "a": link.a, "b": link.b, "what": what, **said}


async def _page(
    collection: AsyncCollection[Row], tenants: Tenants, after: Position | None, limit: int, order: int
) -> list[Row]:
    conditions: list[Document] = [tenants.filter()]
    if after is not None:
        at, last_id = after
        conditions.append({"at": {"$lte": at}})
        later = "$gt" if order > 0 else "$lt"
        conditions.append({"$or": [{"at": {"$lt": at}}, {"at": at, "_id": {later: last_id}}]})
    return await collection.find({"$and": conditions}).sort([("at", -1), ("_id", order)]).limit(limit).to_list()
