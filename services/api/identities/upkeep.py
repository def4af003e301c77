"""Tells the rows of linked followers, through the log, who the person is and what the person's other followers bring.

Content is stored before it is sent, and sent until the broker has it. So a revision has only one content, and the
follower's row takes the highest revision. After a restore of MongoDB the row may have been told more than is stored
here. The follower's view says which revision the row has, and the next one is told above it.
"""

from datetime import timedelta
from typing import Any

from pymongo.collection import Collection
from pymongo.database import Database

from rapport.contracts import codec
from rapport.contracts.controls import PersonTold
from rapport.contracts.topics import CONVERSATIONS, key_of, partition_of
from rapport.domain.identity import Standing, brought_by_others, person_id, persons, stands_for_it
from rapport.kit.mongo import CONFIRMED, Document
from services.api.identities.documents import LinkedDocument, PendingDocument, PersonContent
from services.api.identities.repository import links_around, marks
from services.api.projector.upkeep.isolation import isolated
from services.api.projector.upkeep.loop import Task, TaskRun
from services.api.projector.upkeep.rebuild_queue import TRIED_AGAIN

AT_ONCE = 500
LOOK_BACK = timedelta(minutes=2)
"""Several projectors write at once, so an earlier write can become visible after a later one."""
SEND_SECONDS = 30
NOBODY: PersonContent = {"person": None, "sums": {}, "last_purchase_at": None, "shadow": False}
"""What a follower is told that is linked to nobody."""


def tell(run: TaskRun) -> None:
    """Tells followers whose links changed, and those linked to somebody who did something."""
    _mark(run)
    linked = _linked(run.database)
    due = {"dirty": {"$type": "string"}, "held_until": {"$not": {"$gt": run.now}}}
    while dirty := linked.find(due).limit(AT_ONCE).to_list():
        for each in dirty:
            run.renew_lease()
            told = False
            with isolated("persons", each["_id"]):
                _tell(run, each)
                told = True
            if not told:
                linked.update_one({"_id": each["_id"]}, {"$set": {"held_until": run.now + TRIED_AGAIN}})


def _linked(database: Database[Any]) -> Collection[LinkedDocument]:
    # What is pending here goes to the log, so a lost primary must not take it along.
    return database.get_collection("linked", read_concern=CONFIRMED)


def _mark(run: TaskRun) -> None:
    """Marks all followers of a person if one of them was written since the last run."""
    noted = run.database["upkeep"].find_one({"_id": "persons"}) or {"until": run.now - timedelta(days=1)}
    since = noted["until"] - LOOK_BACK
    changed: dict[str, Any] = {}
    for those in ({"person": {"$type": "string"}}, {"person_revision": {"$type": "number"}}):
        fields = dict.fromkeys(("brand", "version", "person_revision"), 1)
        found = run.database["followers"].find({**those, "written_at": {"$gte": since}}, fields)
        changed |= {each["_id"]: each for each in found}
    seen = _linked(run.database).find(
        {"_id": {"$in": list(changed)}}, dict.fromkeys(("version", "revision", "pending.revision"), 1)
    )
    known = {each["_id"]: each for each in seen}
    for name, each in changed.items():
        run.renew_lease()
        linked = known.get(name)
        if each.get("person_revision", 0) > _revision(linked):
            mine = marks(each["brand"], [name.split("/", 1)[1]], run.now.isoformat())
            _linked(run.database).bulk_write(mine, ordered=False)
        if linked is None or linked.get("version") != each["version"]:
            with isolated("persons", name):
                brand, follower = name.split("/", 1)
                mine = marks(brand, _members(run.database, brand, follower), run.now.isoformat())
                _linked(run.database).bulk_write(mine, ordered=False)
                _linked(run.database).update_one(
                    {"_id": name}, {"$set": {"brand": brand, "version": each["version"]}}, upsert=True
                )
    run.database["upkeep"].update_one({"_id": "persons"}, {"$set": {"until": run.now}}, upsert=True)


def _revision(linked: LinkedDocument | None) -> int:
    """The highest that the log may have, as far as MongoDB knows."""
    if linked is None:
        return 0
    pending = linked.get("pending")
    return max(linked.get("revision", 0), pending["revision"] if pending is not None else 0)


def _members(database: Database[Any], brand: str, follower: str) -> frozenset[str]:
    for members in persons(links_around(database, brand, [follower])):
        if follower in members:
            return members
    return frozenset([follower])


def _tell(run: TaskRun, dirty: LinkedDocument) -> None:
    """Tells one follower. If older content is still pending, that is sent first, and the rest in the next round."""
    linked, (brand, follower) = _linked(run.database), dirty["_id"].split("/", 1)
    row = run.database["followers"].find_one({"_id": dirty["_id"]}, {"person_revision": 1}) or {}
    if row.get("person_revision", 0) > _revision(dirty):
        caught_up: Document = {"$set": {"revision": row["person_revision"], "pending": None}, "$unset": {"told": ""}}
        linked.update_one({"_id": dirty["_id"], "revision": dirty.get("revision")}, caught_up)
        return  # the next round tells it
    wanted = content(run.database, brand, follower)
    pending = dirty.get("pending")
    if pending is None and wanted != dirty.get("told"):
        pending = {"revision": dirty.get("revision", 0) + 1, "content": wanted}
        as_read = {"_id": dirty["_id"], "revision": dirty.get("revision"), "pending": None}
        if not linked.update_one(as_read, {"$set": {"pending": pending}}).matched_count:
            return  # another process was faster; the next round reads what it wrote
    if pending is not None:
        _send(run, brand, follower, pending)
        told = {"revision": pending["revision"], "told": pending["content"], "pending": None}
        sent = {"_id": dirty["_id"], "pending.revision": pending["revision"]}
        if not linked.update_one(sent, {"$set": told}).matched_count:
            return
    if pending is None or pending["content"] == wanted:
        linked.update_one({"_id": dirty["_id"], "dirty": dirty["dirty"]}, {"$unset": {"dirty": ""}})


def content(database: Database[Any], brand: str, follower: str) -> PersonContent:
    """What a follower has to be told."""
    members = _members(database, brand, follower)
    if len(members) == 1:
        return NOBODY.copy()
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


def _send(run: TaskRun, brand: str, follower: str, pending: PendingDocument) -> None:
    """Returns once the broker has it."""
    platform, its_id = follower.split("/", 1)
    told = PersonTold(
        brand=brand, platform=platform, follower=its_id, revision=pending["revision"], **pending["content"]
    )
    key = key_of(brand, platform, its_id)
    headers = codec.headers(
        "rapport.control.v1", id=f"person:{brand}/{follower}/{pending['revision']}", source="/rapport/projector"
    )
    run.producer.send(
        CONVERSATIONS.name,
        codec.encode(told),
        key=key,
        partition=partition_of(key, CONVERSATIONS.partitions),
        headers=headers,
    ).get(SEND_SECONDS)


TASK = Task("persons", timedelta(seconds=2), tell)
