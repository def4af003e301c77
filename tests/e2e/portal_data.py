"""Two brands with some days behind them, written to the views as the projector writes them."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from pymongo.database import Database

from rapport.contracts.business_hours import Calendar
from rapport.contracts.controls import PolicyRule, When
from rapport.contracts.events import Actor, DecisionRef, FirstComment, FollowerRef, Object, PolicyRef, Step
from rapport.domain.policies.policy import Terms
from rapport.domain.relationships.counting import sum_up
from rapport.domain.relationships.relationship import DEFAULT
from rapport.domain.times import ms, utc
from rapport.kit.mongo import Document
from services.api.alerts.documents import alert_document
from services.api.exchanges.documents import exchange_document
from services.api.followers.documents import follower_document
from services.api.interactions.documents import interaction_document
from services.api.projector import views
from services.api.projector.batch import Batch
from tests.services.api import samples

BRAND = "aurora"
OTHER = "harbour"
HOSTILE_NAME = '<script>document.title="owned"</script>'
HOSTILE_TEXT = '<img src=x onerror="document.title=1"> ' + "w" * 400
RIGHT_TO_LEFT = "متى تفتحون أيام السبت؟ سمعت أن القهوة عندكم رائعة"

TIMEZONE = "Europe/Berlin"
SUPPORT = Calendar(
    timezone=TIMEZONE,
    week={
        "mon": (("09:00", "18:00"),),
        "tue": (("09:00", "18:00"),),
        "wed": (("09:00", "18:00"),),
        "thu": (("09:00", "18:00"),),
        "fri": (("09:00", "18:00"),),
    },
)
RULE = PolicyRule(
    target_seconds=4 * 3600, when=When(kind="comment"), calendar="support", escalate_after_seconds=(3600,)
)

_PEOPLE = (
    "Mira Okafor",
    "Jonas Lindqvist",
    "Priya Raman",
    "Tomás Herrera",
    "Aiko Tanaka",
    "Léa Fontaine",
    "Sam Whitaker",
    "Nadia Haddad",
    "Oskar Brandt",
)
_WORDS = (
    "Do you still have the oat milk flat white on the menu?",
    "We came by on Sunday and it was closed. Are the opening hours on the website right?",
    "This looks amazing! Is there a table for six on Friday evening?",
    "My order from last week has not arrived yet, can you have a look?",
    "Which beans do you use for the house espresso?",
    "Loved the workshop. When is the next one?",
    "Is the new place wheelchair accessible?",
    "Can I bring my dog?",
)


def fill(database: Database[Document], now: datetime | None = None) -> None:
    """Writes the brands, their exchanges, followers, interactions, alerts and deliveries."""
    at = now or datetime.now(UTC)
    chance = random.Random(7)  # the same page every time
    for brand, name in ((BRAND, "Café Aurora"), (OTHER, "Harbour Books")):
        database["brands"].insert_one(
            {
                "_id": brand,
                "settings": {"name": name, "timezone": TIMEZONE, "channels": []},
                "pending": None,
                "revision": 1,
                "published_revision": 1,
                "published_at": at,
                "created_at": at,
            }
        )
    batch = Batch()
    _open(batch, at)
    _ended(batch, at, chance)
    _explained(batch, at)
    database["policies"].insert_one(
        {
            "_id": f"{BRAND}/1",
            "brand": BRAND,
            "version": 1,
            "effective_from": at - timedelta(days=60),
            "rules": msgspec.to_builtins([RULE]),
            "calendars": msgspec.to_builtins({"support": SUPPORT}),
            "published": True,
        }
    )
    _people(batch, at, chance)
    alerts: tuple[tuple[Step, int], ...] = (("escalation", 8), ("warning", 55), ("resolved", 190), ("breach", 240))
    for index, (step, minutes) in enumerate(alerts):
        created = at - timedelta(minutes=minutes)
        due = created - timedelta(hours=2) if step == "escalation" else created
        alert = samples.alert(
            f"alert-{index}", BRAND, f"open-{index % 2}", step, created, due_at=due, unconfirmed=step == "escalation"
        )
        batch.alerts[alert.id] = alert_document(alert)
        database["deliveries"].insert_one(
            {
                "_id": f"{alert.id}/team",
                "alert": alert.id,
                "brand": BRAND,
                "channel": "team",
                "channel_type": "mail" if index % 2 else "webhook",
                "status": ("delivered", "pending", "delivered", "failed")[index],
                "attempts": index + 1,
                "last_error": "the receiver answered 500" if index in (1, 3) else None,
                "delivered_at": at,
                "created_at": at,
            }
        )
    views.write(database, batch)


def _open(batch: Batch, at: datetime) -> None:
    due = (-95, 4, 31, 110, 400, 900)
    for index, minutes in enumerate(due):
        name = (HOSTILE_NAME, *_PEOPLE)[index]
        text = (HOSTILE_TEXT, RIGHT_TO_LEFT, *_WORDS)[index]
        who = FollowerRef(id=f"did:plc:{index}", handle=f"user{index}.example", name=name)
        opened = at + timedelta(minutes=minutes) - timedelta(hours=24)
        snapshot = samples.exchange(
            f"open-{index}",
            BRAND,
            opened,
            follower=who,
            first=FirstComment(id=f"at://open-{index}", url=f"https://example.org/{index}", text=text),
            comments=1 + index % 3,
            conversation=f"conversation-{index}",
            breached_at=opened + timedelta(hours=24) if minutes < 0 else None,
        )
        batch.exchanges[snapshot.id] = exchange_document(snapshot, 1)
        said = samples.interaction(
            f"said-{index}",
            BRAND,
            opened,
            actor=Actor(id=who.id, handle=who.handle, name=who.name),
            object=Object(id=f"at://open-{index}", url="javascript:alert(1)"),
            conversation=f"conversation-{index}",
            text=text,
        )
        document = interaction_document(said)
        batch.interactions[document["_id"]] = document


def _ended(batch: Batch, at: datetime, chance: random.Random) -> None:
    for day in range(13):
        for number in range(chance.randint(3, 12)):
            opened = at - timedelta(days=day, hours=25, minutes=chance.randint(0, 300))
            late = chance.random() < 0.13
            seconds = chance.randint(90_000, 120_000) if late else chance.randint(400, 40_000)
            snapshot = samples.exchange(
                f"ended-{day}-{number}",
                BRAND,
                opened,
                state="answered_late" if late else "answered",
                answered_at=opened + timedelta(seconds=seconds),
                answered_by="Grace",
                response_seconds=float(seconds),
                breached_at=opened + timedelta(hours=24) if late else None,
            )
            batch.exchanges[snapshot.id] = exchange_document(snapshot, 1)


def _explained(batch: Batch, at: datetime) -> None:
    """Two of the last Friday, after hours: one answered on Monday, of one somebody said that it needs no reply."""
    local = at.astimezone(ZoneInfo(TIMEZONE)) - timedelta(days=4)
    friday = (local - timedelta(days=(local.weekday() - 4) % 7)).replace(hour=18, minute=5, second=0, microsecond=0)
    opened = friday.astimezone(UTC)
    due = utc(Terms(RULE, 1, 0, SUPPORT).due(ms(opened)))
    ends: tuple[tuple[str, dict[str, Any]], ...] = (
        (
            "friday",
            {
                "state": "answered",
                "answered_at": due - timedelta(hours=1),
                "answered_by": "brand-person",
                "response_seconds": (due - opened).total_seconds() - 3600,
                "business_seconds": 3 * 3600.0,
            },
        ),
        (
            "decided",
            {
                "state": "cancelled",
                "cancelled_because": "no_reply_needed",
                "decision": DecisionRef(by="Mira", at=due - timedelta(hours=2), why="They rang us, and all is well."),
            },
        ),
    )
    for id, fields in ends:  # noqa: A001
        who = FollowerRef(id=f"did:plc:{id}", name=_PEOPLE[len(id)])
        snapshot = samples.exchange(
            id,
            BRAND,
            opened,
            due_at=due,
            follower=who,
            policy=PolicyRef(version=1, rule=0),
            conversation=id,
            thread=id,
            first=FirstComment(id=f"at://{id}", url="https://example.org/f", text="Are you open on Sunday?"),
            **fields,
        )
        batch.exchanges[snapshot.id] = exchange_document(snapshot, 1)
        asked = samples.interaction(
            f"asked-{id}",
            BRAND,
            opened,
            actor=Actor(id=who.id, name=who.name),
            object=Object(id=f"at://{id}"),
            conversation=id,
            thread=id,
            text=snapshot.first.text,
        )
        batch.interactions[asked.id] = interaction_document(asked)
    reply = samples.reply(
        "reply-friday", BRAND, due - timedelta(hours=1), to="at://friday", conversation="friday", thread="friday"
    )
    batch.interactions[reply.id] = interaction_document(reply)


def _people(batch: Batch, at: datetime, chance: random.Random) -> None:
    for index, name in enumerate((HOSTILE_NAME, *_PEOPLE)):
        seen = at - timedelta(minutes=index * 37)
        kinds = ("comment", "reaction", "share", "message", "answered", "unanswered")
        row = samples.follower(
            f"did:plc:{index}",
            BRAND,
            seen,
            days={
                (seen - timedelta(days=chance.randrange(60))).date().isoformat(): {chance.choice(kinds): 2}
                for _ in range(chance.randrange(14))
            },
            name=name,
            first_seen=seen - timedelta(days=index),
            handle=f"user{index}.example",
            counts={"comment": index + 1, "reaction": index * 3},
        )
        if index == 4:
            row.days[seen.date().isoformat()] = {"purchase": 1}
        sum_up(row, DEFAULT)
        document = follower_document(row, 1)
        batch.followers[document["_id"]] = document
