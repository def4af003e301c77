"""Notes what became of each relationship 30 and 90 days after it began, and the campaign it began with.

A document in `stage_after` and its counts in `stage_weeks` change in one transaction.
"""

import time
from collections import defaultdict
from collections.abc import Collection as AnyCollection
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pymongo import DeleteOne, ReplaceOne, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database

from rapport.contracts.scoring import Scoring
from rapport.domain.campaigns.campaign import concerns, within
from rapport.domain.campaigns.effect import AFTER_DAYS, due_at, next_due, stage_after, week_of
from rapport.domain.mix.posts import beginning
from rapport.kit.mongo import in_transaction
from services.api.campaigns import judging
from services.api.campaigns.documents import CampaignDocument, scope_of
from services.api.followers.documents import ListedFollower
from services.api.interactions.documents import InteractionDocument
from services.api.interactions.repository import FACT, fact_of
from services.api.new_relationships import upkeep as new_relationships
from services.api.new_relationships.documents import StageAfterDocument
from services.api.projector.upkeep.change_feed import ARRIVALS, FOLLOWERS, follow_changes
from services.api.projector.upkeep.isolation import isolate_each, isolated
from services.api.projector.upkeep.loop import Task, TaskRun
from services.api.scoring import repository as scorings

AT_ONCE = 200
DUE_AT_ONCE = 2_000
TURN_SECONDS = 2.0
"""Then the other tasks have their turn."""
NO_CAMPAIGN = "-"
_FACT = {**FACT, **judging.FACT}
_FOLLOWER = dict.fromkeys(("brand", "platform", "follower", "first_seen", "days", "scoring"), 1)
_WHO = dict.fromkeys(("platform", "follower"), 1)

Who = judging.Who
Origin = tuple[str | None, str | None]
"""The interaction that a relationship began with, and that interaction's campaign."""


def follow(run: TaskRun) -> None:
    """Looks at followers that changed or whose first interaction arrived, and whose 30 or 90 days are over."""
    deadline = time.monotonic() + TURN_SECONDS
    for brand in run.brands():
        with isolated("stage-after", brand):
            _follow_brand(run, brand, deadline)
    due = _stages(run.database).find({"due_at": {"$lte": run.now}}, {"brand": 1, **_WHO}).hint("due")
    of_brand: dict[str, list[StageAfterDocument]] = defaultdict(list)
    for each in due.limit(DUE_AT_ONCE):
        of_brand[each["brand"]].append(each)
    for brand, some in of_brand.items():
        with isolated("stage-after", brand):
            note(run, brand, _named(some))


def _follow_brand(run: TaskRun, brand: str, deadline: float) -> None:
    def changed(followers: Sequence[Mapping[str, Any]]) -> None:
        note(run, brand, _named(followers))

    def met(arrived: Sequence[Mapping[str, Any]]) -> None:
        changed(new_relationships.seen_first(run.database, brand, arrived))

    meeting = new_relationships.MEETING
    follow_changes(run, FOLLOWERS, "stage-after", brand, _WHO, changed, task="stage-after", deadline=deadline)
    follow_changes(run, ARRIVALS, "stage-after-arrived", brand, meeting, met, task="stage-after", deadline=deadline)


def _stages(database: Database[Any]) -> Collection[StageAfterDocument]:
    return database["stage_after"]


def _named(documents: Iterable[Mapping[str, Any]]) -> set[Who]:
    return {(each["platform"], each["follower"]) for each in documents}


def note(run: TaskRun, brand: str, followers: AnyCollection[Who], *, recompute: bool = False) -> None:
    """Notes what these relationships began with, and what became of them.

    A campaign that was noted before is kept, unless `recompute` is set.
    """
    ordered = sorted(followers)
    for start in range(0, len(ordered), AT_ONCE):
        run.renew_lease()
        ids = [f"{brand}/{platform}/{follower}" for platform, follower in ordered[start : start + AT_ONCE]]
        isolate_each(
            "stage-after",
            ids,
            lambda some: _write(run.database, made(run.database, brand, some, run.now, recompute=recompute)),
        )


def made(
    database: Database[Any], brand: str, ids: Sequence[str], now: datetime, *, recompute: bool
) -> dict[str, StageAfterDocument | None]:
    """The documents of these followers, by `_id`; None if there is no such follower."""
    stored: Collection[CampaignDocument] = database["campaigns"]
    campaigns = stored.find({"brand": brand}).sort([("starts_at", 1), ("_id", 1)]).to_list()
    followers: Collection[ListedFollower] = database["followers"]
    rows = followers.find({"_id": {"$in": list(ids)}}, _FOLLOWER).to_list()
    known = {each["_id"]: each for each in _stages(database).find({"_id": {"$in": list(ids)}})}
    begun = _begun(database, rows, campaigns, {} if recompute else known)
    numbers = scorings.known(database, {each["scoring"] for each in rows})
    wanted: dict[str, StageAfterDocument | None] = dict.fromkeys(ids)
    for row in rows:
        before = known.get(row["_id"])
        wanted[row["_id"]] = _document(row, begun[row["_id"]], numbers[row["scoring"]], before, now)
    return wanted


def _begun(
    database: Database[Any],
    rows: Sequence[ListedFollower],
    campaigns: Sequence[CampaignDocument],
    known: Mapping[str, StageAfterDocument],
) -> dict[str, Origin]:
    """What these relationships began with. `known` is what was noted of them.

    Several interactions can have the moment at which somebody was first seen, and the first of them may arrive last.
    So it is looked up each time. The campaign is worked out again only if it is another interaction.
    """
    found: dict[str, Origin] = {}
    for follower, told in new_relationships.firsts(database, rows, _FACT).items():
        first = beginning(map(fact_of, told))
        noted = known.get(follower)
        if first is not None and noted is not None and noted["interaction"] == first.id:
            found[follower] = (first.id, noted["campaign"])
            continue
        document = next((each for each in told if first and each["interaction"] == first.id), None)
        campaign = _campaign(database, document, campaigns) if document else None
        found[follower] = (first.id if first else None, campaign)
    return found


def _campaign(
    database: Database[Any], document: InteractionDocument, campaigns: Sequence[CampaignDocument]
) -> str | None:
    """The campaign that an interaction belongs to: the one it names, else the one that began first."""
    fact = judging.fact_of(document)
    its = []
    for each in campaigns:
        scope = scope_of(each)
        if not within(scope, fact.at):
            continue
        if concerns(scope, fact, fact.text) or (fact.kind == "follow" and _entered_by(database, each, fact)):
            its.append(each["campaign"])
    return fact.campaign if fact.campaign in its else next(iter(its), None)


def _entered_by(database: Database[Any], campaign: CampaignDocument, fact: Any) -> bool:
    """Whether a follow helped to make an entry valid."""
    if campaign["kind"] != "giveaway":
        return False
    id = judging.entry_id(campaign["_id"], (fact.platform, fact.follower))  # noqa: A001
    return database["campaign_entries"].find_one({"_id": id, "fulfilled.interaction": fact.id}, {"_id": 1}) is not None


def _document(
    row: ListedFollower, origin: Origin, scoring: Scoring, before: StageAfterDocument | None, now: datetime
) -> StageAfterDocument:
    first = row["first_seen"]
    after: dict[str, str] = {}
    for days in AFTER_DAYS:
        if due_at(first, days) <= now:
            # If the days are not kept any more, what was noted stays.
            noted = before["after"].get(str(days)) if before and before["first_seen"] == first else None
            told = stage_after(row["days"], first, days, scoring) or noted
            if told is not None:
                after[str(days)] = told
    return {
        "_id": row["_id"],
        "brand": row["brand"],
        "platform": row["platform"],
        "follower": row["follower"],
        "first_seen": first,
        "week": week_of(first),
        "interaction": origin[0],
        "campaign": origin[1],
        "after": after,
        "due_at": next_due(first, now),
    }


def _write(database: Database[Any], wanted: Mapping[str, StageAfterDocument | None]) -> None:
    stages = _stages(database)

    def write(session: ClientSession) -> None:
        ids = list(wanted)
        there = {each["_id"]: each for each in stages.find({"_id": {"$in": ids}}, session=session)}
        writes: list[ReplaceOne[StageAfterDocument] | DeleteOne] = []
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
            stages.bulk_write(writes, ordered=False, session=session)
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
            # A count of nothing would be shown as a week in which nobody came.
            of_weeks = ["/".join(key) for key in weeks]
            database["stage_weeks"].delete_many({"_id": {"$in": of_weeks}, "followers": 0}, session=session)

    in_transaction(database, write)


def forget(database: Database[Any], id: str) -> None:
    """Removes the document of a follower, by `_id`."""
    _write(database, {id: None})


TASK = Task("stage-after", timedelta(seconds=5), follow)
