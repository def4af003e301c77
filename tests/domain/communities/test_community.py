"""Who belongs to a community, and until when."""

from typing import Any as Anything

from hypothesis import given
from msgspec import structs

from rapport.domain.communities.community import (
    CommunityRule,
    Facts,
    matches,
    until,
)
from rapport.domain.communities.text import parse
from rapport.domain.relationships.decay import DAY_MS, weight_at
from rapport.domain.relationships.relationship import DEFAULT
from tests.domain.communities.drawn import NOW, facts, rules


@given(rule=rules, facts=facts)
def test_nothing_changes_until_the_moment_that_is_told_and_something_does_then(
    rule: CommunityRule, facts: Facts
) -> None:
    held = matches(rule, facts, NOW)
    turn = until(rule, facts, NOW)
    end = NOW + 3_000 * DAY_MS if turn is None else turn
    assert end > NOW
    for part in range(20):
        assert matches(rule, facts, NOW + (end - 1 - NOW) * part // 19) == held
    if turn is not None:
        assert matches(rule, facts, turn) != held


def facts_of(**more: Anything) -> Facts:
    nobody = Facts(
        platforms=("bluesky",),
        sums={},
        last_purchase_at=None,
        scoring=DEFAULT,
        counts={},
        first_seen=NOW,
        last_seen=NOW,
    )
    return structs.replace(nobody, **more)


def test_scores_are_compared_as_they_are_shown_and_fall_when_that_is_rounded_down() -> None:
    rule = parse("trust >= 50").rule
    held = facts_of(sums={"trust": 8.0 * weight_at(NOW, 120)})
    assert matches(rule, held, NOW), "worth 8 of trust shows 50"
    turn = until(rule, held, NOW)
    assert turn is not None
    assert matches(rule, held, turn - 1)
    assert not matches(rule, held, turn)
    assert 1.5 * DAY_MS < turn - NOW < 3 * DAY_MS, "49.5 points are the limit"


def test_being_seen_lately_ends_and_being_away_begins_at_the_same_moment() -> None:
    within, away = parse("last seen within 30 days").rule, parse("last seen more than 30 days ago").rule
    seen = facts_of()
    turn = NOW + 30 * DAY_MS + 1
    for rule, held in ((within, True), (away, False)):
        assert matches(rule, seen, turn - 1) is held
        assert matches(rule, seen, turn) is not held
        assert until(rule, seen, NOW) == turn
        assert until(rule, seen, turn) is None


def test_a_word_is_found_whole_in_any_case_and_within_scripts_without_spaces() -> None:
    said = facts_of(texts=("No COFFEE, thanks", "アイスコーヒー"))
    assert matches(parse('wrote "coffee"').rule, said, NOW)
    assert matches(parse('wrote "コーヒー"').rule, said, NOW)
    assert not matches(parse('wrote "coffees"').rule, said, NOW)
    assert not matches(parse('wrote "coffee コーヒー"').rule, said, NOW), "not across two things that were written"
