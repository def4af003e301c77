"""Community routes."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from rapport.kit import clock
from services.api.communities import service as communities
from services.api.communities.schemas import (
    Checked,
    Community,
    CommunityEvent,
    CommunityInput,
    CommunityTerms,
    Member,
    RuleToCheck,
)
from services.api.http.context import ContextDep
from services.api.http.files.spreadsheet import CSV, exported
from services.api.http.problems import responses
from services.api.http.schemas import Page, PageQuery
from services.api.keys.service import PrincipalDep, ReadBrand, WriteBrand

router = APIRouter(prefix="/v1/brands/{brand}/communities", tags=["communities"])


@router.get("", responses=responses(403, 404))
async def list_communities(
    tenants: ReadBrand, context: ContextDep, query: Annotated[PageQuery, Query()]
) -> Page[Community]:
    """A brand's communities by id, with how many members each has."""
    return await communities.listed(context.database, tenants, query)


@router.post("", status_code=201, responses=responses(403, 404, 409))
async def create_community(
    brand: str, new: CommunityInput, tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> Community:
    """Creates a community. Its members follow within seconds; with many followers, within minutes."""
    return await communities.create(context.database, tenants, brand, new, who.name, clock.now())


@router.post("/check", responses=responses(403, 404))
async def check_rule(brand: str, said: RuleToCheck, tenants: ReadBrand, context: ContextDep) -> Checked:
    """Tries a rule: returns it as text and as JSON, and how many of the followers seen last match."""
    return await communities.check(context.database, tenants, brand, said.rule, clock.now())


@router.get("/{community}", responses=responses(403, 404))
async def get_community(brand: str, community: str, tenants: ReadBrand, context: ContextDep) -> Community:
    """One community."""
    return communities.shown(await communities.existing(context.database, tenants, brand, community))


@router.put("/{community}", responses=responses(403, 404))
async def change_community(
    brand: str, community: str, terms: CommunityTerms, tenants: WriteBrand, context: ContextDep
) -> Community:
    """Changes name, description or rule. If the rule changes, everybody is judged again."""
    return await communities.change(context.database, tenants, brand, community, terms, clock.now())


@router.delete("/{community}", status_code=204, responses=responses(403, 404))
async def delete_community(brand: str, community: str, tenants: WriteBrand, context: ContextDep) -> Response:
    """Removes a community with its members and events."""
    await communities.remove(context.database, tenants, brand, community, clock.now())
    return Response(status_code=204)


@router.get("/{community}/members", responses=responses(403, 404))
async def list_members(
    brand: str, community: str, tenants: ReadBrand, context: ContextDep, query: Annotated[PageQuery, Query()]
) -> Page[Member]:
    """The members of a community, the latest first."""
    return await communities.members(context.database, tenants, brand, community, query, clock.now())


@router.get("/{community}/events", responses=responses(403, 404))
async def list_community_events(
    brand: str, community: str, tenants: ReadBrand, context: ContextDep, query: Annotated[PageQuery, Query()]
) -> Page[CommunityEvent]:
    """Who joined and left, the latest first. Joins minus leaves are the members."""
    return await communities.events(context.database, tenants, brand, community, query)


@router.get(
    "/{community}/export",
    response_class=StreamingResponse,
    responses={**responses(403, 404), 200: {"content": {CSV: {"schema": {"type": "string"}}}}},
)
async def export_community(brand: str, community: str, tenants: ReadBrand, context: ContextDep) -> StreamingResponse:
    """The members as CSV. A cell that a spreadsheet could take for a formula begins with an apostrophe."""
    found = await communities.existing(context.database, tenants, brand, community)
    return exported(communities.export(context.database, tenants, brand, found, clock.now()), f"{brand}-{community}")
