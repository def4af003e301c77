"""Who is the same person, told to each of the person's followers: what the others bring goes into the log.

What is to be told is stored before it is sent, and sent again until the broker has it; so of one revision there is only
one content, and the follower's row takes the highest.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pymongo.database import Database

from rapport.contracts import codec
from rapport.contracts.controls import PersonTold
from rapport.contracts.topics import CONVERSATIONS, key_of, partition_of
from rapport.domain.identity import Standing, brought_by_others, person_id, persons, stands_for_it
from rapport.kit.mongo import Document
from services.api.repositories.identities import links_around, marks
from services.api.upkeep.loop import Desk, Task
from services.api.upkeep.sparing import sparing
from services.api.upkeep.stale import TRIED_AGAIN

AT_ONCE = 500
LOOK_BACK = timedelta(minutes=2)
"""Several projectors write at once, and what one writes can show after what another wrote later."""
SEND_SECONDS = 30
NOBODY: Mapping[str, Any] = {"person": None, "sums": {}, "last_purchase_at": None, "shadow": False}
"""What a follower is told who is linked to nobody."""


def tell(desk: Desk) -> None:
    """Tells followers whose links changed, and those who share a person with somebody who did something."""
    _mark(desk)
    linked = desk.database["linked"]
    due = {"dirty": {"$type": "string"}, "held_until": {"$not": {"$gt": desk.now}}}
    while dirty := linked.find(due).limit(AT_ONCE).to_list():
        for each in dirty:
            desk.keep()
            told = False
            with sparing("persons", each["_id"]):
                _tell(desk, each)
                told = True
            if not told:
                linked.update_one({"_id": each["_id"]}, {"$set": {"held_until": desk.now + TRIED_AGAIN}})


def _mark(desk: Desk) -> None:
    """Marks the others of a person of whom a follower was written since the last time."""
    noted = desk.database["upkeep"].find_one({"_id": "persons"}) or {"until": desk.now - timedelta(days=1)}
    since = noted["until"] - LOOK_BACK
    found = desk.database["followers"].find(
        {"person": {"$type": "string"}, "written_at": {"$gte": since}}, {"brand": 1, "version": 1}
    )
    changed = {each["_id"]: each for each in found}
    seen = desk.database["linked"].find({"_id": {"$in": list(changed)}}, {"version": 1})
    known = {each["_id"]: each.get("version") for each in seen}
    for name, each in changed.items():
        desk.keep()
        if known.get(name) != each["version"]:
            with sparing("persons", name):
                brand, follower = name.split("/", 1)
                mine = marks(brand, _members(desk.database, brand, follower), desk.now.isoformat())
                desk.database["linked"].bulk_write(mine, ordered=False)
                desk.database["linked"].update_one(
                    {"_id": name}, {"$set": {"brand": brand, "version": each["version"]}}, upsert=True
                )
    desk.database["upkeep"].update_one({"_id": "persons"}, {"$set": {"until": desk.now}}, upsert=True)


def _members(database: Database[Document], brand: str, follower: str) -> frozenset[str]:
    for members in persons(links_around(database, brand, [follower])):
        if follower in members:
            return members
    return frozenset([follower])


def _tell(desk: Desk, dirty: Document) -> None:
    """Tells one follower what holds; what was left from before first, and the rest when it is looked at again."""
    linked, (brand, follower) = desk.database["linked"], dirty["_id"].split("/", 1)
    wanted = content(desk.database, brand, follower)
    pending = dirty.get("pending")
    if pending is None and wanted != dirty.get("told"):
        pending = {"revision": dirty.get("revision", 0) + 1, "content": wanted}
        as_read = {"_id": dirty["_id"], "revision": dirty.get("revision"), "pending": None}
        if not linked.update_one(as_read, {"$set": {"pending": pending}}).matched_count:
            return  # another process was faster; what it wrote is read at the next look
    if pending is not None:
        _send(desk, brand, follower, pending)
        told = {"revision": pending["revision"], "told": pending["content"], "pending": None}
        sent = {"_id": dirty["_id"], "pending.revision": pending["revision"]}
        if not linked.update_one(sent, {"$set": told}).matched_count:
            return
    if pending is None or pending["content"] == wanted:
        linked.update_one({"_id": dirty["_id"], "dirty": dirty["dirty"]}, {"$unset": {"dirty": ""}})


def content(database: Database[Document], brand: str, follower: str) -> Document:
    """What a follower is to be told: who it is, and what the others bring."""
    members = _members(database, brand, follower)
    if len(members) == 1:
        return dict(NOBODY)
    ids = [f"{brand}/{member}" for member in sorted(members)]
    found = database["followers"].find({"_id": {"$in": ids}}, {"sums": 1, "last_purchase_at": 1})
    standings = {each["_id"].split("/", 1)[1]: Standing(each["sums"], each["last_purchase_at"]) for each in found}
    others = brought_by_others(follower, standings)
    return {
        "person": person_id(brand, members),
        "sums": others.sums,
        "last_purchase_at": others.last_purchase_at,
        "shadow": follower != stands_for_it(members),
    }


def _send(desk: Desk, brand: str, follower: str, pending: Document) -> None:
    """Returns once the broker has it."""
    platform, its_id = follower.split("/", 1)
    told = PersonTold(
        brand=brand, platform=platform, follower=its_id, revision=pending["revision"], **pending["content"]
    )
    key = key_of(brand, platform, its_id)
    headers = codec.headers(
        "rapport.control.v1", id=f"person:{brand}/{follower}/{pending['revision']}", source="/rapport/projector"
    )
    desk.producer.send(
        CONVERSATIONS.name,
        codec.encode(told),
        key=key,
        partition=partition_of(key, CONVERSATIONS.partitions),
        headers=headers,
    ).get(SEND_SECONDS)


TASK = Task("persons", timedelta(seconds=2), tell)
