"""Where the agency stands, which brand is late, and which process is not well."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import Column, Query, filled, graph, listing, number, page
from deploy.grafana.parts import objective, percentiles, rate
from deploy.prometheus.rules import OBJECTIVES

KEPT = "${__url_time_range}&${datasource:queryparam}&${environment:queryparam}"
BRAND = f"/d/rapport-brand?var-brand=${{__data.fields.Brand}}&{KEPT}"
PROCESS = f"/d/${{__data.fields.Process}}?{KEPT}"
"""A process's dashboard has the name of its scrape job."""


def board() -> Dashboard:
    """Where the agency stands, which brand is late, and which process is not well."""
    empty = page("rapport-agency", "Rapport: agency", "Where all brands stand, and whether Rapport itself is well.")
    return filled(
        empty,
        [
            (
                "All brands",
                [
                    number(
                        "Open",
                        "Exchanges that wait for an answer.",
                        "short",
                        "sum(max by (brand) (rapport_open_exchanges{$E}))",
                    ),
                    number(
                        "Overdue",
                        "Open exchanges that are past their due time.",
                        "short",
                        "sum(max by (brand) (rapport_overdue_exchanges{$E}))",
                        bad_from=1,
                    ),
                    number(
                        "Brands with overdue exchanges",
                        "How many brands have at least one.",
                        "short",
                        "sum(max by (brand) (rapport_overdue_exchanges{$E}) > bool 0)",
                        bad_from=1,
                    ),
                    number("Brands", "How many brands there are.", "short", "max(rapport_brands{$E})"),
                ],
            ),
            (
                "Who is late, and what is not well",
                [
                    listing(
                        "Brands",
                        "Brands by overdue exchanges. The name leads to the brand.",
                        Query("topk(20, max by (brand) (rapport_overdue_exchanges{$E}))", "Overdue"),
                        Query("max by (brand) (rapport_open_exchanges{$E})", "Open"),
                        Query("max by (brand) (rapport_met_ratio{$E})", "Met"),
                        columns=[
                            Column("brand", "Brand", link=BRAND),
                            Column("Overdue", "Overdue", "short"),
                            Column("Open", "Open", "short"),
                            Column("Met", "Met", "percentunit"),
                        ],
                    ),
                    listing(
                        "Processes",
                        "Up: answers Prometheus. Ready: can do its work. The name leads to the process.",
                        Query('min by (job) (up{$E,job=~"rapport-.*"})', "Up"),
                        Query('min by (job) (rapport_ready{$E,job=~"rapport-.*"})', "Ready"),
                        columns=[Column("job", "Process", link=PROCESS), Column("Up", "Up"), Column("Ready", "Ready")],
                    ),
                ],
            ),
            ("Objectives", [objective(place) for place in range(len(OBJECTIVES))]),
            (
                "Flow",
                [
                    graph(
                        "Interactions",
                        "Accepted by ingest, by platform.",
                        "cps",
                        Query(rate("rapport_ingest_interactions_accepted_total", "platform"), "{{platform}}"),
                    ),
                    percentiles(
                        "Freshness",
                        "From ingest's receipt until visible in the API.",
                        "rapport_projector_freshness_seconds",
                    ),
                ],
            ),
        ],
    )
