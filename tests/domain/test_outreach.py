"""Who is suggested, in which order, and who never is."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.domain.outreach import MOST_PER_WHY, REST, WHYS, Candidate, Reason, ranked, words

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def _candidate(follower: str, why: Any = "shared", days: float = 3, weight: float = 1.0, **more: Any) -> Candidate:
    return Candidate(follower, Reason(why, NOW - days * DAY), weight, **more)


CANDIDATES = st.lists(
    st.builds(
        _candidate,
        st.sampled_from([f"f{number}" for number in range(40)]),
        st.sampled_from(WHYS),
        st.integers(0, 60),
        st.integers(0, 5).map(float),
        bot=st.booleans(),
        blocked=st.booleans(),
    ),
    max_size=80,
)
CONTACTS = st.dictionaries(
    st.sampled_from([f"f{number}" for number in range(40)]), st.integers(0, 20).map(lambda days: NOW - days * DAY)
)


def test_the_dearest_reason_comes_first_and_within_it_who_likes_the_brand_most() -> None:
    found = ranked(
        [
            _candidate("new", "new", 0),
            _candidate("sharer", "shared"),
            _candidate("fan", "quiet_friend", 20, weight=2),
            _candidate("big-fan", "quiet_friend", 30, weight=9),
            _candidate("buyer", "quiet_buyer", 40),
            _candidate("waiting", "unanswered"),
        ],
        {},
        NOW,
    )
    assert [each.follower for each in found] == ["buyer", "big-fan", "fan", "sharer", "waiting", "new"]


def test_somebody_with_several_reasons_is_there_once_with_all_of_them() -> None:
    (found,) = ranked([_candidate("ada", "new", 0), _candidate("ada", "shared")], {}, NOW)
    assert [each.why for each in found.reasons] == ["shared", "new"]


@pytest.mark.parametrize(("ago", "listed"), [(timedelta(hours=1), False), (REST - DAY, False), (REST, True)])
def test_who_was_reached_lately_is_left_alone(ago: timedelta, listed: bool) -> None:
    assert bool(ranked([_candidate("ada")], {"ada": NOW - ago}, NOW)) == listed


@given(CANDIDATES, CONTACTS)
def test_nobody_is_listed_who_is_a_bot_blocked_or_was_reached_lately(
    candidates: list[Candidate], contacted: dict[str, datetime]
) -> None:
    fine = {each.follower for each in candidates if not (each.bot or each.blocked)}
    found = ranked(candidates, contacted, NOW)
    names = [each.follower for each in found]
    assert len(names) == len(set(names))
    assert set(names) <= fine
    assert not [each for each in names if each in contacted and contacted[each] > NOW - REST]
    for why in WHYS:
        assert sum(each.reasons[0].why == why for each in found) <= MOST_PER_WHY


@given(CANDIDATES, CONTACTS, st.randoms())
def test_the_order_of_the_candidates_makes_no_difference(
    candidates: list[Candidate], contacted: dict[str, datetime], chance: random.Random
) -> None:
    assert ranked(candidates, contacted, NOW) == ranked(chance.sample(candidates, len(candidates)), contacted, NOW)


@given(CANDIDATES, CANDIDATES, CONTACTS)
def test_a_list_only_grows_and_only_where_there_is_room(
    first: list[Candidate], later: list[Candidate], contacted: dict[str, datetime]
) -> None:
    listed = ranked(first, contacted, NOW)
    assert ranked(first, contacted, NOW, listed) == []
    both = listed + ranked(later, contacted, NOW, listed)
    assert len({each.follower for each in both}) == len(both)
    for why in WHYS:
        assert sum(each.reasons[0].why == why for each in both) <= MOST_PER_WHY


@pytest.mark.parametrize(
    ("reason", "wanted"),
    [
        (Reason("quiet_buyer", NOW - 31 * DAY), "Bought from you, and has been quiet for 31 days."),
        (Reason("quiet_friend", NOW - 15 * DAY, stage="likes"), "Likes you, and has been quiet for 15 days."),
        (Reason("quiet_friend", NOW - 15 * DAY, stage="trusts"), "Trusts you, and has been quiet for 15 days."),
        (Reason("shared", NOW - DAY), "Shared a post of yours yesterday, and was not thanked."),
        (Reason("shared", NOW), "Shared a post of yours today, and was not thanked."),
        (Reason("unanswered", NOW, comments=4), "Wrote 4 comments, and never got an answer."),
        (Reason("new", NOW), "New today: say hello."),
    ],
)
def test_each_reason_is_a_sentence(reason: Reason, wanted: str) -> None:
    assert words(reason, NOW) == wanted
