"""Links between followers, and what was done to them. A link is `a` and `b`, each `<platform>/<id>`, of a brand."""

import secrets
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from pymongo import UpdateOne
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from rapport.domain.identity import Around, Link, Profile
from rapport.kit.mongo import Document
from services.api.repositories.tenants import Tenants

Place = tuple[datetime, str]


class Identities:
    """The links of some tenants."""

    def __init__(self, database: AsyncDatabase[Document], tenants: Tenants) -> None:
        self._links = database["links"]
        self._log = database["link_log"]
        self._linked = database["linked"]
        self._profiles = database["profiles"]
        self._tenants = tenants

    async def around(self, brand: str, followers: Collection[str]) -> list[Link]:
        """Every link of the persons that these followers belong to."""
        going = Around(followers)
        while going.asked:
            going.add(map(link_of, await self._links.find(_touching(brand, going.asked)).to_list()))
        return list(going.links)

    async def stored(self, brand: str, links: Iterable[Link]) -> list[Document]:
        """These links with who said so, the first said first."""
        ids = [_id(brand, link) for link in links]
        query = {"$and": [{"_id": {"$in": ids}}, self._tenants.filter()]}
        return await self._links.find(query).sort("at").to_list()

    async def add(self, brand: str, link: Link, said: Document) -> bool:
        """Stores a link with who said so; False where it is there already."""
        document = {"_id": _id(brand, link), "brand": brand, "a": link.a, "b": link.b, **said}
        try:
            await self._links.insert_one(document)
        except DuplicateKeyError:
            return False
        await self._note(brand, link, "linked", said)
        return True

    async def remove(self, brand: str, link: Link, said: Document) -> bool:
        """Takes a link away; False where there is none."""
        gone = await self._links.delete_one({"$and": [{"_id": _id(brand, link)}, self._tenants.filter()]})
        if not gone.deleted_count:
            return False
        await self._note(brand, link, "unlinked", said)
        return True

    async def _note(self, brand: str, link: Link, what: str, said: Document) -> None:
        await self._log.insert_one(
            {"_id": secrets.token_hex(12), "brand": brand, "a": link.a, "b": link.b, "what": what, **said}
        )

    async def page(self, after: Place | None, limit: int) -> list[Document]:
        """Links, the latest first."""
        return await _page(self._links, self._tenants, after, limit, 1)

    async def log(self, after: Place | None, limit: int) -> list[Document]:
        """What was linked and unlinked, by whom and why, the latest first."""
        return await _page(self._log, self._tenants, after, limit, -1)

    async def changed(self, brand: str, followers: Iterable[str]) -> None:
        """Asks that these followers be told who they are now."""
        await self._linked.bulk_write(marks(brand, followers, secrets.token_hex(8)), ordered=False)

    async def linking(self, after: str, limit: int) -> list[Document]:
        """Profiles with verified addresses on them, by `_id`."""
        query = {"$and": [self._tenants.filter(), {"links.0": {"$exists": True}, "_id": {"$gt": after}}]}
        return await self._profiles.find(query).hint("linking").sort("_id").limit(limit).to_list()

    async def at(self, urls: Collection[str]) -> list[Document]:
        """The profiles at these addresses."""
        query = {"$and": [self._tenants.filter(), {"url": {"$in": list(urls)}}]}
        return await self._profiles.find(query).to_list()


def profile(document: Document) -> Profile:
    """A stored profile."""
    return Profile(document["url"], frozenset(document["links"]))


def links_around(database: Database[Document], brand: str, followers: Collection[str]) -> list[Link]:
    """`Identities.around` for the upkeep."""
    going = Around(followers)
    while going.asked:
        going.add(map(link_of, database["links"].find(_touching(brand, going.asked))))
    return list(going.links)


def link_of(document: Document) -> Link:
    """A stored link."""
    return Link(document["a"], document["b"])


def marks(brand: str, followers: Iterable[str], token: str) -> list[UpdateOne]:
    """What asks that these followers be told who they are now; `token` tells this from an asking that comes later."""
    return [
        UpdateOne({"_id": f"{brand}/{name}"}, {"$set": {"brand": brand, "dirty": token}}, upsert=True)
        for name in followers
    ]


def _touching(brand: str, followers: Collection[str]) -> Document:
    names = list(followers)
    return {"$or": [{"brand": brand, "a": {"$in": names}}, {"brand": brand, "b": {"$in": names}}]}


def _id(brand: str, link: Link) -> str:
    return f"{brand}|{link.a}|{link.b}"


async def _page(collection: Any, tenants: Tenants, after: Place | None, limit: int, order: int) -> list[Document]:
    conditions: list[Document] = [tenants.filter()]
    if after is not None:
        at, last_id = after
        conditions.append({"at": {"$lte": at}})
        later = "$gt" if order > 0 else "$lt"
        conditions.append({"$or": [{"at": {"$lt": at}}, {"at": at, "_id": {later: last_id}}]})
    found: list[Document] = (
        await collection.find({"$and": conditions}).sort([("at", -1), ("_id", order)]).limit(limit).to_list()
    )
    return found
