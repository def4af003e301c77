"""What a brand published: one document per post in `posts`, remade whenever one of the facts about it changes.

A post: `_id` (of the interaction that told it), `brand`, `platform`, `account`, `post` (its object id), `published_at`,
`text`, `url`, `format`, `label` and `label_by` (`hand`, `plan`, `rule` or null), `labelled_with` (the revision of the
brand's rules), and what it brought: `comments`, `reactions`, `shares`, `new_relationships`. All of it follows from
`interactions`, `beginnings`, `post_labels`, `post_plans` and `mix_settings`, by `rapport.domain.published` and
`rapport.domain.mix`. The figures are kept by `services.api.upkeep.brought`.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial

import msgspec
from pymongo import UpdateOne
from pymongo.database import Database

from rapport.domain.mix import Labelled, Rule, label_of
from rapport.domain.published import BROUGHT, REMOVED, post_of
from rapport.kit.mongo import Document
from services.api.repositories.calendar import MATCH
from services.api.upkeep import brought, calendar, stale
from services.api.upkeep.brought import Named, Touched
from services.api.upkeep.facts import FACT, fact_of
from services.api.upkeep.loop import Desk, Task
from services.api.upkeep.sparing import sparing
from services.api.upkeep.trail import follow_arrivals

IDS_AT_ONCE = 1_000
THING = "post-thing"
"""What is marked: something whose removal counts or does not count any more."""
FIGURES = (*brought.COUNTS, "new_relationships")
_CHANGES = frozenset({"edit", "delete"})
"""What changes how a post reads."""
_ARRIVED = dict.fromkeys(("platform", "kind", "object.id", "follower", "post", "undo"), 1)
NEWEST = 300
"""So many of the newest posts are labelled again each time, because a plan is often found after its post."""
SWEPT = 300
"""So many others, in turn: whatever changed a label without a trace is found within minutes."""
_SWEEP = "labels"


def follow(desk: Desk) -> None:
    """Remakes the posts that something happened to, and looks after the labels."""
    deadline = time.monotonic() + stale.TURN_SECONDS
    for brand in desk.brands():
        with sparing("posts", brand):
            take = partial(_take, desk, brand)
            follow_arrivals(desk, "posts-arrived", brand, _ARRIVED, take, task="posts", deadline=deadline)
    stale.take(desk, THING, lambda each: _take_thing(desk, each["brand"], each["platform"], each["thing"]))
    stale.take(desk, "post", lambda each: make(desk, each["brand"], each["platform"], each["post"]))
    _look_after_labels(desk.database)


def _take(desk: Desk, brand: str, arrived: Sequence[Document]) -> None:
    """Counts again what these interactions may change, and marks the posts that they tell or change."""
    touched = Touched(desk, brand)
    posts: set[Named] = set()
    changed: dict[str, set[str]] = defaultdict(set)
    things: dict[str, set[str]] = defaultdict(set)
    said: dict[str, set[str]] = defaultdict(set)
    undone: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for each in arrived:
        platform, kind, thing, follower = each["platform"], each["kind"], each["object"]["id"], each.get("follower")
        if kind == "post":
            posts.add((platform, thing))
        if kind in _CHANGES:
            changed[platform].add(thing)
        if kind in REMOVED:
            things[platform].add(thing)
        if kind not in BROUGHT or follower is None:
            continue
        if each.get("undo"):
            undone[platform].add((thing, follower))
        if each.get("post"):
            touched.add(platform, each["post"], follower)
            if kind != "reaction":
                said[platform].add(thing)
    for platform, pairs in undone.items():
        # An undoing may name nothing but the thing that it happened to.
        brought.taken_back(desk.database, brand, platform, pairs, touched)
    for platform, objects in said.items():
        things[platform].update(brought.removed(desk.database, brand, platform, sorted(objects)))
    for platform, objects in things.items():
        brought.about_things(desk.database, brand, platform, sorted(objects), touched)
    touched.flush()
    for platform, objects in changed.items():
        query = {"brand": brand, "platform": platform, "object.id": {"$in": sorted(objects)}, "kind": "post"}
        told = desk.database["interactions"].find(query, {"object.id": 1}).hint("published")
        posts.update((platform, each["object"]["id"]) for each in told)
    stale.mark(desk, "post", ({"brand": brand, "platform": platform, "post": post} for platform, post in sorted(posts)))


def _take_thing(desk: Desk, brand: str, platform: str, thing: str) -> None:
    touched = Touched(desk, brand)
    brought.about_things(desk.database, brand, platform, [thing], touched)
    touched.flush()


def make(desk: Desk, brand: str, platform: str, post: str) -> None:
    """Remakes one post, or removes it if it is gone."""
    database = desk.database
    its: Document = {"brand": brand, "platform": platform, "post": post}
    before = database["posts"].find_one(its)
    found = _told(database, its)
    if found is not None:
        total = brought.sum_of(desk, brand, platform, post)
        if total is None:
            stale.mark(desk, "post", [its])
        shown = total or before or {}
        found = _labelled(database, {**found, **{name: shown.get(name, 0) for name in FIGURES}})
    touched = calendar.of_post(before, found)
    stale.mark(desk, MATCH, ({"brand": brand, "account": account} for account in sorted(touched)))
    if found is None:
        database["posts"].delete_many(its)
        return
    database["posts"].replace_one({"_id": found["_id"]}, found, upsert=True)
    # Of a post that was told twice, the other interaction may have been the earliest known until now.
    database["posts"].delete_many({**its, "_id": {"$ne": found["_id"]}})


def made(database: Database[Document], brand: str, platform: str, post: str) -> Document | None:
    """One post from all of the stored facts, not from what is counted; None where there is none (any more)."""
    its: Document = {"brand": brand, "platform": platform, "post": post}
    found = _told(database, its)
    if found is None:
        return None
    new = database["beginnings"].count_documents({**its, "new": True}, hint="post")
    return _labelled(database, {**found, **brought.in_all(database, brand, platform, post), "new_relationships": new})


def _told(database: Database[Document], post: Document) -> Document | None:
    """A post as it reads, without label and figures; None where there is none (any more)."""
    interactions = database["interactions"]
    its = {"brand": post["brand"], "platform": post["platform"]}
    told = interactions.find({**its, "object.id": post["post"], "kind": "post"}, FACT).hint("published")
    changed = {**its, "about": post["post"], "kind": {"$in": ["edit", "delete"]}}
    changes = interactions.find(changed, FACT).hint("about")
    found = post_of(map(fact_of, told), map(fact_of, changes))
    if found is None:
        return None
    return {
        "_id": f"{post['brand']}/{post['platform']}/{found.id}",
        **its,
        "account": found.account,
        "post": post["post"],
        "published_at": found.published_at,
        "text": found.text,
        "url": found.url,
        "format": found.format,
    }


def _labelled(database: Database[Document], post: Document) -> Document:
    rules, revision = _rules(database, post["brand"])
    label = next(iter(_labels(database, [post], rules)))
    return {**post, "label": label.label, "label_by": label.by, "labelled_with": revision}


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
