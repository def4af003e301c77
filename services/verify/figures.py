"""The figures that the upkeep makes from the views, made anew from the same facts and held against what is stored.

They are looked at once the views themselves are as the log has them. Whoever makes a figure keeps it by following what
changes; here it is made from all of the facts at once, by the same pure functions. Not compared is what nobody makes
anew any more: the entries and answers of a campaign that was drawn, or that is followed no longer.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pymongo.database import Database

from rapport.domain.answering import AFTER
from rapport.kit.mongo import Document
from rapport.kit.parts import parts
from services.api.periods import day_of
from services.api.projection.documents import hour_of, stage_fields
from services.api.repositories import scorings
from services.api.repositories.campaigns import counted
from services.api.upkeep import (
    answering,
    beginnings,
    calendar,
    community_judging,
    judging,
    persons,
    posts,
    stage_after,
)

AT_ONCE = 200
"""Ids per query, as the upkeep takes them."""

_DAY = re.compile(r"\d{4}-\d\d-\d\d")

Stored = Mapping[str, Document]
Made = Mapping[str, Document | None]
"""By id; None where nothing has to be there."""


@dataclass(frozen=True)
class Facts:
    """One brand's views, and the time."""

    database: Database[Document]
    brand: str
    now: datetime

    def ids(self, collection: str, query: Document | None = None, hint: str | None = None) -> Iterator[str]:
        """The ids of this brand's documents."""
        found = self.database[collection].find({"brand": self.brand, **(query or {})}, {"_id": 1}, hint=hint)
        return (each["_id"] for each in found)

    def found(self, collection: str, ids: Iterable[str], fields: Document | None = None) -> dict[str, Document]:
        """Documents by id."""
        return {each["_id"]: each for each in self.database[collection].find({"_id": {"$in": list(ids)}}, fields)}


@dataclass(frozen=True)
class Figure:
    """Something that is kept up to date in a collection.

    `due` gives the ids that the facts speak of; `made` makes some of them anew, given what is stored, and leaves out
    what is not to be compared. `fields` limits what of a document is compared.
    """

    what: str
    collection: str
    due: Callable[[Facts], Iterable[str]]
    made: Callable[[Facts, Sequence[str], Stored], Made]
    fields: tuple[str, ...] = ()

    def ids(self, facts: Facts) -> Iterator[list[str]]:
        """What is stored, and what should be, in parts; nothing twice."""
        for some in parts(facts.ids(self.collection), AT_ONCE):
            yield some
        for some in parts(self.due(facts), AT_ONCE):
            there = facts.found(self.collection, some, {"_id": 1})
            yield [one for one in some if one not in there]

    def both(self, facts: Facts, ids: Sequence[str]) -> dict[str, tuple[Document | None, Document | None]]:
        """What is stored, and what it should be, of what is compared of these."""
        stored = facts.found(self.collection, ids)
        wanted = self.made(facts, ids, stored)
        return {one: (self._shown(stored.get(one)), self._shown(each)) for one, each in wanted.items()}

    def _shown(self, document: Document | None) -> Document | None:
        if document is None:
            return None
        kept = {name: document.get(name) for name in self.fields} if self.fields else document
        return _without_zeros(kept) or None


def _without_zeros(counts: Document) -> Document:
    """A document without counts of nothing: where something was and is no more, `$inc` leaves them."""
    found: Document = {}
    for name, value in counts.items():
        kept = _without_zeros(value) if isinstance(value, dict) else value
        if kept is False or (kept != 0 and kept != {}):
            found[name] = kept
    return found


def _stages(facts: Facts, ids: Sequence[str], stored: Stored) -> Made:
    numbers = scorings.known(facts.database, {each["scoring"] for each in stored.values()})
    known = {one: stored[one] for one in ids if one in stored}
    return {one: stage_fields(each, numbers[each["scoring"]], facts.now) for one, each in known.items()}


def _told(facts: Facts, ids: Sequence[str], stored: Stored) -> Made:
    found: dict[str, Document | None] = {}
    for one in ids:
        content = persons.content(facts.database, facts.brand, one.removeprefix(f"{facts.brand}/"))
        told = (stored.get(one) or {}).get("told") is not None
        found[one] = {"told": content if told or content != persons.NOBODY else None}
    return found


def _linked(facts: Facts) -> Iterator[str]:
    for each in facts.database["links"].find({"brand": facts.brand}):
        yield from (f"{facts.brand}/{each[end]}" for end in ("a", "b"))


def _beginnings(facts: Facts, ids: Sequence[str], _stored: Stored) -> Made:
    followers = facts.found("followers", ids, beginnings.FOLLOWER)
    made = beginnings.made(facts.database, followers.values(), beginnings.connections(facts.database, facts.brand))
    return {one: made.get(one) for one in ids}


def _days(facts: Facts) -> Iterator[str]:
    brand = facts.database["brands"].find_one({"_id": facts.brand}, {"settings.timezone": 1})
    zone = brand["settings"]["timezone"] if brand and brand["settings"] else None
    if zone is None:
        return
    begun = facts.database["beginnings"].find({"brand": facts.brand, "new": True}, {"_id": 0, "at": 1}).hint("new")
    for day in sorted({day_of(each["at"], zone) for each in begun}):
        yield f"{facts.brand}/{day}"


def _new_ones(facts: Facts, ids: Sequence[str], _stored: Stored) -> Made:
    found: dict[str, Document | None] = {}
    for one in ids:
        day = one.removeprefix(f"{facts.brand}/")
        found[one] = beginnings.counted(facts.database, facts.brand, day) if _DAY.fullmatch(day) else None
    return found


def _posts(facts: Facts, ids: Sequence[str], _stored: Stored) -> Made:
    told = facts.found("interactions", ids, {"platform": 1, "object.id": 1})
    found: dict[str, Document | None] = dict.fromkeys(ids)
    for one, each in told.items():
        made = posts.made(facts.database, facts.brand, each["platform"], each["object"]["id"])
        # A post that was told twice has the id of one of the two.
        found[one] = made if made is not None and made["_id"] == one else None
    return found


def _effects(facts: Facts, ids: Sequence[str], stored: Stored) -> Made:
    exchanges = facts.found("exchanges", ids, answering.EXCHANGE)
    return {**dict.fromkeys(ids), **answering.effects(facts.database, exchanges.values(), stored, facts.now)}


def _outcomes(facts: Facts, ids: Sequence[str], _stored: Stored) -> Made:
    return stage_after.made(facts.database, facts.brand, ids, facts.now, anew=True)


def _weeks(facts: Facts) -> list[str]:
    return list(_by_week(facts))


def _of_weeks(facts: Facts, ids: Sequence[str], _stored: Stored) -> Made:
    made = _by_week(facts)
    return {one: made.get(one) for one in ids}


def _by_week(facts: Facts) -> dict[str, Document]:
    found: dict[str, Document] = {}
    for each in facts.database["stage_after"].find({"brand": facts.brand}, {"week": 1, "campaign": 1, "after": 1}):
        key = (facts.brand, each["week"], each["campaign"] or stage_after.NO_CAMPAIGN)
        week = found.setdefault(
            "/".join(key),
            {"_id": "/".join(key), **dict(zip(("brand", "week", "campaign"), key, strict=True)), "followers": 0},
        )
        week["followers"] += 1
        for days, stage in each["after"].items():
            stages = week.setdefault("after", {}).setdefault(days, {})
            stages[stage] = stages.get(stage, 0) + 1
    return found


def _open_campaigns(facts: Facts, kind: str) -> dict[str, Document]:
    """Those whose entries or answers still follow the facts, by id."""
    query = {"brand": facts.brand, "kind": kind, "followed_until": {"$gt": facts.now}, "drawn_at": None}
    return {each["_id"]: each for each in facts.database["campaigns"].find(query)}


def _participants(kind: str) -> Callable[[Facts], Iterator[str]]:
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


def _entries(facts: Facts, ids: Sequence[str], _stored: Stored) -> Made:
    campaigns = _open_campaigns(facts, "giveaway")
    found: dict[str, Document | None] = {}
    for (name, platform), followers in _by_campaign(ids).items():
        if name in campaigns:
            found |= judging.entries(facts.database, campaigns[name], platform, followers, facts.now)
    return found


def _answers(facts: Facts, ids: Sequence[str], stored: Stored) -> Made:
    campaigns = _open_campaigns(facts, "survey")
    found: dict[str, Document | None] = {}
    for (name, platform), followers in _by_campaign(ids).items():
        if name in campaigns:
            make = judging.answers(facts.database, campaigns[name], platform, followers, facts.now)
            made = (judging.entry_id(name, (platform, each)) for each in followers)
            found |= {one: make(one, stored.get(one)) for one in made}
    return found


def _tallies(facts: Facts, ids: Sequence[str], stored: Stored) -> Made:
    found: dict[str, Document | None] = {}
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


def _plans(facts: Facts) -> dict[str, Document]:
    """Which post is which plan, of all accounts that something is planned for."""
    accounts = facts.database["planned_posts"].distinct("account", {"brand": facts.brand})
    return {name: each for one in accounts for name, each in calendar.made(facts.database, facts.brand, one).items()}


def _matches(facts: Facts, ids: Sequence[str], _stored: Stored) -> Made:
    made = _plans(facts)
    return {one: made.get(one) for one in ids}


def _planned(facts: Facts, ids: Sequence[str], _stored: Stored) -> Made:
    posts = {each["plan"]: name for name, each in _plans(facts).items()}
    at = facts.found("posts", posts.values(), {"published_at": 1})
    found: dict[str, Document | None] = {}
    for one in ids:
        post = posts.get(one.removeprefix(f"{facts.brand}/"))
        found[one] = {"published": post, "published_at": at[post]["published_at"] if post in at else None}
    return found


def _communities(facts: Facts) -> list[Document]:
    """Those by whose rule everybody was judged."""
    found = facts.database["communities"].find({"brand": facts.brand, "removed_at": None})
    return [each for each in found if each["checked_revision"] == each["revision"]]


def _belonging(facts: Facts) -> Iterator[str]:
    communities = _communities(facts)
    for some in parts(facts.ids("followers"), AT_ONCE) if communities else ():
        verdicts = community_judging.belonging(facts.database, facts.brand, communities, some, facts.now)
        yield from (
            f"{facts.brand}/{community}/{platform}/{follower}"
            for ((platform, follower), community), belongs in sorted(verdicts.items())
            if belongs
        )


def _members(facts: Facts, ids: Sequence[str], _stored: Stored) -> Made:
    communities = {each["community"]: each for each in _communities(facts)}
    found: dict[str, Document | None] = {}
    followers = {f"{facts.brand}/{one.split('/', 2)[2]}" for one in ids}
    verdicts = community_judging.belonging(
        facts.database, facts.brand, list(communities.values()), followers, facts.now
    )
    for one in ids:
        _, community, platform, follower = one.split("/", 3)
        if community in communities:
            its = {"brand": facts.brand, "community": community, "platform": platform, "follower": follower}
            found[one] = its if verdicts.get(((platform, follower), community)) else None
    return found


def _counts(facts: Facts, ids: Sequence[str], stored: Stored) -> Made:
    members = facts.database["community_members"]
    return {
        one: {"members": members.count_documents({"brand": facts.brand, "community": stored[one]["community"]})}
        for one in ids
        if stored[one]["removed_at"] is None
    }


def _ids_of(collection: str, hint: str | None = None) -> Callable[[Facts], Iterator[str]]:
    return lambda facts: facts.ids(collection, hint=hint)


def _nothing(_facts: Facts) -> Iterable[str]:
    return ()


FIGURES: tuple[Figure, ...] = (
    Figure("stage", "followers", _nothing, _stages, ("stage", "stage_until")),
    Figure("person told", "linked", _linked, _told, ("told",)),
    Figure("beginning", "beginnings", _ids_of("followers"), _beginnings),
    Figure("day of new ones", "new_days", _days, _new_ones),
    Figure("post", "posts", lambda facts: facts.ids("interactions", {"kind": "post"}, hint="published"), _posts),
    Figure("entry", "campaign_entries", _participants("giveaway"), _entries),
    Figure("answers", "survey_answers", _participants("survey"), _answers),
    Figure("tally", "campaigns", _nothing, _tallies, ("tally",)),
    Figure(
        "effect of answering",
        "answer_effects",
        lambda facts: facts.ids(
            "exchanges", {"backfilled": False, "due_at": {"$lte": facts.now - AFTER}}, hint="outcome"
        ),
        _effects,
    ),
    Figure("stage after", "stage_after", _ids_of("followers"), _outcomes),
    Figure("week of stages", "stage_weeks", _weeks, _of_weeks),
    Figure("plan of a post", "post_plans", _plans, _matches),
    Figure("planned post", "planned_posts", _nothing, _planned, ("published", "published_at")),
    Figure("member", "community_members", _belonging, _members, ("brand", "community", "platform", "follower")),
    Figure("members", "communities", _nothing, _counts, ("members",)),
)
"""In the order in which they are made of each other."""
