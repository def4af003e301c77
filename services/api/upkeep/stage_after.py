"""What became of each relationship 30 and 90 days after it began, and which campaign it began with.

`stage_after`: `_id` (the follower's), `brand`, `platform`, `follower`, `first_seen`, `week`, `interaction` (that it
began with; null until the views have it), `campaign` (that this belongs to, or null), `after` (the stage by days, once
they are over), `due_at` (when the next one is). `stage_weeks` counts them by brand, week and campaign (`-` for none):
`followers`, and `after` by days and stage. A document and what it adds change in one transaction.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pymongo import DeleteOne, ReplaceOne, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database

from rapport.domain.campaign import concerns, within
from rapport.domain.effect import AFTER_DAYS, due_at, next_due, stage_after, week_of
from rapport.domain.published import beginning
from rapport.domain.relationship import Scoring
from rapport.kit.mongo import Document, in_transaction
from services.api.repositories import scorings
from services.api.repositories.campaigns import scope_of
from services.api.upkeep import beginnings, facts, judging, trail
from services.api.upkeep.loop import Desk, Task
from services.api.upkeep.sparing import spared, sparing
from services.api.upkeep.trail import Trail

AT_ONCE = 200
DUE_AT_ONCE = 2_000
TURN_SECONDS = 2.0
"""After so long the other tasks have their turn."""
NO_CAMPAIGN = "-"
_FACT = {**facts.FACT, **judging.FACT}
_FOLLOWER = dict.fromkeys(("brand", "platform", "follower", "first_seen", "days", "scoring"), 1)
_WHO = dict.fromkeys(("platform", "follower"), 1)

Who = judging.Who
Origin = tuple[str | None, str | None]
"""The interaction that a relationship began with, and the campaign that this belongs to."""


def follow(desk: Desk) -> None:
    """Takes up followers that changed, and those whose 30 or 90 days are over."""
    began = time.monotonic()
    for brand in desk.brands():
        with sparing("stage-after", brand):
            more = True
            while more and time.monotonic() - began < TURN_SECONDS:
                changed = Trail(desk, "stage-after", brand, "followers", "written_at")
                found = changed.changed(_WHO)
                note(desk, brand, _named(found))
                changed.done()
                more = len(found) >= trail.AT_ONCE
    due = desk.database["stage_after"].find({"due_at": {"$lte": desk.now}}, {"brand": 1, **_WHO}).hint("due")
    of_brand: dict[str, list[Document]] = defaultdict(list)
    for each in due.limit(DUE_AT_ONCE):
        of_brand[each["brand"]].append(each)
    for brand, some in of_brand.items():
        with sparing("stage-after", brand):
            note(desk, brand, _named(some))


def _named(documents: Iterable[Document]) -> set[Who]:
    return {(each["platform"], each["follower"]) for each in documents}


def note(desk: Desk, brand: str, followers: Collection[Who], *, anew: bool = False) -> None:
    """Notes what these followers' relationships began with, where that is not known (or `anew`), and became."""
    ordered = sorted(followers)
    for start in range(0, len(ordered), AT_ONCE):
        desk.keep()
        ids = [f"{brand}/{platform}/{follower}" for platform, follower in ordered[start : start + AT_ONCE]]
        spared(
            "stage-after",
            ids,
            lambda some: _write(desk.database, made(desk.database, brand, some, desk.now, anew=anew)),
        )


def made(
    database: Database[Document], brand: str, ids: Sequence[str], now: datetime, *, anew: bool
) -> dict[str, Document | None]:
    """What is to be noted of these followers, by `_id`; None where there is no such follower."""
    campaigns = database["campaigns"].find({"brand": brand}).sort([("starts_at", 1), ("_id", 1)]).to_list()
    rows = database["followers"].find({"_id": {"$in": list(ids)}}, _FOLLOWER).to_list()
    known = {each["_id"]: each for each in database["stage_after"].find({"_id": {"$in": list(ids)}})}
    begun = _begun(database, rows, campaigns, {} if anew else known)
    numbers = scorings.known(database, {each["scoring"] for each in rows})
    wanted: dict[str, Document | None] = dict.fromkeys(ids)
    for row in rows:
        before = known.get(row["_id"])
        wanted[row["_id"]] = _document(row, begun[row["_id"]], numbers[row["scoring"]], before, now)
    return wanted


def _begun(
    database: Database[Document], rows: Sequence[Document], campaigns: Sequence[Document], known: Mapping[str, Document]
) -> dict[str, Origin]:
    """What the relationships of these followers began with. `known`: what was noted of them.

    Several interactions can be of the moment at which somebody was first seen, and the one that counts may come last.
    So it is looked up each time; the campaign is worked out again only where it is another one.
    """
    found: dict[str, Origin] = {}
    for follower, told in beginnings.firsts(database, rows, _FACT).items():
        first = beginning(map(facts.fact_of, told))
        noted = known.get(follower)
        if first is not None and noted is not None and noted["interaction"] == first.id:
            found[follower] = (first.id, noted["campaign"])
            continue
        document = next((each for each in told if first and each["interaction"] == first.id), None)
        campaign = _campaign(database, document, campaigns) if document else None
        found[follower] = (first.id if first else None, campaign)
    return found


def _campaign(database: Database[Document], document: Document, campaigns: Sequence[Document]) -> str | None:
    """The campaign that an interaction belongs to: the one that it names, else the one that began first."""
    fact = judging.fact_of(document)
    its = []
    for each in campaigns:
        scope = scope_of(each)
        if not within(scope, fact.at):
            continue
        if concerns(scope, fact, fact.text) or (fact.kind == "follow" and _entered_by(database, each, fact)):
            its.append(each["campaign"])
    return fact.campaign if fact.campaign in its else next(iter(its), None)


def _entered_by(database: Database[Document], campaign: Document, fact: Any) -> bool:
    """Whether a follow is one of the things that made an entry valid."""
    if campaign["kind"] != "giveaway":
        return False
    id = judging.entry_id(campaign["_id"], (fact.platform, fact.follower))  # noqa: A001
    return database["campaign_entries"].find_one({"_id": id, "fulfilled.interaction": fact.id}, {"_id": 1}) is not None


def _document(row: Document, origin: Origin, scoring: Scoring, before: Document | None, now: datetime) -> Document:
    first = row["first_seen"]
    after: dict[str, str] = {}
    for days in AFTER_DAYS:
        if due_at(first, days) <= now:
            # Of days that are not kept any more, what was noted stays.
            noted = before["after"].get(str(days)) if before and before["first_seen"] == first else None
            told = stage_after(row["days"], first, days, scoring) or noted
            if told is not None:
                after[str(days)] = told
    return {
        "_id": row["_id"],
        **{name: row[name] for name in ("brand", "platform", "follower", "first_seen")},
        "week": week_of(first),
        "interaction": origin[0],
        "campaign": origin[1],
        "after": after,
        "due_at": next_due(first, now),
    }


def _write(database: Database[Document], wanted: dict[str, Document | None]) -> None:
    def write(session: ClientSession) -> None:
        ids = list(wanted)
        there = {each["_id"]: each for each in database["stage_after"].find({"_id": {"$in": ids}}, session=session)}
        writes: list[ReplaceOne[Document] | DeleteOne] = []
        weeks: dict[tuple[str, str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for id, after in wanted.items():  # noqa: A001
            before = there.get(id)
            if before == after:
                continue
            writes.append(ReplaceOne({"_id": id}, after, upsert=True) if after else DeleteOne({"_id": id}))
            for each, change in ((before, -1), (after, 1)):
                if each is not None:
                    counts = weeks[each["brand"], each["week"], each["campaign"] or NO_CAMPAIGN]
                    counts["followers"] += change
                    for days, stage in each["after"].items():
                        counts[f"after.{days}.{stage}"] += change
        if writes:
            database["stage_after"].bulk_write(writes, ordered=False, session=session)
        counted = [
            UpdateOne(
                {"_id": "/".join(key)},
                {
                    "$setOnInsert": dict(zip(("brand", "week", "campaign"), key, strict=True)),
                    "$inc": {name: value for name, value in counts.items() if value},
                },
                upsert=True,
            )
            for key, counts in sorted(weeks.items())
            if any(counts.values())
        ]
        if counted:
            database["stage_weeks"].bulk_write(counted, ordered=False, session=session)

    in_transaction(database, write)


def forget(database: Database[Document], id: str) -> None:
    """Removes what is kept of a follower, by its `_id`."""
    _write(database, {id: None})


TASK = Task("stage-after", timedelta(seconds=5), follow)
