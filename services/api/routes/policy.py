"""A brand's policy: how soon exchanges are due."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Query, Request

from rapport.domain.times import ms, utc
from services.api import cursors, holidays, previewing, proposals, shapes
from services.api.auth import ReadBrand, WriteBrand
from services.api.context import ContextDep
from services.api.pools import FILES, POLICIES
from services.api.problems import invalid, responses
from services.api.repositories.policies import Policies
from services.api.routes.publishing import confirmed
from services.api.schemas.common import Page
from services.api.schemas.policy import (
    MOST_OVERRIDES,
    HolidaysFound,
    HolidaysQuery,
    Policy,
    PolicyInput,
    Preview,
    PreviewInput,
    VersionsQuery,
)

router = APIRouter(prefix="/v1", tags=["policy"])

LONGEST_AHEAD = timedelta(days=366)
PREVIEWED = timedelta(days=30)
LONGEST_PREVIEW = timedelta(days=92)
A_YEAR = timedelta(days=366)
LONGEST_HOLIDAYS = 3 * A_YEAR
MOST_SKIPPED = 100


def _now() -> datetime:
    """In whole milliseconds, which is how it is stored."""
    return utc(ms(datetime.now(UTC)))


@router.put("/brands/{brand}/policy", responses=responses(403, 404, 503))
async def put_policy(brand: str, new: PolicyInput, tenants: WriteBrand, context: ContextDep) -> Policy:
    """Makes a new version. What was opened before `effective_from` keeps the version that was in force then."""
    now = _now()
    effective_from = new.effective_from or now
    if effective_from < now:
        raise invalid("effective_from", "this time is over, and a policy changes nothing that was opened before it")
    if effective_from > now + LONGEST_AHEAD:
        raise invalid("effective_from", "this is more than a year ahead")
    proposed = await POLICIES.run(brand, proposals.checked, new, now)
    policies = Policies(context.database, tenants)
    version = await policies.add(brand, effective_from, msgspec.to_builtins(proposed._asdict()))
    await confirmed(context, brand)
    stored = await policies.version(brand, version)
    assert stored is not None, "what is confirmed can be found"
    return shapes.policy(stored, await policies.in_force(brand, datetime.now(UTC)))


@router.get("/brands/{brand}/policy", responses=responses(403, 404))
async def get_policy(brand: str, tenants: ReadBrand, context: ContextDep) -> Policy:
    """The latest version; version 0, the default, before a brand has rules of its own."""
    policies = Policies(context.database, tenants)
    found = await policies.latest(brand)
    if found is None:
        return shapes.default_policy()
    return shapes.policy(found, await policies.in_force(brand, datetime.now(UTC)))


@router.get("/brands/{brand}/policy/versions", responses=responses(403, 404))
async def list_policy_versions(
    brand: str, tenants: ReadBrand, context: ContextDep, query: Annotated[VersionsQuery, Query()]
) -> Page[Policy]:
    """Every version that was put, the newest first."""
    before: int | None = None
    if query.cursor is not None:
        (part,) = cursors.decode("versions", query.cursor, (int,))
        before = int(part)
    policies = Policies(context.database, tenants)
    found = await policies.page(brand, before, query.limit + 1)
    shown = found[: query.limit]
    following = cursors.encode("versions", shown[-1]["version"]) if len(found) > len(shown) else None
    in_force = await policies.in_force(brand, datetime.now(UTC))
    return Page(items=[shapes.policy(each, in_force) for each in shown], next=following)


@router.post("/brands/{brand}/policy/preview", responses=responses(403, 404))
async def preview_policy(brand: str, trial: PreviewInput, tenants: ReadBrand, context: ContextDep) -> Preview:
    """What a policy would have done to the exchanges opened in a time that is over. Changes nothing."""
    now = _now()
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
    """The days off of an iCalendar file. Changes nothing: put what it gives into a calendar of the policy."""
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
        raise invalid("body", f"{len(found.days)} days off are more than a calendar takes, which is {MOST_OVERRIDES}")
    return HolidaysFound.model_validate(
        {
            "overrides": msgspec.to_builtins(found.days),
            "skipped": [each._asdict() for each in found.skipped[:MOST_SKIPPED]],
        }
    )
