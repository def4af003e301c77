"""What is taken back, answered or shown again after more than 90 days: it counts as it would have on the first day."""

from typing import Any

import pytest
from msgspec import structs

from rapport.contracts.controls import PolicyRule
from rapport.contracts.events import Interaction, Kind, Parent
from rapport.domain.times import utc
from tests.services.scorer.ages import LONG, Ages, nothing_leaves
from tests.services.scorer.story import DAY, HOUR, T0, interaction

LATER = T0 + LONG


def begun() -> Ages:
    """A brand that answers within six hours."""
    ages = Ages()
    ages.policy(T0 - DAY, PolicyRule(target_seconds=6 * 3600, warn_at=()))
    return ages


def back(kind: Kind, of: str, at: int, **more: Any) -> Interaction:
    """A follower takes back what `of` was."""
    return structs.replace(interaction(kind, f"{of}-back", at, of=of, **more), undo=True)


@pytest.mark.parametrize("days", [91, 400, 1_000])
@pytest.mark.parametrize("kind", ["follow", "reaction", "share", "vote", "entry", "purchase", "block"])
def test_what_is_taken_back_after_months_counts_no_more_and_is_taken_back_once(kind: Kind, days: int) -> None:
    ages, later = begun(), T0 + days * DAY
    ages.happen(interaction("comment", "c0", T0), T0)
    ages.happen(interaction(kind, "x1", T0), T0)
    ages.happen(interaction(kind, "x2", T0, parent="another"), T0)
    before = ages.counts()
    ages.wait(later)
    ages.reopen()
    for _ in range(2):
        ages.happen(back(kind, "x1", later), later)
        ages.happen(back(kind, "x2", later, parent="another"), later)
    assert ages.counts() == {"comment": 1}
    assert before[kind] in (1, 2)
    assert {kind for kinds in ages.row().days.values() for kind in kinds} <= {"comment", "unanswered"}


@pytest.mark.parametrize("days", [91, 400])
@pytest.mark.parametrize("kind", ["comment", "mention", "message"])
def test_words_that_are_deleted_after_months_count_no_more(kind: Kind, days: int) -> None:
    ages, later = begun(), T0 + days * DAY
    ages.happen(interaction(kind, "c1", T0), T0)
    ages.happen(interaction("reply", "r1", T0 + HOUR, parent="c1"), T0 + HOUR)
    assert ages.counts() == {kind: 1, "reply": 1}
    ages.wait(later)
    for _ in range(2):
        ages.happen(interaction("delete", "d1", later, of="c1"), later)
    assert ages.counts() == {"reply": 1}
    ages.happen(interaction("delete", "d2", later, of="r1"), later)
    assert ages.counts() == {}
    assert ages.only().state == "answered", "how it ended stays"


def test_what_was_hidden_for_months_and_is_shown_again_counts_again() -> None:
    ages = begun()
    ages.happen(interaction("comment", "c1", T0), T0)
    ages.happen(interaction("reply", "r1", T0 + HOUR, parent="c1"), T0 + HOUR)
    ages.happen(interaction("hide", "h1", T0 + DAY, of="c1"), T0 + DAY)
    assert ages.counts() == {"reply": 1}
    ages.wait(LATER)
    ages.happen(interaction("unhide", "u1", LATER, of="c1"), LATER)
    assert ages.counts() == {"comment": 1, "reply": 1}


def test_an_answer_after_months_ends_what_is_open_and_makes_of_a_miss_a_late_answer() -> None:
    ages = begun()
    ages.happen(interaction("comment", "c1", T0), T0)
    ages.wait(LATER)
    assert (ages.only().state, ages.steps()) == ("open", ["breach"])
    assert ages.row().days[utc(T0).date().isoformat()] == {"comment": 1, "unanswered": 1}
    # As on a platform that names no author of the parent: only the comment's row knows whom it answers.
    answer = interaction("reply", "r1", LATER, parent="c1", thread=None)
    ages.happen(structs.replace(answer, parent=Parent("c1")), LATER)
    assert (ages.only().state, ages.steps()) == ("answered_late", ["breach", "resolved"])
    kinds = [kind for kinds in ages.row().days.values() for kind in kinds]
    assert sorted(kinds) == ["answered_late", "comment"], "what was a miss counts once, as what it became"
    assert ages.counts() == {"comment": 1, "reply": 1}


def test_an_answer_to_an_open_message_needs_no_parent_after_months() -> None:
    ages = begun()
    ages.happen(interaction("message", "m1", T0, thread="chat"), T0)
    ages.wait(LATER)
    ages.happen(interaction("reply", "r1", LATER, thread="chat"), LATER)
    assert ages.only().state == "answered_late"
    assert ages.counts() == {"message": 1, "reply": 1}


def test_an_answer_to_a_deleted_comment_ends_what_else_is_open_there_after_months() -> None:
    ages = begun()
    ages.happen(interaction("comment", "c1", T0), T0)
    ages.happen(interaction("comment", "c2", T0 + 1), T0 + 1)
    ages.happen(interaction("delete", "d1", T0 + HOUR, of="c1"), T0 + HOUR)
    ages.wait(LATER)
    answer = interaction("reply", "r1", LATER, parent="c1", thread=None)
    ages.happen(structs.replace(answer, parent=Parent("c1")), LATER)
    assert ages.only().state == "answered_late"


def test_a_comment_that_only_links_to_one_of_months_ago_joins_what_is_open_in_its_thread() -> None:
    ages = begun()
    ages.happen(interaction("comment", "c1", T0, thread=None), T0)
    ages.happen(interaction("comment", "c2", T0 + 1, parent="c1", thread=None), T0 + 1)
    ages.wait(LATER)
    ages.happen(interaction("comment", "c3", LATER, parent="c2", thread=None), LATER)
    assert (ages.only().thread, ages.only().comments) == ("c1", 3)


def test_an_edit_after_months_changes_nothing_that_counts() -> None:
    ages = begun()
    ages.happen(interaction("comment", "c1", T0), T0)
    ages.wait(LATER)
    before = ages.row(), ages.only()
    ages.happen(interaction("edit", "e1", LATER, of="c1", text="other words"), LATER)
    assert (ages.row(), ages.only()) == before


def test_a_comment_that_comes_again_after_months_is_the_same_comment() -> None:
    ages = begun()
    for at in (T0, LATER):
        ages.wait(at)
        ages.happen(interaction("comment", "c1", T0), at)
        ages.happen(interaction("follow", "f1", T0), at)
    assert ages.counts() == {"comment": 1, "follow": 1}
    assert len(ages.snapshots) == 2, "opened, and a miss"


@pytest.mark.parametrize("until", [31, 89, 91, 97, 120])
def test_what_ended_is_history_after_30_days_whether_its_rows_are_there_or_not(until: int) -> None:
    said = []
    for keeping in (True, False):
        ages, later = begun(), T0 + until * DAY
        ages.happen(interaction("comment", "c1", T0), T0)
        ages.happen(interaction("comment", "c2", T0, thread="post-2"), T0)
        ages.happen(interaction("hide", "h1", T0 + HOUR, of="c1"), T0 + HOUR)
        ages.happen(interaction("reply", "r2", T0 + 9 * HOUR, parent="c2", thread="post-2"), T0 + 9 * HOUR)
        if keeping:
            with nothing_leaves():
                ages.wait(later)
        else:
            ages.wait(later)
        ages.happen(interaction("unhide", "u1", later, of="c1"), later)
        ages.happen(interaction("delete", "d2", later, of="c2", thread="post-2"), later)
        assert [(each.state, each.revision) for each in ages.now()] == [("cancelled", 2), ("answered_late", 2)]
        assert ages.counts() == {"comment": 1, "reply": 1}
        said.append((ages.now(), ages.steps(), ages.row()))
    assert said[0] == said[1]
