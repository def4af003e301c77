"""Which published post is which planned one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.domain.calendar.editorial import Match, Plan, Published, is_missing, likeness, matched

T0 = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WINDOW = timedelta(hours=6)
TEXTS = ("new roast from guji", "new roast from huila", "our team at work", "", "good morning")


def plan(id: str, minutes: int = 0, text: str = "new roast from guji", **more: Any) -> Plan:
    """A plan so many minutes after T0."""
    return Plan(id, more.pop("account", "a"), T0 + minutes * MINUTE, text, more.pop("post", None))


def post(id: str, minutes: int = 0, text: str = "new roast from guji", **more: Any) -> Published:
    """A post so many minutes after T0."""
    return Published(id, more.pop("account", "a"), T0 + minutes * MINUTE, text, (f"at://{id}", f"https://x/{id}"))


@pytest.mark.parametrize(
    ("one", "other", "value"),
    [
        ("New roast, from Guji!", "new roast from guji", 1.0),
        ("new roast", "new roast https://shop.example/guji", 1.0),
        ("a b c d", "a b x y", 0.5),
        ("a a", "a", 2 / 3),
        ("", "a", 0.0),
        ("🙂", "🙂", 1.0),
    ],
)
def test_texts_are_as_alike_as_the_words_they_share(one: str, other: str, value: float) -> None:
    assert likeness(one, other) == likeness(other, one) == pytest.approx(value)


def test_a_post_belongs_to_the_plan_that_it_reads_like_at_about_its_time_on_its_account() -> None:
    plans = [plan("guji"), plan("huila", 60, "new roast from huila"), plan("team", 60, "our team at work")]
    posts = [post("1", 70), post("2", 65, "New roast from Huila #coffee"), post("3", 60, "something else entirely")]
    assert matched(plans, posts, {}, WINDOW) == {"1": Match("guji", "text"), "2": Match("huila", "text")}
    assert matched([plan("guji")], [post("1", 6 * 60)], {}, WINDOW)
    assert not matched([plan("guji")], [post("1", 6 * 60 + 1)], {}, WINDOW)
    assert not matched([plan("guji")], [post("1", account="b")], {}, WINDOW)


def test_what_a_plan_names_is_its_post_whatever_it_reads_and_whenever_it_came() -> None:
    named = plan("named", text="", post="https://x/1")
    assert matched([named, plan("guji")], [post("1", 9_999)], {}, WINDOW) == {"1": Match("named", "id")}


def test_what_was_said_by_hand_holds_and_what_belongs_to_none_is_left_out() -> None:
    plans, posts = [plan("guji"), plan("other", text="x")], [post("1"), post("2", 1)]
    assert matched(plans, posts, {"1": "other"}, WINDOW) == {"1": Match("other", "hand"), "2": Match("guji", "text")}
    assert matched(plans, posts, {"1": None}, WINDOW) == {"2": Match("guji", "text")}
    assert matched(plans, posts, {"1": "of-another-account"}, WINDOW) == {"2": Match("guji", "text")}


@st.composite
def _calendars(draw: st.DrawFn) -> tuple[list[Plan], list[Published], dict[str, str | None]]:
    minutes, text = st.integers(0, 600), st.sampled_from(TEXTS)
    account = st.sampled_from(("a", "b"))
    plans = [
        plan(
            f"p{number}", draw(minutes), draw(text), account=draw(account),
            post=draw(st.sampled_from((None, "at://1", "https://x/2"))),
        )
        for number in range(draw(st.integers(0, 5)))
    ]  # fmt: skip
    posts = [post(str(n), draw(minutes), draw(text), account=draw(account)) for n in range(draw(st.integers(0, 5)))]
    choice = st.sampled_from([None, *(each.id for each in plans)])
    by_hand = {each.id: draw(choice) for each in posts if draw(st.booleans())}
    return plans, posts, by_hand


@given(calendar=_calendars(), data=st.data())
def test_no_order_matters_no_plan_has_two_posts_and_what_was_said_by_hand_is_kept(
    calendar: tuple[list[Plan], list[Published], dict[str, str | None]], data: st.DataObject
) -> None:
    plans, posts, by_hand = calendar
    found = matched(plans, posts, by_hand, WINDOW)
    shuffled = data.draw(st.permutations(plans)), data.draw(st.permutations(posts))
    assert matched(*shuffled, dict(reversed(by_hand.items())), WINDOW) == found
    held = [match.plan for match in found.values()]
    assert len(held) == len(set(held))
    for name, wanted in by_hand.items():
        assert name not in found or found[name] == Match(wanted or "", "hand")
        if wanted is not None and list(by_hand.values()).count(wanted) == 1:
            assert found[name] == Match(wanted, "hand")


def test_a_post_is_missing_once_its_time_and_the_grace_are_over_and_it_may_be_published() -> None:
    grace = timedelta(minutes=30)

    def missing(state: Any = "planned", approval: Any = "not_needed", after: int = 30, published: bool = False) -> bool:
        return is_missing(state, approval, T0, grace, T0 + after * MINUTE, published=published)

    assert missing()
    assert missing(approval="approved")
    assert not missing(after=29)
    assert not missing(published=True)
    assert not any(missing(state=state) for state in ("draft", "cancelled"))
    assert not any(missing(approval=approval) for approval in ("wanted", "refused"))
