"""Lists and details put together from several repositories; the API gives them, the portal shows them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from rapport.domain.times import ms
from rapport.kit.mongo import Document
from services.api import campaign_views, cursors, explaining, memberships, proposals, shapes
from services.api.explaining import Seen
from services.api.ids import follower_parts
from services.api.problems import invalid
from services.api.repositories.alerts import Alerts
from services.api.repositories.exchanges import ENDED, Exchanges, Place, Wanted
from services.api.repositories.followers import SORTED_BY, Followers
from services.api.repositories.interactions import Interactions
from services.api.repositories.policies import Policies
from services.api.repositories.scorings import Scorings
from services.api.repositories.tenants import Tenants
from services.api.schemas.common import Page
from services.api.schemas.views import (
    Alert,
    AlertMoment,
    AlertsQuery,
    Exchange,
    ExchangeDetail,
    ExchangesQuery,
    Follower,
    FollowerDetail,
    FollowersQuery,
    Moment,
)

Database = AsyncDatabase[Document]

LONGEST_HISTORY = 200
LONGEST_TIMELINE = 100


async def exchanges(database: Database, tenants: Tenants, query: ExchangesQuery, now: datetime) -> Page[Exchange]:
    """Open ones by due time, then ended ones, the latest opened first. Raises ProblemError (422)."""
    follower: tuple[str, str] | None = None
    if query.follower is not None:
        try:
            follower = follower_parts(query.follower)
        except ValueError as error:
            raise invalid("follower", str(error)) from None
    wanted = Wanted(breached=query.breached, backfilled=query.backfilled, platform=query.platform, follower=follower)
    repository = Exchanges(database, tenants)
    with_open = query.state in (None, "open")
    ended: Sequence[str] = () if query.state == "open" else ENDED if query.state is None else (query.state,)

    after: Place | None = None
    part = "open" if with_open else "ended"
    if query.cursor is not None:
        place, at, last_id = cursors.decode("exchanges", query.cursor, (str, int, str))
        if place not in ("open", "ended"):
            raise invalid("cursor", "not a cursor that this list gave")
        part, after = str(place), (cursors.time_of(at), str(last_id))

    # One more than shown tells whether there is a next page.
    found: list[tuple[str, Document]] = []
    if part == "open" and with_open:
        found += [("open", each) for each in await repository.open(wanted, after, query.limit + 1)]
        after = None
    if ended and len(found) <= query.limit:
        missing = query.limit + 1 - len(found)
        found += [("ended", each) for each in await repository.ended(ended, wanted, after, missing)]

    shown = found[: query.limit]
    following = None
    if len(found) > len(shown):
        place, last = shown[-1]
        following = cursors.encode(
            "exchanges", place, ms(last["due_at" if place == "open" else "opened_at"]), last["_id"]
        )
    return Page(items=await _with_stages(database, tenants, [each for _, each in shown], now), next=following)


async def _with_stages(
    database: Database, tenants: Tenants, documents: Sequence[Document], now: datetime
) -> list[Exchange]:
    known = await Followers(database, tenants).named({shapes.follower_key(each) for each in documents})
    numbers = await Scorings(database).of(known.values())
    return [shapes.exchange(each, known.get(shapes.follower_key(each)), numbers, now) for each in documents]


async def exchange(database: Database, tenants: Tenants, id: str, zone: str, now: datetime) -> ExchangeDetail | None:
    """One exchange, its explanation with times in `zone`, and its history, oldest first."""
    document = await Exchanges(database, tenants).find(id)
    if document is None:
        return None
    key = shapes.follower_key(document)
    known = await Followers(database, tenants).named([key])
    policy = await Policies(database, tenants).version(document["brand"], document["policy"]["version"])
    alerts = Alerts(database, tenants)
    raised = await alerts.of_exchange(id)
    deliveries = await alerts.deliveries(each["_id"] for each in raised)
    said = await _said(database, tenants, document)
    moments: list[Moment | AlertMoment] = [shapes.moment(each) for each in said]
    moments += [shapes.alert_moment(each, deliveries.get(each["_id"], [])) for each in raised]
    return ExchangeDetail(
        **shapes.exchange_fields(document, known.get(key), await Scorings(database).of(known.values()), now),
        explanation=explaining.explanation(
            document, proposals.stored(policy) if policy else None, zone, now, _seen(document, said, raised)
        ),
        history=sorted(moments, key=lambda each: (each.at, each.id)),
    )


async def _said(database: Database, tenants: Tenants, document: Document) -> list[Document]:
    """The interactions of an exchange's thread."""
    interactions = await Interactions(database, tenants).of_follower(
        document["platform"], document["follower"]["id"], LONGEST_HISTORY, document["conversation"]
    )
    # What names its thread and names another one belongs to another exchange.
    return [each for each in interactions if each.get("thread", document["thread"]) == document["thread"]]


def _seen(document: Document, said: Sequence[Document], raised: Sequence[Document]) -> Seen:
    """What the explanation takes from the history: the latest breach, and the name of who answered."""
    missed = max(
        (each for each in raised if each["step"] in ("breach", "escalation")),
        key=lambda each: each["created_at"],
        default=None,
    )
    answerer: Document = next(
        (each["actor"] for each in said if each["actor"]["id"] == document.get("answered_by")), {}
    )
    return Seen(
        unconfirmed=document["breached_at"] is not None and missed is not None and missed["unconfirmed"],
        answerer=answerer.get("name") or answerer.get("handle"),
    )


async def followers(database: Database, tenants: Tenants, query: FollowersQuery, now: datetime) -> Page[Follower]:
    """Followers by one dimension or last seen, descending. Raises ProblemError (422) for a foreign cursor."""
    kind = f"followers-{query.sort}"
    after: tuple[Any, str] | None = None
    if query.cursor is not None:
        by_time = query.sort == "last_seen"
        value, last_id = cursors.decode(kind, query.cursor, (int if by_time else float, str))
        after = (cursors.time_of(value) if by_time else float(value), str(last_id))
    found = await Followers(database, tenants).page(query.sort, query.stage, after, query.limit + 1)
    shown = found[: query.limit]
    following = None
    if len(found) > len(shown):
        value = shown[-1][SORTED_BY[query.sort]]
        following = cursors.encode(kind, ms(value) if isinstance(value, datetime) else value, shown[-1]["_id"])
    return Page(items=await listed_followers(database, tenants, shown, now), next=following)


async def listed_followers(
    database: Database, tenants: Tenants, documents: Sequence[Document], now: datetime
) -> list[Follower]:
    """Followers as lists show them, with how many of their exchanges wait."""
    keys = [(each["platform"], each["follower"]) for each in documents]
    waiting = await Exchanges(database, tenants).open_by_follower(keys) if keys else {}
    numbers = await Scorings(database).of(documents)
    return [shapes.follower(each, waiting.get(key, 0), numbers, now) for each, key in zip(documents, keys, strict=True)]


async def follower(database: Database, tenants: Tenants, brand: str, ref: str, now: datetime) -> FollowerDetail | None:
    """One follower by the id of lists, with what made the relationship and its latest interactions."""
    try:
        platform, its_id = follower_parts(ref)
    except ValueError:
        return None
    document = await Followers(database, tenants).find(f"{brand}/{platform}/{its_id}")
    if document is None:
        return None
    waiting = await Exchanges(database, tenants).open_by_follower([(platform, its_id)])
    timeline = await Interactions(database, tenants).of_follower(platform, its_id, LONGEST_TIMELINE)
    numbers = await Scorings(database).of([document])
    scoring = numbers[document["scoring"]]
    return FollowerDetail(
        **shapes.follower_fields(document, waiting.get((platform, its_id), 0), numbers, now),
        contributions=shapes.contributions(document, scoring, now),
        last_7d=shapes.changes(document, scoring, now, 7),
        last_30d=shapes.changes(document, scoring, now, 30),
        next=shapes.next_steps(document, scoring, now),
        timeline=[shapes.moment(each) for each in timeline],
        answers=await campaign_views.given(database, tenants, brand, platform, its_id),
        communities=await memberships.memberships(database, tenants, document),
    )


async def alerts(database: Database, tenants: Tenants, query: AlertsQuery) -> Page[Alert]:
    """Alerts with their deliveries, the latest first. Raises ProblemError (422) for a foreign cursor."""
    after = cursors.place("alerts", query.cursor)
    repository = Alerts(database, tenants)
    found = await repository.page(query.step, query.exchange, after, query.limit + 1)
    shown = found[: query.limit]
    following = None
    if len(found) > len(shown):
        following = cursors.encode("alerts", ms(shown[-1]["created_at"]), shown[-1]["_id"])
    deliveries = await repository.deliveries(each["_id"] for each in shown)
    return Page(items=[shapes.alert(each, deliveries.get(each["_id"], [])) for each in shown], next=following)
