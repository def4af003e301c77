"""docs/settings.md has each setting of each service, with the services that read it and the defaults that it has."""

import re
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from pydantic.fields import FieldInfo

from rapport.kit.config import ServiceSettings
from rapport.processes import PROCESSES
from services.api.settings import ApiSettings, ProjectorSettings
from services.ingest.settings import IngestSettings
from services.notifier.settings import NotifierSettings
from services.scorer.settings import ScorerSettings
from tests.docs.blocks import PAGES, ROOT
from tests.docs.sources import modules, said

SETTINGS: dict[str, type[ServiceSettings]] = {
    "ingest": IngestSettings,
    "scorer": ScorerSettings,
    "notifier": NotifierSettings,
    "projector": ProjectorSettings,
    "api": ApiSettings,
}
PLATFORM = "<PLATFORM>"
VARIABLE = re.compile(r"\bRAPPORT_[A-Z][A-Z_]*[A-Z]\b")
NUMBER = r"(?:\d[\d,]*\d|\d)"
DEFAULTS = re.compile(rf"((?:{NUMBER}(?: \([a-z ]+\))?(?:, | and )?)+) by default")


class Row(NamedTuple):
    """A line of the table."""

    names: tuple[str, ...]
    services: frozenset[str]
    told: str


def table(heading: str) -> list[tuple[str, ...]]:
    """The rows of the table below a heading, without its head."""
    section = (ROOT / "docs" / "settings.md").read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return [tuple(cell.strip() for cell in row) for row in rows]


def rows() -> list[Row]:
    """The settings of the services."""
    return [
        Row(
            tuple(re.findall(r"`([^`]+)`", names)),
            frozenset(SETTINGS if services == "all" else services.split(", ")),
            told,
        )
        for names, services, told in table("Of the services")
    ]


def fits(name: str, variable: str) -> bool:
    """Whether a name of the table, which may stand for all platforms, is that of a variable."""
    pattern = re.escape(name).replace(re.escape(PLATFORM), "(?:FACEBOOK|INSTAGRAM|THREADS|YOUTUBE|LINKEDIN|TIKTOK|X)")
    return re.fullmatch(pattern, variable) is not None


def variables(service: str) -> dict[str, FieldInfo]:
    """The variables that a service reads."""
    return {f"RAPPORT_{name.upper()}": field for name, field in SETTINGS[service].model_fields.items()}


def test_every_process_is_here() -> None:
    assert set(SETTINGS) == {process.name for process in PROCESSES}


@pytest.mark.parametrize("service", SETTINGS)
def test_every_setting_of_a_service_has_a_row_that_names_the_service(service: str) -> None:
    told = [name for row in rows() if service in row.services for name in row.names]
    assert {each for each in variables(service) if not any(fits(name, each) for name in told)} == set()


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.names[0])
def test_every_service_of_a_row_reads_its_variables(row: Row) -> None:
    for service in row.services:
        for name in row.names:
            assert any(fits(name, each) for each in variables(service)), (service, name)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.names[0])
def test_a_number_that_is_called_a_default_is_one(row: Row) -> None:
    clauses = DEFAULTS.findall(re.sub(r"`[^`]*`", "", row.told))
    said = {Decimal(number.replace(",", "")) for clause in clauses for number in re.findall(NUMBER, clause)}
    has = {
        Decimal(str(default))
        for service in row.services
        for name, field in variables(service).items()
        if any(fits(each, name) for each in row.names) and _is_number(default := field.default)
    }
    assert said == has


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def test_every_variable_that_a_page_names_is_read_somewhere() -> None:
    read = {name for service in SETTINGS for name in variables(service)}
    read |= {name for string in said() for name in VARIABLE.findall(string)}
    named = {page: set(VARIABLE.findall((ROOT / page).read_text())) - read for page in PAGES if page != "CHANGELOG.md"}
    assert {page: names for page, names in named.items() if names} == {}


def test_every_variable_that_only_commands_read_is_told() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    read = {name for service in SETTINGS for name in variables(service)}
    folders = ("rapport/commands", "rapport/local", "services/imports")
    found = {
        name
        for path in modules()
        if str(path.relative_to(ROOT)).startswith(folders)
        for name in re.findall(r'"(RAPPORT_[A-Z_]+)"', path.read_text())
    }
    assert {name for name in found - read if f"`{name}`" not in page} == set()
