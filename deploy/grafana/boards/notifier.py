"""Alerts and their deliveries."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import Query, filled, graph, number, page, runbooks
from deploy.grafana.parts import loop, percentiles, rate


def board() -> Dashboard:
    """Alerts and their deliveries."""
    empty = page("rapport-notifier", "Rapport: notifier", "Alerts and their deliveries, by channel.")
    return filled(
        empty,
        [
            (
                "Now",
                [
                    number(
                        "Waiting",
                        "Deliveries in the outbox.",
                        "short",
                        "sum(max by (channel_type) (rapport_deliveries_pending{$E}))",
                    ),
                    runbooks(
                        number(
                            "Oldest",
                            "How long the oldest delivery has waited.",
                            "s",
                            "max(time() - (rapport_deliveries_oldest_pending_timestamp_seconds{$E} > 0)) or vector(0)",
                            bad_from=1_800,
                        ),
                        "RapportOutboxOld",
                    ),
                    runbooks(
                        number(
                            "Failed, 24 h",
                            "Deliveries that were given up.",
                            "short",
                            'sum(increase(rapport_deliveries_total{$E,status="failed"}[24h])) or vector(0)',
                            bad_from=1,
                        ),
                        "RapportDeliveriesFailing",
                    ),
                    runbooks(
                        number(
                            "Outside of the group",
                            "Members that are not in the group.",
                            "short",
                            'count(rapport_group_member{$E,group="rapport-notifier"} == 0) or vector(0)',
                            bad_from=1,
                        ),
                        "RapportOutsideGroup",
                    ),
                ],
            ),
            (
                "Deliveries",
                [
                    graph(
                        "Attempts",
                        "By channel and how they ended.",
                        "cps",
                        Query(rate("rapport_deliveries_total", "channel_type, status"), "{{channel_type}} {{status}}"),
                    ),
                    percentiles(
                        "Lateness",
                        "From when an alert was to be told until it was delivered.",
                        "rapport_delivery_lateness_seconds",
                        "channel_type",
                    ),
                    graph(
                        "Alerts",
                        "Taken from the log, by what became of them.",
                        "cps",
                        Query(rate("rapport_notifier_alerts_total", "outcome"), "{{outcome}}"),
                    ),
                    loop("notifier"),
                ],
            ),
        ],
    )
