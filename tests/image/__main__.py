"""Builds the image and runs every service of it: `python -m tests.image`.

Exit codes: 0, all was well; 1, the image is at fault; 2, it was not tried, because an engine or a server cannot be had.
"""

import contextlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

from deploy import image, sbom
from rapport.local.errors import StackError
from rapport.local.servers.stack import Stack
from rapport.processes import PROCESSES
from tests.image.base import base
from tests.image.engine import CommandError, Engine, NoEngineError
from tests.image.installation import ImageInstallation
from tests.steps import run, step

TAG = "rapport:test"
_PACKAGES = """
import json
from importlib.metadata import distributions
print(json.dumps({each.name.lower().replace("_", "-").replace(".", "-"): each.version for each in distributions()}))
"""


def main() -> int:
    """Runs all steps."""
    return run(_steps, "The image was", "The image is", wrong=CommandError, impossible=(NoEngineError, StackError))


def _steps(folder: Path, ending: contextlib.ExitStack) -> None:
    with step("start an engine"):
        engine = ending.enter_context(Engine(folder))
    with step("get the image to build on"):
        on, instead = base(engine, folder)
        engine.check_runs(on)
    if instead is not None:
        sys.stdout.write(f"  {image.base()} cannot be pulled, so Debian's Python takes its place: {instead}\n")
    with step("build"):
        engine.docker(*image.arguments(TAG, "--network", "host", "--build-arg", f"BASE={on}"))
    with step("hold it against what it should be"):
        _check_labels(engine)
        _check_materials(engine, folder)
    with step("start Kafka and MongoDB"):
        servers = Stack(folder / "stack")
        running = servers.up(bound=True, any_port=True)
        ending.callback(servers.down)
    installation = ImageInstallation(engine, TAG, running)
    ending.callback(installation.remove)
    with step("create the topics"):
        installation.command("topics", "--replication", "1")
    with step("every service ready, confined and healthy"):
        for process in PROCESSES:
            installation.start(process)
        for process in PROCESSES:
            installation.until_ready(process)
            installation.check_confined(process)
    with step("a comment at the door is an open exchange in the API"):
        installation.open_exchange()
    with step("every service ends when asked"):
        for process in PROCESSES:
            installation.end(process)


def _check_labels(engine: Engine) -> None:
    labels = json.loads(engine.docker("inspect", "--format", "{{json .Config.Labels}}", TAG))
    wanted = {"version": version("rapport"), "revision": image.revision()}
    for name, value in wanted.items():
        assert labels.get(f"org.opencontainers.image.{name}") == value, labels
    assert engine.docker("inspect", "--format", "{{.Config.User}}", TAG) == "10001:10001"


def _check_materials(engine: Engine, folder: Path) -> None:
    """The bill of materials has what is installed, and nothing else."""
    bill = folder / "rapport.cdx.json"
    sbom.write(bill)
    said = {each["name"]: each["version"] for each in json.loads(bill.read_text())["components"]}
    run = ("run", "--rm", "--network", "none", "--entrypoint", "/opt/rapport/bin/python", TAG)
    installed = json.loads(engine.docker(*run, "-c", _PACKAGES))
    assert installed.pop("rapport") == version("rapport")
    assert said == installed, sorted(said.items() ^ installed.items())


if __name__ == "__main__":
    sys.exit(main())
