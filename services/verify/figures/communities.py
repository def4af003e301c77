"""Figures about communities: who belongs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rapport.kit.parts import parts
from services.api.communities import judging as community_judging
from services.api.communities.documents import CommunityDocument
from services.verify.figures.figure import AT_ONCE, Facts, Made, Stored


def _communities(facts: Facts) -> list[CommunityDocument]:
    """Those by whose rule everybody was judged."""
    found: Iterable[CommunityDocument] = facts.database["communities"].find({"brand": facts.brand, "removed_at": None})
    return [each for each in found if each["checked_revision"] == each["revision"]]


def belonging(facts: Facts) -> Iterator[str]:
    """Who belongs to which community."""
    communities = _communities(facts)
    for some in parts(facts.ids("followers"), AT_ONCE) if communities else ():
        verdicts = community_judging.belonging(facts.database, facts.brand, communities, some, facts.now)
        yield from (
            f"{facts.brand}/{community}/{platform}/{follower}"
            for ((platform, follower), community), belongs in sorted(verdicts.items())
            if belongs
        )


def members(facts: Facts, ids: Sequence[str], _stored: Stored) -> Made:
    """The members of communities."""
    communities = {each["community"]: each for each in _communities(facts)}
    found: dict[str, Mapping[str, Any] | None] = {}
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


def member_counts(facts: Facts, ids: Sequence[str], stored: Stored) -> Made:
    """How many members each community has."""
    members = facts.database["community_members"]
    return {
        one: {"members": members.count_documents({"brand": facts.brand, "community": stored[one]["community"]})}
        for one in ids
        if stored[one]["removed_at"] is None
    }
