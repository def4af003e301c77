"""What a brand did to others, and whom it could reach out to today; put together for the API and the portal.

The list of a day is kept in `outreach_days` once it was asked for, because it is advice that was given: people act on
it in the course of the day, and what they do must not shuffle it. It grows where there is room; nobody on it is moved.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from rapport.domain import relationship
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
from rapport.domain.times import ms, utc
from rapport.kit.mongo import Document
from services.api import cursors, reading
from services.api.ids import follower_ref
from services.api.periods import day_of, span_of
from services.api.reading import Database
from services.api.repositories.beginnings import Beginnings
from services.api.repositories.followers import Followers
from services.api.repositories.outreach import Outreach, reached
from services.api.repositories.scorings import Scorings
from services.api.repositories.tenants import Tenants
from services.api.schemas.common import Page, PageQuery
from services.api.schemas.new import Outreach as Act
from services.api.schemas.new import OutreachToday, ToReach
from services.api.schemas.new import Reason as ShownReason
from services.api.schemas.views import FollowerName
from services.api.stored import read

MOST_CANDIDATES = 50
"""Of each reason so many are looked at, to suggest the best few."""
LOOKED_FOR = timedelta(minutes=1)
"""So long nobody else is looked for: a page that is open all day asks often."""


async def done(database: Database, tenants: Tenants, query: PageQuery) -> Page[Act]:
    """What a brand did of its own accord, the latest first. Raises ProblemError (422)."""
    after = cursors.place("outreach", query.cursor)
    found = await Outreach(database, tenants).done(after, query.limit + 1)
    shown = found[: query.limit]
    following = None
    if len(found) > len(shown):
        following = cursors.encode("outreach", ms(shown[-1]["occurred_at"]), shown[-1]["_id"])
    known = await Followers(database, tenants).some(_key(each) for each in shown)
    return Page(items=[_act(each, known.get(_key(each))) for each in shown], next=following)


def _key(act: Document) -> str:
    return f"{act['brand']}/{act['platform']}/{reached(act)}"


def _act(document: Document, follower: Document | None) -> Act:
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


async def today(database: Database, brand: Document, now: datetime) -> OutreachToday:
    """Whom a brand could reach out to today, and why."""
    zone = brand["settings"]["timezone"]
    day = day_of(now, zone)
    tenants = Tenants.one(brand["_id"])
    items = await _listed(database, brand["_id"], tenants, day, zone, now)
    found = await Followers(database, tenants).some(each["follower"] for each in items)
    there = [each for each in items if each["follower"] in found and not _left_out(found[each["follower"]])]
    documents = [found[each["follower"]] for each in there]
    contacted = await _contacted(database, tenants, documents, now)
    people = await reading.listed_followers(database, tenants, documents, now)
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


def _reasons(item: Document) -> tuple[Reason, ...]:
    return read(item["reasons"], tuple[Reason, ...])


def _shown(reason: Reason, at: datetime) -> ShownReason:
    return ShownReason(**{name: getattr(reason, name) for name in Reason.__struct_fields__}, words=words(reason, at))


async def _listed(
    database: Database, brand: str, tenants: Tenants, day: str, zone: str, now: datetime
) -> Sequence[Document]:
    """The list of a day, with who joins it by now."""
    repository = Outreach(database, tenants)
    while True:
        stored = await repository.listed(brand, day)
        items: list[Document] = stored["items"] if stored else []
        if stored is not None and now - stored["looked_at"] < LOOKED_FOR:
            return items
        candidates, contacted = await _candidates(database, brand, tenants, day, zone, now)
        listed = [Suggestion(each["follower"], _reasons(each)) for each in items]
        more = [
            {
                "follower": each.follower,
                "reasons": msgspec.to_builtins(each.reasons, builtin_types=(datetime,)),
                "added_at": utc(ms(now)),
            }
            for each in ranked(candidates, contacted, now, listed)
        ]
        if await repository.keep(brand, day, stored["revision"] if stored else 0, [*items, *more], now):
            return [*items, *more]
        # Somebody else added to it meanwhile: there is another list to add to.


async def _candidates(
    database: Database, brand: str, tenants: Tenants, day: str, zone: str, now: datetime
) -> tuple[list[Candidate], Mapping[str, datetime]]:
    """Whom each reason speaks for, and when the brand last turned to each of them."""
    outreach = Outreach(database, tenants)
    buyers = await outreach.quiet(("buys",), now - QUIET_BUYER, MOST_CANDIDATES)
    friends = await outreach.quiet(("likes", "trusts"), now - QUIET_FRIEND, MOST_CANDIDATES)
    unanswered = await outreach.unanswered(now - UNANSWERED_WITHIN, MOST_CANDIDATES)
    shares = await outreach.shares(now - SHARED_WITHIN, MOST_CANDIDATES)
    start, end = span_of(day, day, ZoneInfo(zone))
    new = await Beginnings(database, tenants).page(start, end, None, MOST_CANDIDATES)
    shared = {f"{brand}/{each['platform']}/{each['follower']}": each for each in shares}
    people = {each["_id"]: each for each in (*buyers, *friends, *unanswered)}
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


async def _weights(database: Database, people: Iterable[Document], now: datetime) -> dict[str, float]:
    """How much somebody likes and trusts the brand."""
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
    database: Database, tenants: Tenants, people: Iterable[Document], now: datetime
) -> dict[str, datetime]:
    of_platform: dict[str, set[str]] = {}
    keys: dict[tuple[str, str], str] = {}
    for each in people:
        of_platform.setdefault(each["platform"], set()).add(each["follower"])
        keys[each["platform"], each["follower"]] = each["_id"]
    contacts = await Outreach(database, tenants).contacts(of_platform, now - REST)
    return {keys[who]: at for who, at in contacts.items() if who in keys}


def _blocked(follower: Document) -> bool:
    return bool(follower["counts"].get("block"))


def _left_out(follower: Document) -> bool:
    return follower["bot"] or _blocked(follower)
