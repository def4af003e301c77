"""Whatever platforms and files say is read or refused: what was found once, and a short run from the same beginning."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.ingest.connectors.platforms import CAPABILITIES
from tests.deliveries import ASKED, HOOKS
from tests.fuzz.targets import TARGETS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RUNS = 400
"""Inputs of each target: some half a minute on two cores."""


def regressions(name: str) -> list[Path]:
    return sorted((HERE / "regressions" / name).glob("*"))


def test_each_platform_that_is_read_has_a_target_and_each_way_of_reading_it() -> None:
    for platform in CAPABILITIES:
        assert any(name == platform or name.startswith(f"{platform}-") for name in TARGETS), platform
    assert set(HOOKS) | {f"mastodon-{kind}" for kind in ASKED} <= set(TARGETS)
    kept = {folder.name for folder in (HERE / "regressions").iterdir() if folder.is_dir()}
    assert kept <= set(TARGETS), "what was found of a target that is gone"


@pytest.mark.parametrize("name", TARGETS)
def test_it_holds_of_every_recorded_example_and_of_what_was_found_once(name: str) -> None:
    target = TARGETS[name]()
    for seed in target.seeds:
        target.check(seed)
    for file in regressions(name):
        target.check(file.read_bytes())


def fuzzed(*arguments: str, program: tuple[str, ...] = ("-m", "tests.fuzz")) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *program, *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_a_short_run_finds_nothing(tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    done = fuzzed("--runs", str(RUNS), "--corpus", str(tmp_path))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.count(f": {RUNS} inputs, 0 found") == len(TARGETS), done.stdout


PLANTED = """
from pathlib import Path
import sys
import atheris
from tests.fuzz import guided
from tests.fuzz.targets import Target

@atheris.instrument_func
def check(data: bytes) -> None:
    if data[:1] == b"F":
        if data[1:2] == b"O":
            raise ValueError("the fault that was planted")

target = Target(check, [b"abcdef"], is_json=False)
made = guided.fuzz("planted", lambda: target, Path(sys.argv[1]), limits=["-runs=200000"], seed=1)
print(len(made.found), "the fault that was planted" in made.said)
"""


@pytest.mark.long
def test_a_planted_fault_is_found_and_kept(tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    done = fuzzed(str(tmp_path), program=("-c", PLANTED))
    assert done.stdout.strip().endswith("1 True"), f"{done.stdout}\n{done.stderr}"
    (found,) = (tmp_path / "planted").glob("found-*")
    assert found.read_bytes().startswith(b"FO")
