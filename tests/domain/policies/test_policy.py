"""Which rule sets a clock, and which policies are refused."""

from typing import Any

import pytest

from rapport.contracts.controls import PolicyRule, PolicyVersion, When
from rapport.domain.policies.policy import DEFAULT_RULE, Subject, check, in_force, is_empty, says, terms
from rapport.domain.times import utc

T0 = 1_790_000_000_000


def version(number: int, *rules: PolicyRule, since: int = T0) -> PolicyVersion:
    return PolicyVersion(brand="acme", version=number, effective_from=utc(since), rules=rules)


def subject(**more: Any) -> Subject:
    return Subject(**{"at": T0, "platform": "bluesky", "kind": "comment", "account": "a", **more})


def test_the_first_rule_that_matches_wins_and_the_default_applies_where_none_does() -> None:
    policy = version(3, PolicyRule(target_seconds=60, when=When(kind="message")), PolicyRule(target_seconds=120))
    assert terms([policy], subject(kind="message")).index == 0
    assert terms([policy], subject()).index == 1
    assert terms([version(3)], subject()).rule == DEFAULT_RULE
    assert terms([policy], subject(at=T0 - 1)).rule == DEFAULT_RULE, "not yet in force"


def test_of_two_versions_from_the_same_moment_the_higher_is_in_force() -> None:
    found = in_force([version(2), version(3), version(4, since=T0 + 9)], T0 + 5)
    assert found is not None
    assert found.version == 3


def test_a_rule_about_stages_is_pending_until_the_stage_is_known() -> None:
    policy = version(1, PolicyRule(target_seconds=60, when=When(stage=("buys",))), PolicyRule(target_seconds=120))
    assert [terms([policy], subject(stage=stage)).index for stage in (None, "new", "buys")] == [1, 1, 0]
    assert terms([policy], subject()).pending
    assert not terms([policy], subject(stage="new")).pending


def test_a_policy_by_which_no_clock_could_be_set_is_refused_with_the_part_that_is_wrong() -> None:
    check(version(1, PolicyRule(target_seconds=None), PolicyRule(target_seconds=60)))
    with pytest.raises(ValueError, match=r"^rules\.0\.calendar: "):
        check(version(1, PolicyRule(target_seconds=60, calendar="c")))
    with pytest.raises(ValueError, match=r"^rules\.1: the target cannot be reached"):
        check(version(1, PolicyRule(target_seconds=60), PolicyRule(target_seconds=10**15)))


def test_a_reaction_in_the_form_of_a_comment_is_empty() -> None:
    assert [is_empty(text, ()) for text in ("🔥🔥", "!!", "ok", None)] == [True, True, False, False]
    assert not is_empty("🔥", ("image",))
    assert says("Where is it URGENT?", ("urgent",))
    assert not says("urgently", ("urgent",))
