"""Ports can be set, and stay the same at the next start."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from rapport.local import chosen_ports, ports
from rapport.local.chosen_ports import ChosenPorts
from rapport.local.errors import StackError


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program has."""
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here gives a port back."""
    monkeypatch.setattr(chosen_ports, "_WAIT_SECONDS", 0.0)


def test_what_was_taken_the_first_time_is_taken_again(tmp_path: Path, taken: int) -> None:
    first = ChosenPorts(tmp_path).choose("api", taken)
    assert first != taken
    free = ports.usual_or_free(0)
    assert ChosenPorts(tmp_path).choose("api", free) == first
    assert stat.S_IMODE((tmp_path / "ports.json").stat().st_mode) == 0o600


def test_a_port_that_was_asked_for_is_remembered_too(tmp_path: Path) -> None:
    usual, wanted = ports.usual_or_free(0), ports.usual_or_free(0)
    ChosenPorts(tmp_path).choose("api", usual)
    assert ChosenPorts(tmp_path, {"api": wanted}).choose("api", usual) == wanted
    assert ChosenPorts(tmp_path).choose("api", usual) == wanted


def test_a_taken_port_that_was_asked_for_is_named_with_the_way_out(tmp_path: Path, taken: int) -> None:
    with pytest.raises(StackError, match=f"port {taken} of api is taken by another program: .*--port api=NUMBER"):
        ChosenPorts(tmp_path, {"api": taken}).choose("api", 8000)


def test_a_remembered_port_that_is_taken_now_is_named_and_no_other_is_chosen(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind((ports.LOOPBACK, 0))
        usual = probe.getsockname()[1]
    assert ChosenPorts(tmp_path).choose("kafka", usual) == usual
    with (
        socket.create_server((ports.LOOPBACK, usual)),
        pytest.raises(StackError, match=f"port {usual} of kafka, where it was last time, is taken by another program"),
    ):
        ChosenPorts(tmp_path).choose("kafka", usual)


def test_a_port_that_only_root_may_have_is_not_called_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: object) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(StackError, match=r"port 80 of api is not allowed here \(Permission denied\)"):
        ChosenPorts(tmp_path, {"api": 80}).choose("api", 8000)


def test_two_parts_cannot_have_one_port(tmp_path: Path) -> None:
    port = ports.usual_or_free(0)
    chosen = ChosenPorts(tmp_path, {"api": port, "ingest": port})
    assert chosen.choose("api", 8000) == port
    with pytest.raises(StackError, match=f"ingest and api cannot both have port {port}"):
        chosen.choose("ingest", 8001)


def test_a_usual_port_that_another_part_asks_for_is_left_to_it(tmp_path: Path) -> None:
    port = ports.usual_or_free(0)
    chosen = ChosenPorts(tmp_path, {"ingest": port})
    assert chosen.choose("api", port) != port
    assert chosen.choose("ingest", 8001) == port


def test_any_port_means_a_free_one_that_nobody_remembers(tmp_path: Path) -> None:
    usual = ports.usual_or_free(0)
    assert ChosenPorts(tmp_path, any_port=True).choose("api", usual) != usual
    assert not (tmp_path / "ports.json").exists()


def test_a_damaged_memory_is_named(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("{")
    with pytest.raises(StackError, match=r"ports\.json is damaged"):
        ChosenPorts(tmp_path).choose("api", 8000)
