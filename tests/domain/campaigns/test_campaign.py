"""What people did for a campaign counts per person and thing, in whatever order the records come."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from rapport.domain.campaigns import giveaway
from rapport.domain.campaigns.campaign import CampaignFact, Scope
from rapport.domain.campaigns.giveaway import Known, Requirement, Rules

START = datetime(2026, 11, 1, tzinfo=UTC)
SCOPE = Scope(id="c", starts_at=START, until=START + timedelta(days=9), posts=("p",))
RULES = Rules(requirements=(Requirement(kind="comment"), Requirement(kind="follow")))


def fact(hours: int, id: str, kind: str, thing: str, **more: Any) -> CampaignFact:
    its: dict[str, Any] = {"platform": "bluesky", "follower": "did:f", "account": "a", **more}
    return CampaignFact(at=START + timedelta(hours=hours), id=id, kind=kind, object=thing, **its)


def reasons(*facts: CampaignFact) -> set[tuple[str, ...]]:
    """Why somebody who commented does not take part, in any order of these facts."""
    said = fact(1, "said", "comment", "c", post="p")
    known = {("bluesky", "did:f"): Known(START)}
    now = START + timedelta(days=10)
    orders = itertools.permutations([said, *facts])
    return {giveaway.entries(SCOPE, RULES, list(order), [], known, now)[0].reasons for order in orders}


def test_who_removes_one_of_two_records_of_a_follow_still_follows() -> None:
    both = fact(2, "2", "follow", "A"), fact(3, "3", "follow", "B")
    assert reasons(*both, fact(4, "4", "follow", "B", undo=True)) == {()}
    assert reasons(*both, fact(4, "4", "follow", "A", undo=True)) == {()}
    gone = fact(4, "4", "follow", "B", undo=True), fact(5, "5", "follow", "A", undo=True)
    assert reasons(*both, *gone) == {("not_following",)}
    assert reasons(*both, *gone, fact(6, "6", "follow", "C")) == {()}


def test_an_unfollow_that_names_no_record_takes_back_what_came_before_it() -> None:
    assert reasons(fact(2, "2", "follow", "A"), fact(4, "4", "follow", "x", undo=True)) == {("not_following",)}
    assert reasons(fact(5, "5", "follow", "A"), fact(4, "4", "follow", "x", undo=True)) == {()}
