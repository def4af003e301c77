"""The image that ours is built on: pulled, or Debian's Python in its place."""

import shutil
import subprocess
from pathlib import Path

from deploy import image
from tests.image.engine import CommandError, Engine, NoEngineError

STAND_IN = "rapport-test-base"
PULL_SECONDS = 180.0
_SUITE = "bookworm"
_PACKAGES = "python3.11,python3.11-venv,python3-pip,ca-certificates"
_PIP_SETTINGS = ("etc/pip.conf", "etc/ssl/certs/ca-certificates.crt")
"""How pip comes out of this machine, where it has such settings."""


def base(engine: Engine, folder: Path) -> tuple[str, str | None]:
    """The name of an image to build on, and, if it is a stand-in, why. Raises NoEngineError if there is neither."""
    wanted = image.base()
    try:
        engine.docker("pull", wanted, seconds=PULL_SECONDS)
    except CommandError as error:
        _imported(engine, folder / "base")
        return STAND_IN, str(error).splitlines()[-1]
    return wanted, None


def _imported(engine: Engine, root: Path) -> None:
    """Makes a Debian with the commands that the official image has: `python` and `pip`, free to install."""
    shared = engine.programs / "usr" / "share" / "debootstrap"
    command = [str(engine.programs / "usr" / "sbin" / "debootstrap"), "--variant=minbase", f"--include={_PACKAGES}"]
    made = subprocess.run(
        [*command, _SUITE, str(root)],
        env={**engine.environment, "DEBOOTSTRAP_DIR": str(shared)},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise NoEngineError(f"debootstrap makes no {_SUITE} here: {(made.stdout + made.stderr).strip()[-500:]}")
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3.11")
    (root / "usr/lib/python3.11/EXTERNALLY-MANAGED").unlink()
    for each in _PIP_SETTINGS:
        if (Path("/") / each).exists():
            shutil.copyfile(Path("/") / each, root / each)
    archive = root.with_suffix(".tar")
    subprocess.run(["tar", "--create", "--file", str(archive), "--directory", str(root), "."], check=True)
    engine.docker("import", str(archive), STAND_IN)
    archive.unlink()
    shutil.rmtree(root)
