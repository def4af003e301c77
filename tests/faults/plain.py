"""Faust as it comes: an agent that counts events by key in a table, on RocksDB. What the product is held against.

Run as a module with the broker, the data folder, the port of its web, settings, and methods of `Plain`.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import faust
from faust.sensors.metrics import performance_metrics

from services.scorer.worker import credentials
from tests.faults import answers

EVENTS, COUNTS, SAID = "plain.events", "plain-counts-changelog", "plain.said"
GROUP = "plain"


def make(kafka: str, data: Path, port: int, **settings: Any) -> Any:
    """The application. Every setting is Faust's own, but for those that tests need to be quick."""
    return faust.App(
        GROUP,
        broker=f"kafka://{kafka}",
        broker_credentials=credentials(),
        datadir=str(data),
        store="rocksdb://",
        web_port=port,
        web_host="127.0.0.1",
        topic_partitions=1,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.5,
        **{"broker_commit_interval": 0.2, **settings},
    )


class Plain:
    """The application and its agent, and the ways in which a test makes its environment fail."""

    def __init__(self, app: Any, data: Path) -> None:
        self.app = app
        self.data = data
        self.concurrency = 1
        self.counts = app.Table("counts", default=int, partitions=1)
        self.said = app.topic(SAID, value_type=bytes, value_serializer="raw", partitions=1)
        self.events = app.topic(EVENTS, key_type=bytes, value_type=bytes, value_serializer="raw", key_serializer="raw")

    def begin(self) -> None:
        """Declares the agent."""

        async def count(stream: Any) -> None:
            async for event in stream.events():
                await self.one(event.key.decode(), event.value)

        self.app.agent(self.events, concurrency=self.concurrency, name="count")(count)

    async def one(self, key: str, value: bytes) -> None:
        """Counts one event, or does what it says."""
        if value == b"raise":
            raise RuntimeError("one bad event")
        if value == b"wait":
            await asyncio.Event().wait()
        if value == b"say":
            await self.said.send(value=key.encode())
        elif value == b"forget":
            self.counts.pop(key)
        else:
            self.counts[key] += 1
        with (self.data / "seen").open("a") as seen:
            seen.write(f"{key}\n")

    def slow_changelog(self) -> None:
        """The producer takes long over what goes to the changelog: a stalled leader, a full buffer."""
        app = self.app

        async def slow(real: Any, topic: str, *given: Any, **named: Any) -> Any:
            if topic == COUNTS:
                await asyncio.sleep(600)
            return await real(topic, *given, **named)

        async def started(*_: Any, **__: Any) -> None:
            producer = await app.maybe_start_producer()
            real = producer.send
            producer.send = lambda *given, **named: slow(real, *given, **named)

        app.on_partitions_assigned.connect(started, weak=False)

    def lost_answer(self) -> None:
        """The answer to what the agent says first is lost."""
        answers.lost(SAID, every=1_000)

    def two_at_once(self) -> None:
        """The agent works on two events at a time."""
        self.concurrency = 2

    def no_commit(self) -> None:
        """The broker refuses the commits of an old generation, and the driver says so."""

        async def refused(*_: Any) -> bool:
            return False

        async def started(*_: Any, **__: Any) -> None:
            self.app.consumer._thread._commit = refused

        self.app.on_partitions_assigned.connect(started, weak=False)

    def tell(self) -> None:
        """Writes down what it believes to have committed."""

        async def told() -> None:
            known = {partition.topic: offset for partition, offset in self.app.consumer._committed_offset.items()}
            (self.data / "believed").write_text(str(known.get(EVENTS)))

        self.app.timer(0.2)(told)

    def watched(self) -> None:
        """Writes down how often its livelock detector has looked, and how much it thinks is left to do."""
        looks = 0

        def looking(real: Any) -> Any:
            async def look() -> None:
                nonlocal looks
                await real()
                looks += 1
                lag = performance_metrics(self.app)["consumer"]["lag_by_partition"].get(EVENTS)
                (self.data / "watched").write_text(f"{looks} {lag}")

            return look

        async def started(*_: Any, **__: Any) -> None:
            consumer = self.app.consumer
            consumer.verify_all_partitions_active = looking(consumer.verify_all_partitions_active)

        self.app.on_partitions_assigned.connect(started, weak=False)


def main() -> None:
    """Runs until it is killed."""
    kafka, folder, port, settings, *faults = sys.argv[1:]
    data = Path(folder)
    data.mkdir(parents=True, exist_ok=True)
    plain = Plain(make(kafka, data, int(port), **dict(_setting(each) for each in settings.split())), data)
    for fault in faults:
        getattr(plain, fault)()
    plain.begin()
    faust.Worker(plain.app, loglevel="INFO").execute_from_commandline()


def _setting(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name, float(value)


if __name__ == "__main__":
    main()
