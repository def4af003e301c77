"""Rebuilds the document of a post whenever one of the facts about it changes.

It follows from `interactions`, `beginnings`, `post_labels`, `post_plans` and `mix_settings` alone; the figures come
from `services.api.mix.brought`.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database

from rapport.domain.mix.labels import Labelled, LabelRule, label_of
from rapport.domain.mix.posts import BROUGHT, REMOVED, post_of
from rapport.kit.mongo import Document
from services.api.calendar import upkeep as calendar
from services.api.calendar.repository import MATCH
from services.api.interactions.documents import InteractionDocument
from services.api.interactions.repository import FACT, fact_of
from services.api.mix import brought, tallies
from services.api.mix.documents import (
    LabelFields,
    LabelledPost,
    MixSettingsDocument,
    PostDocument,
    PostFigures,
    PostSumDocument,
    PostText,
)
from services.api.mix.tallies import Named
from services.api.mix.touched import Touched, about_things, taken_back
from services.api.projector.upkeep import rebuild_queue
from services.api.projector.upkeep.change_feed import ARRIVALS, follow_changes
from services.api.projector.upkeep.isolation import isolated
from services.api.projector.upkeep.loop import Task, TaskRun

IDS_AT_ONCE = 1_000
THING = "post-thing"
"""Queued: a thing that was removed, or whose removal does not count any more."""
_CHANGES = frozenset({"edit", "delete"})
"""Kinds that change the text of a post."""
_ARRIVED = dict.fromkeys(("platform", "kind", "object.id", "follower", "post", "undo"), 1)
NEWEST = 300
"""Newest posts that are labelled again each time, because a plan is often matched after its post."""
SWEPT = 300
"""Other posts that are labelled again in turn, so that all labels are right within minutes."""
_SWEEP = "labels"


def follow(run: TaskRun) -> None:
    """Rebuilds posts whose facts changed, and updates labels."""
    deadline = time.monotonic() + rebuild_queue.TURN_SECONDS
    for brand in run.brands():
        with isolated("posts", brand):
            take = partial(_take, run, brand)
            follow_changes(
                run, ARRIVALS, calendar.POSTS_FOLLOWED, brand, _ARRIVED, take, task="posts", deadline=deadline
            )
    rebuild_queue.work_off(run, THING, lambda each: _take_thing(run, each["brand"], each["platform"], each["thing"]))
    rebuild_queue.work_off(run, "post", lambda each: make(run, each["brand"], each["platform"], each["post"]))
    _look_after_labels(run.database)


def _take(run: TaskRun, brand: str, arrived: Sequence[InteractionDocument]) -> None:
    """Counts again what these interactions may change, and queues the posts that they concern."""
    touched = Touched(run, brand)
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
        # An undoing may name only the thing that it undoes.
        taken_back(run.database, brand, platform, pairs, touched)
    for platform, objects in said.items():
        things[platform].update(brought.removed(run.database, brand, platform, sorted(objects)))
    for platform, objects in things.items():
        about_things(run.database, brand, platform, sorted(objects), touched)
    touched.flush()
    for platform, objects in changed.items():
        query = {"brand": brand, "platform": platform, "object.id": {"$in": sorted(objects)}, "kind": "post"}
        told = _interactions(run.database).find(query, {"object.id": 1}).hint("published")
        posts.update((platform, each["object"]["id"]) for each in told)
    rebuild_queue.add(
        run, "post", ({"brand": brand, "platform": platform, "post": post} for platform, post in sorted(posts))
    )


def _interactions(database: Database[Any]) -> Collection[InteractionDocument]:
    return database["interactions"]


def _take_thing(run: TaskRun, brand: str, platform: str, thing: str) -> None:
    touched = Touched(run, brand)
    about_things(run.database, brand, platform, [thing], touched)
    touched.flush()


def make(run: TaskRun, brand: str, platform: str, post: str) -> None:
    """Rebuilds one post, or removes it if it is gone."""
    database = run.database
    its: Document = {"brand": brand, "platform": platform, "post": post}
    posts: Collection[PostDocument] = database["posts"]
    before = posts.find_one(its)
    text = _told(database, brand, platform, post)
    found: PostDocument | None = None
    if text is not None:
        total = brought.sum_of(run, brand, platform, post)
        if total is None:
            rebuild_queue.add(run, "post", [its])
        found = {**text, **_figures(total or before), **_label(database, text)}
    touched = calendar.of_post(before, found)
    rebuild_queue.add(run, MATCH, ({"brand": brand, "account": account} for account in sorted(touched)))
    if found is None:
        posts.delete_many(its)
        return
    posts.replace_one({"_id": found["_id"]}, found, upsert=True)
    # If two interactions tell the post, the other one may have been the earliest known until now.
    posts.delete_many({**its, "_id": {"$ne": found["_id"]}})


def _figures(counted: PostSumDocument | PostDocument | None) -> PostFigures:
    return {
        "comments": counted["comments"] if counted else 0,
        "reactions": counted["reactions"] if counted else 0,
        "shares": counted["shares"] if counted else 0,
        "new_relationships": (counted["new_relationships"] or 0) if counted else 0,
    }


def made(database: Database[Any], brand: str, platform: str, post: str) -> PostDocument | None:
    """One post from all of the stored facts, without its parts; None if there is none (any more)."""
    text = _told(database, brand, platform, post)
    if text is None:
        return None
    its = {"brand": brand, "platform": platform, "post": post, "new": True}
    total = tallies.total(database, brand, platform, post)
    figures: PostFigures = {
        "comments": total["comments"],
        "reactions": total["reactions"],
        "shares": total["shares"],
        "new_relationships": database["beginnings"].count_documents(its, hint="post"),
    }
    return {**text, **figures, **_label(database, text)}


def _told(database: Database[Any], brand: str, platform: str, post: str) -> PostText | None:
    """The text of a post as it reads now; None if there is no such post (any more)."""
    interactions = _interactions(database)
    its = {"brand": brand, "platform": platform}
    told = interactions.find({**its, "object.id": post, "kind": "post"}, FACT).hint("published")
    changed = {**its, "about": post, "kind": {"$in": ["edit", "delete"]}}
    changes = interactions.find(changed, FACT).hint("about")
    found = post_of(map(fact_of, told), map(fact_of, changes))
    if found is None:
        return None
    return {
        "_id": f"{brand}/{platform}/{found.id}",
        "brand": brand,
        "platform": platform,
        "account": found.account,
        "post": post,
        "published_at": found.published_at,
        "text": found.text,
        "url": found.url,
        "format": found.format,
    }


def _label(database: Database[Any], post: PostText) -> LabelFields:
    rules, revision = _rules(database, post["brand"])
    return _label_fields(next(iter(_labels(database, [(post["_id"], post["text"])], rules))), revision)


def _label_fields(found: Labelled, revision: int) -> LabelFields:
    return {"label": found.label, "label_by": found.by, "labelled_with": revision}


def _settings(database: Database[Any]) -> Collection[MixSettingsDocument]:
    return database["mix_settings"]


def _rules(database: Database[Any], brand: str) -> tuple[list[LabelRule], int]:
    settings = _settings(database).find_one({"_id": brand})
    if settings is None:
        return [], 0
    return msgspec.convert(settings["rules"], list[LabelRule]), settings["revision"]


def _labels(
    database: Database[Any], posts: Sequence[tuple[str, str | None]], rules: Sequence[LabelRule]
) -> Iterator[Labelled]:
    """The labels of posts (`_id` and text), in their order."""
    named = {"_id": {"$in": [name for name, _ in posts]}}
    by_hand, planned = (
        {each["_id"]: each["label"] for each in database[collection].find(named, {"label": 1}) if each.get("label")}
        for collection in ("post_labels", "post_plans")
    )
    for name, text in posts:
        yield label_of(text, by_hand.get(name), planned.get(name), rules)


def _look_after_labels(database: Database[Any]) -> None:
    """Labels posts again: those with labels by older rules, the newest, and some of the others in turn."""
    posts: Collection[LabelledPost] = database["posts"]
    fields = dict.fromkeys(("brand", "text", "label", "label_by", "labelled_with"), 1)
    for settings in _settings(database).find({"_id": {"$gt": ""}}, {"revision": 1}):
        before = {"brand": settings["_id"], "labelled_with": {"$lt": settings["revision"]}}
        label(database, posts.find(before, fields).limit(IDS_AT_ONCE).to_list())
    label(database, posts.find({}, fields).sort("published_at", -1).limit(NEWEST).hint("newest").to_list())
    place = database["trails"].find_one({"_id": _SWEEP}) or {"fresh": ""}
    swept = posts.find({"_id": {"$gt": place["fresh"]}}, fields).sort("_id").limit(SWEPT).to_list()
    label(database, swept)
    reached = swept[-1]["_id"] if len(swept) == SWEPT else ""
    if reached != place["fresh"]:
        database["trails"].update_one({"_id": _SWEEP}, {"$set": {"fresh": reached}}, upsert=True)


def label(database: Database[Any], posts: Sequence[LabelledPost]) -> None:
    """Writes the labels of these posts that changed."""
    of_brand: dict[str, list[LabelledPost]] = {}
    for each in posts:
        of_brand.setdefault(each["brand"], []).append(each)
    writes: list[UpdateOne] = []
    for brand, some in of_brand.items():
        with isolated("posts", brand):
            rules, revision = _rules(database, brand)
            labels = _labels(database, [(each["_id"], each["text"]) for each in some], rules)
            for each, found in zip(some, labels, strict=True):
                wanted = _label_fields(found, revision)
                stored: LabelFields = {
                    "label": each["label"],
                    "label_by": each["label_by"],
                    "labelled_with": each["labelled_with"],
                }
                if stored != wanted:
                    writes.append(UpdateOne({"_id": each["_id"], "text": each["text"]}, {"$set": wanted}))
    if writes:
        database["posts"].bulk_write(writes, ordered=False)


TASK = Task("posts", timedelta(seconds=5), follow)
