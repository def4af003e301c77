"""Figures about posts and their plans."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.api.calendar import upkeep as calendar
from services.api.calendar.documents import PlanOfPost
from services.api.mix import upkeep as mix
from services.verify.figures.figure import Facts, Made, Stored


def published_posts(facts: Facts, ids: Sequence[str], _stored: Stored) -> Made:
    """The published posts."""
    told = facts.found("interactions", ids, {"platform": 1, "object.id": 1})
    found: dict[str, Mapping[str, Any] | None] = dict.fromkeys(ids)
    for one, each in told.items():
        made = mix.made(facts.database, facts.brand, each["platform"], each["object"]["id"])
        # A post that was told twice has the id of one of the two.
        found[one] = made if made is not None and made["_id"] == one else None
    return found


def plans(facts: Facts) -> dict[str, PlanOfPost]:
    """Which post is which plan, of all accounts that something is planned for."""
    accounts = facts.database["planned_posts"].distinct("account", {"brand": facts.brand})
    return {name: each for one in accounts for name, each in calendar.made(facts.database, facts.brand, one).items()}


def matches(facts: Facts, ids: Sequence[str], _stored: Stored) -> Made:
    """Which plan each post carries out."""
    made = plans(facts)
    return {one: made.get(one) for one in ids}


def planned(facts: Facts, ids: Sequence[str], _stored: Stored) -> Made:
    """Which post carries out each plan."""
    post_of_plan = {each["plan"]: name for name, each in plans(facts).items()}
    at = facts.found("posts", post_of_plan.values(), {"published_at": 1})
    found: dict[str, Mapping[str, Any] | None] = {}
    for one in ids:
        post = post_of_plan.get(one.removeprefix(f"{facts.brand}/"))
        found[one] = {"published": post, "published_at": at[post]["published_at"] if post in at else None}
    return found
