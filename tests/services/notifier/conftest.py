"""A notifier as a real process, with the log, the database and the receivers it works with."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest
from pymongo import MongoClient

from rapport.contracts import codec
from rapport.contracts.events import Alert, Brand, Channel, FirstComment, FollowerRef, MissingPost, Notice, Step
from rapport.contracts.topics import ALERTS, BRANDS, REMINDERS, key_of, partition_of
from rapport.kit.broker import kafka
from rapport.kit.mongo import Document
from services.notifier.outbox import Row, deliveries
from tests.services.notifier.receivers import MailReceiver, WebhookReceiver, free_port
from tests.waiting import until

SEND_SECONDS = 2.0


class Servers(Protocol):
    """The stack: where Kafka and MongoDB listen."""

    @property
    def kafka(self) -> str: ...

    @property
    def mongodb(self) -> str: ...


@dataclass
class World:
    """The log and the outbox, as the other services and a reader see them, and the notifiers started here."""

    servers: Servers
    database: str
    mailbox: MailReceiver
    receiver: WebhookReceiver
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._producer = kafka.producer(self.servers.kafka, "tests")
        self._client: MongoClient[Document] = MongoClient(self.servers.mongodb, tz_aware=True)
        self.rows = deliveries(self._client[self.database])

    def start(self, *, wait: bool = True, before: str = "", **env: str) -> "Notifier":
        """`before` is Python to be run in the process first: what makes it another version."""
        port = free_port()
        process = subprocess.Popen(
            [sys.executable, "-c", f"{before}\nfrom services.notifier.app import run; run()"],
            env={
                **os.environ,
                "RAPPORT_PORT": str(port),
                "RAPPORT_KAFKA": self.servers.kafka,
                "RAPPORT_MONGODB": self.servers.mongodb,
                "RAPPORT_DATABASE": self.database,
                "RAPPORT_SMTP": self.mailbox.address,
                "RAPPORT_PORTAL": "https://portal.example",
                "RAPPORT_SEND_SECONDS": str(SEND_SECONDS),
                **env,
            },
        )
        self.processes.append(process)
        notifier = Notifier(process, port)
        if wait:
            until(notifier.ready, "the notifier is ready")
        return notifier

    def brand(self, *channels: Channel, id: str | None = None, since: dict[str, datetime] | None = None) -> str:
        brand = Brand(
            id=id or f"brand-{uuid.uuid4().hex[:8]}",
            name="Acme",
            timezone="UTC",
            channels=channels,
            channels_since=since or {},
        )
        self._send(BRANDS.name, key_of(brand.id), codec.encode(brand), "rapport.brand.v1", 1)
        return brand.id

    def alert(self, brand: str, **changes: Any) -> Alert:
        alert = an_alert(brand, **changes)
        self.publish(alert)
        return alert

    def publish(self, notice: Notice) -> None:
        if isinstance(notice, Alert):
            self.publish_raw(notice.brand, codec.encode(notice))
            return
        key = key_of(notice.brand)
        self._send(REMINDERS.name, key, codec.encode(notice), "rapport.missing-post.v1", REMINDERS.partitions)

    def publish_raw(self, brand: str, value: bytes) -> None:
        self._send(ALERTS.name, key_of(brand), value, "rapport.alert.v1", ALERTS.partitions)

    def _send(self, topic: str, key: bytes, value: bytes, type: str, partitions: int) -> None:
        headers = codec.headers(type, id=uuid.uuid4().hex, source="/rapport/tests")
        self._producer.send(topic, key=key, value=value, headers=headers, partition=partition_of(key, partitions)).get(
            timeout=30
        )

    def row(self, alert: Notice, channel: str) -> Row | None:
        return self.rows.find_one({"_id": f"{alert.id}/{channel}"})

    def row_when(self, alert: Notice, channel: str, what: str, condition: Callable[[Row], bool]) -> Row:
        def found() -> Row | None:
            row = self.row(alert, channel)
            return row if row is not None and condition(row) else None

        row: Row = until(found, f"{alert.id}/{channel}: {what}; it is {self.row(alert, channel)}")
        return row

    def ended(self, alert: Notice, channel: str) -> Row:
        return self.row_when(alert, channel, "ended", lambda row: row["status"] != "pending")

    def end_all(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(30)

    def close(self) -> None:
        self.end_all()
        self._producer.close()
        self._client.drop_database(self.database)
        self._client.close()
        self.mailbox.close()
        self.receiver.close()


@dataclass(frozen=True)
class Notifier:
    """A running notifier."""

    process: subprocess.Popen[bytes]
    port: int

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def ready(self) -> bool:
        assert self.process.poll() is None, "the notifier has ended"
        return self.get("/readyz")[0] == 200

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


def an_alert(brand: str, step: Step = "breach", **changes: Any) -> Alert:
    """An alert about a comment that has waited for 24 hours."""
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "id": f"alert-{uuid.uuid4().hex[:12]}",
        "brand": brand,
        "platform": "bluesky",
        "account": "acme.example",
        "exchange": f"exchange-{uuid.uuid4().hex[:12]}",
        "step": step,
        "follower": FollowerRef(id="did:plc:ada", handle="ada", name="Ada"),
        "first": FirstComment(id="c1", url="https://bsky.example/c1", text="Do you ship to Porto?"),
        "comments": 1,
        "opened_at": now - timedelta(hours=24),
        "due_at": now,
        "created_at": now,
        **changes,
    }
    return Alert(**fields)


def a_missing_post(brand: str, **changes: Any) -> MissingPost:
    """A reminder of a post that was planned 30 minutes ago."""
    now = datetime.now(UTC).replace(microsecond=0)
    fields: dict[str, Any] = {
        "id": f"missing-{uuid.uuid4().hex[:12]}",
        "brand": brand,
        "platform": "bluesky",
        "account": "acme.example",
        "plan": "monday",
        "planned_at": now - timedelta(minutes=30),
        "created_at": now,
        **changes,
    }
    return MissingPost(**fields)


def plan_of(missing: MissingPost) -> Document:
    """The plan of a post that is still missing, as the calendar stores it."""
    return {
        "_id": f"{missing.brand}/{missing.plan}", "published": None, "state": "planned", "approval": "not_needed",
        "planned_at": missing.planned_at,
    }  # fmt: skip


@pytest.fixture(scope="module")
def world(stack: Servers) -> Iterator[World]:
    """The outside of the notifiers of one module."""
    found = World(stack, f"notifier_{uuid.uuid4().hex[:8]}", MailReceiver(), WebhookReceiver())
    try:
        yield found
    finally:
        found.close()
