"""The editorial calendar, for the API and the portal."""

import secrets
from collections.abc import AsyncIterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

from rapport.domain.calendar.editorial import ON_TIME
from rapport.kit.text import is_blank
from services.api.accounts.repository import Accounts
from services.api.brands.documents import BrandDocument
from services.api.calendar.documents import PlanChanges, PlannedPost, PlanTerms, rules_of
from services.api.calendar.repository import Calendar
from services.api.calendar.schemas import (
    CalendarDays,
    CalendarQuery,
    CalendarSettings,
    Planned,
    PlannedInput,
    PlannedTerms,
    Status,
)
from services.api.campaigns.repository import Campaigns
from services.api.http import paging
from services.api.http.files.spreadsheet import lines
from services.api.http.ids import follower_parts, follower_ref
from services.api.http.periods import period, span_of
from services.api.http.problems import FieldProblem, ProblemError, invalid, not_found, wrong_fields
from services.api.mix.documents import PostDocument
from services.api.mix.repository import Posts
from services.api.mix.schemas import Post
from services.api.mix.service import shown_post
from services.api.storage.tenants import Database, Tenants

LONGEST_DAYS = 62
USUAL_DAYS = 7
COLUMNS = ("id", "planned_at", "account", "text", "media", "label", "campaign", "owner", "post", "state")
EXPORTED_AT_ONCE = 500


async def days(database: Database, brand: BrandDocument, query: CalendarQuery, now: datetime) -> CalendarDays:
    """Some days of a brand's calendar, in order of time. Raises ProblemError (422)."""
    zone = brand["settings"]["timezone"]
    first = query.from_ or now.astimezone(ZoneInfo(zone)).date()
    since, until = period(first, query.to or first + timedelta(days=USUAL_DAYS - 1), zone, now)
    if (date.fromisoformat(until) - date.fromisoformat(since)).days >= LONGEST_DAYS:
        raise invalid("to", f"a calendar shows at most {LONGEST_DAYS} days at once")
    after = paging.position("calendar", query.cursor)
    calendar = Calendar(database, Tenants.one(brand["_id"]))
    start, end = span_of(since, until, ZoneInfo(zone))
    planned = await calendar.between(start, end, after, paging.rows_to_read(query.limit))
    posts = await calendar.published(start, end, after, paging.rows_to_read(query.limit))
    positions = sorted(
        [
            *((each["planned_at"], each["_id"]) for each in planned),
            *((each["published_at"], each["_id"]) for each in posts),
        ]
    )
    # Nothing after this position is shown yet: one of the two lists may have been read further than the other.
    last = positions[query.limit - 1] if len(positions) > query.limit else None
    plans = await calendar.plans_of([each["_id"] for each in posts])
    return CalendarDays(
        first=date.fromisoformat(since),
        last=date.fromisoformat(until),
        timezone=zone,
        planned=[shown(each) for each in planned if last is None or (each["planned_at"], each["_id"]) <= last],
        unplanned=[
            shown_post(each)
            for each in posts
            if each["_id"] not in plans and (last is None or (each["published_at"], each["_id"]) <= last)
        ],
        next=None if last is None else paging.cursor_after("calendar", *last),
    )


def shown(planned: PlannedPost) -> Planned:
    """A stored planned post as the API gives it."""
    post = planned["published"]
    ref = None
    if post is not None:
        _, platform, its_id = post.split("/", 2)
        ref = follower_ref(platform, its_id)
    status = _status(planned)
    unconfirmed = status == "missing" and planned.get("unconfirmed", False)
    its = {"id": planned["plan"], "status": status, "unconfirmed": unconfirmed, "published": ref}
    return Planned.model_validate({**planned, **its})


def _status(planned: PlannedPost) -> Status:
    if planned["state"] != "planned":
        return "draft" if planned["state"] == "draft" else "cancelled"
    if planned["published_at"] is not None:
        off = planned["published_at"] - planned["planned_at"]
        return "on_time" if abs(off) <= ON_TIME else "late" if off > ON_TIME else "early"
    if planned["approval"] in ("wanted", "refused"):
        return "waiting" if planned["approval"] == "wanted" else "refused"
    return "planned" if planned["missing_since"] is None else "missing"


async def existing(database: Database, brand: str, plan: str) -> PlannedPost:
    """A stored planned post. Raises ProblemError (404)."""
    found = await Calendar(database, Tenants.one(brand)).find(f"{brand}/{plan}")
    if found is None:
        raise not_found("planned post")
    return found


async def add(database: Database, brand: str, new: PlannedInput, now: datetime) -> Planned:
    """Plans a post. Raises ProblemError (409 where the id is taken, 422)."""
    calendar = Calendar(database, Tenants.one(brand))
    terms = await checked(database, brand, new)
    plan = new.id or secrets.token_hex(6)
    required = (await settings(database, brand)).approval_required
    planned: PlannedPost = {
        "_id": f"{brand}/{plan}",
        "brand": brand,
        "plan": plan,
        **terms,
        "approval": "wanted" if required else "not_needed",
        "approval_by": None,
        "approval_at": None,
        "approval_why": None,
        "published": None,
        "published_at": None,
        "missing_since": None,
        "told": None,
        "untold": False,
        "unconfirmed": False,
        "held": None,
        "revision": 1,
        "created_at": now,
        "updated_at": now,
    }
    if not await calendar.add(planned, now):
        raise ProblemError(409, "conflict", f"there is already a planned post {plan!r}")
    return shown(planned)


async def change(database: Database, brand: str, plan: str, new: PlannedTerms, now: datetime) -> Planned:
    """Changes a planned post. Changed content needs approval again. Raises ProblemError (404, 409, 422)."""
    planned = await existing(database, brand, plan)
    terms = await checked(database, brand, new)
    changes = cast("PlanChanges", {name: value for name, value in terms.items() if planned.get(name) != value})
    if not changes:
        return shown(planned)
    if _content(planned) != _content(terms) and planned["approval"] != "not_needed":
        changes |= {"approval": "wanted", "approval_by": None, "approval_at": None, "approval_why": None}
    if "planned_at" in changes or "state" in changes:
        changes |= {"missing_since": None, "untold": False}
    return shown(await _changed(database, planned, changes, now))


def _content(planned: PlanTerms) -> tuple[Any, ...]:
    """What a client approves. Kinds of line breaks and blanks at the ends are not part of it."""
    text = planned["text"].replace("\r\n", "\n").replace("\r", "\n").strip()
    return planned["account"], planned["planned_at"], text, sorted(set(planned["media"]))


async def approve(database: Database, brand: str, plan: str, by: str, why: str | None, now: datetime) -> Planned:
    """Notes that the client approves, or with `why` that they decline. Raises ProblemError (404, 409)."""
    planned = await existing(database, brand, plan)
    changes: PlanChanges = {
        "approval": "approved" if why is None else "refused",
        "approval_by": by,
        "approval_at": now,
        "approval_why": why,
    }
    if why is None:
        changes |= {"missing_since": None, "untold": False}
    return shown(await _changed(database, planned, changes, now))


async def remove(database: Database, brand: str, plan: str, now: datetime) -> None:
    """Removes a planned post. `restore` can bring it back for some days. Raises ProblemError (404)."""
    await Calendar(database, Tenants.one(brand)).remove(await existing(database, brand, plan), now)


async def removed(database: Database, brand: str, plan: str) -> Planned | None:
    """A planned post that was removed and can be brought back."""
    found = await Calendar(database, Tenants.one(brand)).removed(f"{brand}/{plan}")
    return None if found is None else shown(found)


async def restore(database: Database, brand: str, plan: str, now: datetime) -> Planned:
    """Brings back a planned post that was removed. Raises ProblemError (404, 409)."""
    calendar = Calendar(database, Tenants.one(brand))
    removed = await calendar.removed(f"{brand}/{plan}")
    if removed is None:
        raise not_found("removed post")
    # If it is missing, that is noted and told anew.
    removed |= {"missing_since": None, "untold": False}
    if not await calendar.add(removed, now, again=True):
        raise ProblemError(409, "conflict", f"another planned post has the id {plan!r} now")
    return shown(removed)


async def _changed(database: Database, planned: PlannedPost, changes: PlanChanges, now: datetime) -> PlannedPost:
    found = await Calendar(database, Tenants.one(planned["brand"])).change(planned, changes, now)
    if found is None:
        raise ProblemError(409, "conflict", "somebody else has just changed this planned post; read it again")
    return found


async def checked(database: Database, brand: str, new: PlannedTerms) -> PlanTerms:
    """The terms of a planned post as stored. Raises ProblemError (422)."""
    tenants = Tenants.one(brand)
    terms = new.model_dump(exclude={"id"})
    problems: list[FieldProblem] = []
    accounts = {each["_id"]: each for each in await Accounts(database, tenants).connected(brand)}
    if new.account not in accounts:
        problems.append(FieldProblem(field="account", why=f"the brand has no account {new.account!r}"))
    if new.campaign is not None and await Campaigns(database, tenants).find(brand, new.campaign) is None:
        problems.append(FieldProblem(field="campaign", why=f"the brand has no campaign {new.campaign!r}"))
    if is_blank(new.text) and not new.media:
        problems.append(FieldProblem(field="text", why="a post needs text or media"))
    if problems:
        raise wrong_fields(problems)
    return cast("PlanTerms", {**terms, "platform": accounts[new.account]["platform"]})


async def match(database: Database, brand: str, ref: str, plan: str | None, by: str, now: datetime) -> Post:
    """Sets by hand which plan a post belongs to, or that it belongs to none. Raises ProblemError (404, 422)."""
    post = await _post(database, brand, ref)
    if plan is not None:
        planned = await Calendar(database, Tenants.one(brand)).find(f"{brand}/{plan}")
        if planned is None:
            raise invalid("plan", "there is no such planned post")
        if planned["account"] != post["account"]:
            raise invalid("plan", f"it is planned for another account, {planned['account']!r}")
    await Calendar(database, Tenants.one(brand)).match(post, plan, by, now)
    return shown_post(post)


async def unmatch(database: Database, brand: str, ref: str, now: datetime) -> Post:
    """Takes back what was set by hand. Raises ProblemError (404)."""
    post = await _post(database, brand, ref)
    await Calendar(database, Tenants.one(brand)).unmatch(post, now)
    return shown_post(post)


async def _post(database: Database, brand: str, ref: str) -> PostDocument:
    try:
        platform, its_id = follower_parts(ref)
    except ValueError:
        raise not_found("post") from None
    found = await Posts(database, Tenants.one(brand)).find(f"{brand}/{platform}/{its_id}")
    if found is None:
        raise not_found("post")
    return found


async def settings(database: Database, brand: str) -> CalendarSettings:
    """A brand's settings, with defaults for what it did not set."""
    return CalendarSettings(**rules_of(await Calendar(database, Tenants.one(brand)).settings(brand)))


async def set_settings(database: Database, brand: str, wanted: CalendarSettings) -> CalendarSettings:
    """Stores a brand's settings. They apply to what is planned or changed from then on."""
    await Calendar(database, Tenants.one(brand)).set(brand, wanted.model_dump())
    return wanted


async def export(database: Database, brand: str) -> AsyncIterator[str]:
    """All planned posts as CSV, as `files.import_file` reads it."""
    yield lines([COLUMNS])
    calendar, after = Calendar(database, Tenants.one(brand)), ""
    while some := await calendar.all(after, EXPORTED_AT_ONCE):
        for each in some:
            cells: Mapping[str, Any] = {**each, "id": each["plan"], "media": " ".join(each["media"])}
            yield lines([[cells[name] for name in COLUMNS]], ours=True)
        after = some[-1]["_id"]
