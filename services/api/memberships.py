"""The communities that a follower belongs to."""

from pymongo.asynchronous.database import AsyncDatabase

from rapport.kit.mongo import Document
from services.api.repositories.communities import Communities, Samples
from services.api.repositories.tenants import Tenants
from services.api.schemas.views import Membership


async def memberships(database: AsyncDatabase[Document], tenants: Tenants, follower: Document) -> list[Membership]:
    """Those of a stored follower, or of the person, by id."""
    repository = Communities(database, tenants)
    brand = follower["brand"]
    linked = await Samples(database, tenants).persons(brand, [follower]) if follower["person"] is not None else []
    since = {
        each["community"]: each["since"]
        for one in (follower, *linked)
        for each in await repository.of_follower(one["platform"], one["follower"])
    }
    found = await repository.named(brand, since) if since else []
    return [Membership(id=each["community"], name=each["name"], since=since[each["community"]]) for each in found]
