"""Figures about campaigns: entries, answers, totals."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from pymongo.collection import Collection

from rapport.kit.mongo import Document
from services.api.campaigns import judging
from services.api.campaigns.documents import AnswersDocument, CampaignDocument, counted
from services.api.interactions.documents import hour_of
from services.verify.figures.figure import Facts, Made, Stored


def _open_campaigns(facts: Facts, kind: str) -> dict[str, CampaignDocument]:
    """Those whose entries or answers still follow the facts, by id."""
    query = {"brand": facts.brand, "kind": kind, "followed_until": {"$gt": facts.now}, "drawn_at": None}
    campaigns: Collection[CampaignDocument] = facts.database["campaigns"]
    return {each["_id"]: each for each in campaigns.find(query)}


def participants(kind: str) -> Callable[[Facts], Iterator[str]]:
    """The ids of entries or answers that the interactions allow for."""

    def due(facts: Facts) -> Iterator[str]:
        for name, campaign in _open_campaigns(facts, kind).items():
            hours = {"$gte": hour_of(campaign["starts_at"] - judging.EARLY), "$lte": campaign["followed_until"]}
            who = facts.database["interactions"].aggregate(
                [
                    {"$match": {"brand": facts.brand, "hour": hours, "follower": {"$exists": True}}},
                    {"$group": {"_id": {"platform": "$platform", "follower": "$follower"}}},
                ],
                hint="hourly",
                allowDiskUse=True,
            )
            yield from (judging.entry_id(name, (each["_id"]["platform"], each["_id"]["follower"])) for each in who)

    return due


def _by_campaign(ids: Iterable[str]) -> dict[tuple[str, str], list[str]]:
    """The followers whom these ids of entries or answers name, by campaign and platform."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in ids:
        brand, campaign, platform, follower = one.split("/", 3)
        found[f"{brand}/{campaign}", platform].append(follower)
    return found


def entries(facts: Facts, ids: Sequence[str], _stored: Stored) -> Made:
    """The entries of giveaways that are followed."""
    campaigns = _open_campaigns(facts, "giveaway")
    found: dict[str, Mapping[str, Any] | None] = {}
    for (name, platform), followers in _by_campaign(ids).items():
        if name in campaigns:
            found |= judging.entries(facts.database, campaigns[name], platform, followers, facts.now)
    return found


def answers(facts: Facts, ids: Sequence[str], stored: Stored) -> Made:
    """The answers to surveys that are followed."""
    campaigns = _open_campaigns(facts, "survey")
    found: dict[str, Mapping[str, Any] | None] = {}
    for (name, platform), followers in _by_campaign(ids).items():
        if name in campaigns:
            make = judging.answers(facts.database, campaigns[name], platform, followers, facts.now)
            made = (judging.entry_id(name, (platform, each)) for each in followers)
            found |= {one: make(one, cast("AnswersDocument | None", stored.get(one))) for one in made}
    return found


def tallies(facts: Facts, ids: Sequence[str], stored: Stored) -> Made:
    """The totals of each campaign."""
    found: dict[str, Mapping[str, Any] | None] = {}
    for one in ids:
        its = {"brand": facts.brand, "campaign": stored[one]["campaign"]}
        tally: Document = {}
        for collection in ("campaign_entries", "survey_answers"):
            for each in facts.database[collection].find(its):
                for name, value in counted(each).items():
                    *above, last = name.split(".")
                    place = tally
                    for step in above:
                        place = place.setdefault(step, {})
                    place[last] = place.get(last, 0) + value
        found[one] = {"tally": tally}
    return found
