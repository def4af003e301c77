"""What a rule of a community can ask about: stored followers, what they wrote and what they entered, as domain facts.

Linked followers are one person. The follower that stands for the person in lists has the person's scores and stage, is
on each of the person's platforms, and did everything that any of them did. The others belong to no community.

Of what somebody wrote, the latest LATEST comments, mentions and messages count, as they read after their last edit and
without those that were deleted or taken back.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, NotRequired, TypedDict

from rapport.contracts.events import SPOKEN
from rapport.contracts.scoring import Scoring
from rapport.domain.communities.community import CommunityRule, Condition, Facts, conditions, values
from rapport.domain.times import ms
from services.api.followers.documents import FollowerStanding, standing_of
from services.api.interactions.documents import said

LATEST = 200
FOLLOWER = dict.fromkeys(
    (
        *("brand", "platform", "follower", "person", "shadow", "bot", "counts"),
        *("first_seen", "last_seen", "standing", "scoring"),
    ),
    1,
)
"""The fields of `RuledFollower`."""
SAID = dict.fromkeys(
    ("interaction", "follower", "object.id", "occurred_at", "text", "heard", "kind", "about", "undo"), 1
)
"""The fields of `Utterance`."""
CHANGED = ("edit", "delete")

Who = tuple[str, str]
"""A platform, and the follower's id there."""
Texts = Mapping[Who, Sequence[str]]
Entered = Mapping[Who, set[str]]


class RuledFollower(FollowerStanding):
    """A stored follower, as far as rules ask."""

    brand: str
    platform: str
    follower: str
    person: str | None
    shadow: bool
    bot: bool
    counts: dict[str, int]
    first_seen: datetime
    last_seen: datetime


class _Object(TypedDict):
    id: str


class Utterance(TypedDict):
    """A stored interaction by which somebody wrote, edited or deleted something."""

    interaction: str
    follower: NotRequired[str]
    object: _Object
    occurred_at: datetime
    text: NotRequired[str]
    heard: NotRequired[str]
    kind: str
    about: NotRequired[str]
    undo: NotRequired[bool]


class Asked(NamedTuple):
    """What rules ask for besides the followers themselves."""

    words: frozenset[str]
    campaigns: frozenset[str]


def asked(rules: Iterable[CommunityRule]) -> Asked:
    """What these rules ask for."""
    held = list(rules)
    words, campaigns = (frozenset().union(*(values(each, name) for each in held)) for name in ("words", "campaign"))
    return Asked(words, campaigns)


def by_campaign(rule: CommunityRule) -> dict[str, Condition]:
    """The first condition about each campaign that a rule names."""
    found: dict[str, Condition] = {}
    for each in conditions(rule):
        if each.field == "campaign":
            found.setdefault(str(each.value), each)
    return found


def who(document: Mapping[str, Any]) -> Who:
    """The follower that a document is about."""
    return document["platform"], document["follower"]


def wrote_much(follower: RuledFollower) -> bool:
    """Whether somebody wrote more than counts, so that only the latest need to be read."""
    return sum(follower["counts"].get(kind, 0) for kind in SPOKEN) > LATEST


def texts_of(utterances: Iterable[Utterance], changes: Iterable[Utterance]) -> dict[str, list[str]]:
    """What followers of one platform wrote, as it reads after `changes`. The order of either does not matter."""
    edited: dict[str, str] = {}
    gone: set[str] = set()
    for each in sorted(changes, key=lambda each: (each["occurred_at"], each["interaction"])):
        if each["kind"] == "edit":
            if (text := said(each)) is not None:
                edited[each["about"]] = text
        else:
            gone.add(each["about"] if each["kind"] == "delete" else each["object"]["id"])
    found: dict[str, dict[str, str]] = {}
    for each in utterances:
        thing = each["object"]["id"]
        text = edited.get(thing, said(each))
        if text and thing not in gone and not each.get("undo"):
            found.setdefault(each["follower"], {})[thing] = text
    return {follower: list(things.values()) for follower, things in found.items()}


def people(rows: Iterable[RuledFollower], others: Iterable[RuledFollower]) -> list[list[RuledFollower]]:
    """Followers by person: the one that stands for the person first, then the rest. Who is not linked is alone."""
    of_person: dict[str, dict[str, RuledFollower]] = {}
    found: list[list[RuledFollower]] = []
    known = {each["_id"]: each for each in (*rows, *others)}
    for each in sorted(known.values(), key=lambda each: str(each["_id"])):
        if each["person"] is None:
            found.append([each])
        else:
            of_person.setdefault(each["person"], {})[each["_id"]] = each
    for person in of_person.values():
        standing = [each for each in person.values() if not each["shadow"]]
        for first in standing:
            found.append([first, *(each for each in person.values() if each["_id"] != first["_id"])])
    return found


def facts_of(person: Sequence[RuledFollower], scoring: Scoring, texts: Texts, entered: Entered) -> Facts:
    """What a rule can ask of a person, from the followers as `people` gives them."""
    first = person[0]
    sums, bought = standing_of(first)
    counts: dict[str, int] = {}
    for each in person:
        for kind, number in each["counts"].items():
            counts[kind] = counts.get(kind, 0) + number
    return Facts(
        platforms={each["platform"] for each in person},
        sums=sums,
        last_purchase_at=bought,
        scoring=scoring,
        counts=counts,
        first_seen=min(ms(each["first_seen"]) for each in person),
        last_seen=max(ms(each["last_seen"]) for each in person),
        bot=first["bot"],
        campaigns=set().union(*(entered.get(who(each), ()) for each in person)),
        texts=[text for each in person for text in texts.get(who(each), ())],
    )
