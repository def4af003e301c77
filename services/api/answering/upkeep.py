"""Notes what answering did to each follower, 30 days after the answer was due."""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from pymongo import DeleteOne, UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database

from rapport.domain.erasing import ERASED
from rapport.domain.relationships.answering import AFTER, Outcome, moved
from services.api.answering.documents import MARK, AnswerEffectDocument
from services.api.exchanges.documents import ExchangeOutcome
from services.api.projector.upkeep import change_feed, rebuild_queue
from services.api.projector.upkeep.change_feed import FOLLOWERS, follow_changes
from services.api.projector.upkeep.isolation import isolate_each, isolated
from services.api.projector.upkeep.loop import Task, TaskRun
from services.api.scoring import repository as scorings

AT_ONCE = 1_000
EXCHANGE = {
    **dict.fromkeys(("brand", "platform", "follower.id", "state", "opened_at", "due_at"), 1),
    **dict.fromkeys(("breached_at", "cancelled_because", "backfilled"), 1),
}
"""The fields of `ExchangeOutcome`."""
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_WHO = dict.fromkeys(("platform", "follower"), 1)


def follow(run: TaskRun) -> None:
    """Looks at exchanges whose 30 days are over, by due time, at those stored later, and at those of followers that
    changed.
    """
    deadline = time.monotonic() + rebuild_queue.TURN_SECONDS
    for brand in run.brands():
        with isolated("answering", brand):
            _pass(run, brand)
            changed = partial(_take_followers, run, brand)
            follow_changes(run, FOLLOWERS, "answering", brand, _WHO, changed, task="answering", deadline=deadline)
    exchanges: Collection[ExchangeOutcome] = run.database["exchanges"]

    def take(marked: Iterable[Mapping[str, Any]]) -> None:
        _note(run, exchanges.find({"_id": {"$in": [each["exchange"] for each in marked]}}, EXCHANGE))

    while rebuild_queue.work_off_together(run, MARK, take, AT_ONCE) and time.monotonic() < deadline:
        pass


def _pass(run: TaskRun, brand: str) -> None:
    place = run.database["upkeep"].find_one({"_id": f"answering/{brand}"})
    after = place["until"] - change_feed.LATER if place else _BEGINNING
    until = run.now - AFTER
    query = {"brand": brand, "backfilled": False, "due_at": {"$gt": after, "$lte": until}}
    exchanges: Collection[ExchangeOutcome] = run.database["exchanges"]
    _note(run, exchanges.find(query, EXCHANGE).hint("outcome").sort("due_at").batch_size(AT_ONCE))
    run.database["upkeep"].update_one({"_id": f"answering/{brand}"}, {"$set": {"until": until}}, upsert=True)


def _take_followers(run: TaskRun, brand: str, followers: Iterable[Mapping[str, Any]]) -> None:
    _note(run, _of_followers(run.database, brand, followers))


def _of_followers(
    database: Database[Any], brand: str, followers: Iterable[Mapping[str, Any]]
) -> Iterator[ExchangeOutcome]:
    of_platform: dict[str, list[str]] = defaultdict(list)
    for each in followers:
        of_platform[each["platform"]].append(each["follower"])
    for platform, some in of_platform.items():
        query = {"brand": brand, "platform": platform, "follower.id": {"$in": some}}
        yield from database["exchanges"].find(query, EXCHANGE).hint("follower")


def _note(run: TaskRun, exchanges: Iterable[ExchangeOutcome]) -> None:
    chunk: list[ExchangeOutcome] = []
    for exchange in exchanges:
        chunk.append(exchange)
        if len(chunk) == AT_ONCE:
            run.renew_lease()
            isolate_each("answering", chunk, lambda some: _write(run, some))
            chunk = []
    if chunk:
        isolate_each("answering", chunk, lambda some: _write(run, some))


def _write(run: TaskRun, exchanges: Sequence[ExchangeOutcome]) -> None:
    noted: Collection[AnswerEffectDocument] = run.database["answer_effects"]
    stored = noted.find({"_id": {"$in": [each["_id"] for each in exchanges]}})
    before = {each["_id"]: each for each in stored}
    writes: list[DeleteOne | UpdateOne] = []
    for name, effect in effects(run.database, exchanges, before, run.now).items():
        if effect is None and name in before:
            writes.append(DeleteOne({"_id": name}))
        elif effect is not None and before.get(name) != effect:
            writes.append(UpdateOne({"_id": name}, {"$set": effect}, upsert=True))
    if writes:
        noted.bulk_write(writes, ordered=False)


def effects(
    database: Database[Any],
    exchanges: Iterable[ExchangeOutcome],
    before: Mapping[str, AnswerEffectDocument],
    now: datetime,
) -> dict[str, AnswerEffectDocument | None]:
    """The effect of each exchange, by its id; None if there is none.

    `before` is what was noted of them. It stays if the follower's days are not kept any more, or if the follower was
    erased: it names nobody.
    """
    names = {each["_id"]: (each, f"{each['brand']}/{each['platform']}/{each['follower']['id']}") for each in exchanges}
    wanted = {"_id": {"$in": list({follower for _, follower in names.values()})}}
    fields = {"days": 1, "scoring": 1}
    known = {each["_id"]: each for each in database["followers"].find(wanted, fields)}
    numbers = scorings.known(database, {each["scoring"] for each in known.values()})
    found: dict[str, AnswerEffectDocument | None] = {}
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


def _outcome(exchange: ExchangeOutcome) -> Outcome | None:
    """The outcome for the follower; None if there was none."""
    if exchange["backfilled"]:
        return None
    if exchange["state"] == "answered" or exchange["state"] == "answered_late":
        return exchange["state"]
    if exchange["breached_at"] and exchange["state"] in ("open", "cancelled"):
        return None if exchange.get("cancelled_because") == "spam" else "unanswered"
    return None


TASK = Task("answering", timedelta(minutes=1), follow)
