"""Routes of the content mix."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request

from rapport.kit import clock
from services.api.http.context import ContextDep
from services.api.http.problems import responses
from services.api.http.schemas import Page
from services.api.keys.service import PrincipalDep, ReadBrand, WriteBrand
from services.api.mix import service as mix
from services.api.mix.schemas import LabelInput, Mix, MixSettings, PeriodQuery, Post, PostsQuery

router = APIRouter(prefix="/v1", tags=["mix"])


@router.get("/brands/{brand}/mix", responses=responses(403, 404))
async def get_mix(
    _tenants: ReadBrand, context: ContextDep, request: Request, query: Annotated[PeriodQuery, Query()]
) -> Mix:
    """The shares of labels and formats, their targets, and what a post of each brings."""
    return await mix.mix(context.database, request.state.brand, query.from_, query.to, datetime.now(UTC))


@router.get("/brands/{brand}/mix/posts", responses=responses(403, 404))
async def list_posts(
    _tenants: ReadBrand, context: ContextDep, request: Request, query: Annotated[PostsQuery, Query()]
) -> Page[Post]:
    """Published posts with their labels."""
    return await mix.posts(context.database, request.state.brand, query, datetime.now(UTC))


@router.put("/brands/{brand}/mix/posts/{id}/label", responses=responses(403, 404))
async def label_post(
    brand: str, id: str, new: LabelInput, _tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> Post:
    """Gives a post a label by hand."""
    return await mix.label(context.database, brand, id, new.label, who.name, clock.now())


@router.delete("/brands/{brand}/mix/posts/{id}/label", responses=responses(403, 404))
async def unlabel_post(brand: str, id: str, _tenants: WriteBrand, context: ContextDep) -> Post:
    """Removes the label by hand. The label of the plan or the rules applies again."""
    return await mix.unlabel(context.database, brand, id)


@router.get("/brands/{brand}/mix/settings", responses=responses(403, 404))
async def get_mix_settings(brand: str, _tenants: ReadBrand, context: ContextDep) -> MixSettings:
    """The targets of the brand, and the rules by which posts get labels."""
    return await mix.settings(context.database, brand)


@router.put("/brands/{brand}/mix/settings", responses=responses(403, 404))
async def put_mix_settings(brand: str, new: MixSettings, _tenants: WriteBrand, context: ContextDep) -> MixSettings:
    """Replaces targets and rules. Posts get their labels by the new rules within seconds."""
    return await mix.set_settings(context.database, brand, new)
