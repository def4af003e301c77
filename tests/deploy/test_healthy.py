"""The health command of the image, asked beside a service's own probes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rapport import healthy
from rapport.kit import health
from rapport.kit.health import Health
from rapport.local import ports


@pytest.fixture
def state() -> Health:
    return Health("kafka")


@pytest.fixture
def alive() -> list[bool]:
    return [True]


@pytest.fixture
def port(state: Health, alive: list[bool]) -> Iterator[str]:
    server = health.serve("127.0.0.1", 0, state, lambda: alive[0])
    yield str(server.server_port)
    server.shutdown()
    server.server_close()


def running(folder: Path, *command: str) -> Path:
    """As the kernel shows a process's arguments."""
    file = folder / "cmdline"
    file.write_text("".join(f"{each}\0" for each in command))
    return file


def test_a_service_is_alive_before_it_is_ready(
    state: Health, port: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scorer = running(tmp_path, "/opt/rapport/bin/python", "/opt/rapport/bin/rapport", "scorer")
    settings = {"RAPPORT_PORT": port}
    assert healthy.main([], settings, scorer) == 0
    assert healthy.main(["--ready"], settings, scorer) == 1
    assert capsys.readouterr().err == "scorer: kafka\n"
    state.ready("kafka")
    assert healthy.main(["--ready"], settings, scorer) == 0


def test_a_service_that_makes_no_progress_is_not_healthy(
    alive: list[bool], port: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alive[0] = False
    assert healthy.main([], {"RAPPORT_PORT": port}, running(tmp_path, "rapport", "notifier")) == 1
    assert capsys.readouterr().err == "notifier: no progress\n"


def test_what_strangers_may_reach_is_not_asked(port: str, tmp_path: Path) -> None:
    free = str(ports.usual_or_free(0))
    under_an_init = running(tmp_path, "/sbin/docker-init", "--", "rapport", "api")
    settings = {"RAPPORT_PORT": free, "RAPPORT_INTERNAL_PORT": port}
    assert healthy.main([], settings, under_an_init) == 0
    assert healthy.main([], {**settings, "RAPPORT_INTERNAL_PORT": free}, under_an_init) == 1


def test_a_service_on_all_addresses_is_reached(port: str, tmp_path: Path) -> None:
    assert (
        healthy.main([], {"RAPPORT_PORT": port, "RAPPORT_HOST": "0.0.0.0"}, running(tmp_path, "rapport", "scorer")) == 0
    )


def test_nothing_else_counts_as_a_service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert healthy.main([], {}, running(tmp_path, "rapport", "topics", "--replication", "1")) == 1
    assert capsys.readouterr().err == "no service of Rapport runs here\n"
