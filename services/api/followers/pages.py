"""The pages of followers, and their forms for linking and forgetting a person."""

import unicodedata
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from fastapi import APIRouter
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rapport.kit.text import plain
from services.api.brands.documents import BrandDocument
from services.api.erasure import service as erasure
from services.api.followers.schemas import FollowerDetail, FollowersQuery
from services.api.followers.service import follower_detail, page_of_followers
from services.api.http.context import Context, ContextDep
from services.api.http.problems import ProblemError, not_found
from services.api.http.schemas import LONGEST_WHY
from services.api.identities import service as identities
from services.api.identities.schemas import LinkInput, UnlinkInput
from services.api.keys.service import Principal
from services.api.storage.tenants import Tenants
from services.api.web import forms, wording
from services.api.web.form_fields import Ref, TypedText
from services.api.web.forms import FormRoute
from services.api.web.frame import (
    HEADERS,
    Brand,
    Cursor,
    Editor,
    Visitor,
    named,
    page,
    sentence,
)

router = APIRouter(include_in_schema=False, route_class=FormRoute)

PAGE_SHOWN = 25


@router.get("/brands/{brand}/followers/{id}")
async def follower_page(id: str, brand: Brand, who: Visitor, context: ContextDep) -> HTMLResponse:
    """One follower, and the person behind it."""
    return await _follower(context, brand, id, who)


async def _follower(
    context: Context, brand: BrandDocument, id: str, who: Principal, status: int = 200, **sent: str
) -> HTMLResponse:
    """The page, with what was `sent` to link or forget the follower, and what is `wrong` with it."""
    found = await follower_detail(context.database, Tenants.one(brand["_id"]), brand["_id"], id, datetime.now(UTC))
    person = await identities.person(context, brand["_id"], id)
    if found is None or person is None:
        raise not_found("follower")
    return page(
        "followers/follower.html",
        status,
        who=who,
        brand=named(brand),
        follower=found,
        person=person,
        sent={"other": "", "why": "", "wrong": "", "name": "", "not_forgotten": "", **sent},
    )


@router.post("/brands/{brand}/followers/{id}/link")
async def link_follower(
    id: str,
    brand: Brand,
    who: Editor,
    context: ContextDep,
    other: Ref = "",
    why: TypedText = "",
) -> Response:
    """The form that links another profile of this person."""
    # People copy the address of the other's page.
    ref = unquote(other.partition("?")[0].partition("#")[0].strip().rstrip("/").rpartition("/")[2])
    if not ref:
        return await _follower(context, brand, id, who, 422, other=other, why=why, wrong="Enter the other profile.")
    reason = forms.reason(why)
    if not 0 < len(reason) <= LONGEST_WHY:
        wrong = f"Say in at most {LONGEST_WHY} characters how you know."
        return await _follower(context, brand, id, who, 422, other=other, why=why, wrong=wrong)
    try:
        said = LinkInput.model_construct(a=id, b=ref, why=reason)
        await identities.link(context, brand["_id"], who.name, said, "portal")
    except ProblemError as error:
        return await _follower(context, brand, id, who, error.status, other=other, why=why, wrong=sentence(error))
    return _back(brand, id)


@router.post("/brands/{brand}/followers/{id}/unlink")
async def unlink_follower(
    id: str,
    brand: Brand,
    who: Editor,
    context: ContextDep,
    a: Ref,
    b: Ref,
) -> Response:
    """The button that removes a link."""
    said = UnlinkInput.model_construct(a=a, b=b, why="taken back in the portal")
    await identities.unlink(context, brand["_id"], who.name, said, "portal")
    return _back(brand, id)


@router.post("/brands/{brand}/followers/{id}/forget")
async def forget_follower(id: str, brand: Brand, who: Editor, context: ContextDep, name: TypedText = "") -> Response:
    """The form that forgets a person. It asks for their name, so that nobody is forgotten by mistake."""
    found = await follower_detail(context.database, Tenants.one(brand["_id"]), brand["_id"], id, datetime.now(UTC))
    if found is None:
        raise not_found("follower")
    if not _is_named(found, name):
        wrong = "That is not their name. Type it as shown above, or copy it."
        return await _follower(context, brand, id, who, 422, name=name, not_forgotten=wrong)
    try:
        await erasure.erase(context, brand["_id"], id, who.name)
    except ProblemError as error:
        return await _follower(context, brand, id, who, error.status, name=name, not_forgotten=sentence(error))
    return RedirectResponse(f"/brands/{brand['_id']}/followers", 303, headers=HEADERS)


def _is_named(follower: FollowerDetail, typed: str) -> bool:
    """Whether somebody typed the follower's name as the page shows it, or just the name, handle or id."""
    name, handle, its_id = follower.name, follower.handle, follower.platform_id
    shown = wording.shown_name(name, handle, its_id)
    return _compared(typed) in {_compared(each) for each in (shown, name, handle, its_id) if each} - {""}


def _compared(name: str) -> str:
    """A name without what is hard to type or typed differently: case, blanks, invisible characters, a leading @."""
    return " ".join(unicodedata.normalize("NFKC", plain(name)).casefold().split()).lstrip("@")


def _back(brand: BrandDocument, id: str) -> Response:
    return RedirectResponse(f"/brands/{brand['_id']}/followers/{quote(id, safe='')}#person", 303, headers=HEADERS)


@router.get("/brands/{brand}/followers")
async def followers_page(
    brand: Brand, who: Visitor, context: ContextDep, sort: str = "last_seen", stage: str = "", cursor: Cursor = None
) -> HTMLResponse:
    """The followers of a brand, or those in one stage."""
    query = FollowersQuery.model_validate(
        {
            "sort": sort if sort in ("know", "like", "trust", "last_seen") else "last_seen",
            "stage": stage if stage in wording.STAGES else None,
            "cursor": cursor,
            "limit": PAGE_SHOWN,
        }
    )
    found = await page_of_followers(context.database, Tenants.one(brand["_id"]), query, datetime.now(UTC))
    return page(
        "followers/followers.html", who=who, brand=named(brand), found=found, sort=query.sort, stage=query.stage or ""
    )
