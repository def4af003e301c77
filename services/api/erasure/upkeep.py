"""Removes erased people from the views and from every figure, then forgets who they were.

It looks twice: at once, and again ten minutes later, for processes that were still writing when the erasure arrived.
"""

from datetime import timedelta
from typing import Any

from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database

from rapport.kit.mongo import Document, in_transaction
from services.api.campaigns import judging
from services.api.communities import judging as community_judging
from services.api.erasure.documents import ErasedDocument
from services.api.http.periods import day_of
from services.api.identities.repository import links_around, marks
from services.api.interactions.documents import follower_id
from services.api.mix import brought
from services.api.mix.upkeep import THING
from services.api.new_relationships import stage_after
from services.api.projector import hourly
from services.api.projector.erasing import BLANK, BLANK_EXCHANGE
from services.api.projector.upkeep import rebuild_queue
from services.api.projector.upkeep.change_feed import LATER
from services.api.projector.upkeep.isolation import isolated
from services.api.projector.upkeep.loop import Task, TaskRun

AT_ONCE = 1_000


def follow(run: TaskRun) -> None:
    """Removes people whom a brand has just erased, and those who are due for the second look."""
    erased: Collection[ErasedDocument] = run.database["erased"]
    query = {"follower": {"$type": "string"}, "$or": [{"removed": None}, {"noted_at": {"$lte": run.now - LATER}}]}
    for each in erased.find(query):
        run.renew_lease()
        with isolated("erasing", each["_id"]):
            _remove(run, each)
            through = each["noted_at"] <= run.now - LATER
            change: Document = {"$set": {"removed": True}, "$unset": {"parts": "", "hours": ""}}
            if through:
                change["$unset"] |= {"platform": "", "follower": ""}
            erased.update_one({"_id": each["_id"]}, change)


def _remove(run: TaskRun, person: ErasedDocument) -> None:
    database = run.database
    its: Document = {"brand": person["brand"], "platform": person["platform"]}
    follower = person["follower"]
    _remove_interactions(run, person, its)
    _blank(database, its, follower)
    _forget_beginning(run, its, follower)
    judging.forget(database, its["brand"], its["platform"], follower)
    id = follower_id(its["brand"], its["platform"], follower)  # noqa: A001
    stage_after.forget(database, id)
    _unlink(run, its["brand"], f"{its['platform']}/{follower}")
    _forget_errands(database, its, follower)
    for collection in ("profiles", "followers"):
        database[collection].delete_one({"_id": id})
    community_judging.forget(database, its["brand"], its["platform"], follower, run.now)


def _remove_interactions(run: TaskRun, person: ErasedDocument, its: Document) -> None:
    """Removes them. What counts them is queued first, so that it is rebuilt even if this process ends."""
    interactions = run.database["interactions"]
    erased: Collection[ErasedDocument] = run.database["erased"]
    for query, index in (
        ({**its, "follower": person["follower"], "staff": {"$ne": True}}, "timeline"),
        ({**its, "staff": True, "parent.actor": person["follower"]}, "reached"),
    ):
        fields = dict.fromkeys(("brand", "hour", "arrived", "post", "kind", "object.id"), 1)
        while found := interactions.find(query, fields).hint(index).limit(AT_ONCE).to_list():
            run.renew_lease()
            counted = [list(part) for part in {hourly.part_of(each)[1:] for each in found}]
            erased.update_one({"_id": person["_id"]}, {"$addToSet": {"parts": {"$each": counted}}})
            posts = sorted({each["post"] for each in found if each.get("post") is not None})
            rebuild_queue.add(run, "post", ({**its, "post": post} for post in posts))
            said = sorted({each["object"]["id"] for each in found if each.get("post") and each["kind"] != "reaction"})
            things = brought.removed(run.database, its["brand"], its["platform"], said)
            rebuild_queue.add(run, THING, ({**its, "thing": thing} for thing in things))
            interactions.delete_many({"_id": {"$in": [each["_id"] for each in found]}})
    brought.forget(run, its["brand"], its["platform"], person["follower"])
    noted = erased.find_one({"_id": person["_id"]}, {"parts": 1, "hours": 1})
    if noted is not None:
        parts = ((its["brand"], hour, minute) for hour, minute in noted.get("parts", ()))
        hourly.recount_parts(run.database, parts)
        # An earlier version noted hours.
        hourly.recount(run.database, ((its["brand"], hour) for hour in noted.get("hours", ())))


def _blank(database: Database[Any], its: Document, follower: str) -> None:
    """Exchanges and their alerts stay, without anything of the person."""
    query = {**its, "follower.id": follower}
    database["alerts"].update_many(query, {"$set": BLANK}, hint="follower")
    # The notifier may write an alert before the projector does, or after it.
    told = {"brand": its["brand"], "payload.platform": its["platform"], "payload.follower.id": follower}
    payload = {f"payload.{name}": value for name, value in BLANK.items()}
    database["deliveries"].update_many(told, {"$set": payload}, hint="follower")
    # Without $literal, `first` would be merged into the stored one and its text would stay.
    blank = {name: {"$literal": value} for name, value in BLANK_EXCHANGE.items()}
    database["exchanges"].update_many(query, [{"$set": {**blank, "written_at": "$$NOW"}}], hint="follower")


def _forget_errands(database: Database[Any], its: Document, follower: str) -> None:
    """What was answered to them. That they were answered stays with the exchange."""
    query = {**its, "follower": follower}
    while found := database["errands"].find(query, {"_id": 1}).hint("follower").limit(AT_ONCE).to_list():
        ids = {"_id": {"$in": [each["_id"] for each in found]}}
        database["errand_states"].delete_many(ids)
        database["errands"].delete_many(ids)


def _forget_beginning(run: TaskRun, its: Document, follower: str) -> None:
    beginnings = run.database["beginnings"]
    id = follower_id(its["brand"], its["platform"], follower)  # noqa: A001
    brand = run.database["brands"].find_one({"_id": its["brand"]}, {"settings.timezone": 1})

    def remove(session: ClientSession) -> None:
        begun = beginnings.find_one_and_delete({"_id": id}, session=session)
        if begun is None:
            return
        if brand is not None and brand["settings"]:
            day = day_of(begun["at"], brand["settings"]["timezone"])
            rebuild_queue.add(run, "day", [{"brand": its["brand"], "day": day}], session)
        if begun["post"] is not None:
            rebuild_queue.add(run, "post", [{**its, "post": begun["post"]}], session)
        brought.add_new(run.database, [(begun, None)], session)

    in_transaction(run.database, remove)


def _unlink(run: TaskRun, brand: str, follower: str) -> None:
    """Unlinks the profile and marks the person's other profiles, which have one fewer."""
    links = run.database["links"]
    around = {end for link in links_around(run.database, brand, [follower]) for end in (link.a, link.b)} - {follower}
    either = {"$or": [{"brand": brand, "a": follower}, {"brand": brand, "b": follower}]}
    if around:
        token = f"erased {run.now.isoformat()}"
        writes: list[UpdateOne] = marks(brand, sorted(around), token)
        run.database["linked"].bulk_write(writes, ordered=False)
    links.delete_many(either)
    run.database["link_log"].delete_many(either)
    run.database["linked"].delete_one({"_id": f"{brand}/{follower}"})


TASK = Task("erasing", timedelta(seconds=1), follow)
