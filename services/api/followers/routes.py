"""Follower routes."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from services.api.erasure import service as erasure
from services.api.erasure.schemas import Erasure
from services.api.followers.schemas import Follower, FollowerDetail, FollowersQuery
from services.api.followers.service import follower_detail, page_of_followers
from services.api.http.context import ContextDep
from services.api.http.problems import not_found, responses
from services.api.http.schemas import Page
from services.api.keys.service import PrincipalDep, ReadBrand, WriteBrand

router = APIRouter(prefix="/v1", tags=["followers"])


@router.get("/brands/{brand}/followers", responses=responses(403, 404))
async def list_followers(
    tenants: ReadBrand, context: ContextDep, query: Annotated[FollowersQuery, Query()]
) -> Page[Follower]:
    """A brand's followers, sorted and filtered as of now."""
    return await page_of_followers(context.database, tenants, query, datetime.now(UTC))


@router.get("/brands/{brand}/followers/{id}", responses=responses(403, 404))
async def get_follower(brand: str, id: str, tenants: ReadBrand, context: ContextDep) -> FollowerDetail:
    """One follower, with what made the relationship and the latest interactions."""
    found = await follower_detail(context.database, tenants, brand, id, datetime.now(UTC))
    if found is None:
        raise not_found("follower")
    return found


@router.delete("/brands/{brand}/followers/{id}", status_code=202, responses=responses(403, 404, 503))
async def erase_follower(brand: str, id: str, tenants: WriteBrand, who: PrincipalDep, context: ContextDep) -> Erasure:
    """Forgets a person: their name and everything they did or still do. This cannot be undone.

    Within seconds it is gone from all views, and figures are computed again without it. How exchanges with them ended
    stays, without their words. People who are not known yet can be erased, too.
    """
    known = await follower_detail(context.database, tenants, brand, id, datetime.now(UTC)) is not None
    erased = await erasure.erase(context, brand, id, who.name)
    return Erasure(brand=erased.brand, platform=erased.platform, at=erased.at, known=known)
