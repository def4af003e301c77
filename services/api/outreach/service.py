"""What a brand did for others, and whom it could reach out to today.

The first request for the list of a day stores it. People work through the list during the day, and what they do must
not reorder it. So it only grows, at the end, while there is room.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from rapport.domain.outreach import (
    QUIET_BUYER,
    QUIET_FRIEND,
    REST,
    SHARED_WITHIN,
    UNANSWERED_WITHIN,
    Candidate,
    Reason,
    Suggestion,
    ranked,
    words,
)
from rapport.domain.relationships import relationship
from rapport.domain.times import ms, utc
from services.api.brands.documents import BrandDocument
from services.api.followers.documents import FollowerStanding, FollowerSummary, ListedFollower
from services.api.followers.repository import Followers
from services.api.followers.schemas import FollowerName
from services.api.followers.service import listed_followers
from services.api.http import paging
from services.api.http.ids import follower_ref
from services.api.http.periods import day_of, span_of
from services.api.http.schemas import Page, PageQuery
from services.api.interactions.documents import InteractionDocument
from services.api.new_relationships.repository import Beginnings
from services.api.outreach.documents import SuggestedDocument
from services.api.outreach.repository import Outreach, reached
from services.api.outreach.schemas import Outreach as Act
from services.api.outreach.schemas import OutreachToday, ToReach
from services.api.outreach.schemas import Reason as ShownReason
from services.api.scoring.repository import Scorings
from services.api.storage.stored import read
from services.api.storage.tenants import Database, Tenants

MOST_CANDIDATES = 50
"""Candidates that are looked at for each reason, to suggest the best few."""
LOOKED_FOR = timedelta(minutes=1)
"""How long a list is reused before more people are looked for. A page that is open all day asks often."""


async def done(database: Database, tenants: Tenants, query: PageQuery) -> Page[Act]:
    """What a brand did of its own accord, the latest first. Raises ProblemError (422)."""
    after = paging.position("outreach", query.cursor)
    found = await Outreach(database, tenants).done(after, paging.rows_to_read(query.limit))
    shown, following = paging.page(
        found, query.limit, lambda row: paging.cursor_after("outreach", row["occurred_at"], row["_id"])
    )
    known = await Followers(database, tenants).some(_key(each) for each in shown)
    return Page(items=[_act(each, known.get(_key(each))) for each in shown], next=following)


def _key(act: InteractionDocument) -> str:
    return f"{act['brand']}/{act['platform']}/{reached(act)}"


def _act(document: InteractionDocument, follower: ListedFollower | None) -> Act:
    actor, whom = document["actor"], reached(document)
    return Act(
        id=document["interaction"],
        at=document["occurred_at"],
        kind=document["kind"],
        platform=document["platform"],
        account=document["account"],
        by=actor.get("name") or actor.get("handle"),
        to=FollowerName(
            id=follower_ref(document["platform"], whom),
            platform_id=whom,
            handle=follower["handle"] if follower else None,
            name=follower["name"] if follower else None,
        ),
        known=follower is not None,
        text=document.get("text"),
        url=document["object"].get("url"),
        undo=document.get("undo", False),
    )


async def today(database: Database, brand: BrandDocument, now: datetime) -> OutreachToday:
    """Whom a brand could reach out to today, and why."""
    zone = brand["settings"]["timezone"]
    day = day_of(now, zone)
    tenants = Tenants.one(brand["_id"])
    items = await _listed(database, brand["_id"], tenants, day, zone, now)
    found = await Followers(database, tenants).some(each["follower"] for each in items)
    there = [each for each in items if each["follower"] in found and not _left_out(found[each["follower"]])]
    documents = [found[each["follower"]] for each in there]
    contacted = await _contacted(database, tenants, documents, now)
    people = await listed_followers(database, tenants, documents, now)
    shown = []
    for who, item in zip(people, there, strict=True):
        at = contacted.get(item["follower"])
        shown.append(
            ToReach(
                follower=who,
                reasons=[_shown(each, item["added_at"]) for each in _reasons(item)],
                added_at=item["added_at"],
                reached_at=at if at is not None and at >= item["added_at"] else None,
            )
        )
    return OutreachToday(day=date.fromisoformat(day), timezone=zone, items=shown)


def _reasons(item: SuggestedDocument) -> tuple[Reason, ...]:
    return read(item["reasons"], tuple[Reason, ...])


def _shown(reason: Reason, at: datetime) -> ShownReason:
    return ShownReason(**{name: getattr(reason, name) for name in Reason.__struct_fields__}, words=words(reason, at))


async def _listed(
    database: Database, brand: str, tenants: Tenants, day: str, zone: str, now: datetime
) -> list[SuggestedDocument]:
    """The list of a day, with the people who are added now."""
    repository = Outreach(database, tenants)
    while True:
        stored = await repository.listed(brand, day)
        items = stored["items"] if stored else []
        if stored is not None and now - stored["looked_at"] < LOOKED_FOR:
            return items
        candidates, contacted = await _candidates(database, brand, tenants, day, zone, now)
        listed = [Suggestion(each["follower"], _reasons(each)) for each in items]
        more: list[SuggestedDocument] = [
            {
                "follower": each.follower,
                "reasons": msgspec.to_builtins(each.reasons, builtin_types=(datetime,)),
                "added_at": utc(ms(now)),
            }
            for each in ranked(candidates, contacted, now, listed)
        ]
        if await repository.keep(brand, day, stored["revision"] if stored else 0, [*items, *more], now):
            return [*items, *more]
        # Somebody else has added to the list meanwhile, so it is read again.


async def _candidates(
    database: Database, brand: str, tenants: Tenants, day: str, zone: str, now: datetime
) -> tuple[list[Candidate], Mapping[str, datetime]]:
    """The candidates for each reason, and when the brand last reached out to each of them."""
    outreach = Outreach(database, tenants)
    buyers = await outreach.quiet(("buys",), now - QUIET_BUYER, MOST_CANDIDATES)
    friends = await outreach.quiet(("likes", "trusts"), now - QUIET_FRIEND, MOST_CANDIDATES)
    unanswered = await outreach.unanswered(now - UNANSWERED_WITHIN, MOST_CANDIDATES)
    shares = await outreach.shares(now - SHARED_WITHIN, MOST_CANDIDATES)
    start, end = span_of(day, day, ZoneInfo(zone))
    new = await Beginnings(database, tenants).page(start, end, None, MOST_CANDIDATES)
    shared = {f"{brand}/{each['platform']}/{each['follower']}": each for each in shares}
    people: dict[str, FollowerSummary] = {each["_id"]: each for each in (*buyers, *friends, *unanswered)}
    people |= await Followers(database, tenants).some({*shared, *(each["_id"] for each in new)} - people.keys())
    reasons: list[tuple[str, Reason]] = [
        *((each["_id"], Reason("quiet_buyer", each["last_seen"], stage="buys")) for each in buyers),
        *((each["_id"], Reason("quiet_friend", each["last_seen"], stage=each["stage"])) for each in friends),
        *((key, Reason("shared", each["occurred_at"], post=each.get("post"))) for key, each in shared.items()),
        *(
            (each["_id"], Reason("unanswered", each["last_seen"], comments=each["counts"]["comment"]))
            for each in unanswered
        ),
        *((each["_id"], Reason("new", each["at"], post=each["post"])) for each in new),
    ]
    weights = await _weights(database, people.values(), now)
    candidates = [
        Candidate(
            key,
            reason,
            weight=reason.comments or weights[key],
            bot=people[key]["bot"],
            blocked=_blocked(people[key]),
        )
        for key, reason in reasons
        if key in people
    ]
    return candidates, await _contacted(database, tenants, people.values(), now)


async def _weights(database: Database, people: Iterable[FollowerStanding], now: datetime) -> dict[str, float]:
    """How much each of them likes and trusts the brand."""
    people = list(people)
    numbers = await Scorings(database).of(people)
    return {
        each["_id"]: sum(
            relationship.worth(each["standing"]["sums"].get(name, 0.0), name, ms(now), numbers[each["scoring"]])
            for name in ("like", "trust")
        )
        for each in people
    }


async def _contacted(
    database: Database, tenants: Tenants, people: Iterable[FollowerSummary], now: datetime
) -> dict[str, datetime]:
    of_platform: dict[str, set[str]] = {}
    keys: dict[tuple[str, str], str] = {}
    for each in people:
        of_platform.setdefault(each["platform"], set()).add(each["follower"])
        keys[each["platform"], each["follower"]] = each["_id"]
    contacts = await Outreach(database, tenants).contacts(of_platform, now - REST)
    return {keys[who]: at for who, at in contacts.items() if who in keys}


def _blocked(follower: FollowerSummary) -> bool:
    return bool(follower["counts"].get("block"))


def _left_out(follower: FollowerSummary) -> bool:
    return follower["bot"] or _blocked(follower)
