"""The editorial calendar, put together for the API and the portal."""

import hashlib
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import icalendar

from rapport.domain.editorial import ON_TIME
from rapport.domain.published import excerpt
from rapport.domain.times import ms
from rapport.kit.mongo import Document
from rapport.kit.text import one_line, plain
from services.api import cursors, mixing
from services.api.ids import follower_parts, follower_ref
from services.api.periods import period, span_of
from services.api.pools import FILES
from services.api.problems import FieldProblem, ProblemError, invalid, not_found, wrong_fields
from services.api.reading import Database
from services.api.repositories.accounts import Accounts
from services.api.repositories.calendar import Calendar
from services.api.repositories.campaigns import Campaigns
from services.api.repositories.posts import Posts
from services.api.repositories.tenants import Tenants
from services.api.schemas.calendar import (
    CalendarDays,
    CalendarQuery,
    CalendarSettings,
    CurrentFeed,
    Feed,
    Planned,
    PlannedInput,
    PlannedTerms,
    Status,
)
from services.api.schemas.mix import Post
from services.api.spreadsheet import lines

LONGEST_DAYS = 62
USUAL_DAYS = 7
COLUMNS = ("id", "planned_at", "account", "text", "media", "label", "campaign", "owner", "post", "state")
EXPORTED_AT_ONCE = 500
FEED_BEFORE, FEED_AFTER = timedelta(days=60), timedelta(days=400)
MOST_IN_FEED = 2_000
LONGEST_SUMMARY = 400
TOKEN_BYTES = 24


async def days(database: Database, brand: Document, query: CalendarQuery, now: datetime) -> CalendarDays:
    """Some days of a brand's calendar, in order of time. Raises ProblemError (422)."""
    zone = brand["settings"]["timezone"]
    first = query.from_ or now.astimezone(ZoneInfo(zone)).date()
    since, until = period(first, query.to or first + timedelta(days=USUAL_DAYS - 1), zone, now)
    if (date.fromisoformat(until) - date.fromisoformat(since)).days >= LONGEST_DAYS:
        raise invalid("to", f"a calendar shows at most {LONGEST_DAYS} days at once")
    after = cursors.place("calendar", query.cursor)
    calendar = Calendar(database, Tenants.one(brand["_id"]))
    start, end = span_of(since, until, ZoneInfo(zone))
    planned = await calendar.between(start, end, after, query.limit + 1)
    posts = await calendar.published(start, end, after, query.limit + 1)
    places = sorted(
        [
            *((each["planned_at"], each["_id"]) for each in planned),
            *((each["published_at"], each["_id"]) for each in posts),
        ]
    )
    # Beyond this place nothing is shown yet, although of one of the two there may be something here.
    last = places[query.limit - 1] if len(places) > query.limit else None
    plans = await calendar.plans_of([each["_id"] for each in posts])
    return CalendarDays(
        first=date.fromisoformat(since),
        last=date.fromisoformat(until),
        timezone=zone,
        planned=[shown(each) for each in planned if last is None or (each["planned_at"], each["_id"]) <= last],
        unplanned=[
            mixing.shown_post(each)
            for each in posts
            if each["_id"] not in plans and (last is None or (each["published_at"], each["_id"]) <= last)
        ],
        next=None if last is None else cursors.encode("calendar", ms(last[0]), last[1]),
    )


def shown(planned: Document) -> Planned:
    """A stored planned post as the API gives it."""
    post = planned["published"]
    ref = None
    if post is not None:
        _, platform, its_id = post.split("/", 2)
        ref = follower_ref(platform, its_id)
    names = [name for name in Planned.model_fields if name not in ("id", "status", "published")]
    return Planned(
        id=planned["plan"], status=_status(planned), published=ref, **{name: planned[name] for name in names}
    )


def _status(planned: Document) -> Status:
    if planned["state"] != "planned":
        return "draft" if planned["state"] == "draft" else "cancelled"
    if planned["published_at"] is not None:
        off = planned["published_at"] - planned["planned_at"]
        return "on_time" if abs(off) <= ON_TIME else "late" if off > ON_TIME else "early"
    if planned["approval"] in ("wanted", "refused"):
        return "waiting" if planned["approval"] == "wanted" else "refused"
    return "planned" if planned["missing_since"] is None else "missing"


async def existing(database: Database, brand: str, plan: str) -> Document:
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
    planned: Document = {
        "_id": f"{brand}/{plan}",
        "brand": brand,
        "plan": plan,
        **terms,
        "approval": "wanted" if required else "not_needed",
        **dict.fromkeys(("approval_by", "approval_at", "approval_why"), None),
        **dict.fromkeys(("published", "published_at", "missing_since", "told"), None),
        "untold": False,
        "revision": 1,
        "created_at": now,
        "updated_at": now,
    }
    if not await calendar.add(planned, now):
        raise ProblemError(409, "conflict", f"there is a planned post {plan!r} already")
    return shown(planned)


async def change(database: Database, brand: str, plan: str, new: PlannedTerms, now: datetime) -> Planned:
    """Changes a planned post; other content has to be approved again. Raises ProblemError (404, 409, 422)."""
    planned = await existing(database, brand, plan)
    terms = await checked(database, brand, new)
    changes: Document = {name: value for name, value in terms.items() if planned.get(name) != value}
    if not changes:
        return shown(planned)
    if _content(planned) != _content(terms) and planned["approval"] != "not_needed":
        changes |= {"approval": "wanted", "approval_by": None, "approval_at": None, "approval_why": None}
    if any(planned[name] != terms[name] for name in ("planned_at", "state")):
        changes |= {"missing_since": None, "untold": False}
    return shown(await _changed(database, planned, changes, now))


def _content(planned: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a client approves; how its line breaks are stored and what blanks follow is not part of it."""
    text = planned["text"].replace("\r\n", "\n").replace("\r", "\n").strip()
    return planned["account"], planned["planned_at"], text, sorted(set(planned["media"]))


async def approve(database: Database, brand: str, plan: str, by: str, why: str | None, now: datetime) -> Planned:
    """Notes that the client approves, or with `why` does not. Raises ProblemError (404, 409)."""
    planned = await existing(database, brand, plan)
    verdict = "approved" if why is None else "refused"
    changes = {"approval": verdict, "approval_by": by, "approval_at": now, "approval_why": why}
    return shown(await _changed(database, planned, changes, now))


async def remove(database: Database, brand: str, plan: str, now: datetime) -> None:
    """Removes a planned post; `restore` brings it back for some days. Raises ProblemError (404)."""
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
    if not await calendar.add(removed, now):
        raise ProblemError(409, "conflict", f"there is another planned post {plan!r} by now")
    await calendar.forget_removed(removed)
    return shown(removed)


async def _changed(database: Database, planned: Document, changes: Document, now: datetime) -> Document:
    found = await Calendar(database, Tenants.one(planned["brand"])).change(planned, changes, now)
    if found is None:
        raise ProblemError(409, "conflict", "somebody else changed this planned post meanwhile; look at it again")
    return found


async def checked(database: Database, brand: str, new: PlannedTerms) -> Document:
    """The fields of a planned post as they are stored. Raises ProblemError (422)."""
    tenants = Tenants.one(brand)
    terms = new.model_dump(exclude={"id"})
    problems: list[FieldProblem] = []
    accounts = {each["_id"]: each for each in await Accounts(database, tenants).connected(brand)}
    if new.account not in accounts:
        problems.append(FieldProblem(field="account", why=f"the brand has no account {new.account!r}"))
    if new.campaign is not None and await Campaigns(database, tenants).find(brand, new.campaign) is None:
        problems.append(FieldProblem(field="campaign", why=f"the brand has no campaign {new.campaign!r}"))
    if not new.text.strip() and not new.media:
        problems.append(FieldProblem(field="text", why="a post has a text or a medium"))
    if problems:
        raise wrong_fields(problems)
    return {**terms, "platform": accounts[new.account]["platform"]}


async def match(database: Database, brand: str, ref: str, plan: str | None, by: str, now: datetime) -> Post:
    """Says by hand which plan a post belongs to, or that it belongs to none. Raises ProblemError (404, 422)."""
    post = await _post(database, brand, ref)
    if plan is not None:
        planned = await Calendar(database, Tenants.one(brand)).find(f"{brand}/{plan}")
        if planned is None:
            raise invalid("plan", "there is no such planned post")
        if planned["account"] != post["account"]:
            raise invalid("plan", f"it is planned for the account {planned['account']!r}, and the post is not there")
    await Calendar(database, Tenants.one(brand)).match(post, plan, by, now)
    return mixing.shown_post(post)


async def unmatch(database: Database, brand: str, ref: str, now: datetime) -> Post:
    """Takes back what was said by hand. Raises ProblemError (404)."""
    post = await _post(database, brand, ref)
    await Calendar(database, Tenants.one(brand)).unmatch(post, now)
    return mixing.shown_post(post)


async def _post(database: Database, brand: str, ref: str) -> Document:
    try:
        platform, its_id = follower_parts(ref)
    except ValueError:
        raise not_found("post") from None
    found = await Posts(database, Tenants.one(brand)).find(f"{brand}/{platform}/{its_id}")
    if found is None:
        raise not_found("post")
    return found


async def settings(database: Database, brand: str) -> CalendarSettings:
    """A brand's settings, the usual ones where it has none."""
    found = await Calendar(database, Tenants.one(brand)).settings(brand) or {}
    return CalendarSettings(**{name: found[name] for name in CalendarSettings.model_fields if name in found})


async def set_settings(database: Database, brand: str, wanted: CalendarSettings) -> CalendarSettings:
    """Stores a brand's settings. They hold for what is planned or changed from then on."""
    await Calendar(database, Tenants.one(brand)).set(brand, wanted.model_dump())
    return wanted


async def export(database: Database, brand: str) -> AsyncIterator[str]:
    """All planned posts as CSV, as `plan_files.take` reads it."""
    yield lines([COLUMNS])
    calendar, after = Calendar(database, Tenants.one(brand)), ""
    while some := await calendar.all(after, EXPORTED_AT_ONCE):
        for each in some:
            cells: Mapping[str, Any] = {
                **each,
                "id": each["plan"],
                "media": " ".join(each["media"]),
            }
            yield lines([[cells[name] for name in COLUMNS]])
        after = some[-1]["_id"]


async def current_feed(database: Database, brand: str) -> CurrentFeed:
    """Whether the feed has an address, and which; one from before they were kept works and cannot be shown."""
    found = await Calendar(database, Tenants.one(brand)).settings(brand) or {}
    token = found.get("feed_token")
    return CurrentFeed(made=found.get("feed") is not None, path=None if token is None else _feed_path(token))


async def renew_feed(database: Database, brand: str, *, replace: bool) -> Feed:
    """Makes an address for the feed; with `replace` also where that ends another one. Raises ProblemError (409)."""
    if not replace and (await current_feed(database, brand)).made:
        why = "the feed has an address already, which would stop working; send it with replace=true if that is meant"
        raise ProblemError(409, "conflict", why)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    await Calendar(database, Tenants.one(brand)).set(brand, {"feed": _hash(token), "feed_token": token})
    return Feed(path=_feed_path(token))


def _feed_path(token: str) -> str:
    return f"/v1/calendar/{token}.ics"


async def feed(database: Database, token: str, now: datetime) -> bytes:
    """A brand's planned posts as iCalendar. Raises ProblemError (404)."""
    found = await Calendar(database, Tenants(None)).of_feed(_hash(token))
    if found is None:
        raise not_found("calendar")
    tenants = Tenants.one(found["brand"])
    planned = await Calendar(database, tenants).between(now - FEED_BEFORE, now + FEED_AFTER, None, MOST_IN_FEED)
    return await FILES.run(found["brand"], _ical, planned)


def _ical(planned: Sequence[Document]) -> bytes:
    calendar = icalendar.Calendar()
    calendar.add("prodid", "-//Rapport//Editorial calendar//EN")
    calendar.add("version", "2.0")
    for each in planned:
        if each["state"] == "cancelled":
            continue
        event = icalendar.Event()
        event.add("uid", f"{hashlib.sha256(each['_id'].encode()).hexdigest()[:32]}@rapport")
        event.add("dtstamp", each["updated_at"])
        event.add("dtstart", each["planned_at"])
        # RFC 5545 3.3.11: no control characters in text; strict readers refuse the whole calendar for one.
        said = excerpt(plain(each["text"])) or ", ".join(each["media"])
        event.add("summary", one_line(f"{each['platform']}: {said}", LONGEST_SUMMARY))
        event.add("description", plain(each["text"]))
        event.add("status", "CONFIRMED" if each["state"] == "planned" else "TENTATIVE")
        calendar.add_component(event)
    return bytes(calendar.to_ical())


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
