"""Counts what each post brought.

What a follower did with a post is counted as a part, and the parts of a post add up to its sum. So one more reaction
costs the same, however many there are.

A part is counted from the stored facts, never added to. The part and the change of the sum are one transaction, which
writes the sum first, so that transactions about the same post run one after the other.
"""

import time
from collections import defaultdict
from collections.abc import Collection as AnyCollection
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec
from pymongo import DeleteOne, ReplaceOne, ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database

from rapport.domain.mix.posts import REMOVED
from rapport.kit.mongo import Document, in_transaction
from rapport.kit.parts import parts
from services.api.interactions.documents import InteractionDocument
from services.api.mix.documents import PostPartDocument, PostSumDocument
from services.api.mix.tallies import COUNTS, FACTS_AT_ONCE, Tally, tallies
from services.api.new_relationships.documents import BeginningDocument
from services.api.projector.upkeep import rebuild_queue
from services.api.projector.upkeep.isolation import isolate_each
from services.api.projector.upkeep.loop import TaskRun

FOLLOWERS_AT_ONCE = 200
"""Parts per transaction."""
BUILDING_SECONDS = 2.0
"""Then the other posts have their turn."""


def sum_id(brand: str, platform: str, post: str) -> str:
    """The `_id` of a post's sum."""
    return f"{brand}/{platform}/{post}"


def part_id(brand: str, platform: str, follower: str, post: str) -> str:
    """The `_id` of a part. All those of one follower begin alike."""
    return msgspec.json.encode((brand, platform, follower, post)).decode()


def count(run: TaskRun, brand: str, platform: str, post: str, followers: AnyCollection[str]) -> None:
    """Counts these followers' parts of a post again."""
    _there(run.database, brand, platform, post)
    for some in parts(sorted(followers), FOLLOWERS_AT_ONCE):
        run.renew_lease()
        isolate_each("posts", some, lambda few: _write(run.database, brand, platform, post, few))


def sum_of(run: TaskRun, brand: str, platform: str, post: str) -> PostSumDocument | None:
    """The sum of a post once all parts are counted; None if that takes longer than one turn.

    Posts from before there were parts are counted here, follower by follower.
    """
    deadline = time.monotonic() + BUILDING_SECONDS
    name = sum_id(brand, platform, post)
    sums = _sums(run.database)
    interactions: Collection[InteractionDocument] = run.database["interactions"]
    known = _there(run.database, brand, platform, post)
    if known["new_relationships"] is None:
        in_transaction(run.database, lambda session: _write_new(run.database, (brand, platform, post), 0, session))
    while known["built"] is not None:
        if time.monotonic() > deadline:
            return None
        its = {"brand": brand, "platform": platform, "post": post, "follower": {"$gt": known["built"]}}
        page = interactions.find(its, {"_id": 0, "follower": 1}).hint("of_post_by_follower").sort("follower")
        followers = [each["follower"] for each in page.limit(FACTS_AT_ONCE)]
        count(run, brand, platform, post, set(followers))
        known["built"] = followers[-1] if len(followers) == FACTS_AT_ONCE else None
        sums.update_one({"_id": name}, {"$set": {"built": known["built"]}})
    return sums.find_one({"_id": name})


def _sums(database: Database[Any]) -> Collection[PostSumDocument]:
    return database["post_sums"]


def _parts(database: Database[Any]) -> Collection[PostPartDocument]:
    return database["post_parts"]


def _there(database: Database[Any], brand: str, platform: str, post: str) -> PostSumDocument:
    """The sum of a post. If there is none, an empty one is stored."""
    found = _sums(database).find_one_and_update(
        {"_id": sum_id(brand, platform, post)},
        {"$setOnInsert": {**_empty(brand, platform, post), "revision": 0}},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    assert found is not None, "an upsert returns what it made"
    return found


def _empty(brand: str, platform: str, post: str) -> Document:
    named = {"brand": brand, "platform": platform, "post": post}
    return {**named, **dict.fromkeys(COUNTS, 0), "new_relationships": None, "built": ""}


def _counts(part: PostPartDocument) -> Tally:
    fields: Mapping[str, Any] = part
    return {name: fields[name] for name in COUNTS if name in fields}


def _write(database: Database[Any], brand: str, platform: str, post: str, followers: Sequence[str]) -> None:
    name = sum_id(brand, platform, post)
    ids = {follower: part_id(brand, platform, follower, post) for follower in followers}

    def write(session: ClientSession) -> None:
        _sums(database).update_one({"_id": name}, {"$inc": {"revision": 1}}, session=session)
        counted = dict(tallies(database, brand, platform, post, followers, session))
        found = _parts(database).find({"_id": {"$in": list(ids.values())}}, session=session)
        known = {each["_id"]: _counts(each) for each in found}
        writes: list[ReplaceOne[PostPartDocument] | DeleteOne] = []
        change = dict.fromkeys(COUNTS, 0)
        for follower, id in ids.items():  # noqa: A001
            before, after = known.get(id, {}), counted.get(follower, {})
            if any(before.get(each, 0) != after.get(each, 0) for each in COUNTS):
                part = cast("PostPartDocument", {"_id": id, "brand": brand, **after})
                writes.append(ReplaceOne({"_id": id}, part, upsert=True) if after else DeleteOne({"_id": id}))
                for each in COUNTS:
                    change[each] += after.get(each, 0) - before.get(each, 0)
        if writes:
            _parts(database).bulk_write(writes, ordered=False, session=session)
            _sums(database).update_one({"_id": name}, {"$inc": change}, session=session)

    in_transaction(database, write)


def forget(run: TaskRun, brand: str, platform: str, follower: str) -> None:
    """Counts a follower's parts again after their interactions were removed."""
    for each in _parts(run.database).find(_begins(brand, platform, follower), {"_id": 1}).to_list():
        post = msgspec.json.decode(each["_id"], type=tuple[str, str, str, str])[3]
        count(run, brand, platform, post, [follower])
        rebuild_queue.add(run, "post", [{"brand": brand, "platform": platform, "post": post}])


def forget_all(database: Database[Any], brand: str) -> None:
    """Removes a brand's parts and sums. Those of a post are counted again when something next happens to it."""
    _parts(database).delete_many(_begins(brand))
    _sums(database).delete_many({"brand": brand, "_id": {"$gt": f"{brand}/", "$lt": f"{brand}0"}})


def _begins(*parts_of_id: str) -> Document:
    """The query for parts whose `_id` begins with these."""
    begin = msgspec.json.encode(parts_of_id).decode().removesuffix("]") + ","
    return {"_id": {"$gt": f'{begin}"', "$lt": f"{begin}#"}}  # `#` comes after the quote


def removed(database: Database[Any], brand: str, platform: str, things: Sequence[str]) -> list[str]:
    """Those of these things that somebody deleted, hid or unhid."""
    query = {"brand": brand, "platform": platform, "about": {"$in": list(things)}, "kind": {"$in": list(REMOVED)}}
    found = database["interactions"].find(query, {"_id": 0, "about": 1}).hint("about")
    return sorted({each["about"] for each in found})


def add_new(
    database: Database[Any],
    changes: Iterable[tuple[BeginningDocument | None, BeginningDocument | None]],
    session: ClientSession,
) -> None:
    """Adds changes of beginnings, each as it was and as it is, to the sums, in the same transaction."""
    many: dict[tuple[str, str, str], int] = defaultdict(int)
    for pair in changes:
        for each, sign in zip(pair, (-1, 1), strict=True):
            if each is not None and each["new"] and each["post"] is not None:
                many[each["brand"], each["platform"], each["post"]] += sign
    for post, change in sorted(many.items()):
        _write_new(database, post, change, session)


def _write_new(database: Database[Any], post: tuple[str, str, str], change: int, session: ClientSession) -> None:
    """Adds to the number of relationships that began with a post, or counts them if nobody has yet."""
    sums, its = _sums(database), {"_id": sum_id(*post)}
    known = sums.find_one_and_update(
        its,
        {"$inc": {"revision": 1}, "$setOnInsert": _empty(*post)},
        upsert=True,
        return_document=ReturnDocument.AFTER,
        session=session,
    )
    assert known is not None, "an upsert returns what it made"
    if known["new_relationships"] is None:
        query = {**dict(zip(("brand", "platform", "post"), post, strict=True)), "new": True}
        many = database["beginnings"].count_documents(query, hint="post", session=session)
        sums.update_one(its, {"$set": {"new_relationships": many}}, session=session)
    elif change:
        sums.update_one(its, {"$inc": {"new_relationships": change}}, session=session)
