"""A follower's page, and the forms that say who is the same person, and that nobody is any more."""

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote, unquote

from fastapi import APIRouter, Form
from starlette.responses import HTMLResponse, RedirectResponse, Response

from services.api import erasing, linking, reading
from services.api.auth import Principal, require
from services.api.context import Context, ContextDep
from services.api.portal.forms import FormRoute
from services.api.portal.frame import HEADERS, Brand, Visitor, named, page, sentence
from services.api.problems import ProblemError, not_found
from services.api.repositories.tenants import Tenants
from services.api.schemas.identities import LinkInput, UnlinkInput
from services.api.schemas.views import LONGEST_WHY

FORGET = "forget"

router = APIRouter(include_in_schema=False, route_class=FormRoute)


@router.get("/brands/{brand}/followers/{id}")
async def follower_page(id: str, brand: Brand, who: Visitor, context: ContextDep) -> HTMLResponse:
    """One relationship, and the person it is with."""
    return await _follower(context, brand, id, who)


async def _follower(
    context: Context, brand: dict[str, Any], id: str, who: Principal, status: int = 200, **sent: str
) -> HTMLResponse:
    """The page, with what was `sent` to link or forget it, and what is `wrong` or `not_forgotten` about that."""
    found = await reading.follower(context.database, Tenants.one(brand["_id"]), brand["_id"], id, datetime.now(UTC))
    person = await linking.person(context, brand["_id"], id)
    if found is None or person is None:
        raise not_found("follower")
    return page(
        "follower.html",
        status,
        who=who,
        brand=named(brand),
        follower=found,
        person=person,
        may_write=who.may("write"),
        sent={"other": "", "why": "", "wrong": "", "word": "", "not_forgotten": "", **sent},
    )


@router.post("/brands/{brand}/followers/{id}/link")
async def link_follower(
    id: str,
    brand: Brand,
    who: Visitor,
    context: ContextDep,
    other: Annotated[str, Form()] = "",
    why: Annotated[str, Form()] = "",
) -> Response:
    """The form that says who else this person is."""
    require(who, "write")
    # People copy the address of the other's page.
    ref = unquote(other.partition("?")[0].partition("#")[0].strip().rstrip("/").rpartition("/")[2])
    if not ref:
        return await _follower(context, brand, id, who, 422, other=other, why=why, wrong="Say who else it is.")
    if not why.strip() or len(why.strip()) > LONGEST_WHY:
        wrong = f"Say in at most {LONGEST_WHY} characters how you know."
        return await _follower(context, brand, id, who, 422, other=other, why=why, wrong=wrong)
    try:
        said = LinkInput.model_construct(a=id, b=ref, why=why.strip())
        await linking.link(context, brand["_id"], who.name, said, "portal")
    except ProblemError as error:
        return await _follower(context, brand, id, who, error.status, other=other, why=why, wrong=sentence(error))
    return _back(brand, id)


@router.post("/brands/{brand}/followers/{id}/unlink")
async def unlink_follower(
    id: str,
    brand: Brand,
    who: Visitor,
    context: ContextDep,
    a: Annotated[str, Form()],
    b: Annotated[str, Form()],
) -> Response:
    """The button that takes a link back."""
    require(who, "write")
    said = UnlinkInput.model_construct(a=a, b=b, why="taken back in the portal")
    await linking.unlink(context, brand["_id"], who.name, said, "portal")
    return _back(brand, id)


@router.post("/brands/{brand}/followers/{id}/forget")
async def forget_follower(
    id: str, brand: Brand, who: Visitor, context: ContextDep, word: Annotated[str, Form()] = ""
) -> Response:
    """The form that has a person forgotten. It takes a word, so that no slip of the hand does it."""
    require(who, "write")
    if word.strip().casefold() != FORGET:
        wrong = f"Write “{FORGET}”, if that is what you want."
        return await _follower(context, brand, id, who, 422, word=word, not_forgotten=wrong)
    try:
        await erasing.erase(context, brand["_id"], id, who.name)
    except ProblemError as error:
        return await _follower(context, brand, id, who, error.status, word=word, not_forgotten=sentence(error))
    return RedirectResponse(f"/brands/{brand['_id']}/followers", 303, headers=HEADERS)


def _back(brand: dict[str, Any], id: str) -> Response:
    return RedirectResponse(f"/brands/{brand['_id']}/followers/{quote(id, safe='')}#person", 303, headers=HEADERS)
