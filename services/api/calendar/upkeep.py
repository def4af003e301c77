"""Matches published posts with planned ones, and reminds of planned posts that are missing.

Whenever a post or a plan of an account changes, all of the account's posts and plans are matched again from what is
stored, so the order in which they came does not matter. A reminder of a missing post is sent to the log until the
broker has it. Its id depends on the plan and its time alone.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NotRequired, TypedDict

from pymongo import DeleteOne, ReplaceOne, UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database

from rapport.contracts import codec
from rapport.contracts.events import MissingPost
from rapport.contracts.topics import REMINDERS, key_of, partition_of
from rapport.domain.calendar.editorial import CLEARED, Plan, Published, is_missing, matched
from rapport.domain.mix.posts import excerpt
from rapport.kit.mongo import CONFIRMED, Document
from rapport.kit.parts import parts
from services.api.calendar.documents import (
    CalendarRules,
    CalendarSettingsDocument,
    Held,
    MatchByHand,
    PlannedPost,
    PlanOfPost,
    rules_of,
)
from services.api.calendar.repository import MATCH
from services.api.listening import upkeep as listening
from services.api.projector.upkeep import rebuild_queue
from services.api.projector.upkeep.change_feed import START
from services.api.projector.upkeep.documents import TrailDocument
from services.api.projector.upkeep.isolation import isolated
from services.api.projector.upkeep.loop import Task, TaskRun

POSTS_FOLLOWED = "posts-arrived"
"""The trail of the upkeep of posts, which queues them to be built."""
AT_ONCE = 500
SEND_SECONDS = 30
UNHEARD_FOR = timedelta(hours=1)
"""How long nobody is reminded because Rapport cannot hear whether a post was published. Then that is said, too."""
SENT_AGAIN_WITHIN = timedelta(minutes=5)
"""After no ingest process was there: how soon platforms and senders send again what they could not send."""
_POST = dict.fromkeys(("account", "published_at", "text", "post", "url"), 1)


class _Missing(TypedDict, total=False):
    """What the upkeep writes of a planned post that was not published."""

    missing_since: datetime
    untold: bool
    unconfirmed: bool
    held: Held


class _Told(TypedDict):
    """What is written once a reminder was sent, or is not wanted any more."""

    untold: bool
    told: NotRequired[str]


class _Found(TypedDict, total=False):
    """What the upkeep writes of a planned post that was published, or no longer is."""

    published: str | None
    published_at: datetime | None
    missing_since: None
    held: None


def _planned(database: Database[Any]) -> Collection[PlannedPost]:
    return database["planned_posts"]


def _plans(database: Database[Any]) -> Collection[PlanOfPost]:
    return database["post_plans"]


def follow(run: TaskRun) -> None:
    """Matches the accounts that changed, notes which posts are missing, and sends reminders."""
    rebuild_queue.work_off(run, MATCH, lambda each: match(run.database, each["brand"], each["account"]))
    for brand in run.brands():
        with isolated("calendar", brand):
            _miss(run, brand)
    _tell(run)


def _rules(database: Database[Any], brand: str) -> CalendarRules:
    settings: Collection[CalendarSettingsDocument] = database["calendar_settings"]
    return rules_of(settings.find_one({"_id": brand}))


def match(database: Database[Any], brand: str, account: str) -> None:
    """Stores the plan of each of an account's posts, and of each plan the post that was published."""
    its = {"brand": brand, "account": account}
    wanted = made(database, brand, account)
    plans = _plans(database)
    stored = {each["_id"]: each for each in plans.find(its).hint("account")}
    writes: list[ReplaceOne[PlanOfPost] | DeleteOne] = [
        ReplaceOne({"_id": name}, each, upsert=True) for name, each in wanted.items() if stored.get(name) != each
    ]
    writes += [DeleteOne({"_id": name}) for name in stored.keys() - wanted.keys()]
    if writes:
        plans.bulk_write(writes, ordered=False)
    posts = database["posts"].find({"_id": {"$in": list(wanted)}}, {"published_at": 1})
    published_at: dict[str, datetime] = {each["_id"]: each["published_at"] for each in posts}
    post_of = {each["plan"]: name for name, each in wanted.items()}
    changes: list[UpdateOne] = []
    for plan in _planned(database).find(its, {"plan": 1, "published": 1, "published_at": 1}).hint("account"):
        post = post_of.get(plan["plan"])
        found: _Found = {"published": post, "published_at": published_at.get(post) if post is not None else None}
        if plan["published"] != found["published"] or plan["published_at"] != found["published_at"]:
            if post is not None:
                found["missing_since"] = found["held"] = None
            changes.append(UpdateOne({"_id": plan["_id"]}, {"$set": found}))
    if changes:
        _planned(database).bulk_write(changes, ordered=False)


def made(database: Database[Any], brand: str, account: str) -> dict[str, PlanOfPost]:
    """What `post_plans` must contain for an account, by the post's `_id`."""
    its: Document = {"brand": brand, "account": account}
    planned = _planned(database).find({**its, "state": "planned"}).hint("account").to_list()
    if not planned:
        return {}
    window = timedelta(seconds=_rules(database, brand)["window_seconds"])
    matches: Collection[MatchByHand] = database["post_matches"]
    by_hand = {each["_id"]: each["plan"] for each in matches.find(its).hint("account")}
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
            "_id": name, "brand": brand, "account": account, "plan": each.plan, "how": each.how,
            "label": labels[each.plan], "by_hand": each.how == "hand",
        }
        for name, each in found.items()
    }  # fmt: skip


def _plan(planned: PlannedPost) -> Plan:
    return Plan(planned["plan"], planned["account"], planned["planned_at"], planned["text"], planned["post"])


def _published(post: Mapping[str, Any]) -> Published:
    names = tuple(name for name in (post["post"], post["url"]) if name is not None)
    return Published(post["_id"], post["account"], post["published_at"], post["text"] or "", names)


def _miss(run: TaskRun, brand: str) -> None:
    """Notes what should be out by now. Nobody is reminded of a post that was already late when it was stored, nor as
    long as it may have been published without our knowing.
    """
    grace = timedelta(seconds=_rules(run.database, brand)["grace_seconds"])
    query = {
        "brand": brand,
        "state": "planned",
        "published": None,
        "missing_since": None,
        "planned_at": {"$lte": run.now - grace},
        "approval": {"$in": sorted(CLEARED)},
    }
    # A post that seems to be missing may be waiting to be built or matched.
    waiting = {"what": {"$in": [MATCH, "post"]}, "brand": brand}
    waits = run.database["stale"].find_one(waiting, {"_id": 1}) is not None
    for some in parts(_planned(run.database).find(query).hint("missing"), AT_ONCE):
        run.renew_lease()
        found = [
            each
            for each in some
            if is_missing(each["state"], each["approval"], each["planned_at"], grace, run.now, published=False)
        ]
        writes = _noted(run, brand, found, grace, waits=waits)
        if writes:
            _planned(run.database).bulk_write(writes, ordered=False)


def _noted(run: TaskRun, brand: str, found: Sequence[PlannedPost], grace: timedelta, *, waits: bool) -> list[UpdateOne]:
    """What is to be written of posts that seem to be missing. `waits`: some posts of the brand are not built yet."""
    # One that was told for this time before, and was not missing meanwhile, is told again: the reminder may have been
    # skipped. The notifier sends it once.
    told = {each["_id"] for each in found if each["created_at"] < each["planned_at"] + grace}
    unheard: dict[str, datetime | None]
    if waits:
        unheard = dict.fromkeys(each["_id"] for each in found)
    else:
        unheard = _unheard(run, brand, [each for each in found if each["_id"] in told], grace) if told else {}
    writes: list[UpdateOne] = []
    for each in found:
        held = _held(each, run.now, unheard[each["_id"]]) if each["_id"] in unheard else None
        if held is not None and max(held["since"], each["planned_at"] + grace) + UNHEARD_FOR > run.now:
            if held != each.get("held"):
                writes.append(_change(each, {"held": held}))
            continue
        missing: _Missing = {
            "missing_since": run.now,
            "untold": each["_id"] in told,
            "unconfirmed": held is not None,
        }
        writes.append(_change(each, missing))
    return writes


def _change(planned: PlannedPost, changes: _Missing) -> UpdateOne:
    """Changes a planned post, if it was neither changed nor found meanwhile."""
    its = {"_id": planned["_id"], "revision": planned["revision"], "published": None, "missing_since": None}
    return UpdateOne(its, {"$set": changes})


def _held(planned: PlannedPost, now: datetime, told_at: datetime | None) -> Held:
    """Since when a reminder is held back that has to be held back now."""
    # Not since it was due: after an outage of ours, what happened during it is still to come.
    held = _held_before(planned) or {"reminder": reminder_id(planned), "since": now}
    return held if told_at is None or "told_at" in held else {**held, "told_at": told_at}


def _held_before(planned: PlannedPost) -> Held | None:
    held = planned.get("held")
    return held if held is not None and held["reminder"] == reminder_id(planned) else None


def _unheard(
    run: TaskRun, brand: str, found: Sequence[PlannedPost], grace: timedelta
) -> dict[str, datetime | None]:  # fmt: skip
    """Posts that may have been published in time without being stored yet, by `_id`.

    With each, when the log had taken all that says otherwise but for what is still to be read; None where that is not
    said.
    """
    accounts = {each["account"] for each in found}
    heard, posting = listening.heard(run.database, accounts), _posting(run.database, brand, accounts)
    known = [
        each
        for each in found
        if heard is not None
        and each["account"] in posting
        and (span := heard.spans.get(each["account"])) is not None
        and span.since <= each["planned_at"]
        and span.until >= each["planned_at"] + grace
        # Who plans a post after its time knows what was published before.
        and (
            heard.since <= max(each["planned_at"], each["created_at"]) or heard.last - heard.since >= SENT_AGAIN_WITHIN
        )
    ]
    unheard: dict[str, datetime | None] = dict.fromkeys(each["_id"] for each in found)
    if not known or heard is None:
        return unheard
    # What ingest said first counts: it says so again every few seconds, and the views are always a little behind.
    told_at: dict[str, datetime] = {}
    for each in known:
        held = _held_before(each)
        told_at[each["_id"]] = heard.told_at if held is None else held.get("told_at", heard.told_at)
    read = {at: run.read_to(at) for at in set(told_at.values())}
    followed = any(read.values()) and _are_followed(run, brand)
    for name, at in told_at.items():
        if read[at] and followed:
            del unheard[name]
        else:
            unheard[name] = at
    return unheard


def _posting(database: Database[Any], brand: str, accounts: Iterable[str]) -> set[str]:
    """The accounts of which some post came. Not every platform tells them, and none does without the permission."""
    posts = database["posts"]
    return {
        account
        for account in accounts
        if posts.find({"brand": brand, "account": account}, {"_id": 1}).hint("by_account").limit(1).to_list()
    }


def _are_followed(run: TaskRun, brand: str) -> bool:
    """Whether all of a brand's posts that are stored were looked at by the upkeep of posts."""
    trails: Collection[TrailDocument] = run.database["trails"]
    trail = trails.find_one({"_id": f"{POSTS_FOLLOWED}/{brand}"})
    new = {"brand": brand, "kind": "post", "arrived": {"$gt": trail["fresh"] if trail else START["arrived"]}}
    return not run.database["interactions"].find(new, {"_id": 1}).hint("arrived").limit(1).to_list()


def reminder_id(planned: PlannedPost) -> str:
    """The id of a reminder, which depends on the plan and its time."""
    named = "\x1f".join((planned["brand"], planned["plan"], planned["planned_at"].isoformat()))
    return hashlib.sha256(named.encode()).hexdigest()[:20]


def _tell(run: TaskRun) -> None:
    confirmed = _planned(run.database).with_options(read_concern=CONFIRMED)
    for each in confirmed.find({"untold": True}).hint("untold").limit(AT_ONCE).to_list():
        run.renew_lease()
        with isolated("calendar", each["_id"]):
            done: _Told = {"untold": False}
            if each["missing_since"] is not None:
                done["told"] = reminder_id(each)
                _send(run, each, each["missing_since"], done["told"])
            _planned(run.database).update_one({"_id": each["_id"], "revision": each["revision"]}, {"$set": done})


def _send(run: TaskRun, planned: PlannedPost, missing_since: datetime, name: str) -> None:
    """Returns once the broker has it."""
    missing = MissingPost(
        id=name,
        brand=planned["brand"],
        created_at=missing_since,
        platform=planned["platform"],
        account=planned["account"],
        plan=planned["plan"],
        planned_at=planned["planned_at"],
        text=excerpt(planned["text"]) or None,
        owner=planned["owner"],
        unconfirmed=planned.get("unconfirmed", False),
    )
    key = key_of(missing.brand)
    headers = codec.headers("rapport.missing-post.v1", id=name, source="/rapport/projector")
    run.producer.send(
        REMINDERS.name,
        codec.encode(missing),
        key=key,
        partition=partition_of(key, REMINDERS.partitions),
        headers=headers,
    ).get(SEND_SECONDS)


def of_post(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> set[str]:
    """The accounts that must be matched again because of a changed post."""
    if before is not None and after is not None and all(before[name] == after[name] for name in _POST):
        return set()
    return {each["account"] for each in (before, after) if each is not None}


TASK = Task("calendar", timedelta(seconds=5), follow)
