"""What a brand published: one document per post in `posts`, made anew from the facts whenever one of them changed.

A post: `_id` (of the interaction that told it), `brand`, `platform`, `account`, `post` (its object id), `published_at`,
`text`, `url`, `format`, `label` and `label_by` (`hand`, `plan`, `rule` or null), `labelled_with` (the revision of the
brand's rules), and what it brought: `comments`, `reactions`, `shares`, `new_relationships`. All of it follows from
`interactions`, `beginnings`, `post_labels`, `post_plans` and `mix_settings`, by `rapport.domain.published` and
`rapport.domain.mix`.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import msgspec
from pymongo import UpdateOne
from pymongo.database import Database

from rapport.domain.mix import Labelled, Rule, label_of
from rapport.domain.published import BROUGHT, REMOVED, Fact, brought, post_of
from rapport.kit.mongo import Document
from rapport.kit.parts import parts
from services.api.repositories.calendar import MATCH
from services.api.upkeep import calendar, stale
from services.api.upkeep.beginnings import FACT, fact_of
from services.api.upkeep.loop import Desk, Task
from services.api.upkeep.sparing import sparing
from services.api.upkeep.trail import Trail

IDS_AT_ONCE = 1_000
NEWEST = 300
"""So many of the newest posts are labelled again each time, because a plan is often found after its post."""
SWEPT = 300
"""So many others, in turn: whatever changed a label without a trace is found within minutes."""
_SWEEP = "labels"

Named = tuple[str, str]
"""A post's platform and its object id."""


def follow(desk: Desk) -> None:
    """Makes the posts anew that something happened to, and looks after the labels."""
    for brand in desk.brands():
        with sparing("posts", brand):
            _follow_brand(desk, brand)
    stale.take(desk, "post", lambda each: make(desk, each["brand"], each["platform"], each["post"]))
    _look_after_labels(desk.database)


def _follow_brand(desk: Desk, brand: str) -> None:
    trail = Trail(desk, "posts", brand, "hourly", "drawn")
    hours = [each["hour"] for each in trail.changed({"hour": 1})]
    touched = sorted(_touched(desk.database, brand, hours)) if hours else []
    stale.mark(desk, "post", ({"brand": brand, "platform": platform, "post": post} for platform, post in touched))
    trail.done()


def _touched(database: Database[Document], brand: str, hours: list[Any]) -> set[Named]:
    """The posts that anything of these hours is about."""
    interactions = database["interactions"]
    within = {"brand": brand, "hour": {"$in": hours}}
    belonging = interactions.aggregate(
        [
            {"$match": {**within, "post": {"$gt": ""}}},
            {"$group": {"_id": {"platform": "$platform", "post": "$post"}}},
        ],
        hint="post_by_hour",
    )
    found = {(each["_id"]["platform"], each["_id"]["post"]) for each in belonging}
    named = {"platform": 1, "object.id": 1}
    told = interactions.find({**within, "kind": "post"}, named).hint("hourly")
    found |= {(each["platform"], each["object"]["id"]) for each in told}
    # An edit or an undoing may name nothing but the thing that it happened to.
    changes = interactions.find({**within, "kind": {"$in": ["edit", *REMOVED]}}, named).hint("hourly")
    undone = interactions.find({**within, "undo": True}, named).hint("undone_by_hour")
    of_platform: dict[str, set[str]] = {}
    for each in (*changes, *undone):
        of_platform.setdefault(each["platform"], set()).add(each["object"]["id"])
    for platform, objects in of_platform.items():
        for some in parts(sorted(objects), IDS_AT_ONCE):
            query = {"brand": brand, "platform": platform, "object.id": {"$in": some}}
            belongs = interactions.find({**query, "post": {"$gt": ""}}, {"post": 1}).hint("post_by_object")
            found |= {(platform, each["post"]) for each in belongs}
            posts = interactions.find({**query, "kind": "post"}, {"object.id": 1}).hint("published")
            found |= {(platform, each["object"]["id"]) for each in posts}
    return found


def make(desk: Desk, brand: str, platform: str, post: str) -> None:
    """Makes one post anew, or removes it where there is none (any more)."""
    database = desk.database
    its: Document = {"brand": brand, "platform": platform, "post": post}
    found = made(database, brand, platform, post)
    touched = calendar.of_post(database["posts"].find_one(its), found)
    stale.mark(desk, MATCH, ({"brand": brand, "account": account} for account in sorted(touched)))
    if found is None:
        database["posts"].delete_many(its)
        return
    database["posts"].replace_one({"_id": found["_id"]}, found, upsert=True)
    # Of a post that was told twice, the other interaction may have been the earliest known until now.
    database["posts"].delete_many({**its, "_id": {"$ne": found["_id"]}})


def made(database: Database[Document], brand: str, platform: str, post: str) -> Document | None:
    """One post from the stored facts; None where there is none (any more)."""
    interactions = database["interactions"]
    its: Document = {"brand": brand, "platform": platform}
    told = interactions.find({**its, "object.id": post, "kind": "post"}, FACT).hint("published")
    changes = interactions.find({**its, "about": post, "kind": {"$in": ["edit", "delete"]}}, FACT).hint("about")
    found = post_of(map(fact_of, told), map(fact_of, changes))
    if found is None:
        return None
    document = {
        "_id": f"{brand}/{platform}/{found.id}",
        **its,
        "account": found.account,
        "post": post,
        "published_at": found.published_at,
        "text": found.text,
        "url": found.url,
        "format": found.format,
        **_brought(database, its, post),
        "new_relationships": database["beginnings"].count_documents({**its, "post": post, "new": True}, hint="post"),
    }
    rules, revision = _rules(database, brand)
    label = next(iter(_labels(database, [document], rules)))
    return {**document, "label": label.label, "label_by": label.by, "labelled_with": revision}


def _brought(database: Database[Document], its: Document, post: str) -> dict[str, int]:
    interactions = database["interactions"]
    belonging = {**its, "post": post, "kind": {"$in": list(BROUGHT)}}
    facts = [fact_of(each) for each in interactions.find(belonging, FACT).hint("of_post")]
    if not facts:
        return brought((), ())
    undone: list[Fact] = []
    for some in parts(sorted({each.object for each in facts}), IDS_AT_ONCE):
        query = {**its, "object.id": {"$in": some}, "undo": True}
        undone += map(fact_of, interactions.find(query, FACT).hint("undone"))
    removals: list[Fact] = []
    for some in parts(sorted({each.object for each in facts if each.kind != "reaction"}), IDS_AT_ONCE):
        query = {**its, "about": {"$in": some}, "kind": {"$in": list(REMOVED)}}
        removals += map(fact_of, interactions.find(query, FACT).hint("about"))
    return brought([*facts, *undone], removals)


def _rules(database: Database[Document], brand: str) -> tuple[list[Rule], int]:
    settings = database["mix_settings"].find_one({"_id": brand})
    if settings is None:
        return [], 0
    return msgspec.convert(settings["rules"], list[Rule]), settings["revision"]


def _labels(database: Database[Document], posts: Sequence[Document], rules: Sequence[Rule]) -> Iterator[Labelled]:
    """The labels of posts, in their order."""
    named = {"_id": {"$in": [each["_id"] for each in posts]}}
    by_hand, planned = (
        {each["_id"]: each["label"] for each in database[collection].find(named, {"label": 1}) if each.get("label")}
        for collection in ("post_labels", "post_plans")
    )
    for each in posts:
        yield label_of(each["text"], by_hand.get(each["_id"]), planned.get(each["_id"]), rules)


def _look_after_labels(database: Database[Document]) -> None:
    """Labels again: what other rules were used for, the newest, and some of the others in turn."""
    posts = database["posts"]
    fields = dict.fromkeys(("brand", "text", "label", "label_by", "labelled_with"), 1)
    for settings in database["mix_settings"].find({"_id": {"$gt": ""}}, {"revision": 1}):
        before = {"brand": settings["_id"], "labelled_with": {"$lt": settings["revision"]}}
        label(database, posts.find(before, fields).limit(IDS_AT_ONCE).to_list())
    label(database, posts.find({}, fields).sort("published_at", -1).limit(NEWEST).hint("newest").to_list())
    place = database["trails"].find_one({"_id": _SWEEP}) or {"fresh": ""}
    swept = posts.find({"_id": {"$gt": place["fresh"]}}, fields).sort("_id").limit(SWEPT).to_list()
    label(database, swept)
    reached = swept[-1]["_id"] if len(swept) == SWEPT else ""
    if reached != place["fresh"]:
        database["trails"].update_one({"_id": _SWEEP}, {"$set": {"fresh": reached}}, upsert=True)


def label(database: Database[Document], posts: Sequence[Document]) -> None:
    """Writes the labels of these posts where they are not as they should be."""
    of_brand: dict[str, list[Document]] = {}
    for each in posts:
        of_brand.setdefault(each["brand"], []).append(each)
    writes: list[UpdateOne] = []
    for brand, some in of_brand.items():
        with sparing("posts", brand):
            rules, revision = _rules(database, brand)
            for each, found in zip(some, _labels(database, some, rules), strict=True):
                wanted = {"label": found.label, "label_by": found.by, "labelled_with": revision}
                if any(each[name] != value for name, value in wanted.items()):
                    writes.append(UpdateOne({"_id": each["_id"], "text": each["text"]}, {"$set": wanted}))
    if writes:
        database["posts"].bulk_write(writes, ordered=False)


TASK = Task("posts", timedelta(seconds=5), follow)
