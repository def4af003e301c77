"""The rules of the house fail when they are broken, and hold for the code as it is."""

import graphlib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
MOST_MODULES = 15
BROKEN = {
    "pure-domain": ("rapport/domain/mix/labels.py", "import pymongo"),
    "contracts-below-domain": ("rapport/contracts/topics.py", "from rapport.domain import times"),
    "kit-knows-no-topic": ("rapport/kit/backoff.py", "from rapport.contracts import topics"),
    "services-from-commands": ("rapport/demo/client.py", "from services.api.http import ids"),
    "services-apart": ("services/notifier/steps.py", "from services.scorer import settings"),
    "upkeep-shows-nothing": ("services/api/calendar/upkeep.py", "from services.api.calendar import schemas"),
    "feature-borders": ("services/api/mix/service.py", "from services.api.campaigns import draws"),
}
"""For each contract a file, and an import that must not be there."""


def lint(folder: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    chosen = [part for each in contracts for part in ("--contract", each)]
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", code, "--no-logo", "--no-cache", *chosen],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("house")
    for name in ("rapport", "services", "tests/house"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tests" / "__init__.py").touch()
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_every_import_rule_holds() -> None:
    found = lint(ROOT)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("contract", sorted(BROKEN))
def test_an_import_that_breaks_a_rule_fails(copy: Path, contract: str) -> None:
    name, line = BROKEN[contract]
    file = copy / name
    before = file.read_text(encoding="utf-8")
    file.write_text(f"{before}\n{line}\n", encoding="utf-8")
    try:
        found = lint(copy, contract)
    finally:
        file.write_text(before, encoding="utf-8")
    assert found.returncode == 1, found.stdout + found.stderr
    assert "1 broken" in found.stdout


def test_every_import_rule_was_broken_once() -> None:
    ids = re.findall(r'^id = "([a-z-]+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    assert sorted(ids) == sorted(BROKEN)


def test_no_folder_has_more_modules_than_one_can_look_over() -> None:
    crowded = {}
    for folder in (path for top in ("rapport", "services") for path in (ROOT / top, *(ROOT / top).rglob("*/"))):
        modules = [each for each in folder.glob("*.py") if each.name != "__init__.py"]
        if len(modules) > MOST_MODULES:
            crowded[str(folder.relative_to(ROOT))] = len(modules)
    assert crowded == {}


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph("rapport", "services", cache_dir=None)
    graphlib.TopologicalSorter(
        {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    ).prepare()


QUERY = re.compile(r'\b(?:database|db)\["[a-z_]+"\]')
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECTOR_SIDE = next(
    contract["projector_side"]
    for contract in SETTINGS["tool"]["importlinter"]["contracts"]
    if contract["id"] == "feature-borders"
)
QUERYING = re.compile(
    rf"services/api/(?:[a-z_]+/(?:repository|{'|'.join(PROJECTOR_SIDE)})\.py|projector/.*|storage/.*"
    r"|web/(?:sessions|receipts)\.py)"
)
"""Where collections are named: in repositories and in what runs in the projector."""


def test_collections_are_named_in_repositories_and_in_upkeep_only() -> None:
    others = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "services" / "api").rglob("*.py")
        if QUERY.search(path.read_text(encoding="utf-8")) and not QUERYING.fullmatch(str(path.relative_to(ROOT)))
    }
    assert others == set()
