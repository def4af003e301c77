"""The internal port: probes and metrics, and clients that never finish."""

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import REGISTRY

from rapport.kit import health
from rapport.kit.health import Health


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(health, "WITHIN_SECONDS", 0.5)
    server = health.serve("127.0.0.1", 0, Health("kafka"), lambda: False)
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_it_says_whether_the_process_lives_and_can_work(port: int) -> None:
    assert httpx.get(f"http://127.0.0.1:{port}/readyz").text == "kafka\n"
    assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 503
    metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert "python_info" in metrics
    assert re.search(r'^rapport_build_info\{python="3[.\d]+",version="[^"]+"\} 1.0$', metrics, re.M)
    assert "\nrapport_ready 0.0\n" in metrics


@pytest.mark.anyio
async def test_a_loop_that_is_held_up_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "BEAT_SECONDS", 0.01)

    def slow() -> float:
        above, within = (
            REGISTRY.get_sample_value("rapport_event_loop_lag_seconds_bucket", {"le": le}) for le in ("+Inf", "0.25")
        )
        assert above is not None
        assert within is not None
        return above - within

    before = slow()
    beating = asyncio.create_task(health.Loop().beat())
    await asyncio.sleep(0.02)
    time.sleep(0.4)  # noqa: ASYNC251 - what must not happen
    await asyncio.sleep(0.02)
    beating.cancel()
    assert slow() == before + 1


@pytest.mark.parametrize("said", [b"", b"GET /rea", b"GET /readyz HTTP/1.1\r\na: b\r\n"])
def test_who_does_not_finish_a_request_is_hung_up_on(port: int, said: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(said)
        assert b"200" not in connection.recv(1000)


def test_headers_without_an_end_are_not_kept(port: int) -> None:
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    with connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"GET /readyz HTTP/1.1\r\n" + b"a: b\r\n" * 100_000)
        assert b"200" not in connection.recv(1000)


def test_connections_that_do_nothing_keep_no_probe_out(port: int) -> None:
    with contextlib.ExitStack() as opened:
        for _ in range(3 * health.MOST_CONNECTIONS):
            opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
        assert httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=20).status_code == 503


@pytest.mark.anyio
async def test_what_a_loop_is_held_up_is_no_time_in_which_it_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "BEAT_SECONDS", 0.05)
    loop = health.Loop()
    began = time.monotonic()
    beating = asyncio.create_task(loop.beat())
    for _ in range(3):
        await asyncio.sleep(0.01)
        time.sleep(1)  # noqa: ASYNC251 - as if the process were frozen
    await asyncio.sleep(0.2)
    beating.cancel()
    assert 0 < loop.ran < time.monotonic() - began - 2.5


def test_a_loop_that_does_nothing_for_long_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = health.Loop()
    assert loop.alive()
    monkeypatch.setattr(health, "STUCK_SECONDS", 0.0)
    assert not loop.alive()
