"""`rapport up` as a person runs it: one real process that keeps five services, a broker and a database."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from typer.testing import CliRunner, Result

from rapport.cli import app
from rapport.contracts.topics import CATALOGUE
from rapport.kit import mongo
from rapport.kit.broker.kafka_login import KafkaLogin
from rapport.kit.broker.kafka_topics import missing_topics
from rapport.local import child
from rapport.local.service import delay_seconds
from rapport.processes import PROCESSES
from tests.local.test_private_files import open_to_others
from tests.waiting import until

pytestmark = pytest.mark.e2e

RAPPORT = [sys.executable, "-m", "rapport.cli"]
SERVICES = {process.name for process in PROCESSES}
HEALTH = Path(__file__).parents[2] / "docs" / "health.md"


@dataclass
class Up:
    """A running `rapport up --json`, and the line that it printed."""

    process: subprocess.Popen[str]
    data: Path
    line: dict[str, Any]

    def status(self) -> dict[str, Any]:
        """What `rapport status --json` says now."""
        said = here("status", "--json", "--data", str(self.data))
        assert said.exit_code == 0, said.stderr
        line: dict[str, Any] = json.loads(said.stdout)
        return line


def rapport(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    return subprocess.run(
        [*RAPPORT, *arguments], capture_output=True, text=True, timeout=120, env={**_environment(), **environment}
    )


def here(*arguments: str, **environment: str) -> Result:
    """The same within this process, for commands that only ask; an interpreter's start takes longer than they do."""
    return CliRunner().invoke(app, arguments, env=environment)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Up]]:
    """Starts `rapport up --json` on a folder; all are ended after the module."""
    processes = []

    def start(data: Path) -> Up:
        process = subprocess.Popen(
            [*RAPPORT, "up", "--json", "--data", str(data)],
            stdout=subprocess.PIPE,
            stderr=(data.parent / "up.log").open("w"),
            text=True,
            env=_environment(),
        )
        processes.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (data.parent / "up.log").read_text()
        return Up(process, data, json.loads(line))

    yield start
    for process in processes:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def up(start: Callable[[Path], Up], tmp_path_factory: pytest.TempPathFactory) -> Up:
    """One installation for all tests of the module."""
    return start(tmp_path_factory.mktemp("up") / "data")


def login_of(line: dict[str, Any]) -> KafkaLogin:
    """The login of Kafka's clients, as a line of JSON has it."""
    return KafkaLogin.of(line["kafka_user"], line["kafka_password"])


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_the_line_has_every_address_the_key_and_every_pid_and_all_are_ready(up: Up) -> None:
    login = {"kafka_user", "kafka_password"}
    named = {"api", "ingest", "portal", "kafka", "mongodb", "admin_key", "pids", "internal", "breach_grace_seconds"}
    assert set(up.line) == named | login
    assert set(up.line["pids"]) == SERVICES | {"kafka", "mongodb"}
    assert set(up.line["internal"]) == SERVICES
    assert all(is_ready(url) for url in up.line["internal"].values())
    assert missing_topics(up.line["kafka"], CATALOGUE, login_of(up.line)) == set()
    assert up.status() == up.line


def test_every_metric_that_the_docs_name_is_served_by_the_process_that_they_name(up: Up) -> None:
    served = {name: httpx.get(f"{url}/metrics").text for name, url in up.line["internal"].items()}
    table = HEALTH.read_text().partition("| process | metrics to watch |")[2].partition("\n\n")[0]
    found = 0
    for row in table.splitlines()[2:]:
        processes, metrics = row.strip("| ").split(" | ")
        for process in SERVICES if processes == "all" else processes.split(", "):
            for name in re.findall(r"`(rapport_|…_)(\w+)`", metrics):
                metric = f"rapport_{process}_{name[1]}" if name[0] == "…_" else "".join(name)
                if (metric, process) != ("rapport_event_loop_lag_seconds", "projector"):
                    assert f"# TYPE {metric} " in served[process], (process, metric)
                    found += 1
    assert found > 40


def test_the_admin_key_is_kept_where_only_its_owner_reads_it(up: Up) -> None:
    for name in ("admin_key", "installation.json"):
        assert stat.S_IMODE((up.data / name).stat().st_mode) == 0o600
    assert (up.data / "admin_key").read_text() == up.line["admin_key"]
    assert up.line["admin_key"].startswith("rp_local_")


def test_nothing_that_an_installation_keeps_is_open_to_others(up: Up) -> None:
    assert open_to_others(up.data) == []


def test_no_password_is_on_a_command_line_or_in_a_log(up: Up) -> None:
    shown = [" ".join(psutil.Process(pid).cmdline()) for pid in up.status()["pids"].values()]
    shown += [path.read_text(errors="replace") for path in (up.data / "logs").iterdir()]
    secrets = [path.read_text() for path in (up.data / "secrets").iterdir() if path.name != "kafka_user"]
    assert len(secrets) == 4
    secrets.append(up.line["admin_key"])
    assert [secret for secret in secrets if any(secret in text for text in shown)] == []


def test_brands_accounts_and_keys_are_made_and_listed_on_the_command_line(up: Up) -> None:
    place = ("--json", "--data", str(up.data))
    brand = here("brands", "add", "museum", "--name", "The Museum", "--timezone", "Europe/Berlin", *place)
    assert brand.exit_code == 0, brand.stderr
    assert [each["id"] for each in json.loads(here("brands", "list", *place).stdout)] == ["museum"]
    desk = ("--platform", "desk", "--handle", "museum", "--staff", "mira")
    account = here("accounts", "add", "museum", "museum-desk", *desk, *place)
    assert json.loads(account.stdout)["door_secret"]
    assert "museum-desk" in here("accounts", "list", "museum", "--data", str(up.data)).stdout
    key = json.loads(here("keys", "add", "Mira", "--brands", "museum", "--scopes", "read", *place).stdout)["key"]
    elsewhere = {"RAPPORT_API_URL": up.line["api"], "RAPPORT_KEY": key}
    assert [each["name"] for each in json.loads(here("brands", "list", "--json", **elsewhere).stdout)] == ["The Museum"]
    assert json.loads(here("accounts", "list", "museum", *place).stdout)[0]["staff"] == ["mira"]
    rotated = json.loads(here("accounts", "rotate-secret", "museum", "museum-desk", *place).stdout)
    assert rotated["door_secret"] != json.loads(account.stdout)["door_secret"]
    assert rotated["old_secret_until"]
    ended = here("accounts", "disconnect", "museum", "museum-desk", "--data", str(up.data))
    assert ended.stdout.startswith("disconnected museum-desk at ")
    assert json.loads(here("accounts", "list", "museum", *place).stdout) == []
    refused = here("keys", "list", **elsewhere)
    assert refused.exit_code == 1
    assert "scope 'admin'" in refused.stderr
    (mira,) = [one["id"] for one in json.loads(here("keys", "list", *place).stdout) if one["name"] == "Mira"]
    assert here("keys", "revoke", mira, "--data", str(up.data)).stdout == f"revoked {mira}\n"
    locked_out = here("brands", "list", **elsewhere)
    assert (locked_out.exit_code, "unknown, expired or revoked" in locked_out.stderr) == (1, True)


def test_a_second_one_on_the_same_folder_is_refused(up: Up) -> None:
    second = rapport("up", "--data", str(up.data))
    assert second.returncode == 1
    assert "runs on" in second.stderr
    assert up.status() == up.line


def test_its_servers_are_not_ended_by_stack_down(up: Up) -> None:
    refused = here("stack", "down", "--data", str(up.data))
    assert refused.exit_code == 1
    assert "rapport up" in refused.stderr


def test_a_killed_service_is_started_again_at_the_same_address(up: Up) -> None:
    before = up.status()["pids"]["ingest"]
    os.kill(before, signal.SIGKILL)
    until(lambda: up.status()["pids"].get("ingest", before) != before, "another ingest")
    until(lambda: is_ready(up.line["internal"]["ingest"]), "ingest to be ready")


def test_a_killed_broker_and_database_are_started_again_at_the_same_address(up: Up) -> None:
    before = up.status()["pids"]
    for name in ("kafka", "mongodb"):
        os.kill(before[name], signal.SIGKILL)
    until(
        lambda: all(up.status()["pids"].get(name, before[name]) != before[name] for name in ("kafka", "mongodb")),
        "another broker and database",
    )
    now = up.status()
    assert (now["kafka"], now["mongodb"]) == (up.line["kafka"], up.line["mongodb"])
    assert missing_topics(now["kafka"], CATALOGUE, login_of(now)) == set()
    with mongo.client(now["mongodb"]) as client:
        assert client.admin.command("hello")["isWritablePrimary"]


def test_ctrl_c_ends_everything_in_order_with_code_0_and_it_starts_again_on_its_data(
    up: Up, start: Callable[[Path], Up]
) -> None:
    pids = up.status()["pids"]
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(60) == 0
    assert not [name for name, pid in pids.items() if psutil.pid_exists(pid)]
    stopped = here("status", "--json", "--data", str(up.data))
    assert (stopped.exit_code, stopped.stdout) == (1, "")
    again = start(up.data)
    assert again.line["admin_key"] == up.line["admin_key"]
    addresses = ("api", "ingest", "portal", "kafka", "mongodb", "internal")
    assert {name: again.line[name] for name in addresses} == {name: up.line[name] for name in addresses}
    brands = here("brands", "list", "--json", "--data", str(up.data))
    assert [each["id"] for each in json.loads(brands.stdout)] == ["museum"]
    # Even by kill -9, which leaves it no time to end anything.
    children = [child.Child(pid, child.birth(pid) or "") for pid in again.line["pids"].values()]
    again.process.kill()
    until(lambda: not any(each.alive() for each in children), "the end of what it had started")


def test_a_service_that_cannot_start_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    failed = rapport("up", "--json", "--data", str(tmp_path), RAPPORT_ADMIN_KEY="not a key")
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert "api ends each time it is started" in failed.stderr
    assert "RAPPORT_ADMIN_KEY is not a valid key" in failed.stderr


def test_the_delay_before_another_start_doubles_up_to_ten_seconds() -> None:
    assert [delay_seconds(failures) for failures in (1, 2, 3, 4, 5, 6, 60)] == [0.5, 1, 2, 4, 8, 10, 10]
