"""Drops from the views what the platforms' terms no longer let be kept: texts, and who people are.

Clocks, outcomes, counts and decisions stay. `services.api.projector.forgetting` says what is left of each document.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pymongo import DeleteOne, UpdateOne

from rapport.kit.mongo import Document
from services.api.campaigns import judging
from services.api.projector import forgetting
from services.api.projector.upkeep.isolation import isolate_each, isolated
from services.api.projector.upkeep.loop import Task, TaskRun

AT_ONCE = 500
TURN_SECONDS = 2.0
"""How long each collection may take in a run. What is left waits for the next."""
INDEX = "forget"

Documents = Sequence[Mapping[str, Any]]


def follow(run: TaskRun) -> None:
    """Drops what is over, a part of each collection at a time."""
    for collection, drop in _DROP.items():
        run.renew_lease()
        with isolated("forgetting", collection):
            _drop_due(run, collection, drop)


def _drop_due(run: TaskRun, collection: str, drop: Callable[[TaskRun, Documents], None]) -> None:
    deadline = time.monotonic() + TURN_SECONDS
    due = {"forget_at": {"$lte": run.now}}
    while found := run.database[collection].find(due).sort("forget_at").hint(INDEX).limit(AT_ONCE).to_list():
        run.renew_lease()
        isolate_each("forgetting", found, lambda some: drop(run, some))
        if len(found) < AT_ONCE or time.monotonic() > deadline:
            return


def _drop_from_interactions(run: TaskRun, found: Documents) -> None:
    """What was taken from a text goes first, so that a crash leaves nothing behind that nobody would look for."""
    kept_of = forgetting.Sought(run.database).stand_in
    writes: list[UpdateOne] = []
    beginnings: list[UpdateOne] = []
    texts: dict[tuple[str, str], dict[str, dict[str, str]]] = defaultdict(dict)
    for each in found:
        after = forgetting.interaction(each, run.now, kept_of)  # type: ignore[arg-type]
        writes.append(UpdateOne({"_id": each["_id"]}, forgetting.changes(each, after)))
        if "text" not in after and each.get("text"):
            its = texts[each["brand"], each["platform"]]
            its.setdefault(each["object"]["id"], {})[each["text"]] = after["heard"]
            if each.get("follower") is not None:
                began = {"_id": f"{each['brand']}/{each['platform']}/{each['follower']}"}
                beginnings.append(UpdateOne({**began, "interaction": each["interaction"]}, {"$set": {"text": None}}))
    for (brand, platform), by_object in texts.items():
        judging.forget_texts(run.database, brand, platform, by_object)
    if beginnings:
        run.database["beginnings"].bulk_write(beginnings, ordered=False)
    run.database["interactions"].bulk_write(writes, ordered=False)


def _drop_from(collection: str, after: Callable[[Any, datetime], Mapping[str, Any]]) -> Callable[..., None]:
    """For documents that the projector replaces: a newer version that it wrote meanwhile stays as it is."""

    def drop(run: TaskRun, found: Documents) -> None:
        run.database[collection].bulk_write(
            [
                UpdateOne(
                    {"_id": each["_id"], "version": each.get("version"), "forget_at": each["forget_at"]},
                    forgetting.changes(each, after(each, run.now)),
                )
                for each in found
            ],
            ordered=False,
        )

    return drop


def _drop_profiles(run: TaskRun, found: Documents) -> None:
    run.database["profiles"].bulk_write(
        [DeleteOne({"_id": each["_id"], "version": each["version"]}) for each in found], ordered=False
    )


def _drop_from_deliveries(run: TaskRun, found: Documents) -> None:
    """What was sent, or waits to be sent. The notifier itself looks before it sends."""
    run.database["deliveries"].bulk_write(
        [UpdateOne({"_id": each["_id"]}, _without(each["payload"], run.now)) for each in found], ordered=False
    )


def _without(payload: Mapping[str, Any], now: datetime) -> Document:
    """The update of a delivery. Its payload is an alert in JSON's types."""
    gone: Document = {}
    left: list[datetime] = []
    for part, names in (("first", ("text",)), ("follower", ("handle", "name"))):
        until = payload.get(part, {}).get("kept_until")
        held = [f"payload.{part}.{name}" for name in names if name in payload.get(part, {})]
        if until is None or not held:
            continue
        if (at := datetime.fromisoformat(until)) <= now:
            gone |= dict.fromkeys(held, "")
        else:
            left.append(at)
    if left:
        return {"$set": {"forget_at": min(left)}, **({"$unset": gone} if gone else {})}
    return {"$unset": {**gone, "forget_at": ""}}


_DROP: Mapping[str, Callable[[TaskRun, Documents], None]] = {
    "interactions": _drop_from_interactions,
    "exchanges": _drop_from("exchanges", forgetting.told),
    "alerts": _drop_from("alerts", forgetting.told),
    "deliveries": _drop_from_deliveries,
    "followers": _drop_from("followers", forgetting.follower),
    "profiles": _drop_profiles,
}
TASK = Task("forgetting", timedelta(seconds=10), follow)
