"""Counts what followers did with a post, from the stored interactions."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database

from rapport.domain.mix.posts import BROUGHT, REMOVED, PostFact, Standing, standing
from rapport.kit.mongo import Document
from services.api.interactions.documents import InteractionDocument
from services.api.interactions.repository import fact_of

FACTS_AT_ONCE = 1_000
"""Facts held in memory at most, apart from those of one follower about one thing, which stay together."""
COUNTS = tuple(BROUGHT.values())
SAID = sorted(BROUGHT.keys() - {"reaction"})
"""Kinds that can be removed. A reaction can only be taken back."""
_FACT: Document = {
    **dict.fromkeys(
        (
            *("interaction", "kind", "account", "object.id", "follower", "occurred_at"),
            *("undo", "staff", "about", "parent.id"),
        ),
        1,
    ),
    # All that matters is whether there is a text, and texts are long.
    "text": {"$cond": [{"$in": [{"$ifNull": ["$text", "$heard"]}, [None, ""]]}, None, "text"]},
}

Named = tuple[str, str]
"""A post's platform and its object id."""
Tally = dict[str, int]


def total(database: Database[Any], brand: str, platform: str, post: str) -> Tally:
    """What a post brought, counted from all of its interactions."""
    total = dict.fromkeys(COUNTS, 0)
    for _, tally in tallies(database, brand, platform, post, None):
        for name, many in tally.items():
            total[name] += many
    return total


def tallies(
    database: Database[Any],
    brand: str,
    platform: str,
    post: str,
    followers: Sequence[str] | None,
    session: ClientSession | None = None,
) -> Iterator[tuple[str, Tally]]:
    """What each of these followers (None: all) did with a post that still counts.

    It reads the facts by follower, kind and thing, so that what belongs together comes together.
    """
    whose: Document = {"$type": "string"} if followers is None else {"$in": sorted(followers)}
    query = {"brand": brand, "platform": platform, "post": post, "follower": whose, "kind": {"$in": sorted(BROUGHT)}}
    found = _interactions(database).find(query, _FACT, session=session).hint("of_post_by_follower")
    facts = map(fact_of, found.sort([("follower", 1), ("kind", 1), ("object.id", 1)]))
    records: dict[str, Tally] = {}
    things: dict[str, set[tuple[str, str | None]]] = defaultdict(set)
    for some in _together(facts):
        for each in _standing(database, {"brand": brand, "platform": platform}, post, some, session):
            assert each.follower is not None
            if each.by == "thing":
                things[each.follower].add((each.kind, each.name))
            else:
                tally = records.setdefault(each.follower, {})
                tally[BROUGHT[each.kind]] = tally.get(BROUGHT[each.kind], 0) + 1
        last = some[-1].follower
        yield from _finished(records, things, but=last)
    yield from _finished(records, things, but=None)


def _interactions(database: Database[Any]) -> Collection[InteractionDocument]:
    return database["interactions"]


def _finished(
    records: dict[str, Tally], things: dict[str, set[tuple[str, str | None]]], but: str | None
) -> Iterator[tuple[str, Tally]]:
    """Takes out the totals of all followers but `but`, who may have more to come."""
    for follower in sorted((records.keys() | things.keys()) - {but}):
        tally = records.pop(follower, {})
        for kind, _ in things.pop(follower, ()):
            tally[BROUGHT[kind]] = tally.get(BROUGHT[kind], 0) + 1
        yield follower, tally


def _together(facts: Iterator[PostFact]) -> Iterator[list[PostFact]]:
    """Facts in lists. What one follower did to one thing is in the same list."""
    some: list[PostFact] = []
    for fact in facts:
        if len(some) >= FACTS_AT_ONCE and _place(some[-1]) != _place(fact):
            yield some
            some = []
        some.append(fact)
    if some:
        yield some


def _place(fact: PostFact) -> tuple[str | None, str, str]:
    return fact.follower, fact.kind, fact.object


def _standing(
    database: Database[Any], its: Document, post: str, facts: Sequence[PostFact], session: ClientSession | None
) -> set[Standing]:
    """Those facts of a post that were not taken back, deleted or hidden."""
    interactions = _interactions(database)
    objects = sorted({each.object for each in facts})
    who = sorted({each.follower for each in facts if each.follower is not None})
    undone = {**its, "object.id": {"$in": objects}, "follower": {"$in": who}, "undo": True}
    undoings = list(map(fact_of, interactions.find(undone, _FACT, session=session).hint("taken_back")))
    about = {**its, "about": {"$in": objects}, "kind": {"$in": list(REMOVED)}}
    removals = list(map(fact_of, interactions.find(about, _FACT, session=session).hint("about")))
    said = {each.object for each in facts if each.kind != "reaction"}
    if unsure := sorted({each.object for each in removals} - said):
        query = {**its, "object.id": {"$in": unsure}, "kind": {"$in": SAID}, "post": post}
        elsewhere = interactions.find(query, {"_id": 0, "object.id": 1}, session=session).hint("on_posts")
        said |= {each["object"]["id"] for each in elsewhere}
    return standing([*facts, *undoings], (each for each in removals if each.object in said))
