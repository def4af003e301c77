"""Alert rules. `python -m deploy.build` writes `rules.yaml` from them, which is what Prometheus reads.

An objective is watched by burn rates over several windows, as chapter 5 of Google's "The Site Reliability Workbook"
describes: a page if 2 % of a month's budget is gone within an hour or 5 % within six, a ticket if a tenth is within
three days. The short window makes an alert end soon after the trouble does.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rapport.contracts.topics import CURSORS

FILE = Path(__file__).with_name("rules.yaml")
RUNBOOKS = "{{ with $externalLabels.docs }}{{ . }}/{{ end }}docs/runbooks"
"""Prometheus puts its external label `docs` in front: where the reader finds this repository."""
WINDOWS = ("5m", "30m", "1h", "6h", "3d")
PAGE, TICKET = "page", "ticket"
BURNS = ((PAGE, 14.4, "1h", "5m"), (PAGE, 6.0, "6h", "30m"), (TICKET, 1.0, "3d", "6h"))
"""Severity, how many times faster than the budget allows, long window, short window."""


@dataclass(frozen=True)
class Objective:
    """A share of events that may be bad."""

    name: str
    alert: str
    budget: float
    bad: str
    """Bad events per second, with `$w` for the window."""
    all: str
    summary: str

    def record(self, window: str) -> str:
        """The name of the recorded share of bad events."""
        return f"rapport:{self.name}_errors:ratio_rate{window}"


@dataclass(frozen=True)
class Alert:
    """One alert that is no burn rate."""

    name: str
    expression: str
    wait: str
    severity: str
    summary: str


PUSHED = "facebook|instagram|linkedin|threads|tiktok|x"
"""Platforms that push: asking them finds only what was left out."""
_BEHIND = "sum by (environment, platform) (rapport_ingest_account_states{state=~'behind|incident'"
_REPAIRED = "sum by (environment, platform) (increase(rapport_scorer_repaired_interactions_total[1h]))"


def _late(metric: str, bucket: str, more: str = "") -> tuple[str, str]:
    within = f'sum by (environment) (rate({metric}_bucket{{le="{bucket}"{more and "," + more}}}[$w]))'
    every = f"sum by (environment) (rate({metric}_count{more and '{' + more + '}'}[$w]))"
    return f"({every} - {within})", every


OBJECTIVES = (
    Objective(
        "freshness",
        "RapportViewsLate",
        0.01,
        *_late("rapport_projector_freshness_seconds", "10.0"),
        summary="Interactions take longer than 10 s to become visible.",
    ),
    Objective(
        "alert_lateness",
        "RapportAlertsLate",
        0.01,
        *_late("rapport_alert_lateness_seconds", "300.0"),
        summary="Breaches are written to the log more than 5 minutes after the due time.",
    ),
    Objective(
        "api_availability",
        "RapportApiErrors",
        0.001,
        # Without any error there is no series of errors.
        '(sum by (environment) (rate(rapport_api_requests_total{status=~"5.."}[$w]))'
        " or 0 * sum by (environment) (rate(rapport_api_requests_total[$w])))",
        "sum by (environment) (rate(rapport_api_requests_total[$w]))",
        summary="The API answers requests with a server error.",
    ),
    Objective(
        "api_latency",
        "RapportApiSlow",
        0.01,
        *_late("rapport_api_request_seconds", "1.0", 'route!~".*/(events|live|export)"'),
        summary="Requests to the API or the portal take longer than a second.",
    ),
)

ALERTS = (
    Alert(
        "RapportProcessDown",
        'up{job=~"rapport.*"} == 0',
        "2m",
        PAGE,
        "{{ $labels.job }} at {{ $labels.instance }} does not answer.",
    ),
    Alert(
        "RapportNotReady",
        "rapport_ready == 0",
        "5m",
        PAGE,
        "{{ $labels.job }} at {{ $labels.instance }} says that it cannot do its work.",
    ),
    Alert(
        "RapportOutsideGroup",
        "rapport_group_member == 0 or rapport_group_unassigned_partitions > 0",
        "3m",
        PAGE,
        "{{ $labels.group }}: a process is not in its group, or nobody reads some partitions.",
    ),
    Alert(
        "RapportPartitionHalted",
        "rapport_scorer_halted_lanes > 0 or rapport_projector_halted_partitions > 0",
        "5m",
        PAGE,
        "{{ $labels.job }} waits at a record that only a later version can read.",
    ),
    Alert(
        "RapportPartitionStuck",
        "min_over_time(rapport_scorer_waiting_records[10m]) > 0 and delta(rapport_scorer_waiting_records[10m]) >= 0",
        "5m",
        PAGE,
        "{{ $labels.agent }}[{{ $labels.partition }}] has records that are not being processed.",
    ),
    Alert(
        "RapportThreadsStuck",
        "increase(rapport_scorer_stuck_threads_total[1h]) > 0",
        "0m",
        TICKET,
        "The clocks of some threads stand still because of a bug.",
    ),
    Alert(
        "RapportRecoveryLong",
        "rapport_scorer_restoring_records > 0",
        "15m",
        PAGE,
        "{{ $labels.agent }}[{{ $labels.partition }}] has been restoring its rows for 15 minutes.",
    ),
    Alert(
        "RapportDeadLetters",
        "sum by (environment, job) (increase(rapport_scorer_dead_letters_total[15m])) > 0"
        " or sum by (environment, job) (increase(rapport_projector_dead_letters_total[15m])) > 0"
        ' or sum by (environment, job) (increase(rapport_notifier_alerts_total{outcome="dead"}[15m])) > 0',
        "0m",
        TICKET,
        "{{ $labels.job }} has put records aside that it could not process.",
    ),
    Alert(
        "RapportUpkeepBehind",
        'time() - max by (environment, task) (rapport_upkeep_finished_timestamp_seconds{task!="indexes"}) > 900',
        "5m",
        TICKET,
        "The figures of {{ $labels.task }} have not been updated for 15 minutes.",
    ),
    Alert(
        "RapportPlatformAway",
        "max by (environment, platform, source) (rapport_ingest_connector_connected) == 0",
        "5m",
        PAGE,
        "{{ $labels.platform }} is not connected, so its comments do not arrive.",
    ),
    Alert(
        "RapportAccountsUnread",
        f"sum by (environment) (rapport_ingest_leases) < {CURSORS.partitions}",
        "5m",
        PAGE,
        "Some accounts are read by no process, so their comments do not arrive.",
    ),
    Alert(
        "RapportAccountsBehind",
        f"{_BEHIND},platform!~'{PUSHED}'}}) > 0",
        "15m",
        PAGE,
        "Accounts on {{ $labels.platform }} cannot be read, so their comments do not arrive.",
    ),
    Alert(
        "RapportRepairBehind",
        f"{_BEHIND},platform=~'{PUSHED}'}}) > 0",
        "1h",
        TICKET,
        "Accounts on {{ $labels.platform }} cannot be asked for what their webhooks left out.",
    ),
    Alert(
        "RapportAccountAttention",
        'sum by (environment, platform) (rapport_ingest_account_states{state="attention"}) > 0',
        "5m",
        TICKET,
        "An account on {{ $labels.platform }} cannot be read until somebody does something.",
    ),
    Alert(
        "RapportPushMissing",
        f"{_REPAIRED} > 5 and {_REPAIRED} > 0.25 * sum by (environment, platform)"
        ' (increase(rapport_ingest_interactions_accepted_total{kind=~"comment|mention|message|reply"}[1h]))',
        "2h",
        TICKET,
        "{{ $labels.platform }} does not push some of what happens there. It is found by asking, minutes late.",
    ),
    Alert(
        "RapportAccountQuiet",
        'max by (environment, platform) (rapport_accounts{state="quiet"}) > 0',
        "30m",
        TICKET,
        "Accounts on {{ $labels.platform }} have been silent for far longer than they usually are.",
    ),
    Alert(
        "RapportPlatformLate",
        "max by (environment, platform) (rapport_accounts_late) > 0",
        "15m",
        TICKET,
        "{{ $labels.platform }} tells of comments far later than it usually does, and their clocks run meanwhile.",
    ),
    Alert(
        "RapportErrandsWaiting",
        "max by (environment) (rapport_ingest_errands_oldest_seconds) > 600",
        "5m",
        TICKET,
        "An answer that somebody wrote has not reached its platform for 10 minutes.",
    ),
    Alert(
        "RapportIngestQuiet",
        "sum by (environment, platform) (increase(rapport_ingest_interactions_accepted_total[1h]))"
        " < 0.1 * sum by (environment, platform) (increase(rapport_ingest_interactions_accepted_total[1h] offset 1w))"
        " and sum by (environment, platform) (increase(rapport_ingest_interactions_accepted_total[1h] offset 1w)) > 50",
        "10m",
        TICKET,
        "{{ $labels.platform }} sends less than a tenth of what it sent a week ago.",
    ),
    Alert(
        "RapportProduceFailing",
        "sum by (environment) (increase(rapport_ingest_produce_failures_total[10m])) > 0",
        "5m",
        PAGE,
        "Kafka does not acknowledge what ingest writes; senders get 503 and try again.",
    ),
    Alert(
        "RapportDeliveriesFailing",
        'sum by (environment, channel_type) (increase(rapport_deliveries_total{status="failed"}[1h])) > 0',
        "0m",
        TICKET,
        "{{ $labels.channel_type }} deliveries were given up.",
    ),
    Alert(
        "RapportOutboxOld",
        "time() - min by (environment, channel_type) (rapport_deliveries_oldest_pending_timestamp_seconds > 0) > 1800",
        "5m",
        TICKET,
        "A {{ $labels.channel_type }} delivery has waited for half an hour.",
    ),
    Alert(
        "RapportLoopSlow",
        "histogram_quantile(0.99, sum by (environment, job, instance, le)"
        " (rate(rapport_event_loop_lag_seconds_bucket[5m]))) > 1",
        "10m",
        TICKET,
        "{{ $labels.job }} at {{ $labels.instance }} is short of CPU, or something blocks its loop.",
    ),
    Alert(
        "RapportSettingsShort",
        "rapport_kafka_settings_short > 0",
        "10m",
        TICKET,
        "Kafka keeps some records for less time than Rapport promises.",
    ),
    Alert(
        "RapportDiskFilling",
        'kubelet_volume_stats_available_bytes{persistentvolumeclaim=~"data-(scorer|ingest).*"}'
        ' / kubelet_volume_stats_capacity_bytes{persistentvolumeclaim=~"data-(scorer|ingest).*"} < 0.15',
        "10m",
        PAGE,
        "{{ $labels.persistentvolumeclaim }} is 85 % full.",
    ),
    Alert(
        "RapportCertificateExpires",
        "certmanager_certificate_expiration_timestamp_seconds - time() < 14 * 86400"
        ' or label_replace(rapport_certificate_expires_timestamp_seconds, "name", "$1", "certificate", "(.*)")'
        " - time() < 14 * 86400",
        "1h",
        TICKET,
        "{{ $labels.name }} ends within 14 days.",
    ),
    Alert(
        "RapportKeyExpires",
        "max by (key) (rapport_key_expires_timestamp_seconds) - time() < 7 * 86400",
        "1h",
        TICKET,
        "The key {{ $labels.key }} expires within 7 days.",
    ),
    Alert(
        "RapportAccountEnds",
        "max by (environment, platform, account) (rapport_account_ends_timestamp_seconds) - time() < 14 * 86400",
        "5m",
        TICKET,
        "The account {{ $labels.account }} on {{ $labels.platform }} stops being connected within 14 days.",
    ),
    Alert(
        "RapportChargesHigh",
        "max by (environment, platform) (rapport_charges_month_dollars)"
        " > 0.8 * (max by (environment, platform) (rapport_charges_budget_dollars) > 0)",
        "5m",
        TICKET,
        "{{ $labels.platform }} has charged more than 80 % of what it may in this month.",
    ),
)


def runbook(alert: str) -> str:
    """The address of an alert's runbook."""
    return f"{RUNBOOKS}/{alert}.md"


def rules() -> dict[str, Any]:
    """The content of `rules.yaml`."""
    recorded = [
        {
            "record": each.record(window),
            "expr": f"{each.bad} / {each.all}".replace("$w", window),
        }
        for each in OBJECTIVES
        for window in WINDOWS
    ]
    burning = [
        _rule(
            each.alert,
            " and ".join(f"{each.record(window)} > {factor:g} * {each.budget:g}" for window in (long, short)),
            "2m",
            severity,
            f"{each.summary} {factor:g} times more than the objective allows, over {long}.",
            window=long,
        )
        for each in OBJECTIVES
        for severity, factor, long, short in BURNS
    ]
    others = [_rule(each.name, each.expression, each.wait, each.severity, each.summary) for each in ALERTS]
    return {
        "groups": [
            {"name": "rapport-objectives", "rules": recorded},
            {"name": "rapport-burn-rates", "rules": burning},
            {"name": "rapport-processes", "rules": others},
        ]
    }


def _rule(name: str, expression: str, wait: str, severity: str, summary: str, **labels: str) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": wait,
        "labels": {"severity": severity, **labels},
        "annotations": {"summary": summary, "runbook_url": runbook(name)},
    }
