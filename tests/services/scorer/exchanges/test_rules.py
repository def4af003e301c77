"""What ends or delays a clock besides an answer, told in the words of the log."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import structs

from rapport.contracts.business_hours import Calendar
from rapport.contracts.controls import (
    AccountConnected,
    AccountDisconnected,
    Decided,
    FollowerBlocked,
    Heartbeat,
    PolicyRule,
    PolicyVersion,
    StageTold,
    When,
)
from rapport.contracts.events import Kind
from rapport.domain.times import ms, utc
from services.scorer.exchanges.threads import MOST_REVIEWED
from services.scorer.fenced.batch import Batch
from tests.services.scorer.story import DAY, HOUR, T0, Dialogue, Story, interaction, record

MINUTE = 60_000


def decided(story: Story, at: int, *, id: str = "k1", exchange: str | None = None, **more: Any) -> None:
    """Someone says that the exchange (the only one, if none is named) needs no reply."""
    story.control(
        Decided(
            id=id, brand="acme", platform="generic", thread="post-1", follower="ada",
            exchange=exchange or story.only().id, at=utc(at), by="Grace", why="a joke", **more,
        ),
        at,
    )  # fmt: skip


def disconnected(story: Story, at: int) -> None:
    story.control(AccountDisconnected(brand="acme", account="acme-1", platform="generic", disconnected_at=utc(at)), at)


def connected_again(story: Story, at: int) -> None:
    story.control(AccountConnected(brand="acme", account="acme-1", platform="generic", connected_at=utc(at)), at)


def alive(story: Story, at: int, *behind: str, instance: str = "ingest-1") -> None:
    story.control(Heartbeat(instance=instance, behind=behind), at)


def test_no_reply_needed_before_it_is_due_cancels_with_who_and_why() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    decided(story, T0 + HOUR)
    exchange = story.only()
    assert (exchange.state, exchange.cancelled_because, exchange.breached_at) == ("cancelled", "no_reply_needed", None)
    assert exchange.decision is not None
    assert (exchange.decision.by, exchange.decision.why, exchange.decision.at) == ("Grace", "a joke", utc(T0 + HOUR))
    story.tick(T0 + 3 * DAY)
    assert story.steps() == []


def test_no_reply_needed_after_it_was_due_stays_a_miss_and_ends_what_was_announced() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tick(T0 + DAY)
    decided(story, T0 + DAY + HOUR)
    assert (story.only().state, story.only().breached_at) == ("cancelled", utc(T0 + DAY))
    story.tick(T0 + 9 * DAY)
    assert story.steps() == ["breach", "resolved"]


def test_no_reply_needed_can_be_taken_back_and_the_newest_word_holds_in_any_order() -> None:
    for reverse in (False, True):
        story = Story()
        story.tell(interaction("comment", "c1", T0), T0)
        opened = story.only().id
        words: list[dict[str, Any]] = [{"at": T0 + HOUR, "id": "k1"}, {"at": T0 + 2 * HOUR, "id": "k2", "undone": True}]
        for word in reversed(words) if reverse else words:
            decided(story, exchange=opened, **word)
        assert (story.only().id, story.only().state, story.only().due_at) == (opened, "open", utc(T0 + DAY))
        decided(story, T0 + 3 * HOUR, id="k3")
        decided(story, T0 + 3 * HOUR, id="k3", exchange=opened)
        assert story.only().state == "cancelled"


def test_a_comment_after_no_reply_was_needed_opens_a_new_exchange() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    decided(story, T0 + HOUR)
    story.tell(interaction("comment", "c2", T0 + 2 * HOUR), T0 + 2 * HOUR)
    assert [(found.first.id, found.state) for found in story.now()] == [("c1", "cancelled"), ("c2", "open")]


def test_spam_is_no_miss_however_late_it_is_found_out() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tick(T0 + DAY)
    decided(story, T0 + 2 * DAY, spam=True)
    assert (story.only().cancelled_because, story.only().breached_at) == ("spam", None)
    assert story.steps() == ["breach", "retracted"]


def test_a_blocked_follower_waits_for_nothing_in_any_thread() -> None:
    story = Dialogue()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tell(interaction("comment", "c2", T0 + 1, thread="post-2", conversation="post-2"), T0 + 1)
    story.tell(interaction("comment", "c3", T0 + 2, follower="bob"), T0 + 2)
    story.engage(interaction("block", "b1", T0 + HOUR), T0 + HOUR)
    assert [(found.follower.id, found.state, found.cancelled_because) for found in story.now()] == [
        ("ada", "cancelled", "blocked"),
        ("ada", "cancelled", "blocked"),
        ("bob", "open", None),
    ]
    # What a blocked follower writes in yet another thread is answered likewise.
    story.tell(interaction("comment", "c4", T0 + 2 * HOUR, thread="post-3"), T0 + 2 * HOUR)
    assert [found.state for found in story.now() if found.thread == "post-3"] == ["cancelled"]
    story.tick(T0 + 3 * DAY)
    assert {alert.follower.id for alert in story.alerts} == {"bob"}


def test_a_block_after_it_was_due_leaves_the_miss() -> None:
    story = Dialogue()
    story.tell(interaction("comment", "c1", T0), T0)
    story.engage(interaction("block", "b1", T0 + DAY + HOUR), T0 + DAY + HOUR)
    assert (story.only().state, story.only().breached_at) == ("cancelled", utc(T0 + DAY))


def test_when_a_block_is_lifted_later_comments_have_clocks_and_earlier_ones_stay_cancelled() -> None:
    story = Dialogue()
    story.tell(interaction("comment", "c1", T0), T0)
    story.engage(interaction("block", "b1", T0 + HOUR), T0 + HOUR)
    story.engage(interaction("block", "b2", T0 + 3 * HOUR, of="b1", undo=True), T0 + 3 * HOUR)
    story.tell(interaction("comment", "c2", T0 + 4 * HOUR), T0 + 4 * HOUR)
    assert [(found.first.id, found.state) for found in story.now()] == [("c2", "open")]
    assert story.only().comments == 1
    told = len(story.told)
    story.tick(T0 + 9 * DAY)
    assert len(story.told) == told, "an answer that changes nothing is not answered again"


def test_what_waits_on_an_account_that_is_disconnected_waits_no_more() -> None:
    story = Story()
    story.connected(T0, connected_at=T0)
    story.tell(interaction("comment", "c1", T0 + 1), T0 + 1)
    disconnected(story, T0 + HOUR)
    assert (story.only().state, story.only().cancelled_because) == ("cancelled", "disconnected")
    story.tick(T0 + 3 * DAY)
    assert story.steps() == []


def test_what_was_written_while_an_account_was_disconnected_is_backfilled_once_it_is_back() -> None:
    story = Story()
    story.connected(T0, connected_at=T0)
    disconnected(story, T0 + HOUR)
    connected_again(story, T0 + DAY)
    story.tell(interaction("comment", "c1", T0 + 2 * HOUR), T0 + DAY)
    story.tell(interaction("comment", "c2", T0 + DAY + 1, thread="post-2"), T0 + DAY + 1)
    assert [(found.first.id, found.backfilled, found.state) for found in story.now()] == [
        ("c1", True, "open"),
        ("c2", False, "open"),
    ]


def test_an_automatic_reply_answers_where_the_policy_says_so() -> None:
    story = Story()
    story.policy(T0, PolicyRule(target_seconds=3600, when=When(kind="message"), automatic_answers=True))
    for kind, thread in (("message", "a"), ("comment", "b")):
        story.tell(interaction(kind, f"{thread}1", T0 + 1, thread=thread), T0 + 1)  # type: ignore[arg-type]
        story.tell(
            interaction("reply", f"{thread}2", T0 + 2, thread=thread, parent=f"{thread}1", automatic=True), T0 + 2
        )
    assert [(found.thread, found.state) for found in story.now()] == [("a", "answered"), ("b", "open")]


def test_bots_and_empty_reactions_have_no_clock_where_the_policy_says_so() -> None:
    story = Story()
    story.policy(
        T0,
        PolicyRule(target_seconds=None, when=When(bot=True)),
        PolicyRule(target_seconds=None, when=When(empty=True)),
    )
    robot = interaction("comment", "c1", T0 + 1, follower="robot", text="Beep")
    story.tell(structs.replace(robot, actor=structs.replace(robot.actor, bot=True)), T0 + 1)
    story.tell(interaction("comment", "c2", T0 + 1, thread="post-2", text="❤️ 🔥!!"), T0 + 1)
    story.tell(interaction("comment", "c3", T0 + 1, thread="post-3", text="", media=("image",)), T0 + 1)
    story.tell(interaction("comment", "c4", T0 + 1, thread="post-4"), T0 + 1)
    assert [found.first.id for found in story.now()] == ["c3", "c4"]
    # The heart before a question neither opens its clock early nor counts as a comment that waits.
    story.tell(interaction("comment", "c5", T0 + HOUR, thread="post-2", text="Do you ship?"), T0 + HOUR)
    assert [(found.first.id, found.comments) for found in story.now() if found.thread == "post-2"] == [("c5", 1)]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("Where is my REFUND?", 0),
        ("refunded already", 1),
        ("money  back, please", 0),
        ("返金してください", 0),
        (None, 1),
    ],
)
def test_a_rule_looks_for_whole_words_and_phrases(text: str | None, rule: int) -> None:
    story = Story()
    when = When(words=("refund", "Money back", "返金"))
    story.policy(T0, PolicyRule(target_seconds=600, when=when), PolicyRule(target_seconds=1200))
    story.tell(interaction("comment", "c1", T0 + 1, text=text), T0 + 1)
    assert story.only().policy.rule == rule


def test_staff_among_themselves_open_no_clock() -> None:
    story = Dialogue()
    story.tell(interaction("comment", "c1", T0, staff=True), T0)
    story.engage(interaction("reaction", "l1", T0, staff=True), T0)
    assert story.now() == []
    assert story.spoken == []
    assert story.people == {}


@pytest.mark.parametrize("kind", ["reaction", "follow", "share", "vote", "entry", "purchase", "block"])
def test_what_the_brand_does_to_others_is_no_followers_also_where_it_names_one(kind: Kind) -> None:
    story = Dialogue()
    story.engage(interaction("reaction", "theirs", T0), T0)
    before = dict(story.people)
    assert before
    story.engage(interaction(kind, "ours", T0 + 1, parent="of-ada", to="ada", follower="grace", staff=True), T0 + 1)
    story.engage(interaction(kind, "ours-too", T0 + 2, of="ada", follower="grace", staff=True), T0 + 2)
    assert dict(story.people) == before


def test_after_the_breach_each_escalation_once_and_after_an_outage_only_the_highest() -> None:
    story = Story()
    story.policy(T0, PolicyRule(target_seconds=3600, warn_at=(), escalate_after_seconds=(600, 1200, 1800)))
    story.tell(interaction("comment", "c1", T0 + 1), T0 + 1)
    due = T0 + 1 + HOUR
    for at in (due, due + 10 * MINUTE, due + 11 * MINUTE):
        story.tick(at)
    assert story.steps() == ["breach", "escalation"]
    story.tick(due + DAY)
    story.tick(due + 2 * DAY)
    assert story.steps() == ["breach", "escalation", "escalation"]
    story.tell(interaction("reply", "r1", due + 3 * DAY, parent="c1"), due + 3 * DAY)
    assert story.steps()[3:] == ["resolved"]
    assert len({alert.id for alert in story.alerts}) == 4

    late = Story()
    late.policy(T0, PolicyRule(target_seconds=3600, escalate_after_seconds=(600, 1200)))
    late.tell(interaction("comment", "c1", T0 + 1), T0 + 1)
    late.tick(T0 + DAY)
    assert late.steps() == ["escalation"]
    # It said that the exchange is overdue, so it is what is taken back.
    late.tell(interaction("reply", "r1", T0 + 2, parent="c1"), T0 + DAY + 1)
    assert late.steps() == ["escalation", "retracted"]


def test_a_clock_stands_still_outside_of_business_hours_and_both_times_are_kept() -> None:
    story = Story()
    office = Calendar(timezone="Europe/Oslo", week={"mon": (("09:00", "16:00"),), "tue": (("09:00", "16:00"),)})
    story.policy(T0, PolicyRule(target_seconds=4 * 3600, calendar="office"), calendars={"office": office})
    story.tell(interaction("comment", "c1", T0), T0 + 1)
    # It came on a Monday at 16:13 in Oslo, so the four hours are Tuesday's, from nine to one.
    assert story.only().due_at == datetime(2026, 9, 22, 11, tzinfo=UTC)
    story.tell(interaction("reply", "r1", T0 + 18 * HOUR, parent="c1"), T0 + 18 * HOUR)
    answered = story.only()
    assert answered.state == "answered"
    assert (answered.response_seconds, answered.business_seconds) == (18 * 3600, 3600 + 13 * 60 + 20)


def test_a_target_by_stage_is_armed_only_when_the_stage_is_told_and_the_first_word_counts() -> None:
    story = Story()
    story.policy(
        T0,
        PolicyRule(target_seconds=4 * 3600, when=When(stage=("buys",))),
        PolicyRule(target_seconds=24 * 3600, warn_at=()),
    )
    story.tell(interaction("comment", "c1", T0 + 1), T0 + 1)
    assert story.only().stage_wanted
    story.tick(T0 + 5 * DAY)
    assert (story.steps(), story.only().breached_at) == ([], None)
    for stage in ("buys", "new"):
        story.control(
            StageTold(brand="acme", platform="generic", thread="post-1", follower="ada", comment="c1", stage=stage),
            T0 + 5 * DAY,
        )
    assert not story.only().stage_wanted
    assert story.only().due_at == utc(T0 + 1 + 4 * HOUR)
    assert story.steps() == ["breach"]


def test_the_relationships_agent_tells_the_stage_where_a_policy_asks_for_it() -> None:
    story = Dialogue()
    story.policy(
        T0, PolicyRule(target_seconds=4 * 3600, when=When(stage=("buys",))), PolicyRule(target_seconds=24 * 3600)
    )
    story.engage(interaction("purchase", "p1", T0, follower="bob"), T0)
    for follower in ("ada", "bob"):
        story.tell(interaction("comment", f"{follower}-1", T0 + 1, follower=follower), T0 + 1)
    assert [(told.follower, told.stage) for told in story.told] == [("ada", "new"), ("bob", "buys")]
    assert [(found.follower.id, (found.due_at - found.opened_at).total_seconds()) for found in story.now()] == [
        ("ada", 86_400),
        ("bob", 14_400),
    ]
    quiet = Dialogue()
    quiet.tell(interaction("comment", "c1", T0), T0)
    assert quiet.told == [], "nobody asked"


def test_a_breach_is_unconfirmed_while_ingest_is_silent_or_the_account_is_behind() -> None:
    told: list[bool] = []
    for heard in ((), ((T0 + DAY - 50_000,),), ((T0 + DAY - 50_000, "acme-1"),), ((T0 + DAY - 61_000,),)):
        story = Story()
        story.tell(interaction("comment", "c1", T0), T0)
        for at, *behind in heard:
            alive(story, at, *behind)
        story.tick(T0 + DAY)
        assert story.steps()[-1] == "breach"
        told.append(story.alerts[-1].unconfirmed)
    assert told == [True, False, True, True]


def test_one_ingest_that_lacks_something_is_enough_and_one_that_is_gone_is_forgotten() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tell(interaction("comment", "c2", T0 + 1, thread="post-2"), T0 + 1)
    alive(story, T0 + DAY - 30_000, "acme-1", instance="a")
    alive(story, T0 + DAY - 20_000, instance="b")
    story.tick(T0 + DAY + 1)
    alive(story, T0 + DAY + 35_000, instance="b")
    story.tell(interaction("comment", "c3", T0 + 3, thread="post-3"), T0 + DAY + 36_000)
    assert [(alert.step, alert.unconfirmed) for alert in story.alerts if alert.step == "breach"] == [
        ("breach", True),
        ("breach", True),
        ("breach", False),
    ]


def test_alerts_of_one_tick_are_told_in_the_order_in_which_they_were_due() -> None:
    story = Story()
    times = [5, 3, 9, 1, 7]
    for number in times:
        story.tell(interaction("comment", f"c{number}", T0 + number, thread=f"post-{number}"), T0 + 100)
    story.tick(T0 + 2 * DAY)
    assert [ms(alert.due_at) - T0 - DAY for alert in story.alerts] == sorted(times)


def test_many_that_are_due_at_once_are_swept_in_bounded_parts() -> None:
    story = Story()
    for number in range(2_500):
        story.tell(interaction("comment", f"c{number}", T0 + number, thread=f"post-{number}"), T0 + number)
    clock, parts = T0 + 2 * DAY, 1
    batch = Batch(story.rows)
    while story.handler.sweep(clock, batch):
        parts += 1
        assert len(batch.outputs) <= 2 * MOST_REVIEWED
        story.rows.take(batch)
        story.handler.committed()
        batch = Batch(story.rows)
    assert parts == 2_500 // MOST_REVIEWED


def test_a_thread_that_cannot_be_looked_at_stops_no_other_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story()
    for number in range(3):
        story.tell(interaction("comment", f"c{number}", T0 + number, thread=f"post-{number}"), T0 + number)
    real = story.handler.threads.publish

    def fails(row: Any, clock: int, batch: Batch) -> None:
        if row.thread == "post-0":
            raise RuntimeError("a fault of ours")
        real(row, clock, batch)

    monkeypatch.setattr(story.handler.threads, "publish", fails)
    story.tick(T0 + 2 * DAY)
    assert [alert.first.id for alert in story.alerts] == ["c1", "c2"]
    story.tick(T0 + 3 * DAY)
    assert story.steps() == ["breach", "breach"]


def test_a_block_told_twice_and_a_decision_told_twice_change_nothing() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    block = FollowerBlocked(
        id="b1", brand="acme", platform="generic", thread="post-1", follower="ada", at=utc(T0 + HOUR)
    )
    story.control(block, T0 + HOUR)
    before = len(story.snapshots)
    story.control(block, T0 + 2 * HOUR)
    assert len(story.snapshots) == before


def test_a_reply_waits_for_its_comment_for_a_week_and_no_longer() -> None:
    for days, state in ((6, "answered"), (8, "open")):
        story = Story()
        story.tell(interaction("reply", "r1", T0 + HOUR, parent="c1", to=None), T0)
        story.tell(interaction("comment", "c1", T0), T0 + days * DAY)
        assert story.only().state == state


def test_deleting_an_answer_reopens_nothing() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tell(interaction("reply", "r1", T0 + HOUR, parent="c1"), T0 + HOUR)
    story.tell(interaction("delete", "d1", T0 + 2 * HOUR, of="r1"), T0 + 2 * HOUR)
    story.tick(T0 + 3 * DAY)
    assert (story.only().state, story.steps()) == ("answered", [])
    assert [(told.kind, told.undone) for told in story.spoken if told.object == "r1"] == [
        ("reply", False),
        ("reply", True),
    ]


def test_a_due_time_that_moves_past_the_clock_takes_the_breach_back() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tell(interaction("comment", "c2", T0 + 20 * HOUR), T0 + 20 * HOUR)
    story.tick(T0 + DAY)
    # It was gone long before, which was not known when the breach was announced.
    story.tell(interaction("delete", "d1", T0 + HOUR, of="c1"), T0 + DAY + HOUR)
    assert (story.only().first.id, story.only().breached_at) == ("c2", None)
    assert story.steps() == ["warning", "breach", "retracted"]
    for hour in (39, 45):
        story.tick(T0 + hour * HOUR)
    assert story.steps()[3:] == ["warning", "breach"], "the other comment has warning and breach of its own"
    assert len({alert.id for alert in story.alerts}) == 5


def test_of_one_policy_version_the_first_record_counts_however_often_it_is_repeated() -> None:
    story = Story()
    story.policy(T0, PolicyRule(target_seconds=600))
    story.tell(interaction("comment", "c1", T0 + 1), T0 + 1)
    story.policy(T0 + 2, PolicyRule(target_seconds=60), effective_from=T0)
    story.policy(T0 + 3, PolicyRule(target_seconds=600), effective_from=T0)
    assert story.only().due_at == utc(T0 + 1 + 600_000)


def test_comments_from_before_what_was_folded_open_no_clock() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tell(interaction("reply", "r1", T0 + 10 * DAY, parent="c1"), T0 + 10 * DAY)
    story.tell(interaction("comment", "c2", T0 + 41 * DAY), T0 + 41 * DAY)
    before = len(story.snapshots)
    story.tell(interaction("comment", "c0", T0 + 9 * DAY), T0 + 38 * DAY)
    assert story.snapshots[before:] == []


def test_what_was_said_to_be_answered_late_is_taken_back_when_an_answer_in_time_turns_up() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    story.tick(T0 + DAY)
    story.tell(interaction("reply", "r2", T0 + DAY + HOUR, parent="c1"), T0 + DAY + HOUR)
    story.tell(interaction("reply", "r1", T0 + HOUR, parent="c1"), T0 + DAY + 2 * HOUR)
    assert (story.only().state, story.steps()) == ("answered", ["breach", "resolved", "retracted"])


def test_new_settings_reach_every_open_exchange_also_if_the_worker_ends_in_between() -> None:
    story = Story()
    for number in range(5):
        story.tell(interaction("comment", f"c{number}", T0 + number, thread=f"post-{number}"), T0 + number)
    version = PolicyVersion(
        brand="acme", version=1, effective_from=utc(T0 - HOUR), rules=(PolicyRule(target_seconds=600, warn_at=()),)
    )
    batch = Batch(story.rows)
    story.handler.apply(record(version, T0 + HOUR, "rapport.control.v1"), T0 + HOUR, batch)
    assert story.handler.sweep(T0 + HOUR, batch), "what is open is looked at once this is in the store"
    story.rows.take(batch)
    # Another worker finds the rows as they are now, and begins with a sweep at the clock that it finds.
    story.reopen()
    story.clock = T0 + HOUR
    story.tick(T0 + HOUR)
    assert story.steps() == ["breach"] * 5
    before = len(story.snapshots)
    story.reopen()
    story.tick(T0 + 2 * HOUR)
    assert len(story.snapshots) == before, "once is enough"


def test_the_end_of_a_connection_ends_what_is_overdue_too_and_leaves_the_miss() -> None:
    story = Story()
    story.connected(T0, connected_at=T0)
    story.tell(interaction("comment", "c1", T0 + 1), T0 + 1)
    story.tick(T0 + 2 * DAY)
    disconnected(story, T0 + 3 * DAY)
    assert (story.only().state, story.only().cancelled_because) == ("cancelled", "disconnected")
    assert story.only().breached_at == utc(T0 + 1 + DAY)
    assert story.steps() == ["breach", "resolved"]


@pytest.mark.parametrize(
    ("rule", "calendars", "says"),
    [
        (
            PolicyRule(target_seconds=10**6, calendar="c"),
            {"c": {"mon": (("00:00", "00:01"),)}},
            "rules.0: the target cannot",
        ),
        (PolicyRule(target_seconds=10**15), {}, "rules.0: the target cannot"),
        (PolicyRule(target_seconds=60, calendar="c"), {}, "rules.0.calendar: there is no calendar 'c'"),
        (PolicyRule(target_seconds=60, calendar="c"), {"c": {}}, "calendars.c.week"),
    ],
)
def test_a_policy_that_sets_no_clock_is_refused_with_the_reason_and_the_old_one_stays(
    rule: PolicyRule, calendars: dict[str, Any], says: str
) -> None:
    story = Story()
    story.policy(T0, PolicyRule(target_seconds=600))
    given = {name: Calendar(timezone="UTC", week=week) for name, week in calendars.items()}
    with pytest.raises(ValueError, match=says):
        story.policy(T0 + 1, rule, version=2, calendars=given)
    story.tell(interaction("comment", "c1", T0 + 2), T0 + 2)
    assert story.only().policy.version == 1


def test_settings_by_which_one_thread_fails_stop_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story()
    for number in range(3):
        story.tell(interaction("comment", f"c{number}", T0 + number, thread=f"post-{number}"), T0 + number)
    real = story.handler.threads.publish

    def fails(row: Any, clock: int, batch: Batch) -> None:
        if row.thread == "post-1":
            raise RuntimeError("a fault of ours")
        real(row, clock, batch)

    monkeypatch.setattr(story.handler.threads, "publish", fails)
    story.policy(T0 + HOUR, PolicyRule(target_seconds=60, warn_at=()), effective_from=T0)
    assert [alert.first.id for alert in story.alerts] == ["c0", "c2"]
