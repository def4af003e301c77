"""`make test-image` where it cannot try the image: it says why, and does not pass."""

import os
from pathlib import Path

import pytest

from tests.image import engine
from tests.image.__main__ import main
from tests.steps import NOT_TRIED


def test_without_root_it_says_that_nothing_was_tried(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main() == NOT_TRIED
    assert capsys.readouterr().err == "The image was NOT tried: an engine of its own needs root\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_an_engine_that_does_not_start_is_shown_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = tmp_path / "usr"
    for name, does in {"sbin/dockerd": "echo no cgroups here; exit 1", "bin/docker": "exit 1"}.items():
        program = programs / name
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o700)
    monkeypatch.setattr(engine, "programs", lambda: tmp_path)
    assert main() == NOT_TRIED
    assert capsys.readouterr().err == "The image was NOT tried: dockerd does not run here:\nno cgroups here\n"
