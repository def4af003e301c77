"""New relationships by day, put together for the API and the portal."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from rapport.domain.times import ms
from rapport.kit.mongo import Document
from services.api import cursors, reading
from services.api.periods import day_of, days_between, period, span_of
from services.api.reading import Database
from services.api.repositories.beginnings import Beginnings
from services.api.repositories.followers import Followers
from services.api.repositories.tenants import Tenants
from services.api.schemas.common import Page, PageQuery
from services.api.schemas.new import Began, DayNew, NewDays, NewGoal, NewRelationship, PlatformNew


async def days(database: Database, brand: Document, first: date | None, last: date | None, now: datetime) -> NewDays:
    """How many began on each day, against the goal. Raises ProblemError (422)."""
    zone = brand["settings"]["timezone"]
    since, until = period(first, last, zone, now)
    wanted = await goal(database, brand["_id"])
    counted = await Beginnings(database, Tenants.one(brand["_id"])).days(since, until, zone)
    found = [_day(day, counted.get(day, {}), wanted) for day in days_between(since, until)]
    today = date.fromisoformat(day_of(now, zone))
    return NewDays(timezone=zone, today=today, total=sum(each.count for each in found), days=found)


def _day(day: str, counts: dict[str, int], wanted: NewGoal) -> DayNew:
    count = sum(counts.values())
    return DayNew(
        day=date.fromisoformat(day),
        count=count,
        goal=wanted.goal,
        reached=None if wanted.goal is None else count >= wanted.goal,
        platforms=[
            PlatformNew(platform=platform, count=counts.get(platform, 0), goal=wanted.platforms.get(platform))
            for platform in sorted({*counts, *wanted.platforms})
        ],
    )


async def of_day(
    database: Database, brand: Document, day: date, query: PageQuery, now: datetime
) -> Page[NewRelationship]:
    """Who began on a day, the latest first, and with what. Raises ProblemError (422)."""
    after = cursors.place("new", query.cursor)
    zone = brand["settings"]["timezone"]
    start, end = span_of(*period(day, day, zone, now), ZoneInfo(zone))
    tenants = Tenants.one(brand["_id"])
    found = await Beginnings(database, tenants).page(start, end, after, query.limit + 1)
    shown = found[: query.limit]
    following = cursors.encode("new", ms(shown[-1]["at"]), shown[-1]["_id"]) if len(found) > len(shown) else None
    known = await Followers(database, tenants).some(each["_id"] for each in shown)
    # A follower that was erased since has no beginning to show either.
    there = [each for each in shown if each["_id"] in known]
    people = await reading.listed_followers(database, tenants, [known[each["_id"]] for each in there], now)
    items = [NewRelationship(follower=who, began=_began(each)) for who, each in zip(people, there, strict=True)]
    return Page(items=items, next=following)


def _began(document: Document) -> Began | None:
    if document["interaction"] is None:
        return None
    names = ("kind", "at", "account", "post", "text", "url")
    return Began(id=document["interaction"], **{name: document[name] for name in names})


async def goal(database: Database, brand: str) -> NewGoal:
    """How many new relationships a brand wants each day."""
    found = await Beginnings(database, Tenants.one(brand)).goal(brand)
    return NewGoal() if found is None else NewGoal(goal=found["goal"], platforms=found["platforms"])


async def set_goal(database: Database, brand: str, wanted: NewGoal) -> NewGoal:
    """Stores how many it wants."""
    await Beginnings(database, Tenants.one(brand)).set_goal(brand, wanted.model_dump())
    return wanted
