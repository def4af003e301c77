"""Which comments wait for an answer, since when, and how it ends. `tests/services/scorer` tells longer stories."""

from typing import Any

from rapport.contracts.controls import PolicyRule
from rapport.domain.exchanges.exchange import Answer, Block, Comment, Decision, Exchange, Facts, Rules, exchanges
from rapport.domain.policies.policy import Terms

HOUR = 3_600_000
DAY = 24 * HOUR
RULES = Rules(
    terms_of=lambda _: Terms(PolicyRule(target_seconds=86_400), 1, 0),
    backfilled=lambda _: False,
    disconnected=lambda _: None,
    grace=0,
)


def comment(id: str, at: int, **more: Any) -> Comment:
    return Comment(id=id, kind="comment", at=at, appended=at, account="a", conversation="p", **more)


def only(clock: int, *comments: Comment, **more: Any) -> Exchange:
    """The one exchange that there is."""
    (found,) = exchanges(Facts(comments, **more), RULES, clock)
    return found


def test_comments_that_wait_are_one_exchange_from_the_oldest_on() -> None:
    found = only(HOUR, comment("2", HOUR), comment("1", 0))
    assert (found.first.id, found.state, found.due, found.joined) == ("1", "open", DAY, 2)


def test_it_is_breached_once_the_clock_reaches_its_due_time() -> None:
    assert not only(DAY - 1, comment("1", 0)).breached
    assert only(DAY, comment("1", 0)).breached


def test_an_answer_ends_it_in_time_or_late_and_the_next_comment_opens_another() -> None:
    assert only(0, comment("1", 0), answers=[Answer("r", DAY, "staff", "1")]).state == "answered"
    assert only(0, comment("1", 0), answers=[Answer("r", DAY + 1, "staff", "1")]).state == "answered_late"
    both = exchanges(Facts([comment("1", 0), comment("2", 9)], [Answer("r", 5, "staff", "1")]), RULES, 9)
    assert [(each.first.id, each.state) for each in both] == [("1", "answered"), ("2", "open")]


def test_an_automatic_answer_ends_nothing_unless_the_policy_says_so() -> None:
    assert only(9, comment("1", 0), answers=[Answer("r", 5, "bot", "1", automatic=True)]).state == "open"


def test_where_the_oldest_comment_goes_in_time_the_next_one_has_the_clock() -> None:
    gone = {"removed": HOUR, "removed_because": "deleted"}
    found = only(2 * HOUR, comment("1", 0, **gone), comment("2", HOUR))
    assert (found.first.id, found.due) == ("2", HOUR + DAY)
    assert only(2 * HOUR, comment("1", 0, **gone)).cancelled_because == "deleted"


def test_a_comment_that_goes_after_it_was_due_stays_a_miss() -> None:
    found = only(2 * DAY, comment("1", 0, removed=DAY + 1, removed_because="deleted"))
    assert (found.state, found.breached) == ("cancelled", True)


def test_a_decision_ends_it_and_taking_it_back_opens_it_again() -> None:
    said = Decision("x", "1", 5, "ada", "thanks")
    assert only(9, comment("1", 0), decisions=[said]).cancelled_because == "no_reply_needed"
    assert only(9, comment("1", 0), decisions=[said, Decision("x", "2", 6, "ada", "", undone=True)]).state == "open"


def test_a_block_ends_it_and_its_end_leaves_what_was_written_before_cancelled() -> None:
    blocked = [Block("b", 5)]
    assert only(9, comment("1", 0), blocks=blocked).cancelled_because == "blocked"
    found = only(99, comment("1", 0), comment("2", 50), blocks=[*blocked, Block("u", 20, lifted=True)])
    assert found.first.id == "2"
