"""New relationships by day, and the goal."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from services.api.brands.documents import BrandDocument
from services.api.followers.repository import Followers
from services.api.followers.service import listed_followers
from services.api.http import paging
from services.api.http.periods import day_of, days_between, period, span_of
from services.api.http.schemas import Page, PageQuery
from services.api.new_relationships.documents import BeginningDocument
from services.api.new_relationships.repository import Beginnings
from services.api.new_relationships.schemas import Began, DayNew, NewDays, NewGoal, NewRelationship, PlatformNew
from services.api.storage.tenants import Database, Tenants


async def days(
    database: Database, brand: BrandDocument, first: date | None, last: date | None, now: datetime
) -> NewDays:
    """How many began on each day, and the goal. Raises ProblemError (422)."""
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
    database: Database, brand: BrandDocument, day: date, query: PageQuery, now: datetime
) -> Page[NewRelationship]:
    """The relationships that began on a day, the latest first. Raises ProblemError (422)."""
    after = paging.position("new", query.cursor)
    zone = brand["settings"]["timezone"]
    start, end = span_of(*period(day, day, zone, now), ZoneInfo(zone))
    tenants = Tenants.one(brand["_id"])
    found = await Beginnings(database, tenants).page(start, end, after, paging.rows_to_read(query.limit))
    shown, following = paging.page(found, query.limit, lambda row: paging.cursor_after("new", row["at"], row["_id"]))
    known = await Followers(database, tenants).some(each["_id"] for each in shown)
    # The follower may have been erased since.
    there = [each for each in shown if each["_id"] in known]
    people = await listed_followers(database, tenants, [known[each["_id"]] for each in there], now)
    items = [NewRelationship(follower=who, began=_began(each)) for who, each in zip(people, there, strict=True)]
    return Page(items=items, next=following)


def _began(document: BeginningDocument) -> Began | None:
    interaction, kind, account = document["interaction"], document["kind"], document["account"]
    if interaction is None or kind is None or account is None:
        return None
    return Began(
        id=interaction,
        kind=kind,
        at=document["at"],
        account=account,
        post=document["post"],
        text=document["text"],
        url=document["url"],
    )


async def goal(database: Database, brand: str) -> NewGoal:
    """How many new relationships a brand wants each day."""
    found = await Beginnings(database, Tenants.one(brand)).goal(brand)
    return NewGoal() if found is None else NewGoal(goal=found["goal"], platforms=found["platforms"])


async def set_goal(database: Database, brand: str, wanted: NewGoal) -> NewGoal:
    """Stores the goal."""
    await Beginnings(database, Tenants.one(brand)).set_goal(brand, wanted.model_dump())
    return wanted
