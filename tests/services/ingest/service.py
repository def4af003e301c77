"""Ingest as a process of its own, what it is told through Kafka, and what it puts there."""

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import httpx
from kafka import TopicPartition

from rapport.contracts import codec
from rapport.contracts.events import Account, Brand, Interaction
from rapport.contracts.topics import BRANDS, CONVERSATIONS, ENGAGEMENTS, key_of
from rapport.kit.broker import kafka
from rapport.kit.broker.kafka_login import KafkaLogin
from rapport.local.ports import usual_or_free
from tests.waiting import until

DEADLINE = 60.0
CONNECTED_AT = datetime(2026, 1, 1, tzinfo=UTC)


def brand_with(*accounts: Account, id: str | None = None) -> Brand:
    """A brand that no other test has."""
    return Brand(id=id or f"brand-{uuid4().hex[:12]}", name="Acme", timezone="UTC", accounts=accounts)


def helpdesk(*secrets: str) -> Account:
    """An account on a platform without a connector."""
    return Account(
        id=f"account-{uuid4().hex[:12]}",
        platform="helpdesk",
        handle="acme",
        connected_at=CONNECTED_AT,
        door_secrets=secrets or ("secret",),
    )


def publish(bootstrap: str, *brands: Brand) -> None:
    """Writes brands as the API does."""
    producer = kafka.producer(bootstrap, "test")
    try:
        for brand in brands:
            headers = codec.headers("rapport.brand.v1", id=uuid4().hex, source="/test")
            producer.send(BRANDS.name, codec.encode(brand), key_of(brand.id), headers=headers).get(30)
    finally:
        producer.close()


class Ingest:
    """The service on a free port, started and stopped as often as a test wants."""

    def __init__(self, bootstrap: str, data: Path, **settings: str) -> None:
        """`settings` are environment variables of its own."""
        port, internal = usual_or_free(0), usual_or_free(0)
        self.url = f"http://127.0.0.1:{port}"
        self.internal_url = f"http://127.0.0.1:{internal}"
        self.log = data / "ingest.log"
        self.instance = f"ingest-{uuid4().hex[:12]}"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")},
            **KafkaLogin().variables(),
            "RAPPORT_KAFKA": bootstrap,
            "RAPPORT_PORT": str(port),
            "RAPPORT_INTERNAL_PORT": str(internal),
            "RAPPORT_DATA": str(data),
            "RAPPORT_INSTANCE": self.instance,
            # Tests ask nobody outside of this machine.
            "RAPPORT_PLC_DIRECTORY": "http://127.0.0.1:1",
            # And what they read from is on it.
            "RAPPORT_ALLOW_PRIVATE": "true",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Starts the process, without waiting."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from services.ingest.app import run; run()"],
                env=self._environment,
                stderr=log,
            )
        return self

    def ready(self, deadline: float = DEADLINE) -> Self:
        """Waits until it says that it is ready."""
        try:
            until(lambda: self.status("/readyz") == 200, "ingest to be ready", deadline)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()[-3000:]}") from None
        return self

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def cpu_seconds(self) -> float:
        """How much of a processor it has used so far."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and gives the exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(40)
        self._process = None
        return code

    def close(self) -> None:
        """Makes sure that nothing is left of it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def status(self, path: str) -> int:
        """The status of a GET of a probe; 0 where nothing answers."""
        try:
            return httpx.get(self.internal_url + path, timeout=10).status_code
        except httpx.TransportError:
            return 0

    def metric(self, sample: str) -> float:
        """The value of a sample, as `name{label="value"}`; 0 where there is none."""
        for line in httpx.get(f"{self.internal_url}/metrics", timeout=10).text.splitlines():
            if line.startswith(f"{sample} "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def post(self, account: Account, body: Any, *, secret: str | None = None, **headers: str) -> httpx.Response:
        """Sends a body (as it is where it is bytes, else as JSON), signed with the account's newest secret."""
        return tell(self.url, account.id, secret or account.door_secrets[0], body, **headers)

    def knows(self, account: Account) -> None:
        """Waits until the account can send. An empty batch is taken and changes nothing."""
        until(lambda: self.post(account, []).status_code == 202, f"account {account.id} to be known")


def tell(door: str, account: str, secret: str, body: Any, **headers: str) -> httpx.Response:
    """Sends a body (as it is where it is bytes, else as JSON) to a door, signed with a secret of the account."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"X-Rapport-Account": account, "X-Rapport-Signature-256": signature(raw, secret)}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(f"{door}/v1/interactions", content=raw, headers=given, timeout=60)


def signature(raw: bytes, secret: str) -> str:
    """As a sender makes it."""
    return "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


class Log:
    """What arrives in the topics of interactions from now on."""

    def __init__(self, bootstrap: str) -> None:
        self._consumer = kafka.consumer(bootstrap, None, "test")
        partitions = [
            TopicPartition(topic.name, number)
            for topic in (CONVERSATIONS, ENGAGEMENTS)
            for number in range(topic.partitions)
        ]
        self._consumer.assign(partitions)
        for partition, end in self._consumer.end_offsets(partitions).items():
            self._consumer.seek(partition, end)
        self.records: list[Any] = []

    def close(self) -> None:
        """Ends reading."""
        self._consumer.close()

    def interactions(self, brand: str) -> list[Interaction]:
        """All of a brand so far, in the order in which they were read."""
        for batch in self._consumer.poll(timeout_ms=100).values():
            self.records += batch
        return [one for _, one in self.decoded(brand)]

    def decoded(self, brand: str) -> Iterable[tuple[Any, Interaction]]:
        """Records read so far with their interactions."""
        for record in self.records:
            if codec.type_of(record.headers) == "rapport.interaction.v1":
                interaction = codec.decode("rapport.interaction.v1", record.value)
                if interaction.brand == brand:
                    yield record, interaction

    def wait_for(self, brand: str, *ids: str) -> list[Interaction]:
        """The brand's interactions once all of these ids are among them."""

        def missing() -> set[str]:
            return set(ids) - {one.id for one in self.interactions(brand)}

        until(lambda: not missing(), lambda: f"the log lacks {missing()}")
        return self.interactions(brand)

    def wait(self, brand: str, what: str, found: Callable[[list[Interaction]], bool]) -> list[Interaction]:
        """The brand's interactions once `found` says so of them."""
        until(lambda: found(self.interactions(brand)), what)
        return self.interactions(brand)
