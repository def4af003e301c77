"""Figures about relationships: stages, people, beginnings, answering."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rapport.kit.mongo import Document
from services.api.answering import upkeep as answering
from services.api.followers.documents import stage_fields
from services.api.http.periods import day_of
from services.api.identities import upkeep as identities
from services.api.new_relationships import stage_after
from services.api.new_relationships import upkeep as new_relationships
from services.api.scoring import repository as scorings
from services.verify.figures.figure import Facts, Made, Stored

_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def stages(facts: Facts, ids: Sequence[str], stored: Stored) -> Made:
    """The stage of each follower, and until when it holds."""
    numbers = scorings.known(facts.database, {each["scoring"] for each in stored.values()})
    known = {one: stored[one] for one in ids if one in stored}
    return {one: stage_fields(each, numbers[each["scoring"]], facts.now) for one, each in known.items()}


def people_told(facts: Facts, ids: Sequence[str], stored: Stored) -> Made:
    """What each linked follower was told of the person."""
    found: dict[str, Mapping[str, Any] | None] = {}
    for one in ids:
        content = identities.content(facts.database, facts.brand, one.removeprefix(f"{facts.brand}/"))
        told = (stored.get(one) or {}).get("told") is not None
        found[one] = {"told": content if told or content != identities.NOBODY else None}
    return found


def linked(facts: Facts) -> Iterator[str]:
    """The followers that are linked with others."""
    for each in facts.database["links"].find({"brand": facts.brand}):
        yield from (f"{facts.brand}/{each[end]}" for end in ("a", "b"))


def beginnings_of(facts: Facts, ids: Sequence[str], _stored: Stored) -> Made:
    """When and by what each relationship began."""
    followers = facts.found("followers", ids, new_relationships.FOLLOWER)
    made = new_relationships.made(
        facts.database, followers.values(), new_relationships.connections(facts.database, facts.brand)
    )
    return {one: made.get(one) for one in ids}


def days(facts: Facts) -> Iterator[str]:
    """The days on which relationships began."""
    brand = facts.database["brands"].find_one({"_id": facts.brand}, {"settings.timezone": 1})
    zone = brand["settings"]["timezone"] if brand and brand["settings"] else None
    if zone is None:
        return
    begun = facts.database["beginnings"].find({"brand": facts.brand, "new": True}, {"_id": 0, "at": 1}).hint("new")
    for day in sorted({day_of(each["at"], zone) for each in begun}):
        yield f"{facts.brand}/{day}"


def new_followers(facts: Facts, ids: Sequence[str], _stored: Stored) -> Made:
    """How many relationships began on each day."""
    found: dict[str, Mapping[str, Any] | None] = {}
    for one in ids:
        day = one.removeprefix(f"{facts.brand}/")
        found[one] = new_relationships.counted(facts.database, facts.brand, day) if _DAY.fullmatch(day) else None
    return found


def effects(facts: Facts, ids: Sequence[str], stored: Stored) -> Made:
    """What each answer, late answer or miss did to the relationship."""
    exchanges = facts.found("exchanges", ids, answering.EXCHANGE)
    return {**dict.fromkeys(ids), **answering.effects(facts.database, exchanges.values(), stored, facts.now)}


def stages_after(facts: Facts, ids: Sequence[str], _stored: Stored) -> Made:
    """The stages of new followers some time after they came."""
    return stage_after.made(facts.database, facts.brand, ids, facts.now, recompute=True)


def weeks(facts: Facts) -> list[str]:
    """The weeks in which new followers came."""
    return list(_by_week(facts))


def weeks_of_stages(facts: Facts, ids: Sequence[str], _stored: Stored) -> Made:
    """How many new followers of each week reached which stage."""
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
