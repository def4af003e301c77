"""The API and the portal."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import Column, Query, filled, graph, listing, page, runbooks
from deploy.grafana.parts import loop, percentiles, quantile, rate


def board() -> Dashboard:
    """The API and the portal."""
    empty = page("rapport-api", "Rapport: API and portal", "Requests, errors and slow counts.")
    return filled(
        empty,
        [
            (
                "Requests",
                [
                    graph(
                        "By status",
                        "Requests served.",
                        "reqps",
                        Query(rate("rapport_api_requests_total", "status"), "{{status}}"),
                    ),
                    runbooks(
                        graph(
                            "Errors",
                            "Requests that ended with an error of ours, by route.",
                            "reqps",
                            Query(
                                rate("rapport_api_requests_total", "route, status", 'status=~"5.."'),
                                "{{route}} {{status}}",
                            ),
                        ),
                        "RapportApiErrors",
                    ),
                    runbooks(
                        percentiles("Duration", "Of all requests.", "rapport_api_request_seconds"), "RapportApiSlow"
                    ),
                    graph(
                        "Slowest routes",
                        "The 99th percentile of the slowest five.",
                        "s",
                        Query(f"topk(5, {quantile(0.99, 'rapport_api_request_seconds', 'route')})", "{{route}}"),
                    ),
                ],
            ),
            (
                "Accounts",
                [
                    runbooks(
                        graph(
                            "How they stand",
                            "Connected accounts that are not live, by state. quiet: silent for far longer than usual.",
                            "short",
                            Query(
                                'max by (platform, state) (rapport_accounts{$E,state!="live"})',
                                "{{platform}} {{state}}",
                            ),
                        ),
                        "RapportAccountQuiet",
                    ),
                    runbooks(
                        graph(
                            "Told late",
                            "Accounts of which news comes far later than usual.",
                            "short",
                            Query("max by (platform) (rapport_accounts_late{$E})", "{{platform}}"),
                        ),
                        "RapportPlatformLate",
                    ),
                    runbooks(
                        graph(
                            "Accounts that end",
                            "How long until an account stops being connected, of those that do within 30 days.",
                            "s",
                            Query(
                                "max by (platform, account) (rapport_account_ends_timestamp_seconds{$E}) - time()",
                                "{{platform}} {{account}}",
                            ),
                        ),
                        "RapportAccountEnds",
                    ),
                    graph(
                        "Tokens renewed",
                        "Renewals of accounts' tokens. failed: it is tried again; refused: it needs a person.",
                        "cps",
                        Query(
                            rate("rapport_account_token_renewals_total", "platform, outcome"),
                            "{{platform}} {{outcome}}",
                        ),
                    ),
                ],
            ),
            (
                "What X charges",
                [
                    runbooks(
                        graph(
                            "This month",
                            "Dollars since the month began, and the limit that was set (RAPPORT_X_MONTHLY_BUDGET).",
                            "currencyUSD",
                            Query("max by (platform) (rapport_charges_month_dollars{$E})", "{{platform}}"),
                            Query(
                                "max by (platform) (rapport_charges_budget_dollars{$E}) > 0", "limit of {{platform}}"
                            ),
                        ),
                        "RapportChargesHigh",
                    ),
                    listing(
                        "By account",
                        "The dearest accounts of this month.",
                        Query("topk(20, max by (platform, account) (rapport_charges_account_dollars{$E}))", "Dollars"),
                        columns=[
                            Column("account", "Account"),
                            Column("platform", "Platform"),
                            Column("Dollars", "Dollars", "currencyUSD"),
                        ],
                    ),
                ],
            ),
            (
                "Process",
                [
                    graph(
                        "Slow counts",
                        "hit: cached; stale: cached, and computed again; miss: waited for.",
                        "cps",
                        Query(rate("rapport_api_counts_total", "cache"), "{{cache}}"),
                    ),
                    loop("api"),
                ],
            ),
        ],
    )
