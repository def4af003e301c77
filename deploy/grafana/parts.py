"""Queries and panels that several dashboards share."""

from deploy.grafana.panels import Panel, Query, graph, number, runbooks
from deploy.prometheus.rules import OBJECTIVES


def quantile(share: float, metric: str, by: str = "", more: str = "") -> str:
    """A quantile of a histogram, by labels. `more`: matchers of labels."""
    labels = f"{by + ', ' if by else ''}le"
    each = f"rate({metric}_bucket{{$E{',' + more if more else ''}}}[$__rate_interval])"
    return f"histogram_quantile({share:g}, sum by ({labels}) ({each}))"


def rate(metric: str, by: str = "", more: str = "") -> str:
    """How much a counter grows per second, by labels."""
    inside = f"rate({metric}{{$E{',' + more if more else ''}}}[$__rate_interval])"
    return f"sum by ({by}) ({inside})" if by else f"sum({inside})"


def average(metric: str, by: str) -> str:
    """The mean of a histogram, by labels."""
    return f"{rate(f'{metric}_sum', by)} / {rate(f'{metric}_count', by)}"


def percentiles(title: str, description: str, metric: str, by: str = "", more: str = "") -> Panel:
    """A graph of a histogram's median and 99th percentile, in seconds."""
    legend = f"{{{{{by}}}}} " if by else ""
    return graph(
        title,
        description,
        "s",
        *(Query(quantile(share, metric, by, more), f"{legend}p{share * 100:g}") for share in (0.5, 0.99)),
    )


def objective(place: int) -> Panel:
    """How well an objective was kept."""
    each = OBJECTIVES[place]
    kept = f"1 - {each.record('3d')}{{$E}}"
    panel = number(
        each.name.replace("_", " ").capitalize(),
        f"Share of good events over three days. The objective is {1 - each.budget:.1%}. Bad: {each.summary}",
        "percentunit",
        kept,
        bad_below=1 - each.budget,
    )
    return runbooks(panel, each.alert)


def loop(process: str) -> Panel:
    """How late the event loop of a process is."""
    panel = graph(
        "Event loop",
        "How much later than asked for the loop came back: over a second is too little CPU, or a bug.",
        "s",
        Query(
            quantile(0.99, "rapport_event_loop_lag_seconds", "instance", f'job="rapport-{process}"'), "{{instance}} p99"
        ),
    )
    return runbooks(panel, "RapportLoopSlow")
