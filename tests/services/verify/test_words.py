"""What `rapport verify` says to a person: plain words, and how far it is."""

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from services.verify import words
from services.verify.app import Summary
from services.verify.compare import KINDS, Difference
from services.verify.figures import FIGURES
from services.verify.progress import EVERY_SECONDS, steps

EVERY = (*KINDS, *(figure.what for figure in FIGURES))
NOW = datetime(2026, 11, 9, 17, 40, 12, tzinfo=UTC)


@pytest.mark.parametrize("what", EVERY)
def test_each_kind_has_words_for_one_and_for_several(what: str) -> None:
    assert words.counted(1, what) == f"1 {what}"
    several = words.counted(1_200, what)
    assert several.startswith("1,200 ")
    assert several.endswith("s") or " of " in several or " by " in several or " after " in several, several


@pytest.mark.parametrize("what", EVERY)
def test_a_difference_is_one_line_that_says_what_is_and_what_should_be(what: str) -> None:
    of_documents = ((None, {"a": 1}), ({"a": 1}, None), ("open\nor not", "answered"))
    for mongodb, log in ((2, 0), (0, 1), *(() if what in words.RECORDS else of_documents)):
        for field in (None, "state"):
            line = words.difference(Difference(what, "1/2", field, mongodb, log))
            assert line.startswith(f"{what} 1/2: ")
            assert "\n" not in line


def test_a_summary_reads_as_sentences() -> None:
    said = Summary(
        verified=True,
        records=18_204,
        first=datetime(2026, 11, 2, 8, 15, tzinfo=UTC),
        last=NOW,
        compared={"interaction": 9_120, "exchange": 1, "dead letter": 0},
        counts={"acme": {"comment": 4_100, "reply": 1}},
    )
    assert list(words.summary(said)) == [
        "Read 18,204 records of the log, from 2026-11-02T08:15:00Z to 2026-11-09T17:40:12Z.",
        "Compared: 9,120 interactions, 1 exchange.",
        "acme: 4,100 comments, 1 reply.",
        "Everything shown agrees with the log.",
    ]
    assert list(words.summary(Summary(verified=True))) == ["The log is empty, so there is nothing to compare."]


def test_without_a_terminal_a_step_says_a_line_at_its_start_and_now_and_then() -> None:
    said, now = io.StringIO(), [0.0]
    with steps(Console(file=said, width=200), lambda: now[0]) as shown:
        with shown.step("reading the log", 2_000) as step:
            step.advance(500)
            now[0] = EVERY_SECONDS
            step.advance(500)
            step.advance(500)
        with shown.step("rechecking 3 things that differ") as step:
            step.now("rechecking 2 things that differ")
            now[0] += EVERY_SECONDS
            step.now("rechecking 1 things that differ")
    assert said.getvalue().splitlines() == [
        "reading the log: 2,000 in all",
        "reading the log: 1,000 of 2,000",
        "rechecking 3 things that differ",
        "rechecking 1 things that differ",
    ]


def test_on_a_terminal_a_step_is_a_bar_that_knows_its_end() -> None:
    said = io.StringIO()
    with (
        steps(Console(file=said, force_terminal=True, width=120)) as shown,
        shown.step("comparing exchanges", 40) as step,
    ):
        step.advance(10)
        assert shown.bars is not None
        shown.bars.refresh()
    assert "comparing exchanges" in said.getvalue()
    assert "10/40" in said.getvalue()
