"""Identity routes: who is the same person on several platforms. Rapport never guesses it from a name."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from services.api.http import paging
from services.api.http.context import ContextDep
from services.api.http.problems import not_found, responses
from services.api.http.schemas import Page, PageQuery
from services.api.identities import service as identities
from services.api.identities.repository import Identities
from services.api.identities.schemas import ImportOutcome, Link, LinkEvent, LinkInput, Person, Suggestion, UnlinkInput
from services.api.keys.service import PrincipalDep, ReadBrand, WriteBrand

router = APIRouter(prefix="/v1", tags=["identities"])


@router.get("/brands/{brand}/identities", responses=responses(403, 404))
async def list_links(tenants: ReadBrand, context: ContextDep, query: Annotated[PageQuery, Query()]) -> Page[Link]:
    """The links between followers, the latest first."""
    after = paging.position("links", query.cursor)
    found = await Identities(context.database, tenants).page(after, paging.rows_to_read(query.limit))
    shown, following = paging.page(found, query.limit, lambda row: paging.cursor_after("links", row["at"], row["_id"]))
    return Page(items=[Link(**identities.shown_fields(each)) for each in shown], next=following)


@router.get("/brands/{brand}/identities/log", responses=responses(403, 404))
async def list_link_events(
    tenants: ReadBrand, context: ContextDep, query: Annotated[PageQuery, Query()]
) -> Page[LinkEvent]:
    """All links that were made and removed, with when, by whom and why; the latest first."""
    after = paging.position("link-log", query.cursor)
    found = await Identities(context.database, tenants).log(after, paging.rows_to_read(query.limit))
    shown, following = paging.page(
        found, query.limit, lambda row: paging.cursor_after("link-log", row["at"], row["_id"])
    )
    items = [LinkEvent(what=each["what"], **identities.shown_fields(each)) for each in shown]
    return Page(items=items, next=following)


@router.get("/brands/{brand}/identities/suggestions", responses=responses(403, 404))
async def list_suggestions(brand: str, _tenants: ReadBrand, context: ContextDep) -> Page[Suggestion]:
    """At most 50 pairs of followers who may be one person: their profiles have verified links to each other."""
    return Page(items=await identities.suggestions(context, brand))


@router.get("/brands/{brand}/identities/{follower}", responses=responses(403, 404))
async def get_person(brand: str, follower: str, _tenants: ReadBrand, context: ContextDep) -> Person:
    """The person behind a follower: all linked followers, and their scores together."""
    found = await identities.person(context, brand, follower)
    if found is None:
        raise not_found("follower")
    return found


@router.post("/brands/{brand}/identities", status_code=201, responses=responses(403, 404, 409))
async def link_followers(
    brand: str, said: LinkInput, _tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> Link:
    """Links two followers who are one person. Their rows show it within seconds."""
    return await identities.link(context, brand, who.name, said, "api")


@router.post("/brands/{brand}/identities/unlink", status_code=204, responses=responses(403, 404))
async def unlink_followers(
    brand: str, said: UnlinkInput, _tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> None:
    """Removes a link. Only the log of links still has it."""
    await identities.unlink(context, brand, who.name, said, "api")


@router.post(
    "/brands/{brand}/identities/import",
    responses=responses(403, 404),
    openapi_extra={"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def import_links(
    brand: str, request: Request, _tenants: WriteBrand, who: PrincipalDep, context: ContextDep, agree: bool = False
) -> ImportOutcome:
    """Reads a CSV file with the columns platform_a, follower_a, platform_b, follower_b, why.

    Says what is wrong with each bad row. Links nothing until the same file is sent again with `agree=true`.
    """
    return await identities.take_file(context, brand, who.name, await request.body(), agree)
