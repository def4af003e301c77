"""Lists of exchanges, and single ones with their explanation and history."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rapport.contracts.controls import Decided
from rapport.domain.arrivals.lateness import delay, of_the_team
from rapport.domain.times import ms
from services.api.alerts.documents import AlertDocument
from services.api.alerts.repository import Alerts
from services.api.alerts.schemas import AlertMoment
from services.api.alerts.service import alert_moment
from services.api.exchanges.documents import ExchangeDocument
from services.api.exchanges.explanation import Seen, explanation
from services.api.exchanges.repository import ENDED, Exchanges, Wanted
from services.api.exchanges.schemas import (
    Decision,
    DecisionTaken,
    Exchange,
    ExchangeDetail,
    ExchangesQuery,
    First,
    PolicyUsed,
)
from services.api.followers.documents import FollowerStanding
from services.api.followers.repository import Followers
from services.api.followers.schemas import FollowerShort
from services.api.followers.service import stage_of
from services.api.http import paging
from services.api.http.ids import follower_parts, follower_ref
from services.api.http.problems import invalid
from services.api.http.schemas import Page
from services.api.interactions.documents import InteractionDocument
from services.api.interactions.repository import Interactions
from services.api.interactions.schemas import Moment
from services.api.interactions.service import moment_shown
from services.api.policies.repository import Policies, stored
from services.api.scoring.repository import Numbers, Scorings
from services.api.storage.tenants import Database, Tenants


def follower_key(exchange: ExchangeDocument) -> str:
    """The `_id` of an exchange's follower."""
    return f"{exchange['brand']}/{exchange['platform']}/{exchange['follower']['id']}"


def exchange_fields(
    document: ExchangeDocument, follower: FollowerStanding | None, numbers: Numbers, now: datetime
) -> dict[str, Any]:
    """The fields of `exchanges.schemas.Exchange`."""
    who = document["follower"]
    first = document["first"]
    decision = document.get("decision")
    return {
        "id": document["_id"],
        "brand": document["brand"],
        "platform": document["platform"],
        "account": document["account"],
        "conversation": document["conversation"],
        "comments": document["comments"],
        "opened_at": document["opened_at"],
        "due_at": document["due_at"],
        "state": document["state"],
        "backfilled": document["backfilled"],
        "breached_at": document["breached_at"],
        "follower": FollowerShort(
            id=follower_ref(document["platform"], who["id"]),
            platform_id=who["id"],
            handle=who.get("handle"),
            name=who.get("name"),
            stage=stage_of(follower, numbers, now),
        ),
        "first": First(
            id=first["id"],
            url=first.get("url"),
            text=first.get("text"),
            text_expired=first.get("text") is None and "kept_until" in first,
        ),
        "cancelled_because": document.get("cancelled_because"),
        "answered_at": document.get("answered_at"),
        "answered_by": document.get("answered_by"),
        "response_seconds": document.get("response_seconds"),
        "business_seconds": document.get("business_seconds"),
        "received_at": document.get("received_at"),
        "platform_seconds": platform_seconds(document),
        "team_seconds": _team_seconds(document),
        "decision": Decision(**decision) if decision else None,
        "stage_wanted": document.get("stage_wanted", False),
        "policy": PolicyUsed(**document["policy"]),
    }


def platform_seconds(document: ExchangeDocument) -> float | None:
    """How long the platform took to tell of an exchange; None where nobody knows, and of what came afterwards."""
    received_at = document.get("received_at")
    if received_at is None or document["backfilled"]:
        return None
    return delay(document["opened_at"], received_at)


def _team_seconds(document: ExchangeDocument) -> float | None:
    received_at, answered_at = document.get("received_at"), document.get("answered_at")
    if received_at is None or answered_at is None or document["backfilled"]:
        return None
    return of_the_team(received_at, answered_at)


def exchange_shown(
    document: ExchangeDocument, follower: FollowerStanding | None, numbers: Numbers, now: datetime
) -> Exchange:
    """An exchange as lists show it."""
    return Exchange(**exchange_fields(document, follower, numbers, now))


def decision_shown(decided: Decided) -> DecisionTaken:
    """A decision as the API gives it."""
    return DecisionTaken(**{name: getattr(decided, name) for name in DecisionTaken.model_fields})


LONGEST_HISTORY = 200


async def page_of_exchanges(
    database: Database, tenants: Tenants, query: ExchangesQuery, now: datetime
) -> Page[Exchange]:
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

    after: paging.Position | None = None
    part = "open" if with_open else "ended"
    if query.cursor is not None:
        place, at, last_id = paging.decode("exchanges", query.cursor, (str, int, str))
        if place not in ("open", "ended"):
            raise invalid("cursor", "not a cursor from this list")
        part, after = str(place), (paging.time_of(at), str(last_id))

    to_read = paging.rows_to_read(query.limit)
    found: list[tuple[str, ExchangeDocument]] = []
    if part == "open" and with_open:
        found += [("open", row) for row in await repository.open(wanted, after, to_read)]
        after = None
    if ended and len(found) < to_read:
        found += [("ended", row) for row in await repository.ended(ended, wanted, after, to_read - len(found))]

    shown, following = paging.page(found, query.limit, _cursor_after)
    return Page(items=await _with_stages(database, tenants, [row for _, row in shown], now), next=following)


def _cursor_after(row: tuple[str, ExchangeDocument]) -> str:
    place, last = row
    at = last["due_at"] if place == "open" else last["opened_at"]
    return paging.encode("exchanges", place, ms(at), last["_id"])


async def _with_stages(
    database: Database, tenants: Tenants, documents: Sequence[ExchangeDocument], now: datetime
) -> list[Exchange]:
    known = await Followers(database, tenants).standings({follower_key(each) for each in documents})
    numbers = await Scorings(database).of(known.values())
    return [exchange_shown(each, known.get(follower_key(each)), numbers, now) for each in documents]


async def exchange_detail(
    database: Database, tenants: Tenants, id: str, zone: str, now: datetime
) -> ExchangeDetail | None:
    """One exchange, its explanation with times in `zone`, and its history, oldest first."""
    document = await Exchanges(database, tenants).find(id)
    if document is None:
        return None
    key = follower_key(document)
    known = await Followers(database, tenants).standings([key])
    policy = await Policies(database, tenants).version(document["brand"], document["policy"]["version"])
    alerts = Alerts(database, tenants)
    raised = await alerts.of_exchange(id)
    deliveries = await alerts.deliveries(each["_id"] for each in raised)
    said = await _said(database, tenants, document)
    moments: list[Moment | AlertMoment] = [moment_shown(each) for each in said]
    moments += [alert_moment(each, deliveries.get(each["_id"], [])) for each in raised]
    return ExchangeDetail(
        **exchange_fields(document, known.get(key), await Scorings(database).of(known.values()), now),
        explanation=explanation(document, stored(policy) if policy else None, zone, now, _seen(document, said, raised)),
        history=sorted(moments, key=lambda each: (each.at, each.id)),
    )


async def _said(database: Database, tenants: Tenants, document: ExchangeDocument) -> list[InteractionDocument]:
    """The interactions of an exchange's thread."""
    interactions = await Interactions(database, tenants).of_follower(
        document["platform"], document["follower"]["id"], LONGEST_HISTORY, document["conversation"]
    )
    # Interactions that name another thread belong to another exchange.
    return [each for each in interactions if each.get("thread", document["thread"]) == document["thread"]]


def _seen(document: ExchangeDocument, said: Sequence[InteractionDocument], raised: Sequence[AlertDocument]) -> Seen:
    """What the history adds to the explanation: the latest breach, and the name of the person who answered."""
    missed = max(
        (each for each in raised if each["step"] in ("breach", "escalation")),
        key=lambda each: each["created_at"],
        default=None,
    )
    answerer = next((each["actor"] for each in said if each["actor"]["id"] == document.get("answered_by")), None)
    return Seen(
        unconfirmed=document["breached_at"] is not None and missed is not None and missed["unconfirmed"],
        answerer=(answerer.get("name") or answerer.get("handle")) if answerer else None,
    )
