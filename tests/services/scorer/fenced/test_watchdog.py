"""What counts as getting nowhere."""

from types import SimpleNamespace
from typing import Any

from faust.types import TP

from services.scorer.fenced.transport import FencedConsumer
from services.scorer.fenced.watchdog import Watchdog


def test_only_what_is_unfinished_and_does_not_move_for_longer_than_its_patience_has_stalled() -> None:
    dog = Watchdog(60)
    assert dog.stalled("lane", 1, unfinished=True, now=0) is None
    assert dog.stalled("lane", 1, unfinished=True, now=60) is None
    assert dog.stalled("lane", 1, unfinished=True, now=61) == 61
    assert dog.stalled("lane", 2, unfinished=True, now=62) is None
    assert dog.stalled("lane", 2, unfinished=True, now=100) is None
    assert dog.stalled("lane", 2, unfinished=True, now=123) == 61


def test_what_has_nothing_to_do_is_well_however_long_and_its_patience_begins_with_its_work() -> None:
    dog = Watchdog(60)
    assert dog.stalled("lane", 1, unfinished=False, now=0) is None
    assert dog.stalled("lane", 1, unfinished=False, now=1_000) is None
    assert dog.stalled("lane", 1, unfinished=True, now=1_001) is None
    assert dog.stalled("lane", 1, unfinished=True, now=1_050) is None
    assert dog.stalled("lane", 1, unfinished=True, now=1_061) == 61


def test_one_that_moves_does_not_speak_for_another_and_new_partitions_begin_anew() -> None:
    dog = Watchdog(60)
    for now in (0, 40, 80):
        dog.stalled("a", now, unfinished=True, now=now)
    dog.stalled("b", 0, unfinished=True, now=0)
    assert dog.stalled("b", 0, unfinished=True, now=80) == 80
    dog.forget()
    assert dog.stalled("b", 0, unfinished=True, now=81) is None


def test_faust_says_nothing_of_commits_which_are_not_its_own() -> None:
    asked: list[TP] = []
    consumer: Any = object.__new__(FencedConsumer)
    consumer._thread = SimpleNamespace(verify_event_path=lambda _, tp: asked.append(tp))
    consumer.verify_event_path(3_600, TP("conversations", 0))
    assert asked == []
