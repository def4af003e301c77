"""Labels, shares and means with their intervals."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.domain.mix.labels import (
    Interval,
    Labelled,
    LabelRule,
    Tally,
    dispersion,
    folded,
    format_of,
    label_of,
    matches,
    per_post,
    share,
    standing,
)

COUNTS = st.lists(st.integers(0, 5_000), min_size=1, max_size=40)


def _tally(counts: Sequence[int]) -> Tally:
    return Tally(len(counts), {"comments": sum(counts)}, {"comments": sum(each * each for each in counts)})


def _mean(*groups: Sequence[int]) -> Interval:
    """The first group's, with the spread of all."""
    tallies = [_tally(each) for each in groups]
    found = per_post(tallies[0], "comments", dispersion(tallies, "comments"))
    assert found is not None
    return found


def _bounds(interval: Interval | None) -> tuple[float, float]:
    assert interval is not None
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.high


def _width(interval: Interval | None) -> float:
    low, high = _bounds(interval)
    return high - low


@pytest.mark.parametrize(
    ("media", "wanted"),
    [
        ((), "text"),
        (("image",), "image"),
        (("link",), "link"),
        (("audio",), "audio"),
        (("link", "image"), "image"),
        (("image", "video"), "video"),
        (("link", "audio"), "audio"),
    ],
)
def test_a_post_is_what_the_most_telling_of_its_media_is(media: tuple[str, ...], wanted: str) -> None:
    assert format_of(media) == wanted


def test_a_label_by_hand_wins_over_the_plans_and_the_plans_over_a_rule() -> None:
    rules = [LabelRule(label="personal", hashtag="team"), LabelRule(label="business", word="sale")]
    text = "Summer sale with the whole #Team"
    assert label_of(text, "business", "personal", rules) == Labelled("business", "hand")
    assert label_of(text, None, "business", rules) == Labelled("business", "plan")
    assert label_of(text, None, None, rules) == Labelled("personal", "rule")
    assert label_of(text, None, None, rules[::-1]) == Labelled("business", "rule")
    assert label_of("Good morning", None, None, rules) == Labelled("unsorted", None)
    assert label_of(None, None, None, rules) == Labelled("unsorted", None)


def test_a_rule_matches_whole_hashtags_and_whole_words_in_any_case() -> None:
    tag, word, phrase = (
        LabelRule(label="personal", hashtag="Team"),
        LabelRule(label="business", word="Sale"),
        LabelRule(label="business", word="opening hours"),
    )
    assert matches(tag, "we are a #TEAM!")
    assert not matches(tag, "#teamwork for the team")
    assert matches(word, "The big SALE, today")
    assert matches(word, "see the #sale")
    assert not matches(word, "wholesale")
    assert matches(phrase, "Our opening\nhours: 9 to 5")
    assert not matches(phrase, "hours of opening")


def test_a_share_has_wilsons_bounds() -> None:
    # The example of Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263, and 0 of 20.
    assert _bounds(share(81, 263)) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert _bounds(share(0, 20)) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert share(0, 0) is None


@given(st.integers(0, 500), st.integers(1, 500))
def test_the_bounds_of_a_share_hold_it_and_are_narrower_with_more_posts(part: int, more: int) -> None:
    whole = part + more
    one, four = share(part, whole), share(4 * part, 4 * whole)
    low, high = _bounds(one)
    assert one is not None
    assert 0 <= low <= one.value <= high <= 1
    assert _width(four) < _width(one)


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0.0, 3.689), (1, 0.025, 5.572), (10, 4.795, 18.39), (100, 81.36, 121.6)]
)
def test_of_counts_as_even_as_poissons_the_interval_is_that_of_their_sum(count: int, low: float, high: float) -> None:
    # The exact limits of Garwood, Biometrika 28 (1936); the approximation is off by less than 0.03.
    found = per_post(Tally(1, {"comments": count}), "comments", 1.0)
    assert _bounds(found) == pytest.approx((low, high), abs=0.03)


def test_posts_that_differ_widely_say_less_about_the_next_one() -> None:
    even, uneven = _mean([100, 101, 99, 100]), _mean([1, 396, 1, 2])
    assert even.value == uneven.value == 100
    low, high = _bounds(even)
    assert 90 < low < high < 112
    low, high = _bounds(uneven)
    assert low < 40
    assert high > 250


def test_one_post_by_itself_has_a_mean_and_no_interval_and_others_tell_how_far_posts_differ() -> None:
    assert _mean([12]) == Interval(12.0, None, None)
    assert _mean([12], [5]) == Interval(12.0, None, None)
    low, high = _bounds(_mean([12], [3, 40, 9]))
    assert low < 5
    assert high > 40


def test_of_no_posts_there_is_no_mean() -> None:
    assert per_post(Tally(), "comments", 1.0) is None


@given(COUNTS, st.lists(COUNTS, max_size=4))
def test_the_bounds_hold_the_mean(counts: list[int], others: list[list[int]]) -> None:
    found = _mean(counts, *others)
    if found.low is not None and found.high is not None:
        assert 0 <= found.low <= found.value <= found.high


@given(st.lists(st.integers(0, 5_000), min_size=2, max_size=40), st.integers(2, 6))
def test_more_posts_of_the_same_kind_make_the_interval_narrower(counts: list[int], times: int) -> None:
    few, many = _mean(counts), _mean(counts * times)
    assert many.value == pytest.approx(few.value)
    assert _width(many) < _width(few)


@given(st.lists(COUNTS, min_size=1, max_size=5), st.randoms())
def test_the_order_of_posts_and_groups_makes_no_difference(groups: list[list[int]], chance: random.Random) -> None:
    first = groups[0]
    mixed = [chance.sample(each, len(each)) for each in groups]
    rest = mixed[1:]
    chance.shuffle(rest)
    assert _mean(first, *groups[1:]) == _mean(mixed[0], *rest)


def test_a_share_is_off_its_target_only_where_the_interval_leaves_it_out() -> None:
    few, many = share(1, 4), share(100, 400)
    assert standing(few, 0.5) == "near"
    assert standing(many, 0.5) == "below"
    assert standing(many, 0.1) == "above"
    assert standing(many, None) is None
    assert standing(None, 0.5) is None


def test_groups_fold_to_labels_and_to_formats() -> None:
    groups = {
        ("business", "image"): _tally([1, 2]),
        ("business", "text"): _tally([5]),
        ("personal", "image"): _tally([7]),
    }
    assert folded(groups, 0) == {"business": _tally([1, 2, 5]), "personal": _tally([7])}
    assert folded(groups, 1) == {"image": _tally([1, 2, 7]), "text": _tally([5])}
