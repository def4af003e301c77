"""Builds the image and runs every service of it: `python -m tests.image`.

Exit codes: 0, all was well; 1, the image is at fault; 2, it was not tried, because an engine or a server cannot be had.
"""

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from deploy import image, sbom
from rapport.local.errors import StackError
from rapport.local.servers.stack import Stack
from rapport.processes import PROCESSES
from tests.image.base import base
from tests.image.engine import CommandError, Engine, NoEngineError
from tests.image.installation import ImageInstallation

TAG = "rapport:test"
AT_FAULT, NOT_TRIED = 1, 2
_PACKAGES = """
import json
from importlib.metadata import distributions
print(json.dumps({each.name.lower().replace("_", "-").replace(".", "-"): each.version for each in distributions()}))
"""


def main() -> int:
    """Runs all steps, each of which is told as it ends, with the seconds it took."""
    try:
        # Short, for the socket's sake.
        with tempfile.TemporaryDirectory(prefix="rapport-") as name, contextlib.ExitStack() as ending:
            _steps(Path(name), ending)
    except (NoEngineError, StackError) as reason:
        sys.stderr.write(f"The image was NOT tried: {reason}\n")
        return NOT_TRIED
    except (AssertionError, CommandError) as error:
        sys.stderr.write(f"The image is at fault: {error}\n")
        return AT_FAULT
    sys.stdout.write("The image is fine.\n")
    return 0


def _steps(folder: Path, ending: contextlib.ExitStack) -> None:
    with _step("start an engine"):
        engine = ending.enter_context(Engine(folder))
    with _step("get the image to build on"):
        on, instead = base(engine, folder)
        engine.check_runs(on)
    if instead is not None:
        sys.stdout.write(f"  {image.base()} cannot be pulled, so Debian's Python takes its place: {instead}\n")
    with _step("build"):
        engine.docker(*image.arguments(TAG, "--network", "host", "--build-arg", f"BASE={on}"))
    with _step("hold it against what it should be"):
        _check_labels(engine)
        _check_materials(engine, folder)
    with _step("start Kafka and MongoDB"):
        servers = Stack(folder / "stack")
        running = servers.up(bound=True, any_port=True)
        ending.callback(servers.down)
    installation = ImageInstallation(engine, TAG, running)
    ending.callback(installation.remove)
    with _step("create the topics"):
        installation.command("topics", "--replication", "1")
    with _step("every service ready, confined and healthy"):
        for process in PROCESSES:
            installation.start(process)
        for process in PROCESSES:
            installation.until_ready(process)
            installation.check_confined(process)
    with _step("a comment at the door is an open exchange in the API"):
        installation.open_exchange()
    with _step("every service ends when asked"):
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


@contextlib.contextmanager
def _step(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    sys.stdout.write(f"{what}: {time.monotonic() - began:.0f} s\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
