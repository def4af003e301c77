"""The text of a rule: read as it was written, and refused with its place where it is wrong."""

import re

import msgspec
import pytest
from hypothesis import assume, given

from rapport.domain.communities.community import (
    CommunityRule,
    Condition,
    conditions,
    depth,
)
from rapport.domain.communities.sense import sense
from rapport.domain.communities.text import LONGEST_TEXT, RuleError, from_plain, parse, render
from tests.domain.communities.drawn import rules


def _sensible(rule: CommunityRule) -> CommunityRule:
    assume(depth(rule) <= 8 and sense(rule) == "some")
    return rule


@given(rule=rules)
def test_what_is_written_of_a_rule_is_read_as_the_same_rule(rule: CommunityRule) -> None:
    rule = _sensible(rule)
    assert parse(render(rule)).rule == rule
    assert from_plain(msgspec.to_builtins(rule)).rule == rule
    assert len(render(rule)) <= LONGEST_TEXT


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
        ('trust > "high"', '"high"', "“trust” is compared with a whole number from 0 to 100, not with “high”"),
        ("comments >= many", "many", "a whole number"),
        ("trust > 200", "200", "from 0 to 100, not with 200"),
        ("trust > 20.5", "20.5", "“20.5” is not a whole number"),
        (f"trust > {'9' * 5000}", "9" * 5000, "is not a whole number, or is too large"),
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
        ('wrote "coffee', '"', "this quote is not closed"),
        ("last seen 30 days ago", "30", "“within” or “more than”, as in “within 30 days”"),
        ("last seen within 30 weeks", "weeks", "“days”"),
        ("last seen within 0 days", "0", "a number of days from 1 to 3,650"),
        ('wrote "…"', '"…"', "“…” has no letter, digit or emoji"),
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
        ({"kind": "condition", "field": "trust", "comparison": ">", "value": "x"}, "/value", "not with “x”"),
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
