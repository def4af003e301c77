"""Builds the image with the engine of this machine: `python -m deploy.image`."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]


def base() -> str:
    """The image that ours is built on, as the Dockerfile names it."""
    (found,) = re.findall(r"^ARG BASE=(.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return str(found)


def arguments(tag: str, *options: str) -> list[str]:
    """The arguments of `docker` that build it from this source, with its revision as a label.

    Source that differs from its revision gets no such label: nobody could build it again from that.
    """
    at = revision()
    label = ["--label", f"org.opencontainers.image.revision={at}"] if at else []
    return ["build", *label, *options, "--tag", tag, str(ROOT)]


def revision() -> str | None:
    """The commit of this source; None if it was changed since, or is in no repository."""
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return _git("rev-parse", "HEAD") if changed == "" else None


def _git(*command: str) -> str | None:
    try:
        done = subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(subprocess.run(["docker", *arguments(f"rapport:{version('rapport')}")], check=False).returncode)
