"""The life of exchanges, told in the words of the log."""

from itertools import permutations

import pytest

from rapport.contracts.codec import UndecodableError
from rapport.contracts.controls import PolicyRule, When
from rapport.contracts.rows import parts_of
from rapport.domain.times import ms, utc
from services.scorer.fenced.batch import Batch
from tests.services.scorer.story import DAY, HOUR, T0, FakeRecord, Story, interaction


def test_a_comment_opens_an_exchange_that_is_due_after_24_hours() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0, text="Do you ship to Norway?"), T0 + 5)
    exchange = story.only()
    assert (exchange.state, exchange.opened_at, exchange.due_at) == ("open", utc(T0), utc(T0 + DAY))
    assert (exchange.first.id, exchange.first.text, exchange.comments) == ("c1", "Do you ship to Norway?", 1)
    assert (exchange.policy.version, exchange.follower.handle) == (0, "@ada")


def test_later_comments_join_and_neither_extend_nor_open_a_second() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tell(interaction("mention", "c2", T0 + HOUR), T0 + HOUR)
    exchange = story.only()
    assert (exchange.comments, exchange.due_at, exchange.first.id) == (2, utc(T0 + DAY), "c1")


def test_another_thread_or_another_follower_has_a_clock_of_its_own() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tell(interaction("comment", "c2", T0 + 1, thread="post-2"), T0)
    story.tell(interaction("comment", "c3", T0 + 2, follower="bob"), T0)
    assert [(found.follower.id, found.thread) for found in story.now()] == [
        ("ada", "post-1"),
        ("ada", "post-2"),
        ("bob", "post-1"),
    ]


def test_an_answer_in_time_answers_everything_before_it() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tell(interaction("comment", "c2", T0 + HOUR), T0 + HOUR)
    story.tell(interaction("reply", "r1", T0 + 2 * HOUR, parent="c2"), T0 + 2 * HOUR)
    exchange = story.only()
    assert (exchange.state, exchange.answered_by, exchange.response_seconds) == ("answered", "staff", 7200)
    story.tick(T0 + 3 * DAY)
    assert story.steps() == []


def test_a_comment_after_the_answer_opens_a_new_exchange() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tell(interaction("reply", "r1", T0 + HOUR, parent="c1"), T0 + HOUR)
    story.tell(interaction("comment", "c2", T0 + 2 * HOUR), T0 + 2 * HOUR)
    assert [(found.first.id, found.state) for found in story.now()] == [("c1", "answered"), ("c2", "open")]


def test_a_warning_then_a_breach_and_each_once() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    for at in (T0 + 17 * HOUR, T0 + 18 * HOUR, T0 + 19 * HOUR, T0 + DAY - 1):
        story.tick(at)
    assert story.steps() == ["warning"]
    for at in (T0 + DAY, T0 + DAY + 1, T0 + 2 * DAY):
        story.tick(at)
    assert story.steps() == ["warning", "breach"]
    assert len({alert.id for alert in story.alerts}) == 2
    exchange = story.only()
    assert (exchange.state, exchange.breached_at) == ("open", utc(T0 + DAY))


def test_after_an_outage_only_the_highest_step_is_sent() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tick(T0 + 5 * DAY)
    assert story.steps() == ["breach"]


def test_a_late_answer_ends_a_breach_and_says_so() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tick(T0 + DAY)
    story.tell(interaction("reply", "r1", T0 + DAY + HOUR, parent="c1"), T0 + DAY + HOUR)
    story.tick(T0 + 3 * DAY)
    assert story.steps() == ["breach", "resolved"]
    assert (story.only().state, story.only().breached_at) == ("answered_late", utc(T0 + DAY))


def test_an_answer_in_time_that_arrives_after_the_breach_retracts_it_once() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tick(T0 + DAY)
    story.tell(interaction("reply", "r1", T0 + HOUR, parent="c1"), T0 + DAY + HOUR)
    story.tell(interaction("reply", "r1", T0 + HOUR, parent="c1"), T0 + DAY + 2 * HOUR)
    story.tick(T0 + 3 * DAY)
    assert story.steps() == ["breach", "retracted"]
    assert (story.only().state, story.only().breached_at) == ("answered", None)


def test_a_breach_waits_until_the_grace_after_the_comment_was_appended() -> None:
    story = Story(grace=120_000)
    story.tell(interaction("comment", "c1", T0), T0 + DAY + HOUR)
    assert story.steps() == []
    story.tell(interaction("reply", "r1", T0 + 2 * HOUR, parent="c1"), T0 + DAY + HOUR + 60_000)
    story.tick(T0 + 3 * DAY)
    assert story.steps() == []
    assert story.only().state == "answered"


def test_a_reply_before_its_comment_waits_for_it() -> None:
    story = Story()
    story.tell(interaction("reply", "r1", T0 + HOUR, parent="c1", to=None), T0)
    story.tell(interaction("comment", "c1", T0), T0 + 2 * HOUR)
    assert (story.only().state, story.only().response_seconds) == ("answered", 3600)


def test_a_comment_deleted_in_time_cancels_or_hands_the_clock_to_the_next() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tell(interaction("comment", "c2", T0 + HOUR), T0 + HOUR)
    story.tell(interaction("delete", "d1", T0 + 2 * HOUR, of="c1"), T0 + 2 * HOUR)
    exchange = story.only()
    assert (exchange.first.id, exchange.due_at, exchange.comments) == ("c2", utc(T0 + HOUR + DAY), 1)
    story.tell(interaction("delete", "d2", T0 + 3 * HOUR, of="c2"), T0 + 3 * HOUR)
    story.tick(T0 + 3 * DAY)
    assert (story.only().state, story.only().cancelled_because) == ("cancelled", "deleted")
    assert story.only().breached_at is None
    assert story.steps() == []


def test_a_comment_deleted_after_it_was_due_stays_a_miss() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tell(interaction("delete", "d1", T0 + DAY + HOUR, of="c1"), T0 + DAY + HOUR)
    assert (story.only().state, story.only().breached_at) == ("cancelled", utc(T0 + DAY))


def test_what_is_hidden_and_shown_again_has_its_clock_back() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tell(interaction("hide", "h1", T0 + HOUR, of="c1"), T0 + HOUR)
    assert story.only().state == "cancelled"
    story.tell(interaction("unhide", "u1", T0 + 2 * HOUR, of="c1"), T0 + 2 * HOUR)
    assert (story.only().state, story.only().due_at) == ("open", utc(T0 + DAY))


def test_what_is_hidden_twice_is_hidden_since_the_first_time() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tell(interaction("hide", "h1", T0 + DAY - HOUR, of="c1"), T0 + DAY - HOUR)
    story.tell(interaction("hide", "h2", T0 + DAY + HOUR, of="c1"), T0 + DAY + HOUR)
    assert (story.only().state, story.only().breached_at) == ("cancelled", None)
    story.tell(interaction("unhide", "u1", T0 + DAY, of="c1"), T0 + DAY + HOUR)
    assert (story.only().state, story.only().breached_at) == ("cancelled", utc(T0 + DAY)), "hidden again after that"


@pytest.mark.parametrize("order", list(permutations(("comment", "pushed", "asked"))))
def test_who_asked_and_does_not_know_since_when_it_is_hidden_takes_no_miss_back(order: tuple[str, ...]) -> None:
    story = Story()
    told = {
        "comment": interaction("comment", "c1", T0),
        "pushed": interaction("hide", "pushed", T0 + DAY + HOUR, of="c1"),
        "asked": interaction("hide", "asked", T0, of="c1"),
    }
    for name in order:
        story.tell(told[name], T0 + 2 * DAY)
    assert (story.only().state, story.only().breached_at) == ("cancelled", utc(T0 + DAY))


@pytest.mark.parametrize("order", [("comment", "reply"), ("reply", "comment")])
def test_an_answer_is_to_whoever_wrote_what_it_answers_whomever_it_names(order: tuple[str, ...]) -> None:
    story = Story()
    story.tell(interaction("comment", "c0", T0, follower="ada"), T0)
    told = {
        "comment": interaction("comment", "c1", T0, follower="bob"),
        "reply": interaction("reply", "r1", T0 + HOUR, parent="c1", to="ada"),
    }
    for name in order:
        story.tell(told[name], T0 + 2 * HOUR)
    assert {each.follower.id: each.state for each in story.now()} == {"ada": "open", "bob": "answered"}


@pytest.mark.parametrize("order", list(permutations(("comment", "answer", "more", "again"))))
def test_an_answer_in_two_parts_answers_whatever_comes_first(order: tuple[str, ...]) -> None:
    story = Story()
    linked = {"thread": None}
    said = {
        "comment": interaction("comment", "c1", T0, **linked),
        "answer": interaction("reply", "r1", T0 + HOUR, parent="c1", **linked),
        "more": interaction("comment", "c2", T0 + 2 * HOUR, parent="r1", **linked),
        "again": interaction("reply", "r2", T0 + 3 * HOUR, parent="r1", **linked),
    }
    for name in order:
        story.tell(said[name], T0 + 4 * HOUR)
    story.tick(T0 + 2 * DAY)
    assert sorted(each.state for each in story.now()) == ["answered", "answered"]


@pytest.mark.parametrize("order", [("comment", "reply"), ("reply", "comment")])
def test_a_private_answer_to_a_public_comment_answers_it_whatever_comes_first(order: tuple[str, ...]) -> None:
    story = Story()
    said = {
        "comment": interaction("comment", "c1", T0, thread=None),
        "reply": interaction("reply", "r1", T0 + HOUR, parent="c1", thread="messages"),
    }
    story.tell(interaction("message", "m1", T0, thread="messages"), T0 + 2 * HOUR)
    for name in order:
        story.tell(said[name], T0 + 2 * HOUR)
    assert {each.first.id: each.state for each in story.now()} == {"c1": "answered", "m1": "open"}


@pytest.mark.parametrize("order", [("comment", "reply"), ("reply", "comment")])
def test_a_relationship_is_told_once_of_an_answer_whatever_comes_first(order: tuple[str, ...]) -> None:
    story = Story()
    said = {"comment": interaction("comment", "c1", T0), "reply": interaction("reply", "r1", T0 + HOUR, parent="c1")}
    for name in order:
        story.tell(said[name], T0 + HOUR)
    assert [told.revision for told in story.spoken if told.object == "r1"] == [1]


def test_an_answer_that_named_the_wrong_person_is_taken_back_from_their_relationship() -> None:
    story = Story()
    story.tell(interaction("reply", "r1", T0 + HOUR, parent="c1", to="bob"), T0 + HOUR)
    story.tell(interaction("comment", "c1", T0), T0 + HOUR)
    told = [(told.follower.id, told.revision, told.undone) for told in story.spoken if told.object == "r1"]
    assert told == [("bob", 1, False), ("bob", 2, True), ("ada", 3, False)]
    assert story.only().state == "answered"


def test_a_deletion_before_its_comment_is_remembered() -> None:
    story = Story()
    story.tell(interaction("delete", "d1", T0 + HOUR, of="c1"), T0)
    story.tell(interaction("comment", "c1", T0), T0)
    assert story.only().state == "cancelled"


def test_an_automatic_reply_does_not_stop_the_clock() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tell(interaction("reply", "r1", T0 + 1, parent="c1", automatic=True), T0 + 1)
    assert story.only().state == "open"


def test_any_reply_answers_in_private_messages() -> None:
    story = Story()
    story.tell(interaction("message", "m1", T0, thread="messages:acme-1"), T0)
    story.tell(interaction("reply", "r1", T0 + HOUR, thread="messages:acme-1"), T0 + HOUR)
    assert story.only().state == "answered"


def test_a_reply_that_names_nothing_cannot_be_processed() -> None:
    story = Story()
    with pytest.raises(ValueError, match="neither a parent nor a thread"):
        story.tell(interaction("reply", "r1", T0, thread=None), T0)


def test_parents_link_a_thread_where_the_platform_has_none_in_any_order() -> None:
    told = [
        interaction("comment", "c1", T0, thread=None),
        interaction("reply", "r1", T0 + HOUR, thread=None, parent="c1"),
        interaction("comment", "c2", T0 + 2 * HOUR, thread=None, parent="r1"),
        interaction("comment", "c3", T0 + 3 * HOUR, thread=None, parent="c2"),
    ]
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1), (3, 0, 2, 1)):
        story = Story()
        for place in order:
            story.tell(told[place], T0 + 4 * HOUR)
        assert [(found.thread, found.first.id, found.state, found.comments) for found in story.now()] == [
            ("c1", "c1", "answered", 1),
            ("c1", "c2", "open", 2),
        ], order


def test_a_late_fact_that_merges_two_keeps_the_older_id_and_supersedes_the_other() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tell(interaction("reply", "r1", T0 + HOUR, parent="c1"), T0 + HOUR)
    story.tell(interaction("comment", "c3", T0 + 3 * HOUR), T0 + 3 * HOUR)
    first, second = story.now()
    story.tell(interaction("comment", "c2", T0 + 2 * HOUR), T0 + 4 * HOUR)
    assert [(found.id, found.comments, found.first.id) for found in story.now()] == [
        (first.id, 1, "c1"),
        (second.id, 2, "c2"),
    ]


def test_an_exchange_that_turns_out_to_be_part_of_an_older_one_is_superseded_and_its_breach_retracted() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tell(interaction("reply", "r1", T0 + HOUR, parent="c3"), T0 + HOUR)
    story.tell(interaction("comment", "c2", T0 + 2 * HOUR), T0 + 2 * HOUR)
    story.tick(T0 + 2 * DAY)
    first, second = story.now()
    assert story.steps() == ["breach"]
    # The follower's clock is wrong: the comment that was answered says it is younger than its answer.
    story.tell(interaction("comment", "c3", T0 + 3 * HOUR), T0 + 2 * DAY + 1)
    assert (story.only().id, story.only().state, story.only().comments) == (first.id, "answered", 3)
    superseded = [found for found in story.snapshots if found.id == second.id][-1]
    assert superseded.state == "superseded"
    assert story.steps() == ["breach", "retracted"]


def test_a_late_answer_fact_that_splits_leaves_the_id_with_the_part_that_was_alerted() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tell(interaction("comment", "c2", T0 + 2 * HOUR), T0 + 2 * HOUR)
    story.tick(T0 + DAY)
    (alerted,) = story.now()
    story.tell(interaction("reply", "r1", T0 + HOUR, parent="c1"), T0 + DAY + 1)
    answered, waiting = story.now()
    assert (answered.id, answered.state, waiting.state) == (alerted.id, "answered", "open")
    assert waiting.id != alerted.id
    # The second waits since 22 hours: its own warning is over.
    assert story.steps() == ["breach", "retracted", "warning"]


def test_the_policy_in_force_when_it_opened_applies_for_good() -> None:
    story = Story()
    story.policy(T0, PolicyRule(target_seconds=3600, warn_at=(0.5,)))
    story.tell(interaction("comment", "c1", T0 + 1), T0 + 1)
    story.policy(T0 + 10, PolicyRule(target_seconds=60), version=2)
    story.tell(interaction("comment", "c2", T0 + 20, thread="post-2"), T0 + 20)
    assert [(found.policy.version, ms(found.due_at) - ms(found.opened_at)) for found in story.now()] == [
        (1, HOUR),
        (2, 60_000),
    ]


def test_a_policy_that_arrives_after_its_comment_moves_the_clock() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0 + 1), T0 + 1)
    story.policy(T0 + 2, PolicyRule(target_seconds=60), effective_from=T0)
    assert story.only().due_at == utc(T0 + 1 + 60_000)
    story.tick(T0 + 60_001)
    assert story.steps() == ["breach"]


def test_the_first_rule_that_matches_wins() -> None:
    story = Story()
    story.policy(
        T0,
        PolicyRule(target_seconds=600, when=When(kind="message")),
        PolicyRule(target_seconds=1200, when=When(platform="elsewhere")),
        PolicyRule(target_seconds=1800),
    )
    story.tell(interaction("message", "m1", T0 + 1, thread="a"), T0 + 1)
    story.tell(interaction("comment", "c1", T0 + 1, thread="b"), T0 + 1)
    assert [found.policy.rule for found in story.now()] == [0, 2]


def test_what_was_written_before_the_account_was_connected_alerts_nobody() -> None:
    story = Story()
    story.connected(T0 + DAY, connected_at=T0 + DAY)
    story.tell(interaction("comment", "c1", T0), T0 + DAY)
    story.tick(T0 + 3 * DAY)
    exchange = story.only()
    assert (exchange.backfilled, exchange.breached_at) == (True, utc(T0 + DAY))
    assert story.steps() == []


def test_what_is_older_than_30_days_opens_no_clock_but_is_told_to_the_relationship() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0 + 31 * DAY)
    assert story.now() == []
    assert [(told.kind, told.object) for told in story.spoken] == [("comment", "c1")]


def test_20_000_unanswered_messages_of_one_follower_stay_a_bounded_row() -> None:
    story = Story()
    for number in range(1_000):
        story.tell(interaction("message", f"m{number}", T0 + number, thread="messages:acme-1"), T0 + number)
    assert story.only().first.id == "m0"
    assert max(len(value) for value in story.rows.values()) < 100_000
    story.tell(interaction("reply", "r1", T0 + 500, thread="messages:acme-1"), T0 + 2_000)
    assert [found.state for found in story.now()] == ["answered", "open"]


def test_ended_exchanges_leave_the_state_after_30_days_and_stay_ended() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tell(interaction("reply", "r1", T0 + HOUR, parent="c1"), T0 + HOUR)
    story.tell(interaction("comment", "c2", T0 + 32 * DAY), T0 + 32 * DAY)
    before = len(story.snapshots)
    story.tell(interaction("comment", "c3", T0 + 33 * DAY), T0 + 33 * DAY)
    assert all(b'"c1"' not in value for key, value in story.rows.items() if key.startswith(b'["thread"'))
    assert [found.first.id for found in story.snapshots[before:]] == ["c2"]


def test_another_worker_finds_the_clocks_in_the_rows() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.reopen()
    story.tick(T0 + DAY)
    assert story.steps() == ["breach"]


def test_a_batch_that_is_rolled_back_leaves_the_heap_as_it_was() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    tick = FakeRecord(b"{}", T0 + 2 * DAY, (("ce_type", b"rapport.tick.v1"),))
    batch = Batch(story.rows)
    story.handler.apply(tick, T0 + 2 * DAY, batch)
    story.handler.sweep(T0 + 2 * DAY, batch)
    assert not batch.empty
    story.handler.rolled_back()
    story.tick(T0 + 2 * DAY)
    assert story.steps() == ["breach"]


@pytest.mark.parametrize(
    ("type", "value", "says"),
    [
        ("rapport.interaction.v9", b"{}", "unknown type 'rapport.interaction.v9'"),
        ("rapport.interaction.v1", b"not json", "not a rapport.interaction.v1"),
        ("rapport.interaction.v1", b'{"id": 7}', "not a rapport.interaction.v1"),
        ("rapport.interaction.v1", None, "without a value"),
    ],
)
def test_a_record_that_cannot_be_read_is_named(type: str, value: bytes | None, says: str) -> None:
    story = Story()
    with pytest.raises(UndecodableError, match=says):
        story.handler.apply(FakeRecord(value, T0, (("ce_type", type.encode()),)), T0, Batch(story.rows))


def test_rows_leave_the_state_90_days_after_they_last_changed_once_nothing_rests_on_them() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tell(interaction("reply", "r1", T0 + HOUR, parent="c1"), T0 + HOUR)
    story.tell(interaction("comment", "c2", T0, thread="post-2"), T0)
    story.tell(interaction("message", "m1", T0, thread="messages:acme-1"), T0)
    story.tell(interaction("reply", "r2", T0 + HOUR, thread="messages:acme-1"), T0 + HOUR)
    story.tell(interaction("comment", "c3", T0, thread="post-3"), T0)
    story.tell(interaction("delete", "d3", T0, of="c3", thread="post-3"), T0)
    story.tell(interaction("delete", "d4", T0, of="never-seen"), T0)
    story.tell(interaction("message", "r5", T0, thread="nobody", follower="ada", of="r5"), T0)
    for day in (89, 97):
        before = len(story.rows)
        for tick in range(8):
            story.tick(T0 + day * DAY + tick * 5_000)
        assert (len(story.rows) == before) == (day == 89)
    left = [parts_of(key) for key in story.rows if parts_of(key)[0] != "position"]
    assert sorted((each[0], each[3]) for each in left) == [
        ("messages", "messages:acme-1"), ("messages", "nobody"), ("object", "c1"), ("object", "c2"), ("object", "m1"),
        ("object", "r1"), ("object", "r2"), ("object", "r5"), ("thread", "nobody"), ("thread", "post-2"),
    ]  # fmt: skip
    story.tell(interaction("reply", "r3", T0 + 98 * DAY, parent="c2", thread="post-2"), T0 + 98 * DAY)
    assert [found.state for found in story.now() if found.thread == "post-2"] == ["answered_late"]
