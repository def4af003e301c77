"""How late clocks, alerts and deliveries are."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import Query, filled, graph, page, runbooks
from deploy.grafana.parts import objective, percentiles
from deploy.prometheus.rules import OBJECTIVES


def board() -> Dashboard:
    """How late clocks, alerts and deliveries are."""
    empty = page("rapport-answering", "Rapport: answering", "From a comment's due time until somebody was told.")
    return filled(
        empty,
        [
            ("Objectives", [objective(0), objective(1), objective(2), objective(3)]),
            (
                "Lateness",
                [
                    percentiles(
                        "Alerts",
                        "From the due time until the breach was in the log. Usually it waits 2 minutes for an answer.",
                        "rapport_alert_lateness_seconds",
                    ),
                    runbooks(
                        percentiles(
                            "Deliveries",
                            "From when an alert was to be told until it was delivered.",
                            "rapport_delivery_lateness_seconds",
                            "channel_type",
                        ),
                        "RapportOutboxOld",
                    ),
                ],
            ),
            (
                "Budget burnt",
                [
                    graph(
                        "Errors over an hour",
                        "The share of bad events. Beyond 14.4 times the budget somebody is paged.",
                        "percentunit",
                        *(Query(f"{each.record('1h')}{{$E}}", each.name) for each in OBJECTIVES),
                    ),
                    graph(
                        "Errors over three days",
                        "The share of bad events. Beyond the budget there is a ticket.",
                        "percentunit",
                        *(Query(f"{each.record('3d')}{{$E}}", each.name) for each in OBJECTIVES),
                    ),
                ],
            ),
        ],
    )
