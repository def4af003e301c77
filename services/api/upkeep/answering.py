"""What became of followers after their comments were answered, late, or not: noted once the window is over."""

from datetime import UTC, datetime, timedelta

from pymongo import DeleteOne, UpdateOne

from rapport.domain.answering import AFTER, moved
from rapport.kit.mongo import Document
from services.api.repositories import scorings
from services.api.upkeep.loop import Desk, Task

AGAIN = timedelta(days=7)
"""Late facts still change outcomes for so long; what was noted is told anew until then."""
AT_ONCE = 1_000
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_WANTED = {
    **dict.fromkeys(("brand", "platform", "follower.id", "state", "opened_at", "due_at"), 1),
    **dict.fromkeys(("breached_at", "cancelled_because"), 1),
}


def follow(desk: Desk) -> None:
    """Goes through the exchanges whose window has ended, by due time, and through those of the week before again."""
    for brand in desk.brands():
        place = desk.database["upkeep"].find_one({"_id": f"answering/{brand}"})
        after = place["until"] - AGAIN if place else _BEGINNING
        until = desk.now - AFTER
        query = {"brand": brand, "backfilled": False, "due_at": {"$gt": after, "$lte": until}}
        found = desk.database["exchanges"].find(query, _WANTED).hint("outcome").sort("due_at").batch_size(AT_ONCE)
        chunk: list[Document] = []
        for exchange in found:
            chunk.append(exchange)
            if len(chunk) == AT_ONCE:
                _note(desk, chunk)
                chunk = []
        _note(desk, chunk)
        desk.database["upkeep"].update_one({"_id": f"answering/{brand}"}, {"$set": {"until": until}}, upsert=True)


def _note(desk: Desk, exchanges: list[Document]) -> None:
    if not exchanges:
        return
    names = {each["_id"]: f"{each['brand']}/{each['platform']}/{each['follower']['id']}" for each in exchanges}
    followers = desk.database["followers"].find({"_id": {"$in": list(set(names.values()))}}, {"days": 1, "scoring": 1})
    known = {each["_id"]: each for each in followers}
    numbers = scorings.known(desk.database, {each["scoring"] for each in known.values()})
    writes: list[DeleteOne | UpdateOne] = []
    for each in exchanges:
        outcome, follower = _outcome(each), known.get(names[each["_id"]])
        if outcome is None or follower is None:
            writes.append(DeleteOne({"_id": each["_id"]}))
            continue
        change = moved(follower["days"], each["opened_at"], each["due_at"], numbers[follower["scoring"]])
        document = {
            "brand": each["brand"], "due_at": each["due_at"], "outcome": outcome, "direction": change.direction,
            "before": change.before, "after": change.after,
        }  # fmt: skip
        writes.append(UpdateOne({"_id": each["_id"]}, {"$set": document}, upsert=True))
    desk.database["answer_effects"].bulk_write(writes, ordered=False)


def _outcome(exchange: Document) -> str | None:
    """How it came out for the follower; None where nothing came of it."""
    if exchange["state"] in ("answered", "answered_late"):
        return str(exchange["state"])
    if exchange["breached_at"] and exchange["state"] in ("open", "cancelled"):
        return None if exchange.get("cancelled_because") == "spam" else "unanswered"
    return None


TASK = Task("answering", timedelta(hours=1), follow)
