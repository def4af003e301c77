"""Partitions, transactions and rows of the scorer."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import Query, filled, graph, number, page, runbooks
from deploy.grafana.parts import average, loop, percentiles, rate


def board() -> Dashboard:
    """Partitions, transactions and rows of the scorer."""
    empty = page("rapport-scorer", "Rapport: scorer", "Clocks and relationships: partitions, transactions and rows.")
    return filled(
        empty,
        [
            (
                "Now",
                [
                    runbooks(
                        number(
                            "Lanes not ready",
                            "Partitions of an agent that are assigned and not yet restored.",
                            "short",
                            "sum(rapport_scorer_assigned_lanes{$E}) - sum(rapport_scorer_ready_lanes{$E})",
                            bad_from=1,
                        ),
                        "RapportRecoveryLong",
                    ),
                    runbooks(
                        number(
                            "Halted",
                            "Partitions that wait for a later version.",
                            "short",
                            "sum(rapport_scorer_halted_lanes{$E})",
                            bad_from=1,
                        ),
                        "RapportPartitionHalted",
                    ),
                    runbooks(
                        number(
                            "Outside of the group",
                            "Members that are not in the group, or partitions that nobody has.",
                            "short",
                            'count(rapport_group_member{$E,group="rapport-scorer"} == 0) or vector(0)',
                            bad_from=1,
                        ),
                        "RapportOutsideGroup",
                    ),
                    runbooks(
                        number(
                            "Dead letters, 24 h",
                            "Records that could not be processed.",
                            "short",
                            "sum(increase(rapport_scorer_dead_letters_total{$E}[24h])) or vector(0)",
                            bad_from=1,
                        ),
                        "RapportDeadLetters",
                    ),
                ],
            ),
            (
                "Work",
                [
                    graph(
                        "Records",
                        "Processed, by agent.",
                        "cps",
                        Query(rate("rapport_scorer_records_total", "agent"), "{{agent}}"),
                    ),
                    runbooks(
                        graph(
                            "Waiting",
                            "Records that wait in a partition.",
                            "short",
                            Query(
                                "max by (agent, partition) (rapport_scorer_waiting_records{$E})",
                                "{{agent}} {{partition}}",
                            ),
                        ),
                        "RapportPartitionStuck",
                    ),
                    percentiles(
                        "Transactions",
                        "From the first record taken until the transaction is committed.",
                        "rapport_scorer_transaction_seconds",
                        "agent",
                    ),
                    graph(
                        "Batch",
                        "Records in a transaction, on average.",
                        "short",
                        Query(
                            average("rapport_scorer_batch_records", "agent"),
                            "{{agent}}",
                        ),
                    ),
                ],
            ),
            (
                "Rows",
                [
                    runbooks(
                        graph(
                            "Size",
                            "Rows in RocksDB.",
                            "bytes",
                            Query("sum by (agent, instance) (rapport_scorer_rows_bytes{$E})", "{{agent}} {{instance}}"),
                        ),
                        "RapportDiskFilling",
                    ),
                    graph(
                        "To restore",
                        "Changelog records still to be read.",
                        "short",
                        Query(
                            "max by (agent, partition) (rapport_scorer_restoring_records{$E})",
                            "{{agent}} {{partition}}",
                        ),
                    ),
                    graph(
                        "Opened again",
                        "Lanes that were opened again because their producer failed; grows with too little CPU.",
                        "short",
                        Query("sum by (agent) (increase(rapport_scorer_reopened_lanes_total{$E}[1h]))", "{{agent}}"),
                    ),
                    loop("scorer"),
                ],
            ),
        ],
    )
