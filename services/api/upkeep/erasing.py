"""Removes what was written of people who were erased, and takes it off every figure; then forgets who they were.

Twice: at once, and again when everybody is through who had begun to write before they knew.
"""

from datetime import timedelta
from typing import Any

from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database

from rapport.kit.mongo import Document, in_transaction
from services.api.periods import day_of
from services.api.projection import hourly
from services.api.projection.documents import follower_id
from services.api.projection.erasing import BLANK, BLANK_EXCHANGE
from services.api.repositories.identities import links_around, marks
from services.api.upkeep import brought, community_judging, judging, stage_after, stale
from services.api.upkeep.loop import Desk, Task
from services.api.upkeep.posts import THING
from services.api.upkeep.sparing import sparing
from services.api.upkeep.trail import LATER

AT_ONCE = 1_000


def follow(desk: Desk) -> None:
    """Takes up whom a brand erased since, and those who are to be looked for a second time."""
    erased = desk.database["erased"]
    query = {"follower": {"$type": "string"}, "$or": [{"removed": None}, {"noted_at": {"$lte": desk.now - LATER}}]}
    for each in erased.find(query):
        desk.keep()
        with sparing("erasing", each["_id"]):
            _remove(desk, each)
            through = each["noted_at"] <= desk.now - LATER
            change: Document = {"$set": {"removed": True}, "$unset": {"parts": "", "hours": ""}}
            if through:
                change["$unset"] |= {"platform": "", "follower": ""}
            erased.update_one({"_id": each["_id"]}, change)


def _remove(desk: Desk, person: Document) -> None:
    database = desk.database
    its: Document = {name: person[name] for name in ("brand", "platform")}
    follower: str = person["follower"]
    _remove_interactions(desk, person, its)
    _blank(database, its, follower)
    _forget_beginning(desk, its, follower)
    judging.forget(database, its["brand"], its["platform"], follower)
    id = follower_id(its["brand"], its["platform"], follower)  # noqa: A001
    stage_after.forget(database, id)
    _unlink(desk, its["brand"], f"{its['platform']}/{follower}")
    for collection in ("profiles", "followers"):
        database[collection].delete_one({"_id": id})
    community_judging.forget(database, its["brand"], its["platform"], follower, desk.now)


def _remove_interactions(desk: Desk, person: Document, its: Document) -> None:
    """Removes them; what counts them is marked first, so that it is made anew whenever this process ends."""
    interactions, erased = desk.database["interactions"], desk.database["erased"]
    for query, index in (
        ({**its, "follower": person["follower"], "staff": {"$ne": True}}, "timeline"),
        ({**its, "staff": True, "parent.actor": person["follower"]}, "reached"),
    ):
        fields = dict.fromkeys(("brand", "hour", "arrived", "post", "kind", "object.id"), 1)
        while found := interactions.find(query, fields).hint(index).limit(AT_ONCE).to_list():
            desk.keep()
            counted = [list(part) for part in {hourly.part_of(each)[1:] for each in found}]
            erased.update_one({"_id": person["_id"]}, {"$addToSet": {"parts": {"$each": counted}}})
            posts = sorted({each["post"] for each in found if each.get("post") is not None})
            stale.mark(desk, "post", ({**its, "post": post} for post in posts))
            said = sorted({each["object"]["id"] for each in found if each.get("post") and each["kind"] != "reaction"})
            things = brought.removed(desk.database, its["brand"], its["platform"], said)
            stale.mark(desk, THING, ({**its, "thing": thing} for thing in things))
            interactions.delete_many({"_id": {"$in": [each["_id"] for each in found]}})
    brought.forget(desk, its["brand"], its["platform"], person["follower"])
    noted: Any = erased.find_one({"_id": person["_id"]}, {"parts": 1, "hours": 1}) or {}
    hourly.recount_parts(desk.database, ((its["brand"], hour, minute) for hour, minute in noted.get("parts", ())))
    # An earlier version noted hours.
    hourly.recount(desk.database, ((its["brand"], hour) for hour in noted.get("hours", ())))


def _blank(database: Database[Document], its: Document, follower: str) -> None:
    """Exchanges and what was said of them stay, without a word of the person."""
    query = {**its, "follower.id": follower}
    payload = {f"payload.{name}": value for name, value in BLANK.items()}
    while found := database["alerts"].find(query, {"_id": 1}).hint("follower").limit(AT_ONCE).to_list():
        ids = [each["_id"] for each in found]
        database["deliveries"].update_many({"brand": its["brand"], "alert": {"$in": ids}}, {"$set": payload})
        database["alerts"].update_many({"_id": {"$in": ids}}, {"$set": BLANK})
    # Without $literal, `first` would be put into what is there, and the text stay.
    blank = {name: {"$literal": value} for name, value in BLANK_EXCHANGE.items()}
    database["exchanges"].update_many(query, [{"$set": {**blank, "written_at": "$$NOW"}}], hint="follower")


def _forget_beginning(desk: Desk, its: Document, follower: str) -> None:
    beginnings = desk.database["beginnings"]
    id = follower_id(its["brand"], its["platform"], follower)  # noqa: A001
    brand = desk.database["brands"].find_one({"_id": its["brand"]}, {"settings.timezone": 1})

    def remove(session: ClientSession) -> None:
        begun = beginnings.find_one_and_delete({"_id": id}, session=session)
        if begun is None:
            return
        if brand is not None and brand["settings"]:
            day = day_of(begun["at"], brand["settings"]["timezone"])
            stale.mark(desk, "day", [{"brand": its["brand"], "day": day}], session)
        if begun["post"] is not None:
            stale.mark(desk, "post", [{**its, "post": begun["post"]}], session)
        brought.add_new(desk.database, [(begun, None)], session)

    in_transaction(desk.database, remove)


def _unlink(desk: Desk, brand: str, follower: str) -> None:
    """The others of the person are told that they are fewer."""
    links = desk.database["links"]
    around = {end for link in links_around(desk.database, brand, [follower]) for end in (link.a, link.b)} - {follower}
    either = {"$or": [{"brand": brand, "a": follower}, {"brand": brand, "b": follower}]}
    if around:
        token = f"erased {desk.now.isoformat()}"
        writes: list[UpdateOne] = marks(brand, sorted(around), token)
        desk.database["linked"].bulk_write(writes, ordered=False)
    links.delete_many(either)
    desk.database["link_log"].delete_many(either)
    desk.database["linked"].delete_one({"_id": f"{brand}/{follower}"})


TASK = Task("erasing", timedelta(seconds=1), follow)
