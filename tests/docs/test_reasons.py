"""What the pages quote is what the processes say: reasons, refusals, metrics, alerts."""

import re
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from services.scorer.fenced import state
from services.scorer.fenced.position import Standing, Trouble
from tests.docs.blocks import PAGES, ROOT
from tests.docs.sources import said, strings

RUNBOOKS = {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")}
METRIC = re.compile(r"\brapport_[a-z][a-z_]*[a-z]\b")
OF_PROMETHEUS = re.compile(r"_(?:bucket|count|sum)$")
ABRIDGED = "…"


def first_column(page: str, head: str) -> list[str]:
    """The first cells of the table of a page that begins with `head`."""
    table = (ROOT / "docs" / page).read_text().partition(f"\n{head}\n")[2].partition("\n\n")[0]
    cells = [line.strip("|").split("|")[0].strip() for line in table.splitlines()[1:]]
    assert cells, (page, head)
    return cells


def is_said(quoted: str) -> bool:
    """Whether a string of the code has this, with anything where it is abridged."""
    wanted = re.compile(".*".join(re.escape(part) for part in quoted.strip(ABRIDGED).split(ABRIDGED)), re.S)
    return any(wanted.search(each) for each in said())


def test_what_nobody_says_is_found() -> None:
    assert is_said("not a member of group …")
    assert not is_said("kafka is on holiday until …")


def test_every_reason_of_readiness_is_one_that_a_process_gives() -> None:
    quoted = [
        each
        for cell in first_column("health.md", "| `/readyz` says | what it means |")
        for each in re.findall(r"`([^`]+)`", cell)
    ]
    assert [each for each in quoted if not is_said(each)] == []


def refusals() -> list[str]:
    """Everything that the scorer may say when it refuses to go on."""
    source = TopicPartition("rapport.conversations.v1", 3)
    told = [
        Standing(source, "rapport-scorer", rows, reached, committed=9, first=5, end=8, trouble=trouble).refusal()
        for trouble in Trouble
        for rows, reached in ((7, 7), (9, 9))
    ]
    raised = [each for each in strings(Path(state.__file__)) if "changelog" in each and "restore the topic" in each]
    assert len(raised) == 2, "how a changelog can be wrong"
    return [*told, *raised]


def test_the_table_of_refusals_has_all_that_the_scorer_says_and_no_more() -> None:
    quoted = first_column("recovery.md", "| it says | what happened | what to do |")
    refused = refusals()
    assert [each for each in refused if not any(cell in each for cell in quoted)] == []
    assert [cell for cell in quoted if not any(cell in each for each in refused)] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_every_metric_and_every_alert_that_a_page_names_is_there(page: str) -> None:
    text = (ROOT / page).read_text()
    named = {OF_PROMETHEUS.sub("", name) for name in METRIC.findall(text)}
    assert {name for name in named if name not in said() and name.removesuffix("_total") not in said()} == set()
    assert set(re.findall(r"\bRapport[A-Z][A-Za-z]+\b", text)) <= RUNBOOKS
