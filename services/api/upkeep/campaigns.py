"""Entries and answers of campaigns, judged again whenever one of the facts that they rest on arrives or changes.

What arrives is looked through for everybody whom it may concern: who did something about a campaign, who did anything
and has an entry already, and whose things were edited, deleted, hidden or undone. So are the hours of a new campaign.
Each of these people is judged from all of the stored facts, so nothing depends on the order in which they came.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

from pymongo.database import Database

from rapport.domain import giveaway, survey
from rapport.domain.campaign import CHANGES, Scope
from rapport.kit.mongo import Document
from rapport.kit.parts import parts
from services.api.projection.documents import hour_of
from services.api.repositories.campaigns import questions_of, rules_of, scope_of
from services.api.upkeep import communities, judging, stage_after, stale
from services.api.upkeep.judging import FACT, Who, entry_id, fact_of
from services.api.upkeep.loop import Desk, Task
from services.api.upkeep.sparing import sparing
from services.api.upkeep.trail import begin_here, follow_arrivals

IDS_AT_ONCE = 1_000
DOCUMENTS_AT_ONCE = 1_000
TURN_SECONDS = 2.0
"""After so long the other brands have their turn."""
TRAIL = "campaigns-arrived"
HELD_IN = ("campaign_entries", "survey_answers")


def follow(desk: Desk) -> None:
    """Takes up new campaigns and what arrived, and notes how far the campaigns are counted."""
    deadline = time.monotonic() + TURN_SECONDS
    of_brand: dict[str, list[Document]] = defaultdict(list)
    for each in desk.database["campaigns"].find({"followed_until": {"$gt": desk.now}}).hint("followed"):
        of_brand[each["brand"]].append(each)
    through: set[str] = set()
    for brand, campaigns in of_brand.items():
        with sparing("campaigns", brand):
            _mark(desk, brand, campaigns)
            take = partial(_take, desk, brand, campaigns)
            if follow_arrivals(desk, TRAIL, brand, FACT, take, task="campaigns", deadline=deadline):
                through.add(brand)
    stale.take(
        desk, "campaigns", lambda each: _take_hour(desk, each["brand"], each["hour"], of_brand.get(each["brand"], []))
    )
    for brand in through:
        with sparing("campaigns", brand):
            if desk.database["stale"].find_one({"what": "campaigns", "brand": brand}) is None:
                _note_counted(desk, brand, of_brand[brand])


def _mark(desk: Desk, brand: str, campaigns: Sequence[Document]) -> None:
    """Marks the hours of new campaigns, to be looked through."""
    if not any(each["counted_revision"] for each in campaigns):
        begin_here(desk, TRAIL, brand, "interactions", "arrived")
    for each in campaigns:
        if each["counted_revision"] != each["revision"]:
            stale.mark(desk, "campaigns", _hours_of(desk, each))
            judging.begin_anew(desk.database, each)


def _hours_of(desk: Desk, campaign: Document) -> Iterator[Document]:
    """The hours in which the facts of a campaign lie."""
    last = min(campaign["until"], desk.now) + timedelta(days=1)
    span = {"$gte": hour_of(campaign["starts_at"] - judging.EARLY), "$lte": last}
    for each in desk.database["hourly"].find({"brand": campaign["brand"], "hour": span}, {"hour": 1}).hint("hour"):
        yield {"brand": campaign["brand"], "hour": each["hour"]}


def _note_counted(desk: Desk, brand: str, campaigns: Iterable[Document]) -> None:
    ids = [each["_id"] for each in campaigns]
    query = {"_id": {"$in": ids}, "brand": brand, "drawn_at": None}
    desk.database["campaigns"].update_many(query, {"$set": {"counted_at": desk.now}})


def _take_hour(desk: Desk, brand: str, hour: datetime, campaigns: Sequence[Document]) -> None:
    """Judges everybody whom something of this hour may concern."""
    found = desk.database["interactions"].find({"brand": brand, "hour": hour}, FACT).hint("hourly")
    for some in parts(found, DOCUMENTS_AT_ONCE):
        desk.keep()
        _take(desk, brand, campaigns, some)


def _take(desk: Desk, brand: str, campaigns: Sequence[Document], documents: Sequence[Document]) -> None:
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
    for campaign, who in _held(desk, brand, there, things, touched):
        touched[campaign].add(who)
    for each in open_ones:
        judging.judge(desk, each, touched[each["_id"]])
    everybody = set().union(*touched.values())
    stage_after.note(desk, brand, everybody, anew=True)
    communities.entered(desk, brand, (each["campaign"] for each in open_ones), everybody)


class _Asks:
    """Whether an interaction is one that a campaign asks for."""

    def __init__(self, campaign: Document) -> None:
        self._scope: Scope = scope_of(campaign)
        self._rules = rules_of(campaign) if campaign["kind"] == "giveaway" else None
        self._questions = questions_of(campaign) if campaign["kind"] == "survey" else []

    def wants(self, document: Document) -> bool:
        """An edit counts as what it makes of its comment, which may have the campaign's hashtag only now."""
        kind = "comment" if document["kind"] == "edit" else document["kind"]
        fact = fact_of(document)._replace(kind=kind)
        if self._rules is not None:
            return giveaway.wanted(self._scope, self._rules, fact, fact.text)
        return survey.wanted(self._scope, self._questions, fact, fact.text)


def _held(
    desk: Desk, brand: str, there: set[Who], things: dict[str, set[str]], campaigns: Iterable[str]
) -> Iterator[tuple[str, Who]]:
    """Who of these has an entry or an answer already, and whose rest on one of these things."""
    fields = {"campaign": 1, "platform": 1, "follower": 1}
    known = set(campaigns)
    ids = [entry_id(campaign, who) for campaign in known for who in there]
    queries: list[Document] = [{"_id": {"$in": some}} for some in parts(ids, IDS_AT_ONCE)]
    for platform, objects in things.items():
        for some in parts(sorted(objects), IDS_AT_ONCE):
            queries.append({"brand": brand, "platform": platform, "objects": {"$in": some}})
    for collection in HELD_IN:
        for query in queries:
            for each in desk.database[collection].find(query, fields):
                campaign = f"{brand}/{each['campaign']}"
                if campaign in known:
                    yield campaign, (each["platform"], each["follower"])


def forget(database: Database[Document], brand: str, platform: str, follower: str) -> None:
    """Removes all that is kept of a person for campaigns, and takes it off every figure. A draw keeps the bare hash."""
    judging.forget(database, brand, platform, follower)
    stage_after.forget(database, f"{brand}/{platform}/{follower}")


TASK = Task("campaigns", timedelta(seconds=5), follow)
