"""From stored documents to what the API gives; the portal shows the same."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from rapport.contracts import controls
from rapport.contracts.controls import Decided
from rapport.domain import why
from rapport.domain.identity import Standing
from rapport.domain.policy import DEFAULT_RULE, DEFAULT_VERSION
from rapport.domain.relationship import DIMENSIONS, Scoring, score, stage, stage_until, worth
from rapport.domain.times import ms, utc
from rapport.kit.mongo import Document
from services.api import proposals
from services.api.ids import follower_ref
from services.api.projection.documents import standing_of
from services.api.repositories.overview import Medians
from services.api.repositories.scorings import Numbers
from services.api.schemas.policy import Calendar, Policy, Rule
from services.api.schemas.views import (
    Alert,
    AlertMoment,
    Change,
    Changes,
    Contribution,
    Contributions,
    Decision,
    DecisionTaken,
    Delivery,
    Exchange,
    First,
    Follower,
    FollowerName,
    FollowerShort,
    Moment,
    PolicyUsed,
    Step,
    Window,
)

BY_THE_BRAND = frozenset({"reply", "post", "hide", "unhide"})


def stage_of(document: Document | None, numbers: Numbers, now: datetime) -> Any:
    """A follower's stage at `now`, the person's; `new` where the views do not know the follower yet."""
    return "new" if document is None else stage(*standing_of(document), ms(now), numbers[document["scoring"]])


def follower_key(exchange: Document) -> str:
    """The `_id` of an exchange's follower."""
    return f"{exchange['brand']}/{exchange['platform']}/{exchange['follower']['id']}"


def exchange_fields(document: Document, follower: Document | None, numbers: Numbers, now: datetime) -> dict[str, Any]:
    """The fields of `schemas.views.Exchange`."""
    who = document["follower"]
    first = document["first"]
    return {
        "id": document["_id"],
        **{name: document[name] for name in ("brand", "platform", "account", "conversation", "comments", "opened_at")},
        **{name: document[name] for name in ("due_at", "state", "backfilled", "breached_at")},
        "follower": FollowerShort(
            id=follower_ref(document["platform"], who["id"]),
            platform_id=who["id"],
            handle=who.get("handle"),
            name=who.get("name"),
            stage=stage_of(follower, numbers, now),
        ),
        "first": First(id=first["id"], url=first.get("url"), text=first.get("text")),
        "cancelled_because": document.get("cancelled_because"),
        "superseded_by": document.get("superseded_by"),
        "answered_at": document.get("answered_at"),
        "answered_by": document.get("answered_by"),
        "response_seconds": document.get("response_seconds"),
        "business_seconds": document.get("business_seconds"),
        "decision": Decision(**document["decision"]) if document.get("decision") else None,
        "stage_wanted": document.get("stage_wanted", False),
        "policy": PolicyUsed(**document["policy"]),
    }


def exchange(document: Document, follower: Document | None, numbers: Numbers, now: datetime) -> Exchange:
    """An exchange as lists show it."""
    return Exchange(**exchange_fields(document, follower, numbers, now))


def rule(set_by: controls.Rule) -> Rule:
    """A rule as it was put."""
    return Rule.model_validate(msgspec.to_builtins(set_by))


def policy(document: Document, in_force: int | None) -> Policy:
    """A stored version. `in_force` is the number of the one that is."""
    version = proposals.stored(document)
    return Policy(
        version=version.version,
        effective_from=version.effective_from,
        in_force=version.version == in_force,
        rules=[rule(each) for each in version.rules],
        calendars={
            name: Calendar.model_validate(msgspec.to_builtins(calendar)) for name, calendar in version.calendars.items()
        },
    )


def default_policy() -> Policy:
    """What applies before a brand has rules of its own."""
    return Policy(version=DEFAULT_VERSION, effective_from=None, in_force=True, rules=[rule(DEFAULT_RULE)], calendars={})


def duration(seconds: float) -> str:
    """A duration in words, two units at most: `24 h`, `2 d 3 h`, `45 s`."""
    left = round(seconds)
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        # A day as `24 h` is how answers within a day are spoken of.
        if unit == "d" and left < 2 * size:
            continue
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def moment(document: Document) -> Moment:
    """An interaction in a history."""
    by: Literal["follower", "brand"] = "brand" if document["kind"] in BY_THE_BRAND else "follower"
    actor = document["actor"]
    return Moment(
        at=document["occurred_at"],
        id=document["interaction"],
        kind=document["kind"],
        by=by,
        actor=actor.get("name") or actor.get("handle"),
        text=document.get("text"),
        url=document["object"].get("url"),
        undo=document.get("undo", False),
        account=document["account"],
    )


def delivery(document: Document) -> Delivery:
    """One channel's delivery of an alert."""
    return Delivery.model_validate({name: document.get(name) for name in Delivery.model_fields})


def alert(document: Document, deliveries: list[Document]) -> Alert:
    """An alert with its deliveries."""
    names = ("brand", "exchange", "platform", "step", "due_at", "created_at", "unconfirmed")
    who = document["follower"]
    return Alert(
        id=document["_id"],
        follower=FollowerName(
            id=follower_ref(document["platform"], who["id"]),
            platform_id=who["id"],
            handle=who.get("handle"),
            name=who.get("name"),
        ),
        deliveries=[delivery(each) for each in deliveries],
        **{name: document[name] for name in names},
    )


def alert_moment(document: Document, deliveries: list[Document]) -> AlertMoment:
    """An alert in a history."""
    return AlertMoment(
        at=document["created_at"],
        id=document["_id"],
        step=document["step"],
        unconfirmed=document["unconfirmed"],
        deliveries=[delivery(each) for each in deliveries],
    )


def own_standing(document: Document) -> Standing:
    """What a follower brings to a person by itself."""
    return Standing(document["sums"], document["last_purchase_at"])


def standing_fields(standing: Standing, scoring: Scoring, now: datetime) -> dict[str, Any]:
    """Stage and dimensions of a whole person."""
    bought = standing.last_purchase_at
    return {
        "stage": stage(standing.sums, ms(bought) if bought else None, ms(now), scoring),
        **{name: score(standing.sums.get(name, 0.0), name, ms(now), scoring) for name in DIMENSIONS},
    }


def follower_short(document: Document, numbers: Numbers, now: datetime) -> FollowerShort:
    """A follower as lists name one."""
    return FollowerShort(
        id=follower_ref(document["platform"], document["follower"]),
        platform_id=document["follower"],
        handle=document["handle"],
        name=document["name"],
        stage=stage_of(document, numbers, now),
    )


def follower_fields(document: Document, open_exchanges: int, numbers: Numbers, now: datetime) -> dict[str, Any]:
    """The fields of `schemas.views.Follower`."""
    scoring = numbers[document["scoring"]]
    until = stage_until(*standing_of(document), ms(now), scoring)
    return {
        "id": follower_ref(document["platform"], document["follower"]),
        "platform_id": document["follower"],
        **{name: document[name] for name in ("platform", "handle", "name", "first_seen", "last_seen", "counts")},
        "stage": stage_of(document, numbers, now),
        "stage_until": None if until is None else utc(until),
        "person": document["person"],
        **{name: score(document["standing"]["sums"].get(name, 0.0), name, ms(now), scoring) for name in DIMENSIONS},
        "open_exchanges": open_exchanges,
    }


def follower(document: Document, open_exchanges: int, numbers: Numbers, now: datetime) -> Follower:
    """A follower as lists show one."""
    return Follower(**follower_fields(document, open_exchanges, numbers, now))


def changes(document: Document, scoring: Scoring, now: datetime, over: int) -> Changes:
    """What became of each dimension in the last `over` days."""
    return Changes(
        **{
            name: Change(
                points=round(each.points),
                brought=_worths(each.brought),
                faded=round(each.faded, 2),
            )
            for name, each in why.changes(document["days"], scoring, ms(now), over).items()
        }
    )


def next_steps(document: Document, scoring: Scoring, now: datetime) -> list[Step]:
    """What would raise the stage."""
    found = why.next_steps(*standing_of(document), document["days"], scoring, ms(now))
    return [Step.model_validate(msgspec.to_builtins(each)) for each in found]


def _worths(worths: Mapping[str, float]) -> list[Contribution]:
    found = [Contribution(kind=kind, worth=round(worth, 2)) for kind, worth in worths.items()]
    return sorted((each for each in found if each.worth), key=lambda each: (-abs(each.worth), each.kind))


def contributions(document: Document, scoring: Scoring, now: datetime) -> Contributions:
    """What made each dimension, the largest first."""
    return Contributions(
        **{
            name: _worths(
                {
                    kind: worth(total, name, ms(now), scoring)
                    for kind, total in document["contributions"].get(name, {}).items()
                }
            )
            for name in DIMENSIONS
        }
    )


def decision(decided: Decided) -> DecisionTaken:
    """What was decided just now."""
    return DecisionTaken(**{name: getattr(decided, name) for name in DecisionTaken.model_fields})


def window(figures: Mapping[str, int], name: str, medians: Medians) -> Window:
    """One span's figures, from what `repositories.overview` counted."""
    met, missed = figures.get(f"{name}_met", 0), figures.get(f"{name}_missed", 0)
    return Window(
        answered=figures.get(f"{name}_answered", 0),
        late=figures.get(f"{name}_late", 0),
        met=met,
        missed=missed,
        compliance=met / (met + missed) if met + missed else None,
        spam=figures.get(f"{name}_spam", 0),
        median_response_seconds=medians.seconds,
        median_business_seconds=medians.business_seconds,
    )
