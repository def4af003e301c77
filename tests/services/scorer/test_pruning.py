"""Looking for rows that may go: in parts, with a glance at most of them, and the same after any interruption."""

import pytest

from rapport.contracts.controls import FollowerErased
from rapport.contracts.events import ExchangeSnapshot, Interaction
from rapport.contracts.rows import parts_of
from rapport.domain.exchanges.publication import FOLD_AFTER, Thread, is_history
from rapport.domain.relationships.counting import Thing
from rapport.domain.times import utc
from services.scorer import lifetimes
from services.scorer.fenced.batch import Batch
from services.scorer.pruning import KEPT, LOOK_EVERY, PASS_EVERY
from services.scorer.rows.exchanges import MessagesRow, ObjectRow
from tests.services.scorer.ages import Ages
from tests.services.scorer.story import DAY, HOUR, T0, Rows, interaction

KEY = b'["object","acme","generic","c1"]'


def nobody(*_: str) -> bool:
    """Nobody was erased."""
    return False


class Watched(Rows):
    """Rows that note which of them are read alone."""

    read: list[bytes]

    def get(self, key: bytes, default: bytes | None = None) -> bytes | None:  # type: ignore[override]
        """One row."""
        self.read.append(key)
        return super().get(key, default)


def first_year() -> Ages:
    """Some of everything, a year old."""
    ages = Ages()
    happened: list[Interaction] = []
    for who in ("ada", "bob"):
        happened += [
            interaction("follow", f"f-{who}", T0, follower=who),
            interaction("reaction", f"l-{who}", T0, follower=who),
            interaction("comment", f"c-{who}", T0, follower=who),
            interaction("message", f"m-{who}", T0, follower=who, thread=f"chat-{who}"),
            interaction("reply", f"r-{who}", T0 + HOUR, follower=who, parent=f"c-{who}"),
            interaction("comment", f"d-{who}", T0, follower=who, thread="elsewhere"),
            interaction("delete", f"x-{who}", T0, of=f"d-{who}", follower=who, thread="elsewhere"),
        ]
    for each in happened:
        ages.happen(each, T0 + HOUR)
    ages.wait(T0 + 365 * DAY)
    return ages


def test_rows_that_stay_are_not_read_one_by_one_and_a_pass_is_over_for_a_week() -> None:
    ages = first_year()
    for rows, handler in ((ages.rows, ages.handler), (ages.people, ages.relationships)):
        watched = Watched(rows)
        watched.read = []
        pruner = handler._pruner
        pruner.open(watched)  # type: ignore[arg-type]
        clock, looks = ages.clock, 0
        for _ in range(20):
            batch = Batch(watched)
            pruner.prune(clock, batch)
            assert batch.empty
            clock += LOOK_EVERY
        read = [parts_of(key)[0] for key in watched.read]
        # Outcomes count as long as their day is kept, which only the follower's row says.
        assert set(read) <= {"fact", "follower"}
        looks = len(read)
        pruner.prune(ages.clock + PASS_EVERY - 1, Batch(watched))
        assert len(watched.read) == looks


def test_an_interrupted_pass_or_a_batch_that_is_thrown_away_leaves_the_rest_to_the_next() -> None:
    for interrupted in (False, True):
        ages = Ages()
        for number in range(3):
            ages.happen(interaction("delete", f"d{number}", T0, of=f"never-seen-{number}"), T0)
        assert ages.kept("object") == 3
        clock = T0 + KEPT + DAY
        if interrupted:
            lost = Batch(ages.rows)
            ages.handler._pruner.prune(clock, lost)
            assert not lost.empty
            ages.handler.rolled_back()
            ages.reopen()
        for look in range(8):
            ages.tick(clock + look * LOOK_EVERY)
        assert ages.kept("object") == 0


def test_what_an_erased_person_wrote_is_not_kept_for_good() -> None:
    ages = first_year()
    ages.control(FollowerErased(brand="acme", platform="generic", follower="ada", at=utc(ages.clock)), ages.clock)
    for reopened in (False, True):
        if reopened:
            ages.reopen()
        ages.wait(ages.clock + 100 * DAY)
        left = {parts_of(key)[3] for key in ages.rows if parts_of(key)[0] in ("object", "messages")}
        assert left == {"c-bob", "m-bob", "r-bob", "chat-bob"}


@pytest.mark.parametrize(
    ("known", "stays"),
    [
        (ObjectRow(role="comment", thread="t", follower="ada"), True),
        (ObjectRow(role="comment", thread="t", follower="ada", hidden=(1, "h", True)), True),
        (ObjectRow(role="answer", thread="t", follower="ada"), True),
        (ObjectRow(role="comment", thread="t", follower="ada", deleted=1), False),
        (ObjectRow(role="answer"), False),
        (ObjectRow(deleted=1), False),
        (ObjectRow(hidden=(1, "h", True)), False),
    ],
)
def test_a_comment_or_a_reply_stays_until_it_is_deleted(known: ObjectRow, stays: bool) -> None:
    kind = lifetimes.objects(nobody)
    batch = Batch(Rows())
    assert kind.stays(KEY, known) == stays
    assert kind.is_over(KEY, known, T0, batch) != stays
    assert not lifetimes.objects(lambda *_: True).stays(KEY, known)


def test_a_deleted_comment_stays_while_something_in_its_thread_is_open() -> None:
    ages = Ages()
    ages.happen(interaction("comment", "c1", T0), T0)
    ages.happen(interaction("comment", "c2", T0), T0)
    ages.happen(interaction("delete", "d1", T0, of="c1"), T0)
    ages.wait(T0 + 200 * DAY)
    assert ages.kept("object") == 2
    ages.happen(interaction("reply", "r1", ages.clock, parent="c2"), ages.clock)
    ages.wait(ages.clock + 29 * DAY)
    assert ages.kept("object") == 3
    ages.wait(ages.clock + 10 * DAY)
    assert ages.kept("object") == 2


def test_who_writes_in_a_thread_of_messages_stays_known() -> None:
    kind = lifetimes.messages(nobody)
    assert kind.stays(KEY, MessagesRow(follower="ada"))
    assert kind.is_over(KEY, MessagesRow(), T0, Batch(Rows()))


def test_a_thing_stays_while_a_record_of_it_stands() -> None:
    kind = lifetimes.things()
    for thing, stays in (
        (Thing(records={"a": 1}, day="2026-01-01"), True),
        (Thing(more=2, day="2026-01-01"), True),
        (Thing(), False),
    ):
        assert kind.stays(KEY, thing) == stays
        assert kind.is_over(KEY, thing, T0, Batch(Rows())) != stays


def test_a_thread_is_history_30_days_after_the_end_of_the_last_that_was_asked_in_it() -> None:
    ages = Ages()
    ages.happen(interaction("comment", "c1", T0), T0)
    ages.happen(interaction("reply", "r1", T0 + HOUR, parent="c1"), T0 + HOUR)
    ended: ExchangeSnapshot = ages.only()
    thread = Thread(brand="acme", platform="generic", thread="post-1", follower=ended.follower, published=[ended])
    assert not is_history(thread, T0 + HOUR + FOLD_AFTER - 1)
    assert is_history(thread, T0 + HOUR + FOLD_AFTER)
    ages.happen(interaction("comment", "c2", T0 + DAY), T0 + DAY)
    thread.published.append(ages.snapshots[-1])
    assert not is_history(thread, T0 + 1_000 * DAY)
