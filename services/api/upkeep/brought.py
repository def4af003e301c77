"""What posts brought, counted per follower, so that one more reaction costs the same however many there are.

A part: `post_parts`, of one follower and one post: `_id` (a JSON array of brand, platform, follower and post), `brand`,
and how many `comments`, `reactions` and `shares` count. There is none where nothing counts.

A sum: `post_sums`, of one post: `_id` (`<brand>/<platform>/<post>`), `brand`, `platform`, `post`, the same three, and
`new_relationships` (null until they were counted). `built`: the followers up to this one have their parts; null once
all have. `revision` grows with each change.

A part is counted from the stored facts, never added to; it and what it changes of the sum are one transaction. Each of
these begins with writing the sum, so that two of one post are one after the other.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

import msgspec
from pymongo import DeleteOne, ReplaceOne, ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.database import Database

from rapport.domain.published import BROUGHT, REMOVED, Fact, Standing, standing
from rapport.kit.mongo import Document, in_transaction
from rapport.kit.parts import parts
from services.api.upkeep import stale
from services.api.upkeep.facts import fact_of
from services.api.upkeep.loop import Desk
from services.api.upkeep.sparing import spared

FOLLOWERS_AT_ONCE = 200
"""So many parts are one transaction."""
FACTS_AT_ONCE = 1_000
"""So many facts are held in memory at most, and those of one follower about one thing."""
PARTS_AT_ONCE = 1_000
BUILDING_SECONDS = 2.0
"""After so long the other posts have their turn."""
COUNTS = tuple(BROUGHT.values())

_SAID = sorted(BROUGHT.keys() - {"reaction"})
_FACT: Document = {
    **dict.fromkeys(
        (
            *("interaction", "kind", "account", "object.id", "follower", "occurred_at"),
            *("undo", "staff", "about", "parent.id"),
        ),
        1,
    ),
    # Whether there is a text is all that matters, and texts are long.
    "text": {"$cond": [{"$in": ["$text", [None, ""]]}, None, "text"]},
}

Named = tuple[str, str]
"""A post's platform and its object id."""
Tally = dict[str, int]


def sum_id(brand: str, platform: str, post: str) -> str:
    """The `_id` of a post's sum."""
    return f"{brand}/{platform}/{post}"


def part_id(brand: str, platform: str, follower: str, post: str) -> str:
    """The `_id` of a follower's part. Those of one follower begin alike."""
    return msgspec.json.encode((brand, platform, follower, post)).decode()


class Touched:
    """Gathers whose parts have to be counted again, and counts them whenever there are many. `flush` does the rest."""

    def __init__(self, desk: Desk, brand: str) -> None:
        self._desk = desk
        self._brand = brand
        self._followers: dict[Named, set[str]] = defaultdict(set)
        self._many = 0

    def add(self, platform: str, post: str, follower: str) -> None:
        """Has a follower's part of a post counted again."""
        some = self._followers[platform, post]
        before = len(some)
        some.add(follower)
        self._many += len(some) - before
        if self._many >= PARTS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Counts those that are gathered."""
        for (platform, post), followers in sorted(self._followers.items()):
            _count(self._desk, self._brand, platform, post, followers)
            stale.mark(self._desk, "post", [{"brand": self._brand, "platform": platform, "post": post}])
        self._followers.clear()
        self._many = 0


def _count(desk: Desk, brand: str, platform: str, post: str, followers: Collection[str]) -> None:
    """Counts again what these followers did with a post."""
    _there(desk.database, brand, platform, post)
    for some in parts(sorted(followers), FOLLOWERS_AT_ONCE):
        desk.keep()
        spared("posts", some, lambda few: _write(desk.database, brand, platform, post, few))


def sum_of(desk: Desk, brand: str, platform: str, post: str) -> Document | None:
    """The sum of a post once all parts are counted; None where that takes longer than one turn.

    Posts from before there were parts are counted here, follower by follower.
    """
    deadline = time.monotonic() + BUILDING_SECONDS
    name = sum_id(brand, platform, post)
    sums, interactions = desk.database["post_sums"], desk.database["interactions"]
    known = _there(desk.database, brand, platform, post)
    if known["new_relationships"] is None:
        in_transaction(desk.database, lambda session: _write_new(desk.database, (brand, platform, post), 0, session))
    while known["built"] is not None:
        if time.monotonic() > deadline:
            return None
        its = {"brand": brand, "platform": platform, "post": post, "follower": {"$gt": known["built"]}}
        page = interactions.find(its, {"_id": 0, "follower": 1}).hint("of_post_by_follower").sort("follower")
        followers = [each["follower"] for each in page.limit(FACTS_AT_ONCE)]
        _count(desk, brand, platform, post, set(followers))
        known["built"] = followers[-1] if len(followers) == FACTS_AT_ONCE else None
        sums.update_one({"_id": name}, {"$set": {"built": known["built"]}})
    return sums.find_one({"_id": name})


def _there(database: Database[Document], brand: str, platform: str, post: str) -> Document:
    """The sum of a post, which is made where there is none."""
    found = database["post_sums"].find_one_and_update(
        {"_id": sum_id(brand, platform, post)},
        {"$setOnInsert": {**_empty(brand, platform, post), "revision": 0}},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    assert found is not None, "an upsert gives what it made"
    return found


def _empty(brand: str, platform: str, post: str) -> Document:
    named = {"brand": brand, "platform": platform, "post": post}
    return {**named, **dict.fromkeys(COUNTS, 0), "new_relationships": None, "built": ""}


def _write(database: Database[Document], brand: str, platform: str, post: str, followers: Sequence[str]) -> None:
    name = sum_id(brand, platform, post)
    ids = {follower: part_id(brand, platform, follower, post) for follower in followers}

    def write(session: ClientSession) -> None:
        database["post_sums"].update_one({"_id": name}, {"$inc": {"revision": 1}}, session=session)
        counted = dict(tallies(database, brand, platform, post, followers, session))
        found = database["post_parts"].find({"_id": {"$in": list(ids.values())}}, session=session)
        known = {each["_id"]: each for each in found}
        writes: list[ReplaceOne[Document] | DeleteOne] = []
        change = dict.fromkeys(COUNTS, 0)
        for follower, id in ids.items():  # noqa: A001
            before, after = known.get(id, {}), counted.get(follower, {})
            if any(before.get(each, 0) != after.get(each, 0) for each in COUNTS):
                part = {"_id": id, "brand": brand, **after}
                writes.append(ReplaceOne({"_id": id}, part, upsert=True) if after else DeleteOne({"_id": id}))
                for each in COUNTS:
                    change[each] += after.get(each, 0) - before.get(each, 0)
        if writes:
            database["post_parts"].bulk_write(writes, ordered=False, session=session)
            database["post_sums"].update_one({"_id": name}, {"$inc": change}, session=session)

    in_transaction(database, write)


def forget(desk: Desk, brand: str, platform: str, follower: str) -> None:
    """Counts again what somebody did whose interactions were removed."""
    for each in desk.database["post_parts"].find(_begins(brand, platform, follower), {"_id": 1}).to_list():
        post = msgspec.json.decode(each["_id"], type=tuple[str, str, str, str])[3]
        _count(desk, brand, platform, post, [follower])
        stale.mark(desk, "post", [{"brand": brand, "platform": platform, "post": post}])


def forget_all(database: Database[Document], brand: str) -> None:
    """Removes a brand's parts and sums. A post's are counted from the beginning when something next happens to it."""
    database["post_parts"].delete_many(_begins(brand))
    database["post_sums"].delete_many({"brand": brand, "_id": {"$gt": f"{brand}/", "$lt": f"{brand}0"}})


def _begins(*parts_of_id: str) -> Document:
    """The query for the parts whose `_id` begins with these."""
    begin = msgspec.json.encode(parts_of_id).decode().removesuffix("]") + ","
    return {"_id": {"$gt": f'{begin}"', "$lt": f"{begin}#"}}  # `#` comes after the quote


def about_things(database: Database[Document], brand: str, platform: str, things: Sequence[str], to: Touched) -> None:
    """Has the parts counted again that depend on whether these things were removed.

    Reactions are usually things of their own. Where they have the id of a comment or a share, they go with it.
    """
    its: Document = {"brand": brand, "platform": platform, "post": {"$gt": ""}}
    fields = {"_id": 0, "object.id": 1, "post": 1, "follower": 1}
    interactions = database["interactions"]
    said: set[str] = set()
    for kinds in (_SAID, ["reaction"]):
        query = {**its, "object.id": {"$in": sorted(said) if said else list(things)}, "kind": {"$in": kinds}}
        for each in interactions.find(query, fields).hint("on_posts"):
            said.add(each["object"]["id"])
            if each.get("follower") is not None:
                to.add(platform, each["post"], each["follower"])
        if not said:
            return


def taken_back(
    database: Database[Document], brand: str, platform: str, pairs: Collection[tuple[str, str]], to: Touched
) -> None:
    """Has the parts counted again of which something was taken back, by pairs of thing and follower."""
    query: Document = {
        "brand": brand,
        "platform": platform,
        "object.id": {"$in": sorted({thing for thing, _ in pairs})},
        "kind": {"$in": sorted(BROUGHT)},
        "follower": {"$in": sorted({follower for _, follower in pairs})},
        "post": {"$gt": ""},
    }
    fields = {"_id": 0, "object.id": 1, "post": 1, "follower": 1}
    for each in database["interactions"].find(query, fields).hint("on_posts"):
        if (each["object"]["id"], each["follower"]) in pairs:
            to.add(platform, each["post"], each["follower"])


def removed(database: Database[Document], brand: str, platform: str, things: Sequence[str]) -> list[str]:
    """Those of these things that somebody deleted, hid or showed again."""
    query = {"brand": brand, "platform": platform, "about": {"$in": list(things)}, "kind": {"$in": list(REMOVED)}}
    found = database["interactions"].find(query, {"_id": 0, "about": 1}).hint("about")
    return sorted({each["about"] for each in found})


def add_new(
    database: Database[Document], changes: Iterable[tuple[Document | None, Document | None]], session: ClientSession
) -> None:
    """Adds to the sums what changes of beginnings, each as it was and as it is, in the same transaction."""
    many: dict[tuple[str, str, str], int] = defaultdict(int)
    for pair in changes:
        for each, sign in zip(pair, (-1, 1), strict=True):
            if each is not None and each["new"] and each["post"] is not None:
                many[each["brand"], each["platform"], each["post"]] += sign
    for post, change in sorted(many.items()):
        _write_new(database, post, change, session)


def _write_new(database: Database[Document], post: tuple[str, str, str], change: int, session: ClientSession) -> None:
    """Adds to how many relationships began with a post; counts them where nobody has yet."""
    sums, its = database["post_sums"], {"_id": sum_id(*post)}
    known = sums.find_one_and_update(
        its,
        {"$inc": {"revision": 1}, "$setOnInsert": _empty(*post)},
        upsert=True,
        return_document=ReturnDocument.AFTER,
        session=session,
    )
    assert known is not None, "an upsert gives what it made"
    if known["new_relationships"] is None:
        query = {**dict(zip(("brand", "platform", "post"), post, strict=True)), "new": True}
        many = database["beginnings"].count_documents(query, hint="post", session=session)
        sums.update_one(its, {"$set": {"new_relationships": many}}, session=session)
    elif change:
        sums.update_one(its, {"$inc": {"new_relationships": change}}, session=session)


def in_all(database: Database[Document], brand: str, platform: str, post: str) -> Tally:
    """What a post brought, counted from all that is stored, without its parts."""
    total = dict.fromkeys(COUNTS, 0)
    for _, tally in tallies(database, brand, platform, post, None):
        for name, many in tally.items():
            total[name] += many
    return total


def tallies(
    database: Database[Document],
    brand: str,
    platform: str,
    post: str,
    followers: Sequence[str] | None,
    session: ClientSession | None = None,
) -> Iterator[tuple[str, Tally]]:
    """What these followers (None: all) did with a post and still counts, of each who did something.

    Reads the facts by follower, kind and thing, so that what belongs together is read together.
    """
    whose: Document = {"$type": "string"} if followers is None else {"$in": sorted(followers)}
    query = {"brand": brand, "platform": platform, "post": post, "follower": whose, "kind": {"$in": sorted(BROUGHT)}}
    found = database["interactions"].find(query, _FACT, session=session).hint("of_post_by_follower")
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


def _finished(
    records: dict[str, Tally], things: dict[str, set[tuple[str, str | None]]], but: str | None
) -> Iterator[tuple[str, Tally]]:
    """Takes out the followers that are read to the end, each with their total."""
    for follower in sorted((records.keys() | things.keys()) - {but}):
        tally = records.pop(follower, {})
        for kind, _ in things.pop(follower, ()):
            tally[BROUGHT[kind]] = tally.get(BROUGHT[kind], 0) + 1
        yield follower, tally


def _together(facts: Iterator[Fact]) -> Iterator[list[Fact]]:
    """Facts in lists; what one follower did to one thing is in the same."""
    some: list[Fact] = []
    for fact in facts:
        if len(some) >= FACTS_AT_ONCE and _place(some[-1]) != _place(fact):
            yield some
            some = []
        some.append(fact)
    if some:
        yield some


def _place(fact: Fact) -> tuple[str | None, str, str]:
    return fact.follower, fact.kind, fact.object


def _standing(
    database: Database[Document], its: Document, post: str, facts: Sequence[Fact], session: ClientSession | None
) -> set[Standing]:
    """Of some facts of a post, what is not taken back, deleted or hidden."""
    interactions = database["interactions"]
    objects = sorted({each.object for each in facts})
    who = sorted({each.follower for each in facts if each.follower is not None})
    undone = {**its, "object.id": {"$in": objects}, "follower": {"$in": who}, "undo": True}
    undoings = list(map(fact_of, interactions.find(undone, _FACT, session=session).hint("taken_back")))
    about = {**its, "about": {"$in": objects}, "kind": {"$in": list(REMOVED)}}
    removals = list(map(fact_of, interactions.find(about, _FACT, session=session).hint("about")))
    said = {each.object for each in facts if each.kind != "reaction"}
    if unsure := sorted({each.object for each in removals} - said):
        query = {**its, "object.id": {"$in": unsure}, "kind": {"$in": _SAID}, "post": post}
        elsewhere = interactions.find(query, {"_id": 0, "object.id": 1}, session=session).hint("on_posts")
        said |= {each["object"]["id"] for each in elsewhere}
    return standing([*facts, *undoings], (each for each in removals if each.object in said))
