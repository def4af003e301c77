"""Debian's Prometheus: the installed one, or one unpacked into the cache, which needs Debian's package lists."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import httpx
import pytest
import yaml

from rapport.local import ports
from rapport.local.servers import jars
from tests.waiting import until


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


@contextmanager
def scraping(internal: Mapping[str, str], rule_file: Path, folder: Path) -> Iterator[httpx.Client]:
    """A Prometheus that scrapes every process of an installation every two seconds; a client of its API."""
    jobs = [
        {
            "job_name": f"rapport-{name}",
            "static_configs": [{"targets": [url.removeprefix("http://")], "labels": {"environment": "test"}}],
        }
        for name, url in internal.items()
    ]
    config = {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"},
        "rule_files": [str(rule_file)],
        "scrape_configs": jobs,
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = ports.usual_or_free(0)
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [
                tool("prometheus"), f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=30) as client:
            until(lambda: _answers(client), "Prometheus answers")
            yield client
    finally:
        process.terminate()
        process.wait(60)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/alerts").status_code == 200
    except httpx.TransportError:
        return False
