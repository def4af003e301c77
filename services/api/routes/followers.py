"""Followers: one relationship each."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from services.api import erasing, reading
from services.api.auth import PrincipalDep, ReadBrand, WriteBrand
from services.api.context import ContextDep
from services.api.problems import not_found, responses
from services.api.schemas.common import Page
from services.api.schemas.views import Erasure, Follower, FollowerDetail, FollowersQuery

router = APIRouter(prefix="/v1", tags=["followers"])


@router.get("/brands/{brand}/followers", responses=responses(403, 404))
async def list_followers(
    tenants: ReadBrand, context: ContextDep, query: Annotated[FollowersQuery, Query()]
) -> Page[Follower]:
    """A brand's followers, sorted and filtered as of now."""
    return await reading.followers(context.database, tenants, query, datetime.now(UTC))


@router.get("/brands/{brand}/followers/{id}", responses=responses(403, 404))
async def get_follower(brand: str, id: str, tenants: ReadBrand, context: ContextDep) -> FollowerDetail:
    """One follower with what made the relationship and the latest interactions."""
    found = await reading.follower(context.database, tenants, brand, id, datetime.now(UTC))
    if found is None:
        raise not_found("follower")
    return found


@router.delete("/brands/{brand}/followers/{id}", status_code=202, responses=responses(403, 404, 503))
async def erase_follower(brand: str, id: str, tenants: WriteBrand, who: PrincipalDep, context: ContextDep) -> Erasure:
    """Forgets a person: what they did and what they are called, now and whatever still comes. Nothing takes it back.

    Within seconds it is gone from every view. Figures are made anew without them; how exchanges with them ended stays,
    without a word of them. A person who is not known yet can be erased as well.
    """
    known = await reading.follower(context.database, tenants, brand, id, datetime.now(UTC)) is not None
    erased = await erasing.erase(context, brand, id, who.name)
    return Erasure(brand=erased.brand, platform=erased.platform, at=erased.at, known=known)
