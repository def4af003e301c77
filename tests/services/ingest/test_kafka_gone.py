"""Kafka away: not there yet at the start, and silent while ingest runs."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from rapport.local.servers.stack import Running, Stack
from tests.services.ingest.service import Ingest, Log, brand_with, helpdesk, publish
from tests.waiting import until

pytestmark = pytest.mark.stack

COMMENT = {"kind": "comment", "actor": {"id": "fan"}}
# A sender waits this long at most: what ingest gives the broker, and room for a busy machine.
ANSWERED_WITHIN = 25.0


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory, stack: Running) -> Iterator[Running]:
    """Servers that nobody else needs, so that they can be stopped."""
    del stack  # the session's own comes first, so that what both need is downloaded once
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAPPORT_KAFKA", raising=False)
        patch.delenv("RAPPORT_MONGODB", raising=False)
        servers = Stack(tmp_path_factory.mktemp("own-stack"))
        running = servers.up(bound=True, any_port=True)
    try:
        yield running
    finally:
        servers.down()


def test_silent_kafka_is_a_503_within_bounded_time_and_all_is_well_once_it_is_back(
    own_stack: Running, tmp_path: Path
) -> None:
    ingest = Ingest(own_stack.kafka, tmp_path)
    brand = brand_with(helpdesk())
    account = brand.accounts[0]
    publish(own_stack.kafka, brand)
    log = Log(own_stack.kafka)
    broker = own_stack.pids["kafka"]
    try:
        ingest.start().ready()
        assert ingest.post(account, {**COMMENT, "id": "before"}).status_code == 202
        os.kill(broker, signal.SIGSTOP)
        try:
            began = time.monotonic()
            answer = ingest.post(account, {**COMMENT, "id": "meanwhile"})
            assert time.monotonic() - began < ANSWERED_WITHIN
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert int(answer.headers["retry-after"]) > 0
            until(lambda: ingest.status("/readyz") == 503, "readyz to say so")
            assert "kafka" in httpx.get(f"{ingest.internal_url}/readyz").text
            assert ingest.status("/healthz") == 200
        finally:
            os.kill(broker, signal.SIGCONT)
        ingest.ready()
        until(lambda: ingest.post(account, {**COMMENT, "id": "after"}).status_code == 202, "an acknowledgement")
        log.wait_for(brand.id, "before", "after")
        assert ingest.stop() == 0
    finally:
        log.close()
        ingest.close()


def test_without_kafka_at_the_start_it_lives_waits_says_so_and_ends_when_told(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        ingest = Ingest(address, tmp_path)
        try:
            ingest.start()
            until(lambda: ingest.status("/healthz") == 200, "healthz")
            assert ingest.status("/readyz") == 503
            until(lambda: _answers(ingest), "the door")  # its port opens a moment after the internal one
            assert ingest.post(helpdesk(), []).status_code == 503
            until(lambda: f"Kafka at {address} is not reachable" in ingest.log.read_text(), "a clear line")
            assert ingest.stop() == 0
        finally:
            ingest.close()


def _answers(ingest: Ingest) -> bool:
    try:
        return httpx.get(f"{ingest.url}/healthz").status_code == 200
    except httpx.TransportError:
        return False
