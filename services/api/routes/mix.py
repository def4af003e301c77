"""A brand's content mix."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request

from rapport.domain.times import ms, utc
from services.api import mixing
from services.api.auth import PrincipalDep, ReadBrand, WriteBrand
from services.api.context import ContextDep
from services.api.problems import responses
from services.api.schemas.common import Page
from services.api.schemas.mix import LabelInput, Mix, MixSettings, PeriodQuery, Post, PostsQuery

router = APIRouter(prefix="/v1", tags=["mix"])


@router.get("/brands/{brand}/mix", responses=responses(403, 404))
async def get_mix(
    _tenants: ReadBrand, context: ContextDep, request: Request, query: Annotated[PeriodQuery, Query()]
) -> Mix:
    """The shares of labels and of formats against their targets, and what a post of each brings."""
    return await mixing.mix(context.database, request.state.brand, query.from_, query.to, datetime.now(UTC))


@router.get("/brands/{brand}/mix/posts", responses=responses(403, 404))
async def list_posts(
    _tenants: ReadBrand, context: ContextDep, request: Request, query: Annotated[PostsQuery, Query()]
) -> Page[Post]:
    """What was published, with labels."""
    return await mixing.posts(context.database, request.state.brand, query, datetime.now(UTC))


@router.put("/brands/{brand}/mix/posts/{id}/label", responses=responses(403, 404))
async def label_post(
    brand: str, id: str, new: LabelInput, _tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> Post:
    """Gives a post a label by hand."""
    return await mixing.label(context.database, brand, id, new.label, who.name, utc(ms(datetime.now(UTC))))


@router.delete("/brands/{brand}/mix/posts/{id}/label", responses=responses(403, 404))
async def unlabel_post(brand: str, id: str, _tenants: WriteBrand, context: ContextDep) -> Post:
    """Takes the label by hand away: the plan's or the rules' label holds again."""
    return await mixing.unlabel(context.database, brand, id)


@router.get("/brands/{brand}/mix/settings", responses=responses(403, 404))
async def get_mix_settings(brand: str, _tenants: ReadBrand, context: ContextDep) -> MixSettings:
    """What the brand wants its mix to be, and the rules by which posts get a label."""
    return await mixing.settings(context.database, brand)


@router.put("/brands/{brand}/mix/settings", responses=responses(403, 404))
async def put_mix_settings(brand: str, new: MixSettings, _tenants: WriteBrand, context: ContextDep) -> MixSettings:
    """Replaces them. Posts have the labels of the new rules within seconds."""
    return await mixing.set_settings(context.database, brand, new)
