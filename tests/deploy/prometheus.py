"""Debian's Prometheus: the installed one, or one unpacked into the cache, which needs Debian's package lists."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from rapport.local.servers import jars


@cache
def tool(name: str) -> str:
    """The path of `prometheus` or `promtool`. Skips the test where there is none and apt-get brings none."""
    installed = shutil.which(name)
    if installed:
        return installed
    folder = jars.cache() / "prometheus"
    unpacked = folder / "usr" / "bin" / name
    if not unpacked.exists():
        _fetch(folder)
    return str(unpacked)


def _fetch(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for command in (["apt-get", "update"], ["apt-get", "download", "prometheus"]):
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        except FileNotFoundError:
            pytest.skip("prometheus is not installed, and this is no Debian to take it from")
        if done.returncode != 0 and command[1] == "download":
            pytest.skip(f"prometheus is not installed and cannot be had: {done.stderr.strip()[-300:]}")
    for package in folder.glob("prometheus_*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(folder)], check=True)
        package.unlink()
