"""Policy routes: how soon a brand's exchanges are due."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Query, Request

from rapport.kit import clock, mongo
from services.api.http import paging
from services.api.http.context import ContextDep
from services.api.http.pools import FILES, POLICIES
from services.api.http.problems import invalid, responses
from services.api.http.schemas import Page
from services.api.keys.service import ReadBrand, WriteBrand
from services.api.policies import preview as previewing
from services.api.policies import proposals
from services.api.policies.holidays import service as holidays
from services.api.policies.repository import Policies
from services.api.policies.schemas import (
    MOST_OVERRIDES,
    HolidaysFound,
    HolidaysQuery,
    Policy,
    PolicyInput,
    Preview,
    PreviewInput,
    VersionsQuery,
)
from services.api.policies.service import default_policy, policy_shown
from services.api.publishing.service import confirmed

router = APIRouter(prefix="/v1", tags=["policy"])

LONGEST_AHEAD = timedelta(days=366)
PREVIEWED = timedelta(days=30)
LONGEST_PREVIEW = timedelta(days=92)
A_YEAR = timedelta(days=366)
LONGEST_HOLIDAYS = 3 * A_YEAR
MOST_SKIPPED = 100


@router.put("/brands/{brand}/policy", responses=responses(403, 404, 503))
async def put_policy(brand: str, new: PolicyInput, tenants: WriteBrand, context: ContextDep) -> Policy:
    """Adds a version. Exchanges opened before `effective_from` keep the version that was in force then."""
    now = await mongo.earlier_time(context.database)
    effective_from = new.effective_from or now
    if effective_from < now:
        raise invalid("effective_from", "this time is in the past, and a policy does not change exchanges already open")
    if effective_from > now + LONGEST_AHEAD:
        raise invalid("effective_from", "this is more than a year away")
    proposed = await POLICIES.run(brand, proposals.checked, new, now)
    policies = Policies(context.database, tenants)
    version = await policies.add(brand, effective_from, msgspec.to_builtins(proposed._asdict()))
    await confirmed(context.publisher, brand)
    stored = await policies.version(brand, version)
    assert stored is not None, "a confirmed version can be found"
    return policy_shown(stored, await policies.in_force(brand, datetime.now(UTC)))


@router.get("/brands/{brand}/policy", responses=responses(403, 404))
async def get_policy(brand: str, tenants: ReadBrand, context: ContextDep) -> Policy:
    """The latest version, or version 0 (the default) until a brand has rules of its own."""
    policies = Policies(context.database, tenants)
    found = await policies.latest(brand)
    if found is None:
        return default_policy()
    return policy_shown(found, await policies.in_force(brand, datetime.now(UTC)))


@router.get("/brands/{brand}/policy/versions", responses=responses(403, 404))
async def list_policy_versions(
    brand: str, tenants: ReadBrand, context: ContextDep, query: Annotated[VersionsQuery, Query()]
) -> Page[Policy]:
    """All versions, the newest first."""
    before: int | None = None
    if query.cursor is not None:
        (part,) = paging.decode("versions", query.cursor, (int,))
        before = int(part)
    policies = Policies(context.database, tenants)
    rows = await policies.page(brand, before, paging.rows_to_read(query.limit))
    shown, following = paging.page(rows, query.limit, lambda row: paging.encode("versions", row["version"]))
    in_force = await policies.in_force(brand, datetime.now(UTC))
    return Page(items=[policy_shown(each, in_force) for each in shown], next=following)


@router.post("/brands/{brand}/policy/preview", responses=responses(403, 404))
async def preview_policy(brand: str, trial: PreviewInput, tenants: ReadBrand, context: ContextDep) -> Preview:
    """What a policy would have done to the exchanges opened in a past period. Changes nothing."""
    now = clock.now()
    end = trial.end or now
    start = trial.start or end - PREVIEWED
    if start >= end:
        raise invalid("from", "this has to be before `to`")
    if end - start > LONGEST_PREVIEW:
        raise invalid("from", f"this is more than {LONGEST_PREVIEW.days} days before `to`")
    proposed = await POLICIES.run(brand, proposals.checked, trial, now)
    return await previewing.preview(context.database, tenants, brand, proposed, start, end, now)


@router.post(
    "/brands/{brand}/policy/holidays",
    responses=responses(403, 404, 413),
    openapi_extra={"requestBody": {"required": True, "content": {"text/calendar": {"schema": {"type": "string"}}}}},
)
async def read_holidays(
    brand: str, _tenants: ReadBrand, request: Request, query: Annotated[HolidaysQuery, Query()]
) -> HolidaysFound:
    """The holidays in an iCalendar file. Changes nothing: put the result into a calendar of the policy."""
    zone = ZoneInfo(request.state.brand["settings"]["timezone"])
    first = query.first or datetime.now(zone).date()
    last = query.last or first + A_YEAR
    if not first <= last <= first + LONGEST_HOLIDAYS:
        raise invalid("to", f"this has to be between `from` and {LONGEST_HOLIDAYS.days} days after it")
    try:
        found = await FILES.run(brand, holidays.holidays, await request.body(), first, last, zone=zone)
    except holidays.HolidaysError as error:
        raise invalid("body", str(error)) from error
    if len(found.days) > MOST_OVERRIDES:
        raise invalid("body", f"the file has {len(found.days)} days off; a calendar can have at most {MOST_OVERRIDES}")
    return HolidaysFound.model_validate(
        {
            "overrides": msgspec.to_builtins(found.days),
            "skipped": [each._asdict() for each in found.skipped[:MOST_SKIPPED]],
        }
    )
