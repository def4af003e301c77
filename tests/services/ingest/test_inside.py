"""A brand's administrator names the addresses that ingest reads from; none of them leads into our own network."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from rapport.contracts.events import Account
from tests.services.ingest.jetstream import Jetstream
from tests.services.ingest.service import CONNECTED_AT, Ingest, brand_with, publish
from tests.waiting import until

pytestmark = pytest.mark.stack


def test_ingest_calls_no_address_inside_however_it_is_spelled(stack: Any, tmp_path: Path) -> None:
    with Jetstream() as peer:
        port = urlsplit(peer.address).port
        hosts = ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "xn--localhost-", "redis"]
        addresses = [f"{scheme}://{host}:{port}" for host in hosts for scheme in ("ws", "wss", "http", "https")]
        base = Account(
            id="inside", platform="bluesky", handle="acme.example", connected_at=CONNECTED_AT, door_secrets=()
        )
        accounts = [
            replace(base, id=f"inside-{number}-{name}", connection={name: address, "did": f"did:plc:{number}"})
            for number, address in enumerate(addresses)
            for name in ("service", "jetstream")
        ]
        publish(stack.kafka, brand_with(*accounts))
        ingest = Ingest(stack.kafka, tmp_path, RAPPORT_ALLOW_PRIVATE="false").start()
        try:
            ingest.ready()
            names = {f"{host}:{port}" for host in hosts}
            until(
                lambda: all(f"bluesky {name}: refused: " in ingest.log.read_text() for name in names),
                "every address to be refused",
            )
            assert "Traceback" not in ingest.log.read_text()
        finally:
            ingest.close()
        assert peer.paths == []
