"""Community pages: all of them, one with its members and events, and the form."""

from typing import Any
from urllib.parse import quote

import msgspec
from fastapi import APIRouter
from pydantic import ValidationError
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rapport.domain.communities.community import FIELDS, CommunityRule
from rapport.kit import clock
from services.api.accounts.repository import Accounts
from services.api.brands.documents import BrandDocument
from services.api.campaigns import service as campaigns
from services.api.campaigns.schemas import CampaignsQuery
from services.api.communities import service as communities
from services.api.communities.documents import rule_of
from services.api.communities.forms import COMPARISONS, GROUPS, HIGHEST, LABELS, Typed, marked, problems, sentence
from services.api.communities.schemas import Checked, Community, CommunityInput, CommunityTerms
from services.api.http.context import Context, ContextDep
from services.api.http.files.spreadsheet import exported
from services.api.http.ids import slug
from services.api.http.problems import Position, ProblemError
from services.api.http.schemas import PageQuery
from services.api.keys.service import Principal
from services.api.storage.tenants import Tenants
from services.api.web import forms
from services.api.web.forms import FormRoute, kept
from services.api.web.frame import EDITORS_ONLY, HEADERS, Brand, Cursor, Editor, Visitor, named, page

router = APIRouter(include_in_schema=False, route_class=FormRoute)

LISTED = 100
MEMBERS_SHOWN = 25
EVENTS_SHOWN = 15
CAMPAIGNS_OFFERED = 50

BECAUSE = {
    "rule changed": "when the rule was set",
    "follower changed": "because of what they did",
    "time": "as time passed",
    "erased": "when the person was erased",
}


@router.get("/brands/{brand}/communities")
async def communities_page(brand: Brand, who: Visitor, context: ContextDep, removed: str = "") -> HTMLResponse:
    """A brand's communities. `removed` is one that was just removed and can be brought back."""
    tenants = Tenants.one(brand["_id"])
    gone = await communities.removed(context.database, tenants, brand["_id"], removed) if removed else None
    found = await communities.listed(context.database, Tenants.one(brand["_id"]), PageQuery(limit=LISTED))
    return page(
        "communities/communities.html",
        who=who,
        brand=named(brand),
        found=found.items,
        gone=gone,
    )


@router.get("/brands/{brand}/communities/-new")
async def new_page(brand: Brand, who: Editor, context: ContextDep) -> HTMLResponse:
    """The form of a new community. No community can have its address: ids begin with a letter or a digit."""
    return await _form(context, brand, who, Typed(forms.draft() or [("rows", "")]))


@router.post("/brands/{brand}/communities/-new")
async def create(brand: Brand, who: Editor, context: ContextDep) -> Response:
    """Adds or removes a row, tries the rule, or creates the community."""
    return await _sent(context, brand, who, None)


@router.get("/brands/{brand}/communities/{id}/edit")
async def edit_page(id: str, brand: Brand, who: Editor, context: ContextDep) -> HTMLResponse:
    """The form of an existing community."""
    found = await communities.existing(context.database, Tenants.one(brand["_id"]), brand["_id"], id)
    typed = Typed([("name", found["name"]), ("description", found["description"])])
    typed.show(rule_of(found))
    drafted = forms.draft()
    if drafted is not None:
        typed = Typed(drafted)
    return await _form(context, brand, who, typed, communities.shown(found))


@router.post("/brands/{brand}/communities/{id}/edit")
async def edit(id: str, brand: Brand, who: Editor, context: ContextDep) -> Response:
    """Does the same for an existing community."""
    found = await communities.existing(context.database, Tenants.one(brand["_id"]), brand["_id"], id)
    return await _sent(context, brand, who, communities.shown(found))


async def _sent(context: Context, brand: BrandDocument, who: Principal, community: Community | None) -> Response:
    typed = Typed(forms.sent())
    if typed.change_rows():
        return await _form(context, brand, who, typed, community)
    its, tenants = brand["_id"], Tenants.one(brand["_id"])
    rule, wrong = typed.rule()
    place = checked = None
    status = 422
    if not wrong:
        try:
            if typed.do.startswith("save") and community is not None and forms.stale(_version(community)):
                wrong[""], status = forms.STALE, 409
            elif typed.do.startswith("save"):
                terms = _terms(typed, community, rule, wrong)
                if terms is not None:
                    made = await _save(context, its, terms, community, who.name)
                    return RedirectResponse(f"/brands/{its}/communities/{made.id}", 303, headers=HEADERS)
            checked = await communities.check(context.database, tenants, its, rule, clock.now())
            typed.show(msgspec.convert(checked.rule, CommunityRule))
            status = status if wrong else 200
        except ProblemError as error:
            status = error.status
            more, place = problems(error.errors)
            wrong |= more
            if status == 409:
                wrong["id"] = sentence(error.detail)
    return await _form(context, brand, who, typed, community, status, wrong=wrong, place=place, checked=checked)


def _terms(
    typed: Typed, community: Community | None, rule: str | dict[str, Any], wrong: dict[str, str]
) -> CommunityTerms | None:
    """The terms to store. None if something besides the rule is `wrong`."""
    name = kept(typed.name, community.name if community else None, one_line=True)
    description = kept(typed.description, community.description if community else None)
    content = {"name": name, "description": description, "rule": rule}
    try:
        if community is not None:
            return CommunityTerms.model_validate(content)
        return CommunityInput.model_validate({**content, "id": typed.id.strip() or slug(typed.name, "community")})
    except ValidationError as error:
        said = {
            "name": "Enter a name of 1 to 200 characters.",
            "id": "Use small letters, digits, - and _, beginning with a letter or digit.",
            "description": "This is too long.",
        }
        wrong |= {str(each["loc"][0]): said[str(each["loc"][0])] for each in error.errors()}
        if "name" in wrong:
            wrong.pop("id", None)
        return None


async def _save(context: Context, brand: str, terms: CommunityTerms, community: Community | None, by: str) -> Community:
    tenants = Tenants.one(brand)
    if isinstance(terms, CommunityInput):
        return await communities.create(context.database, tenants, brand, terms, by, clock.now())
    assert community is not None, "terms without an id change a community"
    return await communities.change(context.database, tenants, brand, community.id, terms, clock.now())


async def _form(
    context: Context,
    brand: BrandDocument,
    who: Principal,
    typed: Typed,
    community: Community | None = None,
    status: int = 200,
    *,
    wrong: dict[str, str] | None = None,
    place: Position | None = None,
    checked: Checked | None = None,
) -> HTMLResponse:
    tenants = Tenants.one(brand["_id"])
    query = CampaignsQuery(limit=CAMPAIGNS_OFFERED)
    offered = await campaigns.listed(context.database, tenants, query, clock.now())
    accounts = await Accounts(context.database, tenants).connected(brand["_id"])
    return page(
        "communities/form.html",
        status,
        who=who,
        brand=named(brand),
        community=community,
        version=_version(community) if community else "",
        typed=typed,
        wrong=wrong or {},
        marked=marked(typed.text, place) if place is not None else None,
        checked=checked,
        fields=FIELDS,
        groups=GROUPS,
        labels=LABELS,
        comparisons=COMPARISONS,
        highest=HIGHEST,
        campaigns={each.id: each.name for each in offered.items},
        platforms=sorted({each["platform"] for each in accounts}),
    )


@router.get("/brands/{brand}/communities/{id}")
async def community_page(
    id: str, brand: Brand, who: Visitor, context: ContextDep, cursor: Cursor = None, events: Cursor = None
) -> HTMLResponse:
    """One community, its members, and who joined and left."""
    its, tenants = brand["_id"], Tenants.one(brand["_id"])
    found = communities.shown(await communities.existing(context.database, tenants, its, id))
    members = PageQuery(cursor=cursor, limit=MEMBERS_SHOWN)
    latest = PageQuery(cursor=events, limit=EVENTS_SHOWN)
    return page(
        "communities/community.html",
        who=who,
        brand=named(brand),
        community=found,
        version=_version(found),
        members=await communities.members(context.database, tenants, its, id, members, clock.now()),
        events=await communities.events(context.database, tenants, its, id, latest),
        because=BECAUSE,
    )


@router.get("/brands/{brand}/communities/{id}/export")
async def export(id: str, brand: Brand, context: ContextDep) -> Response:
    """The members as a file."""
    its, tenants = brand["_id"], Tenants.one(brand["_id"])
    found = await communities.existing(context.database, tenants, its, id)
    return exported(communities.export(context.database, tenants, its, found, clock.now()), f"{its}-{id}")


@router.post("/brands/{brand}/communities/{id}/remove", dependencies=EDITORS_ONLY)
async def remove(id: str, brand: Brand, context: ContextDep) -> Response:
    """Removes a community."""
    its, tenants = brand["_id"], Tenants.one(brand["_id"])
    if forms.stale(_version(communities.shown(await communities.existing(context.database, tenants, its, id)))):
        raise ProblemError(409, "conflict", "somebody else changed this community while you had it open; read it again")
    await communities.remove(context.database, tenants, its, id, clock.now())
    return RedirectResponse(f"/brands/{its}/communities?removed={quote(id, safe='')}", 303, headers=HEADERS)


@router.post("/brands/{brand}/communities/{id}/restore", dependencies=EDITORS_ONLY)
async def restore(id: str, brand: Brand, context: ContextDep) -> Response:
    """Brings a community back."""
    made = await communities.restore(context.database, Tenants.one(brand["_id"]), brand["_id"], id)
    return RedirectResponse(f"/brands/{brand['_id']}/communities/{quote(made.id, safe='')}", 303, headers=HEADERS)


def _version(community: Community) -> str:
    return forms.version_of(community.name, community.description, community.text)
