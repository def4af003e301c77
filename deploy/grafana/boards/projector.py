"""How the views follow the log, and the upkeep of figures."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import Query, filled, graph, page, runbooks
from deploy.grafana.parts import average, percentiles, rate


def board() -> Dashboard:
    """How the views follow the log, and the upkeep of figures."""
    empty = page(
        "rapport-projector", "Rapport: projector", "How the views follow the log, and the upkeep of the figures."
    )
    return filled(
        empty,
        [
            (
                "Views",
                [
                    percentiles(
                        "Freshness",
                        "From ingest's receipt until visible in the API.",
                        "rapport_projector_freshness_seconds",
                    ),
                    runbooks(
                        graph(
                            "Lag",
                            "Records that are not read yet, by topic.",
                            "short",
                            Query(
                                "sum by (topic) (max by (topic, partition) (rapport_projector_lag_records{$E}))",
                                "{{topic}}",
                            ),
                        ),
                        "RapportViewsLate",
                    ),
                    graph(
                        "Records",
                        "Read and written to the views.",
                        "cps",
                        Query(rate("rapport_projector_records_total", "topic"), "{{topic}}"),
                    ),
                    runbooks(
                        graph(
                            "Dead letters",
                            "Records put aside, per hour.",
                            "short",
                            Query(
                                "sum by (topic) (increase(rapport_projector_dead_letters_total{$E}[1h]))", "{{topic}}"
                            ),
                        ),
                        "RapportDeadLetters",
                    ),
                ],
            ),
            (
                "Upkeep",
                [
                    runbooks(
                        graph(
                            "Age",
                            "How long ago a task last went through.",
                            "s",
                            Query("time() - max by (task) (rapport_upkeep_finished_timestamp_seconds{$E})", "{{task}}"),
                        ),
                        "RapportUpkeepBehind",
                    ),
                    graph(
                        "Duration",
                        "How long a run of a task takes on average.",
                        "s",
                        Query(
                            average("rapport_upkeep_seconds", "task"),
                            "{{task}}",
                        ),
                    ),
                    graph(
                        "Failures",
                        "Runs that failed and things that were left out, per hour.",
                        "short",
                        Query("sum by (task) (increase(rapport_upkeep_failures_total{$E}[1h]))", "{{task}} failed"),
                        Query("sum by (task) (increase(rapport_upkeep_left_out_total{$E}[1h]))", "{{task}} left out"),
                    ),
                    graph(
                        "Group",
                        "0 if a process is not in its group.",
                        "short",
                        Query('min by (instance) (rapport_group_member{$E,group="rapport-projector"})', "{{instance}}"),
                    ),
                ],
            ),
        ],
    )
