"""Where interactions belong, and when they count as having occurred."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.contracts.events import CONVERSATIONAL, KINDS, Actor, Interaction, Object, Parent
from rapport.contracts.topics import CONVERSATIONS, ENGAGEMENTS, key_of
from rapport.domain.exchanges.addressing import (
    FUTURE_ALLOWED,
    LONGEST_KEY,
    Address,
    UnaddressableError,
    address,
    key,
    occurred,
    topic_of,
)

FAN = Actor("fan")
CLERK = Actor("clerk")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def placed(kind: str = "comment", **more: Any) -> Address:
    given: dict[str, Any] = {"account": "acme", "actor": FAN, "object": Object("thing")}
    return address(kind=kind, **{**given, **more})


def interaction(kind: Any = "comment", **more: Any) -> Interaction:
    given: dict[str, Any] = {
        "id": "1",
        "brand": "b",
        "platform": "p",
        "account": "acme",
        "actor": FAN,
        "object": Object("1"),
        "conversation": "c",
        "occurred_at": NOW,
        "observed_at": NOW,
    }
    return Interaction(kind=kind, **{**given, **more})


def test_what_the_platform_gives_wins() -> None:
    assert placed(conversation="c", thread="t", post="p") == Address("c", "t")


def test_a_conversation_given_is_the_thread_too() -> None:
    assert placed(conversation="c", post="p") == Address("c", "c")


def test_a_thread_given_is_the_conversation_too() -> None:
    assert placed(thread="t", post="p") == Address("t", "t")


def test_a_post_is_both() -> None:
    assert placed(post="p") == Address("p", "p")


def test_without_any_the_conversation_is_the_pair_and_parents_make_the_thread() -> None:
    assert placed() == Address("acme:fan", None)


def test_private_messages_with_an_account_are_one_thread() -> None:
    assert placed("message") == Address("acme:fan", "messages:acme")


def test_a_comment_its_answer_its_edit_and_its_deletion_derive_the_same_conversation() -> None:
    answer = placed("reply", actor=CLERK, parent=Parent("thing", actor="fan"))
    assert {placed(kind) for kind in ("comment", "edit", "delete")} == {answer}


@pytest.mark.parametrize("parent", [None, Parent("thing"), Parent("thing", actor="")])
def test_a_reply_that_says_nothing_of_its_comment_is_refused(parent: Parent | None) -> None:
    with pytest.raises(UnaddressableError, match=r"parent\.actor") as refused:
        placed("reply", actor=CLERK, parent=parent)
    assert refused.value.where == "conversation"


@pytest.mark.parametrize("kind", ["hide", "unhide"])
def test_what_the_brand_hides_needs_more_than_its_actor(kind: str) -> None:
    with pytest.raises(UnaddressableError, match="done by the brand"):
        placed(kind, actor=CLERK)
    assert placed(kind, actor=CLERK, post="p") == Address("p", "p")


@pytest.mark.parametrize("kind", ["edit", "delete", "hide", "unhide"])
def test_what_happens_to_a_thing_names_it(kind: str) -> None:
    with pytest.raises(UnaddressableError, match="object") as refused:
        placed(kind, object=None, conversation="c")
    assert refused.value.where == "object"


def test_a_pair_longer_than_a_key_is_refused() -> None:
    with pytest.raises(UnaddressableError, match=str(LONGEST_KEY)):
        placed(actor=Actor("f" * 510))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_conversations_are_keyed_by_conversation_and_engagements_by_follower(kind: Any) -> None:
    one = interaction(kind)
    if kind in CONVERSATIONAL:
        assert (topic_of(kind), key(one)) == (CONVERSATIONS, key_of("b", "p", "c"))
    else:
        assert (topic_of(kind), key(one)) == (ENGAGEMENTS, key_of("b", "p", "fan"))


def test_a_time_a_little_ahead_is_believed_and_one_further_is_set_back() -> None:
    edge = NOW + FUTURE_ALLOWED
    assert occurred(edge, "platform", NOW).at == edge
    late = occurred(edge + timedelta(microseconds=1), "author", NOW)
    assert (late.at, late.source, late.clamped) == (NOW, "author", True)


def test_without_a_time_the_receipt_counts() -> None:
    found = occurred(None, "platform", NOW)
    assert (found.at, found.source, found.clamped) == (NOW, "receipt", False)


@given(
    st.datetimes(
        min_value=datetime(1971, 1, 2),
        max_value=datetime(2100, 1, 1),
        timezones=st.integers(-14, 14).map(lambda hours: timezone(timedelta(hours=hours))),
    )
)
def test_every_time_becomes_utc_and_none_lies_far_ahead(at: datetime) -> None:
    found = occurred(at, "platform", NOW)
    assert found.at.utcoffset() == timedelta(0)
    assert found.at <= NOW + FUTURE_ALLOWED
    assert found.clamped or found.at == at


@given(st.datetimes(timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))))
def test_a_time_is_taken_in_the_years_1971_to_9998_and_refused_by_name_elsewhere(at: datetime) -> None:
    if datetime(1971, 1, 1, tzinfo=UTC) <= at < datetime(9999, 1, 1, tzinfo=UTC):
        assert occurred(at, "author", NOW).at.tzinfo is UTC
    else:
        with pytest.raises(UnaddressableError) as raised:
            occurred(at, "author", NOW)
        assert raised.value.where == "occurred_at"
