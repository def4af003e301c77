"""What `rapport verify` is asked to do, by its options and by the installation that runs."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rapport.cli import app
from rapport.local import running_installation
from rapport.local.running_installation import RunningInstallation
from services.verify.app import Wanted


@pytest.mark.parametrize(
    ("noted", "given", "grace"),
    [(4.0, (), 4.0), (4.0, ("--grace", "7"), 7.0), (0.0, (), 0.0), (None, (), 120.0), (None, ("--grace", "7"), 7.0)],
)
def test_the_grace_is_that_of_the_installation_unless_another_is_named(
    noted: float | None, given: tuple[str, ...], grace: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Wanted] = []

    def verified(wanted: Wanted, _tell: object) -> int:
        asked.append(wanted)
        return 0

    monkeypatch.setattr("services.verify.app.verify", verified)
    monkeypatch.delenv("RAPPORT_BREACH_GRACE_SECONDS", raising=False)
    addresses = ("http://a:1", "http://i:2", "http://a:1/", "k:3", "mongodb://m")
    running_installation.note(tmp_path, RunningInstallation(*addresses, "rp_admin", {}, breach_grace_seconds=noted))
    assert CliRunner().invoke(app, ["verify", "--data", str(tmp_path), *given]).exit_code == 0
    assert [each.grace for each in asked] == [grace]
