"""Rules of communities: their text, who belongs, until when, and which rules are refused with what place."""

import contextlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any as Anything

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import structs

from rapport.domain.community import (
    COUNTS,
    FIELDS,
    All,
    Any,
    Condition,
    Facts,
    Not,
    Rule,
    condition,
    conditions,
    depth,
    matches,
    until,
)
from rapport.domain.community_sense import sense
from rapport.domain.community_text import LONGEST_TEXT, RuleError, from_plain, parse, render
from rapport.domain.decay import DAY_MS, LANDMARK, weight_at
from rapport.domain.relationship import DEFAULT, DIMENSIONS, HALF_LIFE_DAYS, STAGES

NOW = LANDMARK + 700 * DAY_MS
PLATFORMS = ("bluesky", "instagram", "not", "500px", "x.com")
WORDS = ("coffee", "Cold Coffee", "naïve", "コーヒー", "50 %", "wrote")

_values: dict[str, st.SearchStrategy[Anything]] = {
    "platform": st.sampled_from(PLATFORMS),
    "stage": st.sampled_from(STAGES),
    "score": st.integers(0, 100),
    "count": st.integers(0, 8),
    "days": st.integers(1, 400),
    "words": st.sampled_from(WORDS),
    "campaign": st.sampled_from(("spring-giveaway", "2026", "not")),
    "bot": st.sampled_from(("yes", "no")),
}


@st.composite
def _conditions(draw: st.DrawFn) -> Condition:
    name = draw(st.sampled_from(sorted(FIELDS)))
    field = FIELDS[name]
    return condition(name, draw(st.sampled_from(field.comparisons)), draw(_values[field.kind]))


def _groups(inner: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
    some = st.lists(inner, min_size=2, max_size=4).map(tuple)
    return st.builds(All, some) | st.builds(Any, some) | st.builds(Not, inner)


rules: st.SearchStrategy[Rule] = st.recursive(_conditions(), _groups, max_leaves=8)
facts = st.builds(
    lambda platforms, worth, bought, counts, first, since, bot, campaigns, texts: Facts(
        platforms=platforms,
        sums={name: each * weight_at(NOW, HALF_LIFE_DAYS[name]) for name, each in worth.items()},
        last_purchase_at=bought,
        scoring=DEFAULT,
        counts=counts,
        first_seen=first,
        last_seen=min(NOW, first + since),
        bot=bot,
        campaigns=campaigns,
        texts=texts,
    ),
    st.sets(st.sampled_from(PLATFORMS), min_size=1, max_size=2),
    st.fixed_dictionaries({name: st.floats(-5, 40) for name in DIMENSIONS}),
    st.none() | st.integers(NOW - 400 * DAY_MS, NOW),
    st.dictionaries(st.sampled_from(sorted(COUNTS.values())), st.integers(0, 8)),
    st.integers(NOW - 500 * DAY_MS, NOW),
    st.integers(0, 500 * DAY_MS),
    st.booleans(),
    st.sets(st.sampled_from(("spring-giveaway", "2026"))),
    st.lists(st.sampled_from(("Is there COLD coffee?", "naïve", "アイスコーヒー", "")), max_size=2),
)


def _sensible(rule: Rule) -> Rule:
    assume(depth(rule) <= 8 and sense(rule) == "some")
    return rule


@given(rule=rules)
def test_what_is_written_of_a_rule_is_read_as_the_same_rule(rule: Rule) -> None:
    rule = _sensible(rule)
    assert parse(render(rule)).rule == rule
    assert from_plain(msgspec.to_builtins(rule)).rule == rule
    assert len(render(rule)) <= LONGEST_TEXT


@given(rule=rules, facts=facts)
def test_nothing_changes_until_the_moment_that_is_told_and_something_does_then(rule: Rule, facts: Facts) -> None:
    held = matches(rule, facts, NOW)
    turn = until(rule, facts, NOW)
    end = NOW + 3_000 * DAY_MS if turn is None else turn
    assert end > NOW
    for part in range(20):
        assert matches(rule, facts, NOW + (end - 1 - NOW) * part // 19) == held
    if turn is not None:
        assert matches(rule, facts, turn) != held


@given(rule=rules, facts=facts)
def test_a_rule_is_called_senseless_only_where_every_follower_bears_it_out(rule: Rule, facts: Facts) -> None:
    found = sense(rule)
    if found in ("everyone", "nobody"):
        assert matches(rule, facts, NOW) == (found == "everyone")


@given(rule=rules)
def test_a_rule_or_its_opposite_is_everyone_and_both_are_nobody(rule: Rule) -> None:
    assert sense(Any((rule, Not(rule)))) == "everyone"
    assert sense(All((Not(rule), rule))) == "nobody"


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("Platform IS Instagram", "platform is instagram"),
        ("trust is more than 20 AND comment ≥ 3", "trust > 20 and comments >= 3"),
        ("a or b and c", "a or (b and c)"),
        ("not (a or (b))", "not (a or b)"),
        ("((a))", "a"),
        ("last seen more than 1 day ago", "last seen more than 1 day ago"),
        ("last seen is within 30 days", "last seen within 30 days"),
        ("wrote “cold   coffee”", 'wrote "cold coffee"'),
        ("wrote coffee and never entered spring-giveaway", 'wrote "coffee" and never entered "spring-giveaway"'),
        ("stage = likes\nor stage != new", "stage is likes or stage is not new"),
        ("bot is no", "bot is no"),
        ("know at least 3", "know >= 3"),
    ],
)
def test_words_and_symbols_say_the_same(said: str, written: str) -> None:
    for name, stands_for in (("a", "votes > 1"), ("b", "shares > 1"), ("c", "mentions > 1")):
        said, written = (re.sub(rf"\b{name}\b", stands_for, text) for text in (said, written))
    assert render(parse(said).rule) == written


@pytest.mark.parametrize(
    ("text", "marked", "why"),
    [
        ("", "", "there is no condition yet"),
        ("thrust > 20", "thrust", "did you mean “trust”?"),
        ("platform is instagram and stagee is likes", "stagee", "did you mean “stage”?"),
        ('trust > "high"', '"high"', "“trust” is compared with a whole number from 0 to 100, and “high” is none"),
        ("comments >= many", "many", "a whole number"),
        ("trust > 200", "200", "from 0 to 100, not with 200"),
        ("trust > 20.5", "20.5", "“20.5” is no whole number"),
        (f"trust > {'9' * 5000}", "9" * 5000, "is no whole number, or too large a one"),
        ("trust > -1", "-1", "from 0 to 100, not with -1"),
        (" " * 5000, " ", "there is no condition yet"),
        ("wrote 3", "3", "3 is a number, and “words” is compared with words, and those stand in quotes: “3”"),
        ("stage is 3", "3", "3 is a number, and “stage” is compared with a stage"),
        ("stage is at least liked", "liked", "did you mean “likes”?"),
        ("stage > likes", ">", "“stage” is compared by is, is not, is at least or is at most, not by “>”"),
        ("trust 20", "20", "found “20”, where a comparison: > >= < <= = != should be"),
        ("trust >", "", "found the end, where a whole number should be"),
        ("trust > 20 comments > 3", "comments", "found “comments”, where “and”, “or” or the end should be"),
        ("(trust > 20", "", "found the end, where “)” should be"),
        ("trust > 20 and", "", "where a condition, such as “trust > 20” should be"),
        ("trust > 20,", ",", "“,” has no meaning here"),
        ('wrote "coffee', '"', "this quote has no other end"),
        ("last seen 30 days ago", "30", "“within” or “more than”, as in “within 30 days”"),
        ("last seen within 30 weeks", "weeks", "“days”"),
        ("last seen within 0 days", "0", "a number of days from 1 to 3,650"),
        ('wrote "…"', '"…"', "“…” has neither letter nor digit nor emoji"),
        ("bot is maybe", "maybe", "yes or no"),
        ("know >= 0", "know >= 0", "this matches everyone"),
        ("platform is x or (trust > 5 or\n trust <= 5)", "trust > 5 or\n trust <= 5", "this matches everyone"),
        ("stage is likes and stage is new", "stage is likes and stage is new", "nobody can match this"),
        ("not (stage is likes and stage is new)", "stage is likes and stage is new", "this matches everyone"),
        ("(" * 9 + "trust > 1" + ")" * 9, "(", "groups go 8 deep at most"),
        (" and ".join(["trust > 1"] * 31), "trust > 1", "30 conditions at most"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_place(text: str, marked: str, why: str) -> None:
    with pytest.raises(RuleError) as refused:
        parse(text)
    assert why in refused.value.why
    place = refused.value.place
    assert place is not None
    assert text[place.offset : place.offset + place.length] == marked
    lines = text.split("\n")
    assert (lines[place.line - 1] + "\n" * (place.line < len(lines)))[place.column - 1 :].startswith(
        marked.split("\n")[0]
    )


@pytest.mark.parametrize(
    ("plain", "pointer", "why"),
    [
        ({"kind": "condition", "field": "thrust", "comparison": ">", "value": 2}, "/field", "did you mean “trust”?"),
        ({"kind": "condition", "field": "trust", "comparison": "is", "value": 2}, "/comparison", "not by “is”"),
        ({"kind": "condition", "field": "trust", "comparison": ">", "value": "x"}, "/value", "“x” is none"),
        ({"kind": "condition", "field": "trust", "comparison": ">", "value": 2.5}, "/value", "expected"),
        ({"kind": "condition", "field": "trust", "comparison": ">"}, "", "missing required field `value`"),
        ({"kind": "condition", "field": "trust", "comparison": ">=", "value": 0}, "", "this matches everyone"),
        ({"kind": "all", "of": []}, "/of", "one condition at least"),
        ({"kind": "some", "of": []}, "/kind", "invalid value 'some'"),
        ([], "", "expected `object`"),
        (
            {"kind": "not", "of": {"kind": "all", "of": [{"kind": "condition", "field": "stage", "comparison": "is"}]}},
            "/of/of/0",
            "missing required field `value`",
        ),
    ],
)
def test_a_wrong_rule_in_json_is_refused_with_its_pointer(plain: object, pointer: str, why: str) -> None:
    with pytest.raises(RuleError) as refused:
        from_plain(plain)
    assert (refused.value.pointer, refused.value.place) == (pointer, None)
    assert why in refused.value.why


def test_a_rule_that_is_nested_without_end_is_refused() -> None:
    plain: dict[str, object] = {"kind": "condition", "field": "trust", "comparison": ">", "value": 2}
    for deep in (9, 5_000):
        nested = plain
        for _ in range(deep):
            nested = {"kind": "not", "of": nested}
        with pytest.raises(RuleError, match="8 deep at most"):
            from_plain(nested)


def test_a_group_of_one_is_that_one() -> None:
    one = {"kind": "condition", "field": "platform", "comparison": "is", "value": "Bluesky"}
    read = from_plain({"kind": "any", "of": [one]})
    assert read.rule == Condition("platform", "is", "bluesky")


def test_what_else_is_wrong_about_a_condition_has_its_place_too() -> None:
    read = parse('trust > 20 and entered "sprin"')
    *_, entered = conditions(read.rule)
    place = read.wrong(entered, "value", "there is no such campaign").place
    assert place is not None
    assert (place.offset, place.length) == (23, 7)
    read = from_plain(msgspec.to_builtins(read.rule))
    *_, entered = conditions(read.rule)
    assert read.wrong(entered, "value", "there is no such campaign").pointer == "/of/1/value"


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


def parse_all(text: str) -> Rule:
    """The rule of a text, senseless or not."""
    first, *others = (parse(part).rule for part in text.replace(" or ", "|").replace(" and ", "|").split("|"))
    return (Any if " or " in text else All)((first, *others))


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
