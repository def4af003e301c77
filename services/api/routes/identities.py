"""Who is the same person on several platforms: only what somebody linked, never guessed by a name."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from rapport.domain.times import ms
from services.api import cursors, linking
from services.api.auth import PrincipalDep, ReadBrand, WriteBrand
from services.api.context import ContextDep
from services.api.problems import not_found, responses
from services.api.repositories.identities import Identities
from services.api.schemas.common import Page, PageQuery
from services.api.schemas.identities import (
    ImportOutcome,
    Link,
    LinkEvent,
    LinkInput,
    Person,
    Suggestion,
    UnlinkInput,
)

router = APIRouter(prefix="/v1", tags=["identities"])


@router.get("/brands/{brand}/identities", responses=responses(403, 404))
async def list_links(tenants: ReadBrand, context: ContextDep, query: Annotated[PageQuery, Query()]) -> Page[Link]:
    """The links that stand, the latest first."""
    found = await Identities(context.database, tenants).page(cursors.place("links", query.cursor), query.limit + 1)
    shown = found[: query.limit]
    following = cursors.encode("links", ms(shown[-1]["at"]), shown[-1]["_id"]) if len(found) > len(shown) else None
    return Page(items=[Link(**linking.shown_fields(each)) for each in shown], next=following)


@router.get("/brands/{brand}/identities/log", responses=responses(403, 404))
async def list_link_events(
    tenants: ReadBrand, context: ContextDep, query: Annotated[PageQuery, Query()]
) -> Page[LinkEvent]:
    """Everything that was linked and unlinked: when, by whom, and why; the latest first."""
    found = await Identities(context.database, tenants).log(cursors.place("link-log", query.cursor), query.limit + 1)
    shown = found[: query.limit]
    following = cursors.encode("link-log", ms(shown[-1]["at"]), shown[-1]["_id"]) if len(found) > len(shown) else None
    items = [LinkEvent(what=each["what"], **linking.shown_fields(each)) for each in shown]
    return Page(items=items, next=following)


@router.get("/brands/{brand}/identities/suggestions", responses=responses(403, 404))
async def list_suggestions(brand: str, _tenants: ReadBrand, context: ContextDep) -> Page[Suggestion]:
    """Followers who may be one person, because the profile of each has a verified link to the other's; 50 at most."""
    return Page(items=await linking.suggestions(context, brand))


@router.get("/brands/{brand}/identities/{follower}", responses=responses(403, 404))
async def get_person(brand: str, follower: str, _tenants: ReadBrand, context: ContextDep) -> Person:
    """The person that a follower is: everybody it is linked to, and what they are together."""
    found = await linking.person(context, brand, follower)
    if found is None:
        raise not_found("follower")
    return found


@router.post("/brands/{brand}/identities", status_code=201, responses=responses(403, 404, 409))
async def link_followers(
    brand: str, said: LinkInput, _tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> Link:
    """Says that two followers are one person. Their rows show it within seconds."""
    return await linking.link(context, brand, who.name, said, "api")


@router.post("/brands/{brand}/identities/unlink", status_code=204, responses=responses(403, 404))
async def unlink_followers(
    brand: str, said: UnlinkInput, _tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> None:
    """Takes a link back. Everything is as if it had never been, but for the log of it."""
    await linking.unlink(context, brand, who.name, said, "api")


@router.post(
    "/brands/{brand}/identities/import",
    responses=responses(403, 404),
    openapi_extra={"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def import_links(
    brand: str, request: Request, _tenants: WriteBrand, who: PrincipalDep, context: ContextDep, agree: bool = False
) -> ImportOutcome:
    """Reads a CSV file with the columns platform_a, follower_a, platform_b, follower_b, why.

    Says of each bad row where it is bad, and takes nothing until the same file is sent with `agree=true`.
    """
    return await linking.take_file(context, brand, who.name, await request.body(), agree)
