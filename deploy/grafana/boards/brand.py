"""One brand."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import Query, filled, graph, number, page


def board() -> Dashboard:
    """One brand."""
    empty = page(
        "rapport-brand",
        "Rapport: brand",
        "One brand's exchanges. Texts and people are in the portal only.",
        by_brand=True,
    )
    its = '{$E,brand="$brand"}'
    return filled(
        empty,
        [
            (
                "Now",
                [
                    number("Open", "Exchanges that wait for an answer.", "short", f"max(rapport_open_exchanges{its})"),
                    number(
                        "Overdue",
                        "Open exchanges that are past their due time.",
                        "short",
                        f"max(rapport_overdue_exchanges{its})",
                        bad_from=1,
                    ),
                    number(
                        "Met in 7 days",
                        "Share of what was due in the last 7 days that was answered in time.",
                        "percentunit",
                        f"max(rapport_met_ratio{its})",
                    ),
                    number(
                        "Processes not ready",
                        "If this is not 0, the numbers may be old, and the agents may not be at fault.",
                        "short",
                        "count(rapport_ready{$E} == 0) or vector(0)",
                        bad_from=1,
                    ),
                ],
            ),
            (
                "Over time",
                [
                    graph(
                        "Open and overdue",
                        "Exchanges that wait.",
                        "short",
                        Query(f"max(rapport_open_exchanges{its})", "open"),
                        Query(f"max(rapport_overdue_exchanges{its})", "overdue"),
                    ),
                    graph(
                        "Met",
                        "Share of what was due in the 7 days before that was answered in time.",
                        "percentunit",
                        Query(f"max(rapport_met_ratio{its})", "met"),
                    ),
                ],
            ),
        ],
    )
