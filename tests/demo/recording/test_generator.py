"""The recorded fortnight: the same for the same seed, within its bounds, and its ledger adds up."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from rapport.contracts.events import KINDS
from rapport.demo.recording.generator import CONNECTED, LENGTH, Recording, record
from rapport.demo.recording.stage import DUE_IN_SECONDS, OVERDUE

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record(NOW)


def times(recording: Recording) -> list[datetime]:
    return [datetime.fromisoformat(body["occurred_at"]) for sent in recording.deliveries.values() for body in sent]


def test_the_same_seed_and_time_give_the_same_recording(recording: Recording) -> None:
    again = record(NOW)

    assert again.deliveries == recording.deliveries
    assert again.expected == recording.expected


def test_another_seed_gives_another_recording(recording: Recording) -> None:
    assert record(NOW, seed=7).deliveries != recording.deliveries


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        record(datetime(2026, 11, 20))


def test_everything_happened_within_the_fortnight(recording: Recording) -> None:
    assert min(times(recording)) > NOW - LENGTH - timedelta(minutes=1)
    assert max(times(recording)) <= NOW


def test_it_is_as_much_as_three_busy_brands_see(recording: Recording) -> None:
    assert 20_000 <= recording.size <= 30_000


def test_it_holds_every_sort_of_interaction_that_a_door_may_bring(recording: Recording) -> None:
    kinds = {body["kind"] for sent in recording.deliveries.values() for body in sent}

    assert kinds == KINDS - {"unhide", "block"}


def test_some_interactions_come_twice_and_only_as_they_were(recording: Recording) -> None:
    for sent in recording.deliveries.values():
        times_sent = Counter(body["id"] for body in sent)
        assert 0 < sum(1 for count in times_sent.values() if count > 1) < len(sent) / 20
        bodies: dict[str, object] = {}
        for body in sent:
            assert bodies.setdefault(body["id"], body) == body


def test_they_arrive_out_of_order_and_some_answers_before_their_comments(recording: Recording) -> None:
    for sent in recording.deliveries.values():
        place = {body["id"]: index for index, body in reversed(list(enumerate(sent)))}
        replies = [body for body in sent if body["kind"] == "reply"]
        early = [body for body in replies if place[body["id"]] < place[body["parent"]["id"]]]
        assert 0 < len(early) < len(replies)


def test_each_answer_and_each_deletion_names_a_comment_of_its_own_thread(recording: Recording) -> None:
    for sent in recording.deliveries.values():
        bodies = {body["id"]: body for body in sent}
        for body in sent:
            if body["kind"] in ("reply", "delete", "hide", "edit"):
                about = bodies[(body["parent"] if body["kind"] == "reply" else body["object"])["id"]]
                assert body["conversation"] == about["conversation"]
                assert body["thread"] == about["thread"]
                assert body["occurred_at"] > about["occurred_at"]


def test_the_ledger_counts_each_interaction_once(recording: Recording) -> None:
    for brand in recording.brands:
        expected = recording.expected[brand.id]
        ids = {body["id"] for account in brand.accounts for body in recording.deliveries[account.id]}
        assert expected.interactions.total() + expected.undone.total() == len(ids)


def test_every_outcome_occurs_for_every_brand(recording: Recording) -> None:
    for expected in recording.expected.values():
        assert set(expected.states()) == {"open", "answered", "answered_late", "cancelled"}


def test_there_are_no_more_exchanges_than_comments_and_no_more_answered_ones_than_answers(recording: Recording) -> None:
    for expected in recording.expected.values():
        spoken = sum(expected.interactions[kind] for kind in ("comment", "mention", "message"))
        states = expected.states()
        assert len(expected.exchanges) <= spoken
        assert states["answered"] + states["answered_late"] <= expected.interactions["reply"]


@pytest.mark.parametrize("hour", [0, 4, 9, 15, 21])
def test_at_any_hour_the_clocks_of_the_first_minutes_are_the_staged_ones(hour: int) -> None:
    now = NOW.replace(hour=hour)
    running = [one for expected in record(now).expected.values() for one in expected.running()]

    overdue = sorted(now - one.due_at for one in running if one.due_at <= now)
    soon = sorted(
        (one.due_at - now).total_seconds() for one in running if timedelta() < one.due_at - now <= timedelta(minutes=15)
    )
    assert overdue == sorted(OVERDUE)
    assert soon == sorted(DUE_IN_SECONDS)
    assert len(running) >= 60
    assert all(one.opened_at >= now - CONNECTED for one in running)
