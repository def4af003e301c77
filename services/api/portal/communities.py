"""The pages of communities: all of them, one with its members and events, and the form of a rule."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec
from fastapi import APIRouter
from pydantic import ValidationError
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rapport.domain.community import FIELDS, Rule
from rapport.domain.times import ms, utc
from services.api import campaign_views, communities
from services.api.auth import Principal, require
from services.api.community_facts import rule_of
from services.api.context import Context, ContextDep
from services.api.portal import community_forms, forms
from services.api.portal.campaign_forms import slug
from services.api.portal.community_forms import Typed
from services.api.portal.forms import FormRoute, kept
from services.api.portal.frame import HEADERS, Brand, Cursor, Visitor, named, page
from services.api.problems import Position, ProblemError
from services.api.repositories.accounts import Accounts
from services.api.repositories.tenants import Tenants
from services.api.routes.communities import exported
from services.api.schemas.campaigns import CampaignsQuery
from services.api.schemas.common import PageQuery
from services.api.schemas.communities import Checked, Community, CommunityInput, CommunityTerms

router = APIRouter(include_in_schema=False, route_class=FormRoute)

LISTED = 100
MEMBERS_SHOWN = 25
EVENTS_SHOWN = 15
CAMPAIGNS_OFFERED = 50

BECAUSE = {
    "rule changed": "when the rule was set",
    "follower changed": "by what they did",
    "time": "as time passed",
    "erased": "as the person was erased",
}


def _now() -> datetime:
    return utc(ms(datetime.now(UTC)))


@router.get("/brands/{brand}/communities")
async def communities_page(brand: Brand, who: Visitor, context: ContextDep, removed: str = "") -> HTMLResponse:
    """All of a brand's communities. `removed` is one that was just removed, and can be brought back."""
    tenants = Tenants.one(brand["_id"])
    gone = await communities.removed(context.database, tenants, brand["_id"], removed) if removed else None
    found = await communities.communities(context.database, Tenants.one(brand["_id"]), PageQuery(limit=LISTED))
    return page(
        "communities.html", who=who, brand=named(brand), may_write=who.may("write"), found=found.items, gone=gone
    )


@router.get("/brands/{brand}/communities/-new")
async def new_page(brand: Brand, who: Visitor, context: ContextDep) -> HTMLResponse:
    """The form of a new one. No community has its address: an id begins with a letter or a digit."""
    require(who, "write")
    return await _form(context, brand, who, Typed(forms.draft() or [("rows", "")]))


@router.post("/brands/{brand}/communities/-new")
async def create(brand: Brand, who: Visitor, context: ContextDep) -> Response:
    """Adds or takes away a row, tries the rule, or makes the community."""
    return await _sent(context, brand, who, None)


@router.get("/brands/{brand}/communities/{id}/edit")
async def edit_page(id: str, brand: Brand, who: Visitor, context: ContextDep) -> HTMLResponse:
    """The form of one that is there."""
    require(who, "write")
    found = await communities.existing(context.database, Tenants.one(brand["_id"]), brand["_id"], id)
    typed = Typed([(name, found[name]) for name in ("name", "description")])
    typed.show(rule_of(found))
    drafted = forms.draft()
    if drafted is not None:
        typed = Typed(drafted)
    return await _form(context, brand, who, typed, communities.community(found))


@router.post("/brands/{brand}/communities/{id}/edit")
async def edit(id: str, brand: Brand, who: Visitor, context: ContextDep) -> Response:
    """The same as for a new one."""
    found = await communities.existing(context.database, Tenants.one(brand["_id"]), brand["_id"], id)
    return await _sent(context, brand, who, communities.community(found))


async def _sent(context: Context, brand: dict[str, Any], who: Principal, community: Community | None) -> Response:
    require(who, "write")
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
            checked = await communities.check(context.database, tenants, its, rule, _now())
            typed.show(msgspec.convert(checked.rule, Rule))
            status = status if wrong else 200
        except ProblemError as error:
            status = error.status
            more, place = community_forms.problems(error.errors)
            wrong |= more
            if status == 409:
                wrong["id"] = community_forms.sentence(error.detail)
    return await _form(context, brand, who, typed, community, status, wrong=wrong, place=place, checked=checked)


def _terms(
    typed: Typed, community: Community | None, rule: str | dict[str, Any], wrong: dict[str, str]
) -> CommunityTerms | None:
    """What is to be stored; None where something beside the rule is `wrong`."""
    name = kept(typed.name, community.name if community else None, one_line=True)
    description = kept(typed.description, community.description if community else None)
    content = {"name": name, "description": description, "rule": rule}
    try:
        if community is not None:
            return CommunityTerms.model_validate(content)
        return CommunityInput.model_validate({**content, "id": typed.id.strip() or slug(typed.name, "community")})
    except ValidationError as error:
        said = {
            "name": "A name of 1 to 200 characters is needed.",
            "id": "Small letters, digits, - and _ only, beginning with a letter or digit.",
            "description": "This is too long.",
        }
        wrong |= {str(each["loc"][0]): said[str(each["loc"][0])] for each in error.errors()}
        if "name" in wrong:
            wrong.pop("id", None)
        return None


async def _save(context: Context, brand: str, terms: CommunityTerms, community: Community | None, by: str) -> Community:
    tenants = Tenants.one(brand)
    if isinstance(terms, CommunityInput):
        return await communities.create(context.database, tenants, brand, terms, by, _now())
    assert community is not None, "what has no id of its own is a change"
    return await communities.change(context.database, tenants, brand, community.id, terms, _now())


async def _form(
    context: Context,
    brand: dict[str, Any],
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
    offered = await campaign_views.campaigns(context.database, tenants, query, _now())
    accounts = await Accounts(context.database, tenants).connected(brand["_id"])
    return page(
        "community_form.html",
        status,
        who=who,
        brand=named(brand),
        community=community,
        version=_version(community) if community else "",
        typed=typed,
        wrong=wrong or {},
        marked=community_forms.marked(typed.text, place) if place is not None else None,
        checked=checked,
        fields=FIELDS,
        groups=community_forms.GROUPS,
        labels=community_forms.LABELS,
        comparisons=community_forms.COMPARISONS,
        highest=community_forms.HIGHEST,
        campaigns={each.id: each.name for each in offered.items},
        platforms=sorted({each["platform"] for each in accounts}),
    )


@router.get("/brands/{brand}/communities/{id}")
async def community_page(
    id: str, brand: Brand, who: Visitor, context: ContextDep, cursor: Cursor = None, events: Cursor = None
) -> HTMLResponse:
    """One community, who belongs to it, and who came and went."""
    its, tenants = brand["_id"], Tenants.one(brand["_id"])
    found = communities.community(await communities.existing(context.database, tenants, its, id))
    members = PageQuery(cursor=cursor, limit=MEMBERS_SHOWN)
    latest = PageQuery(cursor=events, limit=EVENTS_SHOWN)
    return page(
        "community.html",
        who=who,
        brand=named(brand),
        may_write=who.may("write"),
        community=found,
        version=_version(found),
        members=await communities.members(context.database, tenants, its, id, members, _now()),
        events=await communities.events(context.database, tenants, its, id, latest),
        because=BECAUSE,
    )


@router.get("/brands/{brand}/communities/{id}/export")
async def export(id: str, brand: Brand, context: ContextDep) -> Response:
    """The members as a file."""
    its, tenants = brand["_id"], Tenants.one(brand["_id"])
    found = await communities.existing(context.database, tenants, its, id)
    return exported(communities.export(context.database, tenants, its, found, _now()), f"{its}-{id}")


@router.post("/brands/{brand}/communities/{id}/remove")
async def remove(id: str, brand: Brand, who: Visitor, context: ContextDep) -> Response:
    """The button that removes it."""
    require(who, "write")
    its, tenants = brand["_id"], Tenants.one(brand["_id"])
    if forms.stale(_version(communities.community(await communities.existing(context.database, tenants, its, id)))):
        raise ProblemError(409, "conflict", "somebody else changed this community while you had it open; look again")
    await communities.remove(context.database, tenants, its, id, _now())
    return RedirectResponse(f"/brands/{its}/communities?removed={quote(id, safe='')}", 303, headers=HEADERS)


@router.post("/brands/{brand}/communities/{id}/restore")
async def restore(id: str, brand: Brand, who: Visitor, context: ContextDep) -> Response:
    """The button that brings it back."""
    require(who, "write")
    made = await communities.restore(context.database, Tenants.one(brand["_id"]), brand["_id"], id)
    return RedirectResponse(f"/brands/{brand['_id']}/communities/{quote(made.id, safe='')}", 303, headers=HEADERS)


def _version(community: Community) -> str:
    return forms.version_of(community.name, community.description, community.text)
