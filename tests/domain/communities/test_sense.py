"""Rules that everybody or nobody can match are seen for what they are, and soon."""

import contextlib
from datetime import UTC, datetime, timedelta

from hypothesis import given

from rapport.domain.communities.community import (
    All,
    Any,
    CommunityRule,
    Facts,
    Not,
    matches,
)
from rapport.domain.communities.sense import sense
from rapport.domain.communities.text import RuleError, parse
from tests.domain.communities.drawn import NOW, facts, rules


@given(rule=rules, facts=facts)
def test_a_rule_is_called_senseless_only_where_every_follower_bears_it_out(rule: CommunityRule, facts: Facts) -> None:
    found = sense(rule)
    if found in ("everyone", "nobody"):
        assert matches(rule, facts, NOW) == (found == "everyone")


@given(rule=rules)
def test_a_rule_or_its_opposite_is_everyone_and_both_are_nobody(rule: CommunityRule) -> None:
    assert sense(Any((rule, Not(rule)))) == "everyone"
    assert sense(All((Not(rule), rule))) == "nobody"


def test_a_rule_that_asks_the_same_again_and_again_is_refused_soon() -> None:
    words = [f'wrote "{word}"' for word in "abcdefghijklmno"]
    pairs = [f"({one} or {other})" for place, one in enumerate(words) for other in words[place + 1 :]][:14]
    tangled = " and ".join(pairs)
    began = datetime.now(UTC)
    with contextlib.suppress(RuleError):
        parse(tangled)
    assert datetime.now(UTC) - began < timedelta(seconds=2)


def test_what_the_fields_have_to_do_with_each_other_is_seen() -> None:
    assert sense(parse_all("last seen within 30 days or first seen more than 30 days ago")) == "everyone"
    assert sense(parse_all('wrote "coffee" or never wrote "cold coffee"')) == "everyone"
    assert sense(parse_all('wrote "cold coffee" and never wrote "coffee"')) == "nobody"
    assert sense(parse_all("last seen more than 30 days ago and first seen within 30 days")) == "nobody"


def parse_all(text: str) -> CommunityRule:
    """The rule of a text, senseless or not."""
    first, *others = (parse(part).rule for part in text.replace(" or ", "|").replace(" and ", "|").split("|"))
    return (Any if " or " in text else All)((first, *others))
