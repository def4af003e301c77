"""What comes in, by platform."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import Query, filled, graph, number, page, runbooks
from deploy.grafana.parts import loop, percentiles, rate


def board() -> Dashboard:
    """What comes in, by platform."""
    empty = page("rapport-ingest", "Rapport: ingest", "What comes in from the platforms.")
    return filled(
        empty,
        [
            (
                "Now",
                [
                    runbooks(
                        number(
                            "Streams away",
                            "Streams that are not connected.",
                            "short",
                            "count(max by (source) (rapport_ingest_connector_connected{$E}) == 0) or vector(0)",
                            bad_from=1,
                        ),
                        "RapportPlatformAway",
                    ),
                    number(
                        "Accounts",
                        "Accounts that are connected.",
                        "short",
                        "sum(max by (platform) (rapport_ingest_accounts{$E}))",
                    ),
                    number(
                        "Brands not readable",
                        "Brands that this version cannot read.",
                        "short",
                        "max(rapport_ingest_hidden_brands{$E}) or vector(0)",
                        bad_from=1,
                    ),
                    runbooks(
                        number(
                            "Not acknowledged",
                            "Batches that Kafka did not acknowledge in the last hour.",
                            "short",
                            "sum(increase(rapport_ingest_produce_failures_total{$E}[1h])) or vector(0)",
                            bad_from=1,
                        ),
                        "RapportProduceFailing",
                    ),
                ],
            ),
            (
                "By platform",
                [
                    runbooks(
                        graph(
                            "Accepted",
                            "Interactions acknowledged by Kafka.",
                            "cps",
                            Query(rate("rapport_ingest_interactions_accepted_total", "platform"), "{{platform}}"),
                        ),
                        "RapportIngestQuiet",
                    ),
                    graph(
                        "Refused",
                        "Interactions that could not be taken, by reason.",
                        "cps",
                        Query(
                            rate("rapport_ingest_interactions_rejected_total", "platform, reason"),
                            "{{platform}} {{reason}}",
                        ),
                    ),
                    runbooks(
                        percentiles(
                            "Lag",
                            "From when it happened until ingest saw it.",
                            "rapport_ingest_lag_seconds",
                            "platform",
                        ),
                        "RapportPlatformLate",
                    ),
                    graph(
                        "Behind the stream",
                        "How old the newest event read from a stream is, in the process that is furthest behind.",
                        "s",
                        Query(
                            "time() - min by (source) (rapport_ingest_stream_position_timestamp_seconds{$E} > 0)",
                            "{{source}}",
                        ),
                    ),
                ],
            ),
            (
                "Accounts that are asked",
                [
                    runbooks(
                        graph(
                            "How they stand",
                            "Accounts that Rapport asks for news, by state.",
                            "short",
                            Query(
                                "sum by (platform, state) (rapport_ingest_account_states{$E})", "{{platform}} {{state}}"
                            ),
                        ),
                        "RapportAccountsBehind",
                        "RapportRepairBehind",
                        "RapportAccountAttention",
                    ),
                    runbooks(
                        graph(
                            "Who reads them",
                            "The accounts lie in 12 partitions. Each is read by one process.",
                            "short",
                            Query("max by (instance) (rapport_ingest_leases{$E})", "{{instance}}"),
                        ),
                        "RapportAccountsUnread",
                    ),
                    graph(
                        "What is remembered of them",
                        "Size of the file in which each process has all of it.",
                        "decbytes",
                        Query("max by (instance) (rapport_ingest_copy_bytes{$E})", "{{instance}}"),
                    ),
                    graph(
                        "Not there yet",
                        "Records that this file still lacks after a start. Until then the process reads no account.",
                        "short",
                        Query("max by (instance) (rapport_ingest_copy_missing_records{$E})", "{{instance}}"),
                    ),
                    graph(
                        "Not moved yet",
                        "Entries of an older version's ledger, on one disk alone. Run one process while it falls.",
                        "short",
                        Query("max by (instance) (rapport_ingest_ledger_unmoved{$E})", "{{instance}}"),
                    ),
                    graph(
                        "Requests",
                        "Requests to the platforms, by outcome.",
                        "reqps",
                        Query(
                            rate("rapport_ingest_platform_requests_total", "platform, outcome"),
                            "{{platform}} {{outcome}}",
                        ),
                    ),
                    graph(
                        "Quota left",
                        "Units that may still be spent today, by platform.",
                        "short",
                        Query("sum by (platform) (rapport_ingest_quota_left{$E})", "{{platform}}"),
                    ),
                    graph(
                        "Subscriptions",
                        "Of the application at X, as last listed. X allows 1,500 where one pays by use.",
                        "short",
                        Query("max by (platform) (rapport_ingest_subscriptions{$E})", "{{platform}}"),
                    ),
                    graph(
                        "Repaired",
                        "Interactions that a stream had left out and that asking found.",
                        "cps",
                        Query(rate("rapport_ingest_repaired_interactions_total", "platform"), "{{platform}}"),
                    ),
                    runbooks(
                        graph(
                            "Not pushed",
                            "Comments, mentions, messages and answers that should have been pushed. Asking found them.",
                            "cps",
                            Query(rate("rapport_scorer_repaired_interactions_total", "platform"), "{{platform}}"),
                        ),
                        "RapportPushMissing",
                    ),
                ],
            ),
            (
                "Answers written here",
                [
                    graph(
                        "Ended",
                        "Answers, hidings and likes, by how they ended.",
                        "cps",
                        Query(
                            rate("rapport_ingest_errands_total", "platform, deed, outcome"),
                            "{{platform}} {{deed}} {{outcome}}",
                        ),
                    ),
                    runbooks(
                        graph(
                            "Waiting",
                            "Answers, hidings and likes that have not reached their platform.",
                            "short",
                            Query("sum(rapport_ingest_errands_waiting{$E})", "how many"),
                        ),
                        "RapportErrandsWaiting",
                    ),
                    graph(
                        "The oldest of them",
                        "For how long it has been waiting. After a day it is given up.",
                        "s",
                        Query("max(rapport_ingest_errands_oldest_seconds{$E})", "the oldest"),
                    ),
                ],
            ),
            (
                "The door",
                [
                    graph(
                        "Requests",
                        "Requests to the generic door, by outcome.",
                        "reqps",
                        Query(rate("rapport_ingest_requests_total", "outcome"), "{{outcome}}"),
                    ),
                    loop("ingest"),
                ],
            ),
        ],
    )
