"""Ports are given out once."""

import socket
import subprocess
import sys

import pytest

from rapport.local import ports
from rapport.local.ports import LOOPBACK, answers, usual_or_free


def test_the_usual_port_is_used_where_nothing_has_it() -> None:
    free = usual_or_free(0)
    assert usual_or_free(free) == free


def test_a_port_that_something_listens_on_is_not_given_out() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        taken = server.getsockname()[1]
        assert answers(LOOPBACK, taken)
        assert usual_or_free(taken) != taken


def test_a_port_that_another_process_was_promised_is_not_given_out_before_it_is_bound() -> None:
    script = "from rapport.local.ports import usual_or_free; print(usual_or_free(0), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        promised = int(other.stdout.readline())
        assert not answers(LOOPBACK, promised)
        assert usual_or_free(promised) != promised
        other.communicate("\n")
    assert usual_or_free(promised) == promised


def test_a_port_is_given_out_once_also_before_its_server_has_bound_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_NOT_FOR_CONNECTIONS", range(31_000, 31_060))
    given = [usual_or_free(0) for _ in range(20)]
    assert len(set(given)) == len(given)
