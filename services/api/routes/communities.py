"""Communities: segments of followers by a rule."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from rapport.domain.times import ms, utc
from services.api import communities
from services.api.auth import PrincipalDep, ReadBrand, WriteBrand
from services.api.context import ContextDep
from services.api.problems import responses
from services.api.schemas.common import Page, PageQuery
from services.api.schemas.communities import (
    Checked,
    Community,
    CommunityEvent,
    CommunityInput,
    CommunityTerms,
    Member,
    RuleToCheck,
)

router = APIRouter(prefix="/v1/brands/{brand}/communities", tags=["communities"])

CSV = "text/csv; charset=utf-8"


def _now() -> datetime:
    """In whole milliseconds, which is how it is stored."""
    return utc(ms(datetime.now(UTC)))


@router.get("", responses=responses(403, 404))
async def list_communities(
    tenants: ReadBrand, context: ContextDep, query: Annotated[PageQuery, Query()]
) -> Page[Community]:
    """A brand's communities by id, with how many members each has."""
    return await communities.communities(context.database, tenants, query)


@router.post("", status_code=201, responses=responses(403, 404, 409))
async def create_community(
    brand: str, new: CommunityInput, tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> Community:
    """Makes a community. Its members follow within seconds, of many followers within minutes."""
    return await communities.create(context.database, tenants, brand, new, who.name, _now())


@router.post("/check", responses=responses(403, 404))
async def check_rule(brand: str, said: RuleToCheck, tenants: ReadBrand, context: ContextDep) -> Checked:
    """Tries a rule: the same as text and as JSON, and how many of the followers seen last match it."""
    return await communities.check(context.database, tenants, brand, said.rule, _now())


@router.get("/{community}", responses=responses(403, 404))
async def get_community(brand: str, community: str, tenants: ReadBrand, context: ContextDep) -> Community:
    """One community."""
    return communities.community(await communities.existing(context.database, tenants, brand, community))


@router.put("/{community}", responses=responses(403, 404))
async def change_community(
    brand: str, community: str, terms: CommunityTerms, tenants: WriteBrand, context: ContextDep
) -> Community:
    """Another name, description or rule. By another rule everybody is judged again."""
    return await communities.change(context.database, tenants, brand, community, terms, _now())


@router.delete("/{community}", status_code=204, responses=responses(403, 404))
async def delete_community(brand: str, community: str, tenants: WriteBrand, context: ContextDep) -> Response:
    """Removes a community with its members and events."""
    await communities.remove(context.database, tenants, brand, community, _now())
    return Response(status_code=204)


@router.get("/{community}/members", responses=responses(403, 404))
async def list_members(
    brand: str, community: str, tenants: ReadBrand, context: ContextDep, query: Annotated[PageQuery, Query()]
) -> Page[Member]:
    """Who belongs to it, the latest first."""
    return await communities.members(context.database, tenants, brand, community, query, _now())


@router.get("/{community}/events", responses=responses(403, 404))
async def list_community_events(
    brand: str, community: str, tenants: ReadBrand, context: ContextDep, query: Annotated[PageQuery, Query()]
) -> Page[CommunityEvent]:
    """Who joined and left, the latest first. Joins less leaves are the members."""
    return await communities.events(context.database, tenants, brand, community, query)


@router.get(
    "/{community}/export",
    response_class=StreamingResponse,
    responses={**responses(403, 404), 200: {"content": {CSV: {"schema": {"type": "string"}}}}},
)
async def export_community(brand: str, community: str, tenants: ReadBrand, context: ContextDep) -> StreamingResponse:
    """The members as CSV. A cell that a spreadsheet could take for a formula begins with an apostrophe."""
    found = await communities.existing(context.database, tenants, brand, community)
    return exported(communities.export(context.database, tenants, brand, found, _now()), f"{brand}-{community}")


def exported(rows: AsyncIterator[str], name: str) -> StreamingResponse:
    """A file that a browser stores."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "no-store"}
    return StreamingResponse(rows, media_type=CSV, headers=headers)
