"""What a rule of a community is asked about: stored followers with what they wrote and entered, as domain facts.

A person who is linked is one: the follower that stands for the person in lists has the person's scores and stage, is on
each of the person's platforms, and did all that the person's followers did; the others belong to no community.

Of what somebody wrote, the latest LATEST comments, mentions and messages count, as they read after their last edit and
without those that were deleted or taken back.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rapport.contracts.events import SPOKEN
from rapport.domain.community import Condition, Facts, Rule, conditions, values
from rapport.domain.relationship import Scoring
from rapport.domain.times import ms
from rapport.kit.mongo import Document
from services.api.projection.documents import standing_of
from services.api.stored import read

LATEST = 200
FOLLOWER = dict.fromkeys(
    (
        *("brand", "platform", "follower", "person", "shadow", "bot", "counts"),
        *("first_seen", "last_seen", "standing", "scoring"),
    ),
    1,
)
"""What of a stored follower facts are made of."""
SAID = dict.fromkeys(("interaction", "follower", "object.id", "occurred_at", "text", "kind", "about", "undo"), 1)
"""What of a stored interaction a text is made of."""
CHANGED = ("edit", "delete")

Who = tuple[str, str]
"""A platform, and the follower's id there."""
Texts = Mapping[Who, Sequence[str]]
Entered = Mapping[Who, set[str]]


class Asked(NamedTuple):
    """What the rules ask for beside the followers themselves."""

    words: frozenset[str]
    campaigns: frozenset[str]


def rule_of(community: Document) -> Rule:
    """The rule of a stored community. Raises NewerError where only a later version can read it."""
    rule: Rule = read(community["rule"], Rule)  # type: ignore[arg-type]
    return rule


def asked(rules: Iterable[Rule]) -> Asked:
    """What these rules ask for."""
    held = list(rules)
    words, campaigns = (frozenset().union(*(values(each, name) for each in held)) for name in ("words", "campaign"))
    return Asked(words, campaigns)


def by_campaign(rule: Rule) -> dict[str, Condition]:
    """The first condition about each campaign that a rule names."""
    found: dict[str, Condition] = {}
    for each in conditions(rule):
        if each.field == "campaign":
            found.setdefault(str(each.value), each)
    return found


def who(document: Document) -> Who:
    """Whose document it is."""
    return document["platform"], document["follower"]


def wrote_much(follower: Document) -> bool:
    """Whether somebody wrote more than what counts, so that only the latest must be read."""
    counts: Mapping[str, int] = follower["counts"]
    return sum(counts.get(kind, 0) for kind in SPOKEN) > LATEST


def texts_of(said: Iterable[Document], changes: Iterable[Document]) -> dict[str, list[str]]:
    """What followers of one platform wrote, from what they said and what became of it, in whatever order that came."""
    edited: dict[str, str] = {}
    gone: set[str] = set()
    for each in sorted(changes, key=lambda each: (each["occurred_at"], each["interaction"])):
        if each["kind"] == "edit":
            if each.get("text") is not None:
                edited[each["about"]] = each["text"]
        else:
            gone.add(each["about"] if each["kind"] == "delete" else each["object"]["id"])
    found: dict[str, dict[str, str]] = {}
    for each in said:
        thing = each["object"]["id"]
        text = edited.get(thing, each.get("text"))
        if text and thing not in gone and not each.get("undo"):
            found.setdefault(each["follower"], {})[thing] = text
    return {follower: list(things.values()) for follower, things in found.items()}


def people(rows: Iterable[Document], others: Iterable[Document]) -> list[list[Document]]:
    """Followers with the rest of their person: who stands for it first, and each alone who belongs to nobody else."""
    of_person: dict[str, dict[str, Document]] = {}
    found: list[list[Document]] = []
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


def facts_of(person: Sequence[Document], scoring: Scoring, texts: Texts, entered: Entered) -> Facts:
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
