from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.domain.campaigns.campaign import CampaignFact, Change, Scope
from rapport.domain.campaigns.survey import Answer, Answered, Option, Question, answered, chosen, repeated

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
END = START + timedelta(days=7)
AFTER = END + timedelta(days=1)
SCOPE = Scope(id="next", starts_at=START, until=END, posts=("poll",))
ROAST = Question(
    id="roast",
    text="What do we roast next?",
    options=(
        Option(id="guji", label="Guji"),
        Option(id="kenya", label="Kenya", keywords=("nyeri",)),
        Option(id="both", label="Guji and Kenya"),
    ),
)
WHY = Question(id="why", text="Why?", post="why-post")


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def said(id: str, hours: float, text: str | None, **more: Any) -> CampaignFact:
    fields: dict[str, Any] = {"kind": "comment", "platform": "bluesky", "follower": "ada", "post": "poll", **more}
    return CampaignFact(at=at(hours), id=id, object=id, text=text, **fields)


def vote(id: str, hours: float, text: str | None, **more: Any) -> CampaignFact:
    return said(id, hours, text, kind="vote", **{"post": None, "campaign": "next", **more})


def ask(*facts: CampaignFact, changes: tuple[Change, ...] = (), form: dict[str, Answer] | None = None) -> Answered:
    return answered(SCOPE, (ROAST, WHY), facts, changes, form or {}, AFTER)


def options(found: Answered) -> dict[str, str | None]:
    return {question: each.option or each.text for question, each in found.answers.items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Guji", "guji"),
        ("guji!", "guji"),
        ("I am for NYERI this time", "kenya"),
        ("Guji and Kenya", "both"),
        ("Guji or Kenya, who knows", None),
        ("Both", None),
        ("", None),
    ],
)
def test_a_text_chooses_the_option_that_it_is_or_the_only_one_it_names(text: str, expected: str | None) -> None:
    assert chosen(ROAST, text) == expected


def test_a_vote_says_its_choice_as_text_or_as_reaction() -> None:
    assert options(ask(vote("v", 1, "Kenya"))) == {"roast": "kenya"}
    assert options(ask(vote("v", 1, None, reaction="Guji"))) == {"roast": "guji"}


def test_the_latest_valid_answer_counts_wherever_it_came_from() -> None:
    facts = (vote("v", 1, "Kenya"), said("c", 2, "no, Guji"), said("d", 3, "whatever"))
    assert options(ask(*facts)) == {"roast": "guji"}
    form = {"roast": Answer(at=at(5), id="f", by="form", option="both")}
    assert options(ask(*facts, form=form)) == {"roast": "both"}
    assert options(ask(*facts, said("e", 6, "nyeri"), form=form)) == {"roast": "kenya"}


def test_what_is_deleted_or_undone_is_no_answer_and_the_one_before_counts_again() -> None:
    facts = (vote("v", 1, "Kenya"), said("c", 2, "Guji"))
    gone = (Change(at(9), "x", "delete", "c", "bluesky"),)
    assert options(ask(*facts, changes=gone)) == {"roast": "kenya"}
    undone = vote("w", 10, None, undo=True)._replace(object="v")
    assert options(ask(*facts, undone, changes=gone)) == {}


def test_an_edit_changes_the_answer_until_the_end() -> None:
    edited = (Change(at(3), "x", "edit", "c", "bluesky", "Kenya"), Change(at(170), "y", "edit", "c", "bluesky", "Guji"))
    assert options(ask(said("c", 2, "Guji"), changes=edited)) == {"roast": "kenya"}


def test_a_question_in_free_words_is_answered_on_its_own_post_only() -> None:
    assert options(ask(said("c", 2, "Because of the smell", post="why-post"))) == {"why": "Because of the smell"}
    assert options(ask(said("c", 2, "Because of the smell"))) == {}


def test_bots_staff_and_what_lies_outside_of_the_survey_do_not_count() -> None:
    assert options(ask(vote("v", 1, "Kenya", bot=True))) == {}
    assert options(ask(vote("v", 1, "Kenya", staff=True))) == {}
    assert options(ask(vote("v", -1, "Kenya"), vote("w", 169, "Kenya"))) == {}
    assert options(ask(vote("v", 1, "Kenya", campaign="other"))) == {}


def test_the_first_and_the_last_moment_count() -> None:
    assert options(ask(vote("v", 0, "Kenya"))) == {"roast": "kenya"}
    assert options(ask(vote("v", 168, "Kenya"))) == {"roast": "kenya"}


def test_words_that_choose_two_options_are_found() -> None:
    assert repeated((Option(id="a", label="Yes"), Option(id="b", label="No", keywords=("YES!",)))) == ["yes"]
    assert repeated(ROAST.options) == []


_FACTS = st.builds(
    lambda number, kind, thing, hours, text, undo: said(
        f"i{number}", hours, text, kind=kind, campaign="next", undo=undo
    )._replace(object=thing),
    st.integers(0, 10**6),
    st.sampled_from(["vote", "comment"]),
    st.sampled_from(["a", "b"]),
    st.integers(-5, 200),
    st.sampled_from(["Guji", "Kenya", "tea"]),
    st.booleans(),
)


@given(st.lists(_FACTS, max_size=10, unique_by=lambda each: each.id), st.data())
def test_the_order_of_arrival_makes_no_difference(facts: list[CampaignFact], data: Any) -> None:
    assert ask(*data.draw(st.permutations([*facts, *facts[:2]]))) == ask(*facts)
