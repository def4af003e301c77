"""Whatever is wrong, every command says it in one sentence, at once, and ends with a code other than 0."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner, Result

from rapport.cli import app
from rapport.processes import PROCESSES

AT_ONCE_SECONDS = 180
"""A person would say at once of a second or two; a busy machine of CI takes many times as long."""

ARGUMENTS: dict[str, tuple[str, ...]] = {
    "up": (),
    "status": (),
    "demo": (),
    "watch": ("nobody.example",),
    "topics": ("--kafka", "127.0.0.1:1", "--replication", "1"),
    "verify": (),
    "backup": ("backup",),
    "restore": ("backup", "--yes"),
    "rebuild": ("--yes",),
    "erase": ("museum", "bluesky", "did:plc:ada", "--yes"),
    "import": ("museum", "museum-desk", "comments.csv"),
    "stack up": (),
    "stack down": (),
    "stack status": (),
    "brands add": ("museum", "--name", "The Museum", "--timezone", "Europe/Berlin"),
    "brands list": (),
    "accounts add": ("museum", "museum-desk", "--platform", "desk", "--handle", "museum"),
    "accounts change": ("museum", "museum-desk", "--handle", "museum"),
    "accounts check": ("museum",),
    "accounts cost": ("museum",),
    "accounts disconnect": ("museum", "museum-desk"),
    "accounts rotate-secret": ("museum", "museum-desk"),
    "accounts list": ("museum",),
    "keys add": ("Mira",),
    "keys list": (),
    "keys revoke": ("abc",),
    "positions list": (),
    "positions accept": ("--yes",),
    "secrets key": ("2027",),
    "secrets seal": (),
    "doctor": (),
    "partitions": ("12", "--yes"),
    "dlt list": (),
    "dlt show": ("rapport.conversations.v1.rapport-scorer.dlt:0:0",),
    "dlt replay": ("rapport.conversations.v1.rapport-scorer.dlt:0:0", "--yes"),
    **{process.name: () for process in PROCESSES},
}
"""Good arguments of each command: what it needs to get as far as its surroundings."""
PROGRESS = ("kafka: ", "mongodb: ")
"""What `up` says while it starts."""
OF_KAFKA = [name for name in ARGUMENTS if name.split()[0] in ("positions", "dlt", "partitions")]
OF_THE_API = [name for name in ARGUMENTS if name.split()[0] in ("brands", "accounts", "keys", "erase", "import")]


def leaves(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every command that does something, with its words."""
    if hasattr(command, "commands"):
        for word, inside in command.commands.items():
            yield from leaves(inside, f"{name} {word}".strip())
    else:
        yield name, command


COMMANDS = dict(leaves(get_command(app)))


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests, and a folder without an installation."""
    for name in os.environ:
        if name.startswith("RAPPORT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def run(*words: str) -> Result:
    """Runs a command within this process."""
    return CliRunner().invoke(app, words)


def one_sentence(result: Result) -> str:
    """What it said, having checked that it is one sentence and no success."""
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code not in (0, None), result.output
    return _checked(result.stderr)


def _checked(said: str) -> str:
    lines = [line for line in said.strip().splitlines() if not line.startswith(PROGRESS)]
    assert len(lines) == 1, said
    assert lines[0].startswith("rapport: "), said
    assert "Traceback" not in said
    assert "╭" not in said
    assert len(lines[0]) > len("rapport: ") + 10, said
    return lines[0]


def test_every_command_is_here() -> None:
    assert set(COMMANDS) == set(ARGUMENTS)


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_that_is_not_there(name: str) -> None:
    said = one_sentence(run(*name.split(), *ARGUMENTS[name], "--no-such-option"))
    assert "--no-such-option" in said
    assert f"`rapport {name} --help`" in said


@pytest.mark.parametrize("name", COMMANDS)
def test_one_argument_too_many(name: str) -> None:
    one_sentence(run(*name.split(), *ARGUMENTS[name], "one-too-many"))


@pytest.mark.parametrize("name", [name for name, one in COMMANDS.items() if any(each.required for each in one.params)])
def test_a_missing_argument(name: str) -> None:
    assert "Missing" in one_sentence(run(*name.split()))


@pytest.mark.parametrize("name", ["", "stack", "brands", "accounts", "keys", "positions", "dlt"])
def test_a_command_that_is_not_there(name: str) -> None:
    assert "'nonsense'" in one_sentence(run(*name.split(), "nonsense"))


@pytest.mark.parametrize(
    "name",
    [
        *OF_THE_API,
        *OF_KAFKA,
        "status",
        "verify",
        "doctor",
        "backup",
        "restore",
        "rebuild",
        "stack status",
        "stack down",
    ],
)
def test_a_folder_on_which_nothing_runs(name: str, tmp_path: Path) -> None:
    if name == "stack down":  # nothing to end is no failure, and it says so
        assert run("stack", "down", "--data", str(tmp_path / "data")).stdout == "nothing was running\n"
        return
    said = one_sentence(run(*name.split(), *ARGUMENTS[name], "--data", str(tmp_path / "missing")))
    assert str(tmp_path / "missing") in said
    assert not (tmp_path / "missing").exists(), "asking makes nothing"


@pytest.mark.parametrize("name", OF_KAFKA)
def test_a_kafka_that_is_not_running(name: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "rapport.cli", *name.split(), *ARGUMENTS[name], "--kafka", "127.0.0.1:1"],
        capture_output=True,
        text=True,
        timeout=AT_ONCE_SECONDS,
        check=False,
    )
    assert ended.returncode == 1
    progress = 1 if name.startswith("positions") else 0
    assert ended.stderr.splitlines()[progress:] == ["rapport: Kafka at 127.0.0.1:1 does not answer"]


@pytest.mark.parametrize("name", [*OF_KAFKA, "doctor", "verify", "backup", "restore", "rebuild", *OF_THE_API])
def test_a_folder_on_the_command_line_goes_before_the_environment(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in (
        ("RAPPORT_KAFKA", "127.0.0.1:1"), ("RAPPORT_MONGODB", "mongodb://127.0.0.1:1/"),
        ("RAPPORT_API_URL", "http://127.0.0.1:1"), ("RAPPORT_KEY", "rp_x_abcd_" + "0" * 32),
    ):  # fmt: skip
        monkeypatch.setenv(variable, value)
    said = one_sentence(run(*name.split(), *ARGUMENTS[name], "--data", str(tmp_path / "missing")))
    assert str(tmp_path / "missing") in said


@pytest.mark.parametrize("name", OF_KAFKA)
def test_servers_of_the_environment_go_before_the_usual_folder_and_those_on_the_command_line_before_all(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAPPORT_KAFKA", "127.0.0.1:1")
    asked: list[str] = []

    def noted(servers: str) -> None:
        asked.append(servers)
        raise typer.Exit(1)

    for module in ("dlt", "positions", "partitions"):
        monkeypatch.setattr(f"rapport.commands.log.{module}.kafka_errors", noted)
    for words in ((), ("--kafka", "127.0.0.1:2"), ("--kafka", "127.0.0.1:2", "--data", str(tmp_path))):
        run(*name.split(), *ARGUMENTS[name], *words)
    assert asked == ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:2"]


@pytest.mark.parametrize("name", OF_THE_API)
def test_an_api_that_is_not_running(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("RAPPORT_KEY", "rp_x_abcd_" + "0" * 32)
    began = time.monotonic()
    assert "the API at http://127.0.0.1:1 does not answer" in one_sentence(run(*name.split(), *ARGUMENTS[name]))
    assert time.monotonic() - began < AT_ONCE_SECONDS


@pytest.mark.parametrize(
    ("url", "key"),
    [("not an address", "k"), ("http://", "k"), ("http://[", "k"), ("http://127.0.0.1:1", "ключ"), ("\x00", "k")],
)
@pytest.mark.parametrize("name", OF_THE_API)
def test_an_address_or_a_key_that_is_none(name: str, url: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "\x00" in url:
        pytest.skip("the environment cannot hold it")
    monkeypatch.setenv("RAPPORT_API_URL", url)
    monkeypatch.setenv("RAPPORT_KEY", key)
    one_sentence(run(*name.split(), *ARGUMENTS[name]))


@pytest.mark.parametrize("name", OF_THE_API)
def test_an_id_that_would_lead_elsewhere(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("RAPPORT_KEY", "k")
    words = [".." if word in ("museum", "museum-desk", "abc") else word for word in ARGUMENTS[name]]
    said = one_sentence(run(*name.split(), *words))
    in_path = name not in ("brands add", "brands list", "keys add", "keys list")
    assert ("'..' is not a valid id" in said) == in_path, said


@pytest.mark.parametrize("name", ["up", "stack up", "demo"])
def test_a_file_where_the_folder_should_be(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    said = one_sentence(run(*name.split(), "--data", str(tmp_path / "file")))
    assert str(tmp_path / "file") in said


@pytest.mark.parametrize("name", ["up", "stack up", "demo"])
def test_a_folder_of_another_user(name: str, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder to somebody else")
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    assert "belongs to" in one_sentence(run(*name.split(), "--data", str(folder)))


@pytest.mark.parametrize("name", ["up", "stack up"])
@pytest.mark.parametrize("port", ["nonsense=1", "kafka", "kafka=", "kafka=0", "kafka=65536", "kafka=x"])
def test_a_port_that_is_none(name: str, port: str) -> None:
    assert "--port" in one_sentence(run(*name.split(), "--port", port))


@pytest.mark.parametrize(("name", "part"), [("up", "kafka"), ("stack up", "mongodb")])
def test_a_port_that_is_taken(name: str, part: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = one_sentence(run(*name.split(), "--data", str(tmp_path / "data"), "--port", f"{part}={port}"))
    assert f"port {port} of {part} is taken by another program" in said


@pytest.mark.parametrize("name", ["up", "stack up", "demo"])
def test_without_a_network_the_brokers_libraries_cannot_be_fetched(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAPPORT_CACHE", str(tmp_path / "cache"))
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:1")
    began = time.monotonic()
    said = one_sentence(run(*name.split(), "--data", str(tmp_path / "data")))
    assert "could not be fetched" in said
    assert "network" in said
    assert time.monotonic() - began < AT_ONCE_SECONDS


@pytest.mark.parametrize("handle", ["", "@", "..", "not a handle", "nobody.invalid", "did:plc:", "x" * 300, "a/b"])
def test_a_wrong_handle(handle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:1")
    began = time.monotonic()
    said = one_sentence(run("watch", handle))
    assert ("is not a Bluesky handle" in said) == (handle != "nobody.invalid"), said
    assert time.monotonic() - began < AT_ONCE_SECONDS


@pytest.mark.parametrize("variable", ["RAPPORT_PORT", "RAPPORT_KAFKA_PASSWORD"])
@pytest.mark.parametrize("process", [process.name for process in PROCESSES])
def test_a_setting_of_a_service_that_is_wrong(process: str, variable: str) -> None:
    ended = _service(process, **{variable: "hunter2"})
    assert ended.returncode not in (0, None)
    said = _last(ended.stderr)
    assert variable in said or "RAPPORT_KAFKA_USER and RAPPORT_KAFKA_PASSWORD are needed together" in said
    assert "hunter2" not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("process", [process.name for process in PROCESSES])
def test_a_port_of_a_service_that_is_taken(process: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ended = _service(process, RAPPORT_PORT=str(port), RAPPORT_INTERNAL_PORT="0")
    assert ended.returncode not in (0, None)
    assert "Traceback" not in ended.stderr
    assert "Task was destroyed" not in ended.stderr
    (said,) = [line for line in ended.stderr.splitlines() if "ddress already in use" in line]
    assert str(port) in said


def _service(process: str, **settings: str) -> subprocess.CompletedProcess[str]:
    here = {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")}
    return subprocess.run(
        [sys.executable, "-m", "rapport.cli", process],
        capture_output=True,
        text=True,
        timeout=AT_ONCE_SECONDS,
        env={**here, "RAPPORT_KAFKA": "127.0.0.1:1", "RAPPORT_MONGODB": "mongodb://127.0.0.1:1/", **settings},
        check=False,
    )


def _last(said: str) -> str:
    lines = [line for line in said.splitlines() if line.startswith("rapport: ")]
    assert len(lines) == 1, said
    return lines[0]


def test_the_version_is_printed() -> None:
    said = run("--version")
    assert (said.exit_code, said.stdout) == (0, "rapport 0.1.0\n")


def test_help_is_help() -> None:
    for name in ("", *COMMANDS):
        assert run(*name.split(), "--help").exit_code == 0
