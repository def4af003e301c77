"""What the dashboards are made of. In queries `$E` stands for the matcher of the chosen environment."""

from collections.abc import Sequence
from typing import NamedTuple

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders.common import ReduceDataOptions, VizLegendOptions
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    DataSourceRef,
    LegendDisplayMode,
    LegendPlacement,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLink,
    DashboardLinkType,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")
TAG = "rapport"
ENVIRONMENT = 'environment=~"$environment"'
HEIGHT, HALF, QUARTER, WHOLE = 8, 12, 6, 24

Panel = timeseries.Panel | stat.Panel | table.Panel


class Query(NamedTuple):
    """PromQL and what its series are called."""

    expression: str
    legend: str = ""


class Column(NamedTuple):
    """A column of a table. `link` is the path of a dashboard."""

    label: str
    title: str
    unit: str = ""
    link: str = ""


def _target(query: Query, place: int) -> prometheus.Dataquery:
    made = prometheus.Dataquery().datasource(SOURCE).expr(query.expression.replace("$E", ENVIRONMENT))
    return made.legend_format(query.legend or "__auto").ref_id(_letter(place))


def _letter(place: int) -> str:
    """How Grafana tells a panel's queries apart."""
    return chr(ord("A") + place)


def _steps(*limits: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    steps = [Threshold(value=value, color=color) for value, color in limits]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def graph(title: str, description: str, unit: str, *queries: Query, width: int = HALF) -> timeseries.Panel:
    """Lines over time."""
    panel = timeseries.Panel().title(title).description(description).unit(unit).datasource(SOURCE)
    panel = panel.height(HEIGHT).span(width).fill_opacity(8).line_width(1).min(0)
    legend = VizLegendOptions().display_mode(LegendDisplayMode.TABLE).placement(LegendPlacement.BOTTOM)
    panel = panel.legend(legend.show_legend(True).calcs(["lastNotNull", "max"]))
    for place, query in enumerate(queries):
        panel = panel.with_target(_target(query, place).range())
    return panel


def number(
    title: str,
    description: str,
    unit: str,
    query: str,
    *,
    bad_from: float | None = None,
    bad_below: float | None = None,
) -> stat.Panel:
    """One number as it is now, red from or below a limit."""
    panel = stat.Panel().title(title).description(description).unit(unit).datasource(SOURCE)
    panel = panel.height(4).span(QUARTER).graph_mode(BigValueGraphMode.AREA).no_value("none")
    panel = panel.reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
    if bad_from is not None:
        panel = panel.color_mode(BigValueColorMode.VALUE).thresholds(_steps((None, "green"), (bad_from, "red")))
    if bad_below is not None:
        panel = panel.color_mode(BigValueColorMode.VALUE).thresholds(_steps((None, "red"), (bad_below, "green")))
    return panel.with_target(_target(Query(query), 0).range())


def listing(title: str, description: str, *queries: Query, columns: Sequence[Column], width: int = HALF) -> table.Panel:
    """A table of what is now: a row for each set of labels, a column for each query, called by its legend."""
    panel = table.Panel().title(title).description(description).datasource(SOURCE).height(HEIGHT + 2).span(width)
    for place, query in enumerate(queries):
        panel = panel.with_target(_target(query, place).instant().format(PromQueryFormat.TABLE))
    names = {f"Value #{_letter(place)}": query.legend for place, query in enumerate(queries)}
    if len(queries) == 1:
        names["Value"] = queries[0].legend
    panel = panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    renamed = {**names, **{each.label: each.title for each in columns if each.label not in names.values()}}
    hidden = {"Time": True, "__name__": True}
    panel = panel.with_transformation(
        DataTransformerConfig(id_val="organize", options={"excludeByName": hidden, "renameByName": renamed})
    )
    for each in columns:
        properties = [DynamicConfigValue(id_val="unit", value=each.unit)] if each.unit else []
        if each.link:
            link = {"title": f"Open {each.title.lower()}", "url": each.link}
            properties.append(DynamicConfigValue(id_val="links", value=[link]))
        if properties:
            panel = panel.override_by_name(each.title, properties)
    return panel


def runbooks(panel: Panel, *alerts: str) -> Panel:
    """Adds links to the runbooks of alerts. The dashboard's variable `docs` says where they are."""
    links: list[Builder[DashboardLink]] = [
        dashboard.DashboardLink(f"Runbook: {each}").type(DashboardLinkType.LINK).url(f"$docs/docs/runbooks/{each}.md")
        for each in alerts
    ]
    return panel.links(links)


def page(uid: str, title: str, description: str, *, by_brand: bool = False) -> dashboard.Dashboard:
    """An empty dashboard with its variables, links to the others, and annotations of deployments."""
    found = dashboard.Dashboard(title).uid(uid).description(description).tags([TAG]).readonly()
    found = found.timezone("browser").time("now-6h", "now").refresh("30s").tooltip(DashboardCursorSync.CROSSHAIR)
    found = found.with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    found = found.with_variable(
        dashboard.QueryVariable("environment")
        .label("Environment")
        .datasource(SOURCE)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .query("label_values(rapport_build_info, environment)")
    )
    if by_brand:
        found = found.with_variable(
            dashboard.QueryVariable("brand")
            .label("Brand")
            .datasource(SOURCE)
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .query('label_values(rapport_open_exchanges{environment=~"$environment"}, brand)')
        )
    docs = dashboard.TextBoxVariable("docs").label("Address of the docs").default_value("..")
    found = found.with_variable(docs)
    others = dashboard.DashboardLink("Rapport").type(DashboardLinkType.DASHBOARDS).tags([TAG]).as_dropdown(True)
    found = found.link(others.include_vars(True).keep_time(True))
    running = f"rapport_build_info{{{ENVIRONMENT}}}"
    new = f"count by (version) ({running}) unless count by (version) ({running} offset 5m)"
    deployed = dashboard.AnnotationQuery().name("Deployments").datasource(SOURCE).enable(True).icon_color("blue")
    return found.annotation(deployed.expr(new).title_format("{{version}} is here"))


def filled(board: dashboard.Dashboard, rows: Sequence[tuple[str, Sequence[Panel]]]) -> dashboard.Dashboard:
    """The dashboard with rows of panels."""
    for title, panels in rows:
        board = board.with_row(dashboard.Row(title))
        for panel in panels:
            board = board.with_panel(panel)
    return board
