"""Kafka and MongoDB, as far as Rapport sees them."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import WHOLE, Query, filled, graph, page, runbooks


def board() -> Dashboard:
    """Kafka and MongoDB, as far as Rapport sees them."""
    empty = page(
        "rapport-servers",
        "Rapport: Kafka and MongoDB",
        "What Rapport sees of its servers. docs/monitoring.md names published dashboards for the servers themselves.",
    )
    return filled(
        empty,
        [
            (
                "As Rapport sees them",
                [
                    graph(
                        "Not ready",
                        "Processes that cannot do their work, often because a server is away.",
                        "short",
                        Query(
                            "count by (job) (rapport_ready{$E} == 0) or 0 * count by (job) (rapport_ready{$E})",
                            "{{job}}",
                        ),
                    ),
                    graph(
                        "Group members",
                        "1 while all is read.",
                        "short",
                        Query("min by (group) (rapport_group_member{$E})", "{{group}}"),
                    ),
                    runbooks(
                        graph(
                            "Settings that keep too little",
                            "Topics and brokers whose retention is too short.",
                            "short",
                            Query("max by (job) (rapport_kafka_settings_short{$E})", "{{job}}"),
                        ),
                        "RapportSettingsShort",
                    ),
                    graph(
                        "Consumers replaced",
                        "Because they had lost their group, per hour.",
                        "short",
                        Query("sum by (group) (increase(rapport_group_renewals_total{$E}[1h]))", "{{group}}"),
                    ),
                ],
            ),
            (
                "Processes",
                [
                    graph(
                        "Memory",
                        "Resident memory.",
                        "bytes",
                        Query("max by (job, instance) (process_resident_memory_bytes{$E})", "{{job}} {{instance}}"),
                    ),
                    graph(
                        "CPU",
                        "Cores used.",
                        "short",
                        Query(
                            "sum by (job, instance) (rate(process_cpu_seconds_total{$E}[$__rate_interval]))",
                            "{{job}} {{instance}}",
                        ),
                    ),
                    graph(
                        "Versions",
                        "Processes by version.",
                        "short",
                        Query("count by (version) (rapport_build_info{$E})", "{{version}}"),
                        width=WHOLE,
                    ),
                ],
            ),
        ],
    )
