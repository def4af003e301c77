"""Judges entries and answers of campaigns again when a fact that they rest on arrives or changes.

Arriving interactions are searched for everybody they may concern: people who did something about a campaign, people who
have an entry and did anything, and people whose things were edited, deleted, hidden or undone. The hours of a new
campaign are searched in the same way. Each of these people is judged from all stored facts, so the order in which facts
come does not matter.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pymongo.database import Database

from rapport.domain.campaigns import giveaway, survey
from rapport.domain.campaigns.campaign import CHANGES, Scope
from rapport.kit.mongo import Document
from rapport.kit.parts import parts
from services.api.campaigns import judging
from services.api.campaigns.documents import CampaignDocument, questions_of, rules_of, scope_of
from services.api.campaigns.judging import FACT, Who, entry_id, fact_of
from services.api.communities import upkeep as communities
from services.api.interactions.documents import hour_of
from services.api.new_relationships import stage_after
from services.api.projector.upkeep import rebuild_queue
from services.api.projector.upkeep.change_feed import ARRIVALS, follow_changes, start_here
from services.api.projector.upkeep.isolation import isolated
from services.api.projector.upkeep.loop import Task, TaskRun

IDS_AT_ONCE = 1_000
DOCUMENTS_AT_ONCE = 1_000
TURN_SECONDS = 2.0
"""Then it is the other brands' turn."""
TRAIL = "campaigns-arrived"
HELD_IN = ("campaign_entries", "survey_answers")


def follow(run: TaskRun) -> None:
    """Judges what arrived and the hours of new campaigns, and notes how far campaigns are counted."""
    deadline = time.monotonic() + TURN_SECONDS
    of_brand: dict[str, list[CampaignDocument]] = defaultdict(list)
    for each in run.database["campaigns"].find({"followed_until": {"$gt": run.now}}).hint("followed"):
        of_brand[each["brand"]].append(each)
    through: set[str] = set()
    for brand, campaigns in of_brand.items():
        with isolated("campaigns", brand):
            _mark(run, brand, campaigns)
            take = partial(_take, run, brand, campaigns)
            if follow_changes(run, ARRIVALS, TRAIL, brand, FACT, take, task="campaigns", deadline=deadline):
                through.add(brand)
    rebuild_queue.work_off(
        run, "campaigns", lambda each: _take_hour(run, each["brand"], each["hour"], of_brand.get(each["brand"], []))
    )
    for brand in through:
        with isolated("campaigns", brand):
            if run.database["stale"].find_one({"what": "campaigns", "brand": brand}) is None:
                _note_counted(run, brand, of_brand[brand])


def _mark(run: TaskRun, brand: str, campaigns: Sequence[CampaignDocument]) -> None:
    """Queues the hours of new campaigns to be searched."""
    if not any(each["counted_revision"] for each in campaigns):
        start_here(run, TRAIL, brand, *ARRIVALS)
    for each in campaigns:
        if each["counted_revision"] != each["revision"]:
            rebuild_queue.add(run, "campaigns", _hours_of(run, each))
            judging.start_over(run.database, each)


def _hours_of(run: TaskRun, campaign: CampaignDocument) -> Iterator[Document]:
    """The hours in which the facts of a campaign lie."""
    last = min(campaign["until"], run.now) + timedelta(days=1)
    span = {"$gte": hour_of(campaign["starts_at"] - judging.EARLY), "$lte": last}
    for each in run.database["hourly"].find({"brand": campaign["brand"], "hour": span}, {"hour": 1}).hint("hour"):
        yield {"brand": campaign["brand"], "hour": each["hour"]}


def _note_counted(run: TaskRun, brand: str, campaigns: Iterable[CampaignDocument]) -> None:
    ids = [each["_id"] for each in campaigns]
    query = {"_id": {"$in": ids}, "brand": brand, "drawn_at": None}
    run.database["campaigns"].update_many(query, {"$set": {"counted_at": run.now}})


def _take_hour(run: TaskRun, brand: str, hour: datetime, campaigns: Sequence[CampaignDocument]) -> None:
    """Judges everybody whom the interactions of an hour may concern."""
    found = run.database["interactions"].find({"brand": brand, "hour": hour}, FACT).hint("hourly")
    for some in parts(found, DOCUMENTS_AT_ONCE):
        run.renew_lease()
        _take(run, brand, campaigns, some)


def _take(
    run: TaskRun, brand: str, campaigns: Sequence[CampaignDocument], documents: Sequence[Mapping[str, Any]]
) -> None:
    """Judges everybody whom these interactions may concern."""
    open_ones = [each for each in campaigns if each["drawn_at"] is None]
    if not open_ones:
        return
    touched: dict[str, set[Who]] = {each["_id"]: set() for each in open_ones}
    there: set[Who] = set()
    things: dict[str, set[str]] = defaultdict(set)
    asks = [(each["_id"], _Asks(each)) for each in open_ones]
    for document in documents:
        if document["kind"] in CHANGES or document.get("undo"):
            things[document["platform"]].add(document["object"]["id"])
        if document.get("follower") is None or document["kind"] == "reply":
            continue
        who = (document["platform"], document["follower"])
        there.add(who)
        for campaign, ask in asks:
            if ask.wants(document):
                touched[campaign].add(who)
    for campaign, who in _held(run, brand, there, things, touched):
        touched[campaign].add(who)
    for each in open_ones:
        judging.judge(run, each, touched[each["_id"]])
    everybody = set().union(*touched.values())
    stage_after.note(run, brand, everybody, recompute=True)
    communities.entered(run, brand, (each["campaign"] for each in open_ones), everybody)


class _Asks:
    """Whether an interaction is one that a campaign asks for."""

    def __init__(self, campaign: CampaignDocument) -> None:
        self._scope: Scope = scope_of(campaign)
        self._rules = rules_of(campaign) if campaign["kind"] == "giveaway" else None
        self._questions = questions_of(campaign) if campaign["kind"] == "survey" else []

    def wants(self, document: Mapping[str, Any]) -> bool:
        """An edit counts as a comment: its new text may have the campaign's hashtag."""
        kind = "comment" if document["kind"] == "edit" else document["kind"]
        fact = fact_of(document)._replace(kind=kind)
        if self._rules is not None:
            return giveaway.wanted(self._scope, self._rules, fact, fact.text)
        return survey.wanted(self._scope, self._questions, fact, fact.text)


def _held(
    run: TaskRun, brand: str, there: set[Who], things: dict[str, set[str]], campaigns: Iterable[str]
) -> Iterator[tuple[str, Who]]:
    """Who of these has an entry or an answer, and whose entry or answer rests on one of these things."""
    fields = {"campaign": 1, "platform": 1, "follower": 1}
    known = set(campaigns)
    ids = [entry_id(campaign, who) for campaign in known for who in there]
    queries: list[Document] = [{"_id": {"$in": some}} for some in parts(ids, IDS_AT_ONCE)]
    for platform, objects in things.items():
        for some in parts(sorted(objects), IDS_AT_ONCE):
            queries.append({"brand": brand, "platform": platform, "objects": {"$in": some}})
    for collection in HELD_IN:
        for query in queries:
            for each in run.database[collection].find(query, fields):
                campaign = f"{brand}/{each['campaign']}"
                if campaign in known:
                    yield campaign, (each["platform"], each["follower"])


def forget(database: Database[Any], brand: str, platform: str, follower: str) -> None:
    """Removes everything about a person from campaigns and their figures. A draw keeps the bare hash."""
    judging.forget(database, brand, platform, follower)
    stage_after.forget(database, f"{brand}/{platform}/{follower}")


TASK = Task("campaigns", timedelta(seconds=5), follow)
