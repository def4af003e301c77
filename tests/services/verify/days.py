"""Days with everything in them that an exchange, a relationship or a count can be made of."""

import random

from msgspec import structs

from rapport.contracts.business_hours import WEEKDAYS, Calendar, Hours
from rapport.contracts.controls import (
    Absence,
    AccountConnected,
    AccountDisconnected,
    FollowerAway,
    PolicyRule,
    PolicyVersion,
    When,
)
from rapport.contracts.events import Actor, Interaction
from rapport.domain.times import utc
from tests.services.scorer.story import DAY, HOUR, day, interaction

_ALL_DAY: Hours = (("00:00", "24:00"),)


def policies(now: int) -> list[PolicyVersion]:
    """Three versions, with rules by word, by stage, by calendar, and one that sets no clock.

    The last one makes overdue at once what is open since half an hour.
    """
    calendar = Calendar(timezone="Europe/Oslo", week=dict.fromkeys(WEEKDAYS, _ALL_DAY))
    first = PolicyVersion(
        brand="acme",
        version=1,
        effective_from=utc(now - 2 * DAY),
        rules=(
            PolicyRule(
                when=When(words=("urgent",)), target_seconds=1800, warn_at=(0.5,), escalate_after_seconds=(600, 3600)
            ),
            PolicyRule(when=When(empty=True), target_seconds=None),
            PolicyRule(when=When(stage=("likes", "trusts", "buys")), target_seconds=3600),
            PolicyRule(target_seconds=3 * 3600, calendar="always"),
        ),
        calendars={"always": calendar},
    )
    second = PolicyVersion(
        brand="acme",
        version=2,
        effective_from=utc(now - 90 * 60_000),
        rules=(PolicyRule(target_seconds=1200, escalate_after_seconds=(1800,), automatic_answers=True),),
    )
    third = PolicyVersion(
        brand="acme", version=3, effective_from=utc(now - 30 * 60_000), rules=(PolicyRule(target_seconds=60),)
    )
    return [first, second, third]


def connected(now: int) -> AccountConnected:
    """An account whose first comments came before it was connected."""
    return AccountConnected(brand="acme", account="acme-1", platform="generic", connected_at=utc(now - 4 * HOUR))


def aways(now: int) -> list[FollowerAway]:
    """What becomes of the accounts of some who wait: gone, out of sight, and out of sight until a while ago."""
    told: list[tuple[int, Absence, int]] = [
        (1, "deleted", HOUR), (2, "suspended", HOUR), (3, "suspended", 3 * HOUR), (3, "back", 2 * HOUR),
        (4, "deleted", 4 * HOUR), (4, "back", 3 * HOUR),
    ]  # fmt: skip
    return [
        FollowerAway(
            id=f"x{who}-{how}", brand="acme", platform="generic", follower=f"x{who}", at=utc(now - ago), how=how
        )
        for who, how, ago in told
    ]


def disconnected(now: int) -> AccountDisconnected:
    """An account that some comments waited on."""
    return AccountDisconnected(brand="acme", account="acme-2", platform="generic", disconnected_at=utc(now - HOUR))


def busy(seed: int, many: int, now: int) -> list[Interaction]:
    """`day`, with the kinds and ways of arrival that it lacks, for two brands, in no order; some with other names."""
    dice = random.Random(seed)
    found = [*day(seed, many, now), *_conversations(seed, dice, now), *_engagements(seed, dice, now)]
    again = [
        # The platform sends it again, and ingest sees it at another time: the first counts.
        structs.replace(each, observed_at=utc(now + 5000), text="once more")
        for each in dice.sample(found, len(found) // 20)
    ]
    renamed = [
        structs.replace(each, actor=Actor(id=each.actor.id, handle=f"@{each.actor.id}-new", avatar_url="https://a/b"))
        if dice.random() < 0.2
        else each
        for each in found
    ]
    dice.shuffle(renamed)
    other = [structs.replace(each, brand="zeta") for each in renamed[: many // 3]]
    return [*renamed, *other, *again]


def _conversations(seed: int, dice: random.Random, now: int) -> list[Interaction]:
    found: list[Interaction] = []
    for number in range(60):
        at = now - 5 * HOUR + number * 4 * 60_000
        who, name = f"x{number % 15}", f"v{seed}-{number}"
        post = {"follower": who, "thread": f"post-{number % 7}", "conversation": f"post-{number % 7}"}
        chat = {"follower": who, "thread": f"chat-{who}", "conversation": f"chat-{who}"}
        linked = {"follower": who, "thread": None, "conversation": f"acme-1:{who}"}
        found += [
            interaction("message", f"{name}-m", at, text="Are you open?", **chat),
            interaction("comment", f"{name}-c", at, text="This is URGENT, please", **post),
            interaction("comment", f"{name}-e", at, text="!!!", **post),
            interaction("mention", f"{name}-p", at, text="Nice", **linked),
            interaction("comment", f"{name}-l", at + 1000, parent=f"{name}-p", text="Nicer", **linked),
            interaction("comment", f"{name}-s", at, staff=True, text="among us", **post),
            interaction("edit", f"{name}-d", at + 2000, of=f"{name}-c", text="urgent?", **post),
            structs.replace(interaction("comment", f"{name}-2", at, text="On the other", **post), account="acme-2"),
        ]
        if number % 3 == 0:
            found.append(interaction("reply", f"{name}-r", at + 60_000, **{**chat, "follower": "staff"}))
            found.append(interaction("reply", f"{name}-a", at + 5000, parent=f"{name}-l", automatic=True, **linked))
        if number % 4 == 0:
            found.append(interaction("hide", f"{name}-h", at + 10_000, of=f"{name}-c", **post))
            if number % 8 == 0:
                found.append(
                    interaction("unhide", f"{name}-u", at + dice.randrange(9_000, 20_000), of=f"{name}-c", **post)
                )
    return found


def _engagements(seed: int, dice: random.Random, now: int) -> list[Interaction]:
    found: list[Interaction] = []
    for number in range(60):
        at = now - 5 * HOUR + number * 4 * 60_000
        who, name = f"x{dice.randrange(15)}", f"w{seed}-{number}"
        found.append(interaction(dice.choice(["purchase", "vote", "entry", "share"]), name, at, follower=who))
        found.append(interaction("follow", f"{name}-f", at, of="page", follower=who))
        if number % 3 == 0:
            found.append(interaction("follow", f"{name}-g", at + 500, of="page", follower=who, undo=True))
        if number % 20 == 0:
            found.append(interaction("block", f"{name}-b", at, of=who, follower=who))
            if number % 40 == 0:
                found.append(interaction("block", f"{name}-o", at + HOUR, of=who, follower=who, undo=True))
        if number % 10 == 0:
            found.append(interaction("post", f"{name}-t", at, follower="acme-page"))
    return found
