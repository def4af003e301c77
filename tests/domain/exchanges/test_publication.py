"""What is published of a thread: what changed, and each alert once. `tests/services/scorer` tells longer stories."""

from rapport.contracts.controls import PolicyRule
from rapport.contracts.events import FollowerRef
from rapport.domain.exchanges.exchange import Answer, Comment, Rules
from rapport.domain.exchanges.publication import FOLD_AFTER, Published, Thread, is_history, publish
from rapport.domain.policies.policy import Terms

HOUR = 3_600_000
T0 = 1_790_000_000_000
RULES = Rules(
    terms_of=lambda _: Terms(PolicyRule(target_seconds=3_600), 1, 0),
    backfilled=lambda _: False,
    disconnected=lambda _: None,
    grace=0,
)


def thread(*comments: Comment) -> Thread:
    return Thread(
        brand="acme", platform="generic", thread="post", follower=FollowerRef(id="ada"), comments=list(comments)
    )


def comment(id: str, at: int) -> Comment:
    return Comment(id=id, kind="comment", at=at, appended=at, account="a", conversation="post")


def at(clock: int, its: Thread) -> Published:
    return publish(its, RULES, clock, lambda _: False)


def test_a_snapshot_is_published_when_something_changed_and_has_the_next_revision() -> None:
    its = thread(comment("1", T0))
    assert [each.revision for each in at(T0, its).snapshots] == [1]
    assert at(T0 + 1, its).snapshots == []
    its.answers.append(Answer("r", T0 + 2, "staff", "1"))
    assert [(each.revision, each.state) for each in at(T0 + 3, its).snapshots] == [(2, "answered")]


def test_each_alert_is_sent_once_and_a_late_fact_takes_the_breach_back() -> None:
    its = thread(comment("1", T0))
    at(T0, its)
    assert [each.step for each in at(T0 + HOUR, its).alerts] == ["breach"]
    assert at(T0 + HOUR + 1, its).alerts == []
    its.answers.append(Answer("r", T0 + 5, "staff", "1"))
    assert [each.step for each in at(T0 + HOUR + 2, its).alerts] == ["retracted"]


def test_an_exchange_keeps_its_id_when_an_older_comment_turns_up() -> None:
    its = thread(comment("2", T0 + 9))
    (first,) = at(T0 + 9, its).snapshots
    its.comments.append(comment("1", T0))
    (second,) = at(T0 + 10, its).snapshots
    assert (second.id, second.first.id, second.revision) == (first.id, "1", 2)


def test_it_says_when_the_thread_is_to_be_looked_at_next() -> None:
    its = thread(comment("1", T0))
    at(T0, its)
    assert its.next_at == T0 + HOUR * 3 // 4
    at(T0 + HOUR * 3 // 4, its)
    assert its.next_at == T0 + HOUR


def test_what_ended_long_ago_is_history() -> None:
    its = thread(comment("1", T0))
    its.answers.append(Answer("r", T0 + 5, "staff", "1"))
    at(T0 + 5, its)
    assert not is_history(its, T0 + HOUR)
    assert is_history(its, T0 + HOUR + FOLD_AFTER)
    at(T0 + HOUR + FOLD_AFTER, its)
    assert its.comments == []
