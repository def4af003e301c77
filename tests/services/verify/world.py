"""A broker, a database, a scorer and a projector of their own, and `rapport verify` on them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
from pymongo.database import Database
from typer.testing import CliRunner

from rapport.cli import app
from rapport.contracts import codec
from rapport.contracts.controls import Control, FollowerAway
from rapport.contracts.topics import CONVERSATIONS, ENGAGEMENTS, EXCHANGES, SCORER_GROUP, key_of, partition_of
from rapport.kit import mongo
from rapport.kit.broker import kafka
from rapport.kit.mongo import Document
from rapport.local import ports
from rapport.local.servers.stack import Running, Stack
from services.ingest.broker import control_record
from services.verify import following
from tests.services.scorer.worker import Scorer, processed
from tests.waiting import until

GRACE = "0"
"""Seconds, of the scorer that the world has."""
AGAIN_SECONDS = 3.0
"""How long the upkeep waits before it reads what changed a second time. Usually 10 minutes."""
_PROJECTOR = f"""
from datetime import timedelta
from services.api.projector.process import run
from services.api.projector.upkeep import change_feed
change_feed.LATER = timedelta(seconds={AGAIN_SECONDS})
run()
"""


@dataclass
class Outcome:
    """What `rapport verify --json` ended with and printed."""

    code: int
    differences: list[dict[str, Any]]
    summary: dict[str, Any]
    said: str
    """On stderr."""

    @property
    def fields(self) -> set[tuple[str, str, str | None]]:
        """The kind, the id and the field of each difference."""
        return {(each["what"], each["id"], each["field"]) for each in self.differences}


def verify(
    running: Running, *arguments: str, settle: float = 1.5, grace: str = GRACE, again: float = AGAIN_SECONDS
) -> Outcome:
    """Runs the command, for which no environment but these servers counts. `again`: `AGAIN_SECONDS` of the upkeep."""
    # Twice what the upkeep waits, and its turns, which take longer on a busy machine.
    with patch.object(following, "WAITED", 2 * again + 30.0):
        result = CliRunner().invoke(
            app,
            ["verify", "--json", "--settle", str(settle), "--grace", grace, *arguments],
            env={"RAPPORT_KAFKA": running.kafka, "RAPPORT_MONGODB": running.mongodb},
        )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    sys.stderr.write(result.stderr)  # shown where the test fails
    *differences, summary = [json.loads(line) for line in result.stdout.splitlines()]
    return Outcome(result.exit_code, differences, summary, result.stderr)


class Projector:
    """A projector's process."""

    def __init__(self, running: Running, folder: Path) -> None:
        self._port = ports.usual_or_free(0)
        environment = {
            **os.environ,
            "RAPPORT_KAFKA": running.kafka,
            "RAPPORT_MONGODB": running.mongodb,
            "RAPPORT_PORT": str(self._port),
        }
        with (folder / "projector.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _PROJECTOR],
                env=environment,
                stderr=log,
            )

    def ready(self) -> bool:
        """Whether it reads."""
        try:
            return httpx.get(f"http://127.0.0.1:{self._port}/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """Ends it, however it is."""
        self.process.kill()
        self.process.wait()


@dataclass
class World:
    """All of it."""

    running: Running
    scorer: Scorer
    projector: Projector
    views: Database[Document]

    def verify(self, *arguments: str, settle: float = 1.5, grace: str = GRACE) -> Outcome:
        """Runs the command on this world."""
        return verify(self.running, *arguments, settle=settle, grace=grace)

    def control(self, *events: Control, everywhere: bool = True) -> None:
        """Writes control records: into each partition, or only where the conversation `post-…` of each is."""
        producer = kafka.producer(self.running.kafka, "test")
        sent = []
        for event in events:
            if everywhere:
                places = list(range(CONVERSATIONS.partitions))
            else:
                key = key_of(event.brand, event.platform, event.thread)  # type: ignore[union-attr, arg-type]
                places = [partition_of(key, CONVERSATIONS.partitions)]
            sent += [
                producer.send(
                    CONVERSATIONS.name,
                    codec.encode(event),
                    key=key_of(getattr(event, "brand", "-"), "control"),
                    partition=place,
                    headers=codec.headers("rapport.control.v1", id="1", source="/test"),
                )
                for place in places
            ]
        for each in sent:
            each.get(30)
        producer.close()

    def engage(self, *events: FollowerAway) -> None:
        """Writes what became of accounts, as ingest does."""
        producer = kafka.producer(self.running.kafka, "test")
        for record in map(control_record, events):
            producer.send(
                record.topic, record.value, record.key, headers=list(record.headers), partition=record.partition
            ).get(30)
        producer.close()

    def poison(self, topic: str, partition: int, values: Iterable[bytes]) -> None:
        """Writes what nobody can read."""
        producer = kafka.producer(self.running.kafka, "test")
        for value in values:
            headers = [("ce_type", b"rapport.interaction.v1")]
            producer.send(topic, value, key=b"poison", partition=partition, headers=headers).get(30)
        producer.close()

    def through(self) -> None:
        """Returns once the scorer has processed what there is."""
        until(
            lambda: processed(self.running.kafka, SCORER_GROUP, [CONVERSATIONS, ENGAGEMENTS, EXCHANGES]),
            "everything is processed",
        )

    def read_twice(self) -> None:
        """Returns once the upkeep has read everything a second time. Until then it would take up what a test changes
        in MongoDB by hand, and not see how that is changed back."""

        def through() -> bool:
            trails = list(self.views["trails"].find())
            return bool(trails) and all(each["again"] == each["until"] == each["fresh"] for each in trails)

        until(through, "the upkeep has read everything twice")


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """A world that is ready, and ends after the block."""
    servers = Stack(folder / "stack")
    ends: list[Callable[[], object]] = [servers.down]
    try:
        running = servers.up(bound=True, any_port=True)
        scorer = Scorer(running.kafka, folder)
        ends.insert(0, scorer.stop)
        projector = Projector(running, folder)
        ends.insert(0, projector.stop)
        until(scorer.ready, "the scorer is ready")
        until(projector.ready, "the projector is ready")
        with mongo.client(running.mongodb) as client:
            yield World(running, scorer, projector, client["rapport"])
    finally:
        for end in ends:
            end()
