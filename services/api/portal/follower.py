"""A follower's page, and the forms that say who is the same person, and that nobody is any more."""

import unicodedata
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

from fastapi import APIRouter
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rapport.kit.text import plain
from services.api import erasing, linking, reading
from services.api.auth import Principal, require
from services.api.context import Context, ContextDep
from services.api.portal import wording
from services.api.portal.form_fields import Ref, TypedText
from services.api.portal.forms import FormRoute
from services.api.portal.frame import HEADERS, Brand, Visitor, named, page, sentence
from services.api.problems import ProblemError, not_found
from services.api.repositories.tenants import Tenants
from services.api.schemas.identities import LinkInput, UnlinkInput
from services.api.schemas.views import LONGEST_WHY, FollowerDetail

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
        sent={"other": "", "why": "", "wrong": "", "name": "", "not_forgotten": "", **sent},
    )


@router.post("/brands/{brand}/followers/{id}/link")
async def link_follower(
    id: str,
    brand: Brand,
    who: Visitor,
    context: ContextDep,
    other: Ref = "",
    why: TypedText = "",
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
    a: Ref,
    b: Ref,
) -> Response:
    """The button that takes a link back."""
    require(who, "write")
    said = UnlinkInput.model_construct(a=a, b=b, why="taken back in the portal")
    await linking.unlink(context, brand["_id"], who.name, said, "portal")
    return _back(brand, id)


@router.post("/brands/{brand}/followers/{id}/forget")
async def forget_follower(id: str, brand: Brand, who: Visitor, context: ContextDep, name: TypedText = "") -> Response:
    """The form that has a person forgotten. It takes their name, so that it is never another person by mistake."""
    require(who, "write")
    found = await reading.follower(context.database, Tenants.one(brand["_id"]), brand["_id"], id, datetime.now(UTC))
    if found is None:
        raise not_found("follower")
    if not _is_named(found, name):
        wrong = "That is not their name. Write it as it stands above, or copy it."
        return await _follower(context, brand, id, who, 422, name=name, not_forgotten=wrong)
    try:
        await erasing.erase(context, brand["_id"], id, who.name)
    except ProblemError as error:
        return await _follower(context, brand, id, who, error.status, name=name, not_forgotten=sentence(error))
    return RedirectResponse(f"/brands/{brand['_id']}/followers", 303, headers=HEADERS)


def _is_named(follower: FollowerDetail, typed: str) -> bool:
    """Whether somebody wrote what a follower is called: as the page shows it, or the name, handle or id by itself."""
    name, handle, its_id = follower.name, follower.handle, follower.platform_id
    shown = wording.shown_name(name, handle, its_id)
    return _compared(typed) in {_compared(each) for each in (shown, name, handle, its_id) if each} - {""}


def _compared(name: str) -> str:
    """A name without what cannot be typed, or is typed differently: case, blanks, invisible characters, a leading @."""
    return " ".join(unicodedata.normalize("NFKC", plain(name)).casefold().split()).lstrip("@")


def _back(brand: dict[str, Any], id: str) -> Response:
    return RedirectResponse(f"/brands/{brand['_id']}/followers/{quote(id, safe='')}#person", 303, headers=HEADERS)
