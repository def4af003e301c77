"""The dashboards, on a real Prometheus that scrapes the demonstration."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from deploy.grafana import build
from deploy.prometheus import rules
from rapport.demo.recording.cast import BRANDS
from rapport.local import running_installation
from tests.deploy.prometheus import scraping
from tests.waiting import until

BRAND = "$brand"
DEMO_BRAND = BRANDS[0].id
VARIABLES = {"$environment": "test", "$__rate_interval": "1m"}
QUIET = (
    "rapport_ingest_interactions_rejected_total",
    "rapport_scorer_reopened_lanes_total",
    "rapport_upkeep_failures_total",
    "rapport_upkeep_left_out_total",
    "rapport_projector_dead_letters_total",
    "rapport_group_renewals_total",
    # The demonstration reads no stream of Bluesky's.
    "rapport_ingest_connector_connected",
    "rapport_ingest_stream_position_timestamp_seconds",
    # No token of the demonstration ends.
    "rapport_account_ends_timestamp_seconds",
    # And none is on X, where no limit is set.
    "rapport_charges_account_dollars",
    "rapport_charges_budget_dollars",
    "rapport_ingest_subscriptions",
    'status=~"5.."',
)
"""Nothing is counted of these while all is well. The query has to be valid all the same."""
WITHIN_SECONDS = 150.0
"""How long it may take until every panel shows something."""
CORE = {"timeseries", "stat", "table", "row"}


def _boards() -> dict[str, Any]:
    return {file: json.loads(text) for file, text in build.built().items()}


def _panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for file, board in _boards().items():
        for panel in board["panels"]:
            if panel["type"] != "row":
                yield file, panel


def _queries() -> list[tuple[str, str, str]]:
    """File, title of the panel, and expression."""
    return [(file, panel["title"], each["expr"]) for file, panel in _panels() for each in panel["targets"]]


def test_every_dashboard_can_be_read_by_any_grafana_and_is_found_from_every_other() -> None:
    uids = set()
    for file, board in _boards().items():
        assert board["schemaVersion"] == build.SCHEMA_VERSION
        assert file == f"{board['uid']}.json"
        uids.add(board["uid"])
        names = [each["name"] for each in board["templating"]["list"]]
        assert names[:2] == ["datasource", "environment"]
        assert any(each["asDropdown"] for each in board["links"])
        assert [each["name"] for each in board["annotations"]["list"]] == ["Deployments"]
        assert {panel["type"] for panel in board["panels"]} <= CORE
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            place = panel["gridPos"]
            cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
            assert max(x for x, _ in cells) < 24, (file, panel["title"])
            assert not cells & taken, (file, panel["title"])
            taken |= cells
    assert len(uids) == len(_boards())


def test_every_panel_says_what_it_shows_in_which_unit_and_each_link_leads_somewhere() -> None:
    alerts = {each["alert"] for group in rules.rules()["groups"] for each in group["rules"] if "alert" in each}
    for file, panel in _panels():
        assert panel["description"].endswith("."), (file, panel["title"])
        assert panel["fieldConfig"]["defaults"].get("unit") or panel["type"] == "table", (file, panel["title"])
        for link in panel.get("links", ()):
            assert re.fullmatch(r"\$docs/docs/runbooks/(\w+)\.md", link["url"])[1] in alerts, link  # type: ignore[index]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running_installation.RunningInstallation]:
    """The demonstration, running."""
    folder = tmp_path_factory.mktemp("demo")
    data = folder / "data"
    with (folder / "demo.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "rapport.cli", "demo", "--data", str(data)], stdout=log, stderr=log
        )
    try:
        yield until(lambda: running_installation.status(data), "the demonstration runs")
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def prometheus(
    demo: running_installation.RunningInstallation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A Prometheus that scrapes it, with our rules."""
    with scraping(demo.internal, rules.FILE, tmp_path_factory.mktemp("prometheus")) as client:
        yield client


def _asked(prometheus: httpx.Client, expression: str) -> list[Any]:
    """The result of an expression, with Grafana's variables filled in. Fails where it is no valid query."""
    for name, value in {**VARIABLES, BRAND: DEMO_BRAND}.items():
        expression = expression.replace(name, value)
    answered = prometheus.post("/query", data={"query": expression})
    if answered.status_code == 503:  # it still reads its files
        raise httpx.TransportError(answered.text)
    answer = answered.json()
    assert answer["status"] == "success", (expression, answer)
    found: list[Any] = answer["data"]["result"]
    return found


@pytest.mark.e2e
@pytest.mark.timeout(900)
def test_every_query_is_valid_and_has_data_and_every_metric_exists(
    demo: running_installation.RunningInstallation, prometheus: httpx.Client
) -> None:
    def up() -> bool:
        try:
            return {each["value"][1] for each in _asked(prometheus, 'up{job=~"rapport-.*"}')} == {"1"}
        except httpx.TransportError:
            return False

    until(up, "Prometheus reaches every process")
    loud = [each for each in _queries() if not any(name in each[2] for name in QUIET)]

    def without_data() -> list[tuple[str, str, str]]:
        return [each for each in loud if not _asked(prometheus, each[2])]

    until(lambda: not without_data(), lambda: "data for " + "\n".join(map(str, without_data())), WITHIN_SECONDS)
    for each in _queries():
        _asked(prometheus, each[2])
    # A counter by labels has no series before it first counts, but says that it is there.
    served = {
        name
        for url in demo.internal.values()
        for name in re.findall(r"^# TYPE (\w+) ", httpx.get(f"{url}/metrics").text, re.M)
    }
    recorded = {each["record"] for group in rules.rules()["groups"] for each in group["rules"] if "record" in each}
    for _, _, expression in _queries():
        for name in re.findall(r"\b(?:rapport|process)[_:][\w:]+", expression):
            assert name in recorded or re.sub(r"_(bucket|sum|count)$", "", name) in served, name
