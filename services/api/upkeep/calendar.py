"""Which published post is which planned one, and what is planned and missing: kept as plans and posts change.

An account's posts and plans are matched whole, from what is stored, whenever one of them changed; so nothing depends on
the order in which they came. A reminder of a missing post goes into the log until the broker has it, always under the
same id for the same time of the same plan.
"""

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pymongo import DeleteOne, ReplaceOne, UpdateOne
from pymongo.database import Database

from rapport.contracts import codec
from rapport.contracts.events import MissingPost
from rapport.contracts.topics import REMINDERS, key_of, partition_of
from rapport.domain.editorial import Plan, Published, is_missing, matched
from rapport.domain.published import excerpt
from rapport.kit.mongo import Document
from services.api.repositories.calendar import MATCH
from services.api.upkeep import stale
from services.api.upkeep.loop import Desk, Task
from services.api.upkeep.sparing import sparing

DEFAULTS: Mapping[str, Any] = {"grace_seconds": 1_800, "window_seconds": 21_600, "approval_required": False}
AT_ONCE = 500
SEND_SECONDS = 30
_POST = dict.fromkeys(("account", "published_at", "text", "post", "url"), 1)


def follow(desk: Desk) -> None:
    """Matches the accounts of which something changed, notes what is missing, and tells it."""
    stale.take(desk, MATCH, lambda each: match(desk.database, each["brand"], each["account"]))
    for brand in desk.brands():
        # What is still to be matched, or made, may be what seems to be missing.
        waiting = {"what": {"$in": [MATCH, "post"]}, "brand": brand}
        with sparing("calendar", brand):
            if desk.database["stale"].find_one(waiting, {"_id": 1}) is None:
                _miss(desk, brand)
    _tell(desk)


def settings(database: Database[Document], brand: str) -> Document:
    """A brand's settings, the usual ones where it has none."""
    return {**DEFAULTS, **(database["calendar_settings"].find_one({"_id": brand}) or {})}


def match(database: Database[Document], brand: str, account: str) -> None:
    """Writes which of an account's posts is which plan, where it is not there as it should be."""
    its = {"brand": brand, "account": account}
    wanted = made(database, brand, account)
    there = {each["_id"]: each for each in database["post_plans"].find(its).hint("account")}
    writes: list[ReplaceOne[Document] | DeleteOne] = [
        ReplaceOne({"_id": name}, each, upsert=True) for name, each in wanted.items() if there.get(name) != each
    ]
    writes += [DeleteOne({"_id": name}) for name in there.keys() - wanted.keys()]
    if writes:
        database["post_plans"].bulk_write(writes, ordered=False)
    posts = database["posts"].find({"_id": {"$in": list(wanted)}}, {"published_at": 1})
    at = {each["_id"]: each["published_at"] for each in posts}
    of_plan = {each["plan"]: name for name, each in wanted.items()}
    changes: list[UpdateOne] = []
    for plan in database["planned_posts"].find(its, {"plan": 1, "published": 1, "published_at": 1}).hint("account"):
        post = of_plan.get(plan["plan"])
        found: Document = {"published": post, "published_at": at.get(post) if post is not None else None}
        if any(plan[name] != value for name, value in found.items()):
            if post is not None:
                found["missing_since"] = None
            changes.append(UpdateOne({"_id": plan["_id"]}, {"$set": found}))
    if changes:
        database["planned_posts"].bulk_write(changes, ordered=False)


def made(database: Database[Document], brand: str, account: str) -> dict[str, Document]:
    """What `post_plans` has to have of an account, by the post's `_id`."""
    its: Document = {"brand": brand, "account": account}
    planned = database["planned_posts"].find({**its, "state": "planned"}).hint("account").to_list()
    if not planned:
        return {}
    window = timedelta(seconds=settings(database, brand)["window_seconds"])
    by_hand = {each["_id"]: each["plan"] for each in database["post_matches"].find(its).hint("account")}
    span = {"$gte": planned[0]["planned_at"] - window, "$lte": planned[-1]["planned_at"] + window}
    names = [each["post"] for each in planned if each["post"] is not None]
    posts: dict[str, Document] = {}
    for query in (
        {**its, "published_at": span},
        {"_id": {"$in": list(by_hand)}, "account": account},
        {"brand": brand, "platform": planned[0]["platform"], "post": {"$in": names}},
    ):
        posts |= {each["_id"]: each for each in database["posts"].find(query, _POST)}
    found = matched([_plan(each) for each in planned], map(_published, posts.values()), by_hand, window)
    labels = {each["plan"]: each["label"] for each in planned}
    return {
        name: {
            "_id": name, **its, "plan": each.plan, "how": each.how, "label": labels[each.plan],
            "by_hand": each.how == "hand",
        }
        for name, each in found.items()
    }  # fmt: skip


def _plan(document: Document) -> Plan:
    return Plan(document["plan"], document["account"], document["planned_at"], document["text"], document["post"])


def _published(document: Document) -> Published:
    names = tuple(name for name in (document["post"], document["url"]) if name is not None)
    text = document["text"] or ""
    return Published(document["_id"], document["account"], document["published_at"], text, names)


def _miss(desk: Desk, brand: str) -> None:
    """Notes what should be out by now. What was already late when it was stored is nobody's surprise."""
    grace = timedelta(seconds=settings(desk.database, brand)["grace_seconds"])
    query = {
        "brand": brand,
        "state": "planned",
        "published": None,
        "missing_since": None,
        "planned_at": {"$lte": desk.now - grace},
        "approval": {"$in": ["not_needed", "approved"]},
    }
    writes = [
        UpdateOne(
            {"_id": each["_id"], "revision": each["revision"], "published": None, "missing_since": None},
            {
                "$set": {
                    "missing_since": desk.now,
                    "untold": each["told"] != reminder_id(each) and each["created_at"] < each["planned_at"] + grace,
                }
            },
        )
        for each in desk.database["planned_posts"].find(query).hint("missing").limit(AT_ONCE)
        if is_missing(each["state"], each["approval"], each["planned_at"], grace, desk.now, published=False)
    ]
    if writes:
        desk.database["planned_posts"].bulk_write(writes, ordered=False)


def reminder_id(planned: Document) -> str:
    """The same for the same time of the same plan."""
    named = "\x1f".join((planned["brand"], planned["plan"], planned["planned_at"].isoformat()))
    return hashlib.sha256(named.encode()).hexdigest()[:20]


def _tell(desk: Desk) -> None:
    for each in desk.database["planned_posts"].find({"untold": True}).hint("untold").limit(AT_ONCE).to_list():
        desk.keep()
        with sparing("calendar", each["_id"]):
            name = reminder_id(each)
            if each["missing_since"] is not None:
                _send(desk, each, name)
            desk.database["planned_posts"].update_one(
                {"_id": each["_id"], "revision": each["revision"]}, {"$set": {"told": name, "untold": False}}
            )


def _send(desk: Desk, planned: Document, name: str) -> None:
    """Returns once the broker has it."""
    missing = MissingPost(
        id=name, created_at=planned["missing_since"], text=excerpt(planned["text"]) or None, owner=planned["owner"],
        **{each: planned[each] for each in ("brand", "platform", "account", "plan", "planned_at")},
    )  # fmt: skip
    key = key_of(missing.brand)
    headers = codec.headers("rapport.missing-post.v1", id=name, source="/rapport/projector")
    desk.producer.send(
        REMINDERS.name,
        codec.encode(missing),
        key=key,
        partition=partition_of(key, REMINDERS.partitions),
        headers=headers,
    ).get(SEND_SECONDS)


def of_post(before: Document | None, after: Document | None) -> set[str]:
    """The accounts that have to be matched again where a post changed."""
    if before is not None and after is not None and all(before[name] == after[name] for name in _POST):
        return set()
    return {each["account"] for each in (before, after) if each is not None}


TASK = Task("calendar", timedelta(seconds=5), follow)
