"""`make test-cluster` where it cannot try the manifests: it says why, and does not pass."""

from pathlib import Path

import pytest

from tests.cluster.__main__ import main
from tests.steps import NOT_TRIED


def test_without_go_it_says_that_nothing_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main() == NOT_TRIED
    assert capsys.readouterr().err == "The manifests were NOT tried: go is not on the PATH\n"


def test_programs_that_cannot_be_built_are_named_with_gos_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, does in {"go": "echo no module of that name >&2; exit 1", "kubectl": "exit 1"}.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main() == NOT_TRIED
    assert capsys.readouterr().err == "The manifests were NOT tried: go list: no module of that name\n"
