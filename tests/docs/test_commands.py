"""Every command that a page or a message tells people to type is there, with its options and arguments."""

import re
import shlex
from functools import cache
from typing import Any

import pytest
import yaml
from typer._click.exceptions import BadOptionUsage, ClickException, MissingParameter
from typer.main import get_command

from rapport.cli import app
from rapport.processes import PROCESSES
from tests.docs.blocks import PAGES, ROOT, Command, commands, lines, named, spans
from tests.docs.sources import FILLED_IN, FOLDERS, modules, strings, templates

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))
VARIABLES = set(re.findall(r"\$\(([A-Z]+)\)", MAKEFILE))
MAKE = re.compile(r"(?:^|; |&& )(?:\$ )?make ([a-z][a-z-]*)((?: [A-Z]+=\S+)*)")
MODULE = re.compile(rf"\bpython -m ((?:{'|'.join(FOLDERS)}|tests)[\w.]*)")
WORKLOAD = re.compile(r"\b(deployment|statefulset)/([a-z]+)\b")
COMPONENT = re.compile(r"app\.kubernetes\.io/component=([a-z]+)")
OF_BEFORE = {("docs/kubernetes.md", ("deployment", "ingest"))}
"""What only an older version has, and people are told to leave behind."""


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option that has to be given is not there because of the person who runs the tests."""
    monkeypatch.delenv("RAPPORT_KAFKA", raising=False)


@cache
def root() -> Any:
    """The `rapport` command."""
    return get_command(app)


def refusal(command: Command) -> str | None:
    """Why the command line would not be taken; None if it would. Runs nothing."""
    words = shlex.split(command.words.replace("…", ""), comments=True)
    here = root()
    while words and hasattr(here, "commands"):
        if words[0] == FILLED_IN:
            return None
        if words[0].startswith("-"):
            break
        if words[0] not in here.commands:
            return f"there is no {words[0]}"
        here = here.commands[words.pop(0)]
    if hasattr(here, "commands"):
        known = {option for parameter in here.params for option in parameter.opts} | {"--help"}
        return None if known.issuperset(words) and (words or not command.whole) else "it is not complete"
    if "--help" in words:
        return None
    try:
        here.make_context(here.name, words)
    except (BadOptionUsage, MissingParameter) as error:
        return error.format_message() if command.whole else None
    except ClickException as error:
        return error.format_message()
    return None


@pytest.mark.parametrize(
    ("words", "whole", "fine"),
    [
        ("verify --keep DIR", True, True),
        ("verify --no-such", True, False),
        ("verify --settle soon", True, False),
        ("verify acme", True, False),
        ("unverify", True, False),
        ("topics --kafka BROKER", True, False),
        ("topics --kafka BROKER", False, True),
        ("topics --kafka BROKER --replication 3", True, True),
        ("dlt", False, True),
        ("dlt", True, False),
        ("dlt replay LETTER...", True, True),
    ],
)
def test_what_cannot_be_typed_is_found(words: str, whole: bool, fine: bool) -> None:
    assert (refusal(Command(words, whole)) is None) is fine


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_the_documentation_can_be_typed(page: str) -> None:
    refused = {command.words: why for command in commands(page) if (why := refusal(command)) is not None}
    assert refused == {}


def test_every_command_that_a_message_names_can_be_typed() -> None:
    said = {path: strings(path) for path in modules()} | {path: (path.read_text(),) for path in templates()}
    refused = {
        (str(path.relative_to(ROOT)), command.words): why
        for path, texts in said.items()
        for text in texts
        for command in named(text)
        if (why := refusal(command)) is not None
    }
    assert refused == {}


@pytest.mark.parametrize("page", PAGES)
def test_every_target_of_make_and_every_module_exists(page: str) -> None:
    for typed in (*lines(page), *spans(page)):
        for target, given in MAKE.findall(typed):
            assert target in TARGETS, f"make {target}"
            assert {each.partition("=")[0] for each in given.split()} <= VARIABLES, f"make {target}{given}"
        for module in MODULE.findall(typed):
            path = ROOT / module.rstrip(".").replace(".", "/")
            assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), f"python -m {module}"


def test_the_first_pages_name_targets_of_make() -> None:
    for page in ("README.md", "CONTRIBUTING.md"):
        assert any(MAKE.search(line) for line in lines(page)), page


def test_every_workload_of_a_command_for_kubernetes_exists() -> None:
    there = {
        (each["kind"].lower(), each["metadata"]["name"])
        for file in (ROOT / "deploy" / "k8s" / "base").glob("*.yaml")
        for each in yaml.safe_load_all(file.read_text())
        if each["kind"] in ("Deployment", "StatefulSet")
    }
    for page in PAGES:
        text = (ROOT / page).read_text()
        assert {found for found in WORKLOAD.findall(text) if (page, found) not in OF_BEFORE} <= there, page
        assert set(COMPONENT.findall(text)) <= {process.name for process in PROCESSES}, page
