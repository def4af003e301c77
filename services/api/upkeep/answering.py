"""What became of followers after their comments were answered, late, or not: noted once the window is over.

One document per exchange in `answer_effects`: `_id` (the exchange's), `brand`, `due_at`, `outcome`, `before` and
`after` (stages), `direction`. It follows from the exchange and its follower's days by `rapport.domain.answering`.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from pymongo import DeleteOne, UpdateOne
from pymongo.database import Database

from rapport.domain.answering import AFTER, moved
from rapport.domain.erasing import ERASED
from rapport.kit.mongo import Document
from services.api.repositories import scorings
from services.api.upkeep import stale, trail
from services.api.upkeep.loop import Desk, Task
from services.api.upkeep.sparing import spared, sparing
from services.api.upkeep.trail import Trail

AT_ONCE = 1_000
EXCHANGE = {
    **dict.fromkeys(("brand", "platform", "follower.id", "state", "opened_at", "due_at"), 1),
    **dict.fromkeys(("breached_at", "cancelled_because", "backfilled"), 1),
}
"""What of a stored exchange an effect is made of."""
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_WHO = dict.fromkeys(("platform", "follower"), 1)


def follow(desk: Desk) -> None:
    """Takes up the exchanges whose window has ended, by due time, and those of followers that changed."""
    deadline = time.monotonic() + stale.TURN_SECONDS
    for brand in desk.brands():
        with sparing("answering", brand):
            _pass(desk, brand)
            more = True
            while more and time.monotonic() < deadline:
                changed = Trail(desk, "answering", brand, "followers", "written_at")
                _note(desk, _of_followers(desk.database, brand, changed.changed(_WHO)))
                changed.done()
                more = changed.more


def _pass(desk: Desk, brand: str) -> None:
    place = desk.database["upkeep"].find_one({"_id": f"answering/{brand}"})
    after = place["until"] - trail.LATER if place else _BEGINNING
    until = desk.now - AFTER
    query = {"brand": brand, "backfilled": False, "due_at": {"$gt": after, "$lte": until}}
    _note(desk, desk.database["exchanges"].find(query, EXCHANGE).hint("outcome").sort("due_at").batch_size(AT_ONCE))
    desk.database["upkeep"].update_one({"_id": f"answering/{brand}"}, {"$set": {"until": until}}, upsert=True)


def _of_followers(database: Database[Document], brand: str, followers: Iterable[Document]) -> Iterator[Document]:
    of_platform: dict[str, list[str]] = defaultdict(list)
    for each in followers:
        of_platform[each["platform"]].append(each["follower"])
    for platform, some in of_platform.items():
        query = {"brand": brand, "platform": platform, "follower.id": {"$in": some}}
        yield from database["exchanges"].find(query, EXCHANGE).hint("follower")


def _note(desk: Desk, exchanges: Iterable[Document]) -> None:
    chunk: list[Document] = []
    for exchange in exchanges:
        chunk.append(exchange)
        if len(chunk) == AT_ONCE:
            desk.keep()
            spared("answering", chunk, lambda some: _write(desk, some))
            chunk = []
    if chunk:
        spared("answering", chunk, lambda some: _write(desk, some))


def _write(desk: Desk, exchanges: Sequence[Document]) -> None:
    stored = desk.database["answer_effects"].find({"_id": {"$in": [each["_id"] for each in exchanges]}})
    before = {each["_id"]: each for each in stored}
    writes: list[DeleteOne | UpdateOne] = []
    for name, effect in effects(desk.database, exchanges, before, desk.now).items():
        if effect is None and name in before:
            writes.append(DeleteOne({"_id": name}))
        elif effect is not None and before.get(name) != effect:
            writes.append(UpdateOne({"_id": name}, {"$set": effect}, upsert=True))
    if writes:
        desk.database["answer_effects"].bulk_write(writes, ordered=False)


def effects(
    database: Database[Document], exchanges: Iterable[Document], before: Mapping[str, Document], now: datetime
) -> dict[str, Document | None]:
    """The effect of each exchange (with the fields of `EXCHANGE`) by its id; None where there is none to tell.

    `before`: what is noted of them. It stays where the days that it was told from are not kept any more, and where the
    follower was erased: it names nobody.
    """
    names = {each["_id"]: (each, f"{each['brand']}/{each['platform']}/{each['follower']['id']}") for each in exchanges}
    wanted = {"_id": {"$in": list({follower for _, follower in names.values()})}}
    fields = {"days": 1, "scoring": 1}
    known = {each["_id"]: each for each in database["followers"].find(wanted, fields)}
    numbers = scorings.known(database, {each["scoring"] for each in known.values()})
    found: dict[str, Document | None] = {}
    for name, (each, its) in names.items():
        if each["follower"]["id"] == ERASED:
            found[name] = before.get(name)
            continue
        outcome, follower = _outcome(each), known.get(its)
        if outcome is None or follower is None or each["due_at"] > now - AFTER:
            found[name] = None
            continue
        change = moved(follower["days"], each["opened_at"], each["due_at"], numbers[follower["scoring"]])
        if change is None:
            found[name] = before.get(name)
            continue
        found[name] = {
            "_id": name, "brand": each["brand"], "due_at": each["due_at"], "outcome": outcome,
            "direction": change.direction, "before": change.before, "after": change.after,
        }  # fmt: skip
    return found


def _outcome(exchange: Document) -> str | None:
    """How it came out for the follower; None where nothing came of it."""
    if exchange["backfilled"]:
        return None
    if exchange["state"] in ("answered", "answered_late"):
        return str(exchange["state"])
    if exchange["breached_at"] and exchange["state"] in ("open", "cancelled"):
        return None if exchange.get("cancelled_because") == "spam" else "unanswered"
    return None


TASK = Task("answering", timedelta(minutes=1), follow)
