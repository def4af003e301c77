"""Each alert rule, evaluated by promtool: silent while all is well, firing when it is not, silent again afterwards."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.prometheus import rules
from tests.deliveries import HOOKS
from tests.deploy.prometheus import tool

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
WELL, BAD = "well", "bad"
HOUR = 60
"""Minutes."""


@dataclass(frozen=True)
class Series:
    """A metric's value in good and in bad times; a counter grows by it each minute."""

    name: str
    well: float
    bad: float
    counter: bool = False

    def values(self, phases: Sequence[tuple[str, int]], step: int) -> str:
        """The values from step to step (minutes), as promtool reads them."""
        value, found = 0.0, []
        for phase, minutes in phases:
            now = self.well if phase == WELL else self.bad
            for _ in range(minutes // step):
                value = value + now * step if self.counter else now
                found.append(f"{value:g}" if value < 1e15 else str(value))
        return " ".join(found)


@dataclass(frozen=True)
class Case:
    """An alert: what makes it fire, after how many bad minutes, and after how many good ones it is over."""

    alert: str
    series: tuple[Series, ...]
    labels: dict[str, str]
    bad: int
    over: int
    before: int = 120
    step: int = 1


def late(metric: str, bucket: str, bad: float, **labels: str) -> tuple[Series, ...]:
    """A histogram of 100 events a minute, some of which are late in bad times."""
    told = "".join(f',{name}="{value}"' for name, value in labels.items())
    return (
        Series(f'{metric}_bucket{{le="{bucket}"{told}}}', 100, 100 * (1 - bad), counter=True),
        Series(f"{metric}_count{{{told.lstrip(',')}}}", 100, 100, counter=True),
    )


def burning(alert: str, bad: tuple[Series, ...], slowly: tuple[Series, ...]) -> list[Case]:
    """The three speeds at which a budget burns."""
    return [
        Case(alert, bad, {"severity": rules.PAGE, "window": "1h"}, bad=50, over=20),
        Case(alert, slowly, {"severity": rules.PAGE, "window": "6h"}, bad=6 * HOUR, over=90, before=8 * HOUR, step=2),
        Case(
            alert,
            slowly,
            {"severity": rules.TICKET, "window": "3d"},
            bad=60 * HOUR,
            over=12 * HOUR,
            before=72 * HOUR,
            step=20,
        ),
    ]


def errors(bad: float) -> tuple[Series, ...]:
    """A hundred requests a minute, a share of which ends with an error of ours in bad times."""
    return (
        Series('rapport_api_requests_total{status="200"}', 100, 100 * (1 - bad), counter=True),
        Series('rapport_api_requests_total{status="503"}', 0, 100 * bad, counter=True),
    )


FRESHNESS, LATENESS, SECONDS = (
    "rapport_projector_freshness_seconds",
    "rapport_alert_lateness_seconds",
    "rapport_api_request_seconds",
)
SCORER = 'job="rapport-scorer",instance="scorer-0"'
LANE = {"agent": "exchanges", "partition": "1"}
NOW = 1_000_000_000.0
"""promtool's clock begins at 0, so a timestamp that is to lie ahead is large."""

CASES: tuple[Case, ...] = (
    *burning("RapportViewsLate", late(FRESHNESS, "10.0", 0.5), late(FRESHNESS, "10.0", 0.08)),
    *burning("RapportAlertsLate", late(LATENESS, "300.0", 0.5), late(LATENESS, "300.0", 0.08)),
    *burning("RapportApiErrors", errors(0.5), errors(0.008)),
    *burning("RapportApiSlow", late(SECONDS, "1.0", 0.5, route="/"), late(SECONDS, "1.0", 0.08, route="/")),
    Case(
        "RapportProcessDown",
        (Series(f"up{{{SCORER}}}", 1, 0),),
        {"job": "rapport-scorer", "instance": "scorer-0"},
        5,
        5,
    ),
    Case(
        "RapportNotReady",
        (Series(f"rapport_ready{{{SCORER}}}", 1, 0),),
        {"job": "rapport-scorer", "instance": "scorer-0"},
        10,
        5,
    ),
    Case(
        "RapportOutsideGroup",
        (Series('rapport_group_member{group="rapport-scorer"}', 1, 0),),
        {"group": "rapport-scorer"},
        10,
        5,
    ),
    Case(
        "RapportOutsideGroup",
        (Series('rapport_group_unassigned_partitions{group="rapport-scorer"}', 0, 2),),
        {"group": "rapport-scorer"},
        10,
        5,
    ),
    Case(
        "RapportPartitionHalted",
        (Series('rapport_scorer_halted_lanes{job="rapport-scorer"}', 0, 1),),
        {"job": "rapport-scorer"},
        10,
        5,
    ),
    Case(
        "RapportPartitionHalted",
        (Series('rapport_projector_halted_partitions{job="rapport-projector"}', 0, 1),),
        {"job": "rapport-projector"},
        10,
        5,
    ),
    Case(
        "RapportPartitionStuck",
        (Series('rapport_scorer_waiting_records{agent="exchanges",partition="1"}', 0, 12),),
        LANE,
        30,
        5,
    ),
    Case("RapportThreadsStuck", (Series("rapport_scorer_stuck_threads_total", 0, 1, counter=True),), {}, 10, 70),
    Case(
        "RapportRecoveryLong",
        (Series('rapport_scorer_restoring_records{agent="exchanges",partition="1"}', 0, 9e6),),
        LANE,
        20,
        5,
    ),
    Case(
        "RapportDeadLetters",
        (Series('rapport_scorer_dead_letters_total{job="s"}', 0, 1, counter=True),),
        {"job": "s"},
        10,
        20,
    ),
    Case(
        "RapportDeadLetters",
        (Series('rapport_projector_dead_letters_total{job="p"}', 0, 1, counter=True),),
        {"job": "p"},
        10,
        20,
    ),
    Case(
        "RapportDeadLetters",
        (Series('rapport_notifier_alerts_total{job="n",outcome="dead"}', 0, 1, counter=True),),
        {"job": "n"},
        10,
        20,
    ),
    Case(
        "RapportPlatformAway",
        (Series('rapport_ingest_connector_connected{platform="bluesky",source="s"}', 1, 0),),
        {"platform": "bluesky", "source": "s"},
        10,
        5,
    ),
    Case("RapportErrandsWaiting", (Series("rapport_ingest_errands_oldest_seconds", 5, 700),), {}, 10, 5),
    Case("RapportAccountsUnread", (Series("rapport_ingest_leases", 12, 11),), {}, 10, 5),
    Case(
        "RapportAccountsBehind",
        (Series('rapport_ingest_account_states{platform="mastodon",state="incident"}', 0, 1),),
        {"platform": "mastodon"},
        25,
        15,
    ),
    Case(
        "RapportRepairBehind",
        (Series('rapport_ingest_account_states{platform="facebook",state="behind"}', 0, 1),),
        {"platform": "facebook"},
        75,
        5,
    ),
    Case(
        "RapportAccountAttention",
        (Series('rapport_ingest_account_states{platform="mastodon",state="attention"}', 0, 1),),
        {"platform": "mastodon"},
        10,
        5,
    ),
    Case(
        "RapportPushMissing",
        (
            Series('rapport_scorer_repaired_interactions_total{platform="facebook"}', 0, 1, counter=True),
            Series(
                'rapport_ingest_interactions_accepted_total{platform="facebook",kind="comment"}', 2, 2, counter=True
            ),
        ),
        {"platform": "facebook"},
        bad=4 * HOUR,
        over=2 * HOUR,
        before=2 * HOUR,
        step=5,
    ),
    Case(
        "RapportAccountQuiet",
        (
            Series('rapport_accounts{platform="facebook",state="quiet",instance="api-0"}', 0, 1),
            Series('rapport_accounts{platform="facebook",state="quiet",instance="api-1"}', 0, 1),
        ),
        {"platform": "facebook"},
        40,
        5,
    ),
    Case("RapportPlatformLate", (Series('rapport_accounts_late{platform="x"}', 0, 2),), {"platform": "x"}, 25, 5),
    Case(
        "RapportIngestQuiet",
        (Series('rapport_ingest_interactions_accepted_total{platform="bluesky"}', 10, 0, counter=True),),
        {"platform": "bluesky"},
        bad=2 * HOUR,
        over=2 * HOUR,
        before=170 * HOUR,
        step=5,
    ),
    Case("RapportProduceFailing", (Series("rapport_ingest_produce_failures_total", 0, 1, counter=True),), {}, 10, 20),
    Case(
        "RapportDeliveriesFailing",
        (Series('rapport_deliveries_total{channel_type="mail",status="failed"}', 0, 1, counter=True),),
        {"channel_type": "mail"},
        10,
        70,
    ),
    Case(
        "RapportOutboxOld",
        (Series('rapport_deliveries_oldest_pending_timestamp_seconds{channel_type="mail"}', NOW, 60),),
        {"channel_type": "mail"},
        10,
        5,
    ),
    Case(
        "RapportUpkeepBehind",
        (Series('rapport_upkeep_finished_timestamp_seconds{task="posts"}', NOW, 60),),
        {"task": "posts"},
        10,
        5,
    ),
    Case(
        "RapportLoopSlow",
        (
            Series(f'rapport_event_loop_lag_seconds_bucket{{{SCORER},le="0.1"}}', 100, 50, counter=True),
            Series(f'rapport_event_loop_lag_seconds_bucket{{{SCORER},le="5.0"}}', 100, 100, counter=True),
            Series(f'rapport_event_loop_lag_seconds_bucket{{{SCORER},le="+Inf"}}', 100, 100, counter=True),
        ),
        {"job": "rapport-scorer", "instance": "scorer-0"},
        20,
        10,
    ),
    Case("RapportSettingsShort", (Series("rapport_kafka_settings_short", 0, 1),), {}, 20, 5),
    Case(
        "RapportDiskFilling",
        (
            Series('kubelet_volume_stats_available_bytes{persistentvolumeclaim="data-scorer-0"}', 50, 10),
            Series('kubelet_volume_stats_capacity_bytes{persistentvolumeclaim="data-scorer-0"}', 100, 100),
        ),
        {"persistentvolumeclaim": "data-scorer-0"},
        20,
        5,
    ),
    Case(
        "RapportCertificateExpires",
        (Series('certmanager_certificate_expiration_timestamp_seconds{name="portal"}', NOW, 13 * 86_400),),
        {"name": "portal"},
        90,
        5,
    ),
    Case(
        "RapportCertificateExpires",
        (
            Series(
                'rapport_certificate_expires_timestamp_seconds{certificate="kafka-ca",job="rapport-api"}',
                NOW,
                13 * 86_400,
            ),
        ),
        {"certificate": "kafka-ca", "job": "rapport-api", "name": "kafka-ca"},
        90,
        5,
    ),
    Case(
        "RapportKeyExpires",
        (Series('rapport_key_expires_timestamp_seconds{key="4f1e",job="rapport-api"}', NOW, 6 * 86_400),),
        {"key": "4f1e"},
        90,
        5,
    ),
    Case(
        "RapportAccountEnds",
        (
            Series(
                'rapport_account_ends_timestamp_seconds{account="roastery-x",platform="x",job="rapport-api"}',
                NOW,
                6 * 86_400,
            ),
        ),
        {"platform": "x", "account": "roastery-x"},
        15,
        5,
    ),
    Case(
        "RapportChargesHigh",
        (
            Series('rapport_charges_month_dollars{platform="x",job="rapport-api"}', 79, 81),
            Series('rapport_charges_budget_dollars{platform="x",job="rapport-api"}', 100, 100),
        ),
        {"platform": "x"},
        15,
        5,
    ),
)


def test_platforms_that_push_are_those_that_ingest_has_hooks_for() -> None:
    assert "|".join(sorted(HOOKS)) == rules.PUSHED


def _alerts() -> dict[tuple[str, str | None], dict[str, Any]]:
    found = {}
    for group in rules.rules()["groups"]:
        for each in group["rules"]:
            if "alert" in each:
                found[each["alert"], each["labels"].get("window")] = each
    return found


def _needed(rule: dict[str, Any]) -> dict[str, Any]:
    """The rule and what it is computed from. All rules take promtool ten times as long."""
    every = [each for group in rules.rules()["groups"] for each in group["rules"]]
    recorded = [each for each in every if "record" in each and each["record"] in rule["expr"]]
    return {"groups": [{"name": "tried", "rules": [*recorded, rule]}]}


def _rendered(text: str, labels: dict[str, str]) -> str:
    text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda match: labels[match[1]], text)
    return text.replace(rules.RUNBOOKS, "here/docs/runbooks")


def test_prometheus_reads_the_rules() -> None:
    checked = subprocess.run([tool("promtool"), "check", "rules", str(rules.FILE)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_is_tried_here_and_has_a_runbook() -> None:
    assert {(case.alert, case.labels.get("window")) for case in CASES} == set(_alerts())
    for alert, _ in _alerts():
        text = (RUNBOOKS / f"{alert}.md").read_text()
        for heading in ("What it means", "What people see", "First look", "Likely causes", "What to do"):
            assert f"\n## {heading}\n" in text, (alert, heading)


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.alert} {case.labels.get('window', '')} {case.series[0].name}"
)
def test_it_is_silent_fires_and_recovers(case: Case, tmp_path: Path) -> None:
    rule = _alerts()[case.alert, case.labels.get("window")]
    phases = ((WELL, case.before), (BAD, case.bad), (WELL, case.over + case.step))
    ill = case.before + case.bad - case.step
    moments = {case.before - case.step: False, ill: True, ill + case.step + case.over: False}
    told = {
        "exp_labels": {"severity": rule["labels"]["severity"], **case.labels},
        "exp_annotations": {name: _rendered(text, case.labels) for name, text in rule["annotations"].items()},
    }
    # promtool takes all alerts of a name together, so one of several windows is asked for by its series.
    labels = {"alertname": case.alert, "alertstate": "firing", **told["exp_labels"]}
    series = "ALERTS{" + ",".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"
    test: dict[str, Any] = {
        "interval": f"{case.step}m",
        "external_labels": {"docs": "here"},
        "input_series": [{"series": each.name, "values": each.values(phases, case.step)} for each in case.series],
        "promql_expr_test": [
            {"expr": series, "eval_time": f"{at}m", "exp_samples": [{"labels": series, "value": 1}] if fires else []}
            for at, fires in moments.items()
        ],
    }
    if "window" not in case.labels:
        test["alert_rule_test"] = [
            {"eval_time": f"{at}m", "alertname": case.alert, "exp_alerts": [told] if fires else []}
            for at, fires in moments.items()
        ]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(_needed(rule)))
    asked = {"rule_files": ["rules.yaml"], "evaluation_interval": f"{case.step}m", "tests": [test]}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(asked))
    done = subprocess.run(
        [tool("promtool"), "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
