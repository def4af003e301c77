"""The worker: a Faust app whose two agents have a lane per partition, and what watches over them."""

import asyncio
import contextlib
import logging
import time
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP
from prometheus_client import Gauge

from rapport.contracts.topics import CONVERSATIONS, ENGAGEMENTS, EXCHANGES, SCORER_GROUP
from rapport.kit import health
from rapport.kit.broker.group import Patience
from rapport.kit.broker.kafka_login import login
from rapport.kit.broker.member import GroupLostError, GroupWatch
from services.scorer.agents import agents
from services.scorer.fenced.agent import Agent
from services.scorer.fenced.lane import Lane
from services.scorer.fenced.transport import BatchSchema, member_id, pause, read_from, read_position, stop_fetching
from services.scorer.fenced.watchdog import Watchdog
from services.scorer.settings import ScorerSettings
from services.scorer.ticks import Ticks

STUCK_SECONDS = 120.0
"""A partition with work that is not done for so long: the worker ends, and the next owner starts afresh."""
CHECK_SECONDS = 10.0
ANSWER_SECONDS = 10.0
REBALANCE_SECONDS = 60.0
PATIENCE = Patience(rebalancing=2 * REBALANCE_SECONDS)
FAUST_STOP_SECONDS = 3.0

ASSIGNED = Gauge("rapport_scorer_assigned_lanes", "Lanes that this worker has.", ["agent"])
READY = Gauge("rapport_scorer_ready_lanes", "Lanes that are restored and process.", ["agent"])
WAITING = Gauge("rapport_scorer_halted_lanes", "Lanes that wait for a scorer of a later version.")


class Worker:
    """The lanes of one process, and what keeps them going."""

    def __init__(self, settings: ScorerSettings, state: health.Health, running: health.Loop) -> None:
        """Prepares; `start` joins the group. `running` is the loop that it runs on."""
        self._settings = settings
        self._running = running
        self._health = state
        self.failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self.beat = time.monotonic()
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._ticks = Ticks(settings.kafka, settings.instance, settings.tick_seconds, self._scored)
        self._tasks: list[asyncio.Task[None]] = []
        self._agents = {
            agent.name: agent
            for agent in agents(
                settings.kafka,
                settings.data / "scorer",
                grace_seconds=settings.breach_grace_seconds,
                session_seconds=settings.session_seconds,
                put_aside=settings.places,
            )
        }
        self._topics = {source: agent for agent in self._agents.values() for source in agent.sources}
        self._watchdog = Watchdog(STUCK_SECONDS)
        self._app = self._faust()
        self._loop = asyncio.get_running_loop()
        state.check(lambda: "; ".join(self._waits()) or None)
        # Where aiokafka's coordination ends with an error, it tells whoever fetches next, which may be nobody.
        self._group = GroupWatch(
            settings.kafka,
            SCORER_GROUP,
            {topic.name: topic.partitions for topic in (CONVERSATIONS, ENGAGEMENTS, EXCHANGES)},
            member=lambda: member_id(self._app),
            give_up=self._group_lost,
            patience=PATIENCE,
        )

    def _faust(self) -> Any:
        settings = self._settings
        app = faust.App(
            SCORER_GROUP,
            broker=f"fenced://{settings.kafka.split(',')[0]}",
            broker_consumer=";".join(f"fenced://{server}" for server in settings.kafka.split(",")),
            consumer_group_instance_id=settings.instance,
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
            store="memory://",
            datadir=str(settings.data / "faust"),
            stream_wait_empty=True,
            consumer_auto_offset_reset="earliest",
            broker_max_poll_records=2_000,
            broker_session_timeout=settings.session_seconds,
            broker_heartbeat_interval=settings.session_seconds / 4,
            broker_rebalance_timeout=REBALANCE_SECONDS,
            broker_request_timeout=40.0,
            broker_credentials=credentials(),
        )
        for agent in self._agents.values():
            self._agent(app, agent)
        app.on_partitions_revoked.connect(self._revoked, weak=False)
        app.on_partitions_assigned.connect(self._assigned, weak=False)
        return app

    def _agent(self, app: Any, agent: Agent) -> None:
        async def batches(stream: Any) -> None:
            async for event in stream.events():
                lane = self._lanes.get((agent.name, event.message.partition))
                if lane is None:
                    continue
                if event.value.passed is None:
                    lane.put(event.value.records, event.value.session)
                else:
                    lane.passed(event.message.topic, event.value.passed, event.value.session)

        app.agent(app.topic(*agent.sources, schema=BatchSchema()), name=agent.name)(batches)

    async def start(self) -> None:
        """Starts Faust, which joins the group; the lanes follow from what it assigns."""
        (self._settings.data / "faust").mkdir(parents=True, exist_ok=True)
        await self._app.start()
        self._group.start(self._health)
        self._tasks = [asyncio.create_task(part()) for part in (self._report, self._end_if_stuck)]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Ends the lanes after the transactions under way, then leaves."""
        self._group.stop()
        for task in self._tasks:
            task.cancel()
        await self._close(list(self._lanes))
        # With the lanes closed nothing is at stake any more, and a static member does not even leave the group. Faust's
        # own shutdown can hang, so it gets a few seconds and its log is muted.
        logging.getLogger("faust").setLevel(logging.CRITICAL)
        for ending in (self._ticks.stop(), self._app.stop()):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ending, FAUST_STOP_SECONDS)

    async def _revoked(self, *_: Any, **__: Any) -> None:
        # Each rebalance of Faust revokes everything, and each generation opens its lanes again.
        await self._close(list(self._lanes))

    async def _assigned(self, *received: Any, **__: Any) -> None:
        await self._close(list(self._lanes))
        self._watchdog.forget()
        stop_fetching(self._app)
        for name, partition in sorted({(self._topics[tp.topic].name, tp.partition) for tp in received[1]}):
            agent = self._agents[name]
            sources = dict.fromkeys(agent.sources, partition)
            lane = Lane(
                agent,
                partition,
                read_from=lambda offsets, session, partition=partition: read_from(  # type: ignore[misc]
                    self._app, {TP(topic, partition): offset for topic, offset in offsets.items()}, session
                ),
                pause=lambda paused, sources=sources: pause(self._app, sources, paused),  # type: ignore[misc]
                crashed=self._crashed,
            )
            self._lanes[(name, partition)] = lane
            lane.start()

    async def _close(self, names: list[tuple[str, int]]) -> None:
        lanes = [lane for name in names if (lane := self._lanes.pop(name, None)) is not None]
        await asyncio.gather(*(lane.close() for lane in lanes))

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crashed(error)

    def _group_lost(self, why: str) -> None:
        self._loop.call_soon_threadsafe(self._crashed, GroupLostError(why))

    def _crashed(self, error: BaseException) -> None:
        if not self.failed.done():
            self.failed.set_result(error)

    async def _report(self) -> None:
        """Beats for liveness, and tells readiness and metrics."""
        while True:
            self.beat = time.monotonic()
            self._ticks.only(
                partition
                for (name, partition), lane in self._lanes.items()
                if name == "exchanges" and lane.waits_for is None
            )
            for agent in self._agents:
                lanes = [lane for (name, _), lane in self._lanes.items() if name == agent]
                ASSIGNED.labels(agent).set(len(lanes))
                READY.labels(agent).set(sum(lane.ready for lane in lanes))
            WAITING.set(len(self._waits()))
            if self._lanes and all(lane.ready or lane.waits_for for lane in self._lanes.values()):
                self._health.ready("partitions restored")
            else:
                self._health.unready("partitions restored")
            if self._app.crashed:
                self._crashed(RuntimeError(f"Faust ended: {self._app.crash_reason!r}"))
            await asyncio.sleep(0.2)

    def _scored(self, partition: int) -> int | None:
        lane = self._lanes.get(("exchanges", partition))
        return None if lane is None else lane.clock

    def _waits(self) -> list[str]:
        """Records that lanes wait at because only a later version can process them."""
        return sorted(lane.waits_for for lane in list(self._lanes.values()) if lane.waits_for is not None)

    async def _end_if_stuck(self) -> None:
        """Ends the worker where it makes no progress. The broker, not Faust, says how far the log goes.

        Patience is counted in the time that the loop ran. A worker that gets little of the machine is slow; ending it
        would only make it slower.
        """
        reader = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka,
            isolation_level="read_committed",
            enable_auto_commit=False,
            **login(),
        )
        await reader.start()
        answered = self._running.ran
        try:
            while True:
                await asyncio.sleep(CHECK_SECONDS)
                asked = self._sources()
                ends = await _ends(reader, asked)
                if len(ends) == len(asked):
                    self._health.ready("kafka")
                else:
                    self._health.unready("kafka")
                if ends or not asked:
                    answered = self._running.ran
                elif (silent := self._running.ran - answered) > STUCK_SECONDS:
                    # When it starts, a worker waits calmly; here a dozen clients would retry all the time.
                    self._crashed(RuntimeError(f"Kafka has not answered for {silent:.0f} s"))
                for lane in self._lanes.values():
                    lane.measure()
                await self._check_progress(ends)
        finally:
            await reader.stop()

    def _sources(self) -> list[tuple[str, int]]:
        return [(topic, partition) for name, partition in self._lanes for topic in self._agents[name].sources]

    async def _check_progress(self, ends: dict[TopicPartition, int]) -> None:
        now = self._running.ran
        for (name, partition), lane in list(self._lanes.items()):
            stood = self._watchdog.stalled((name, partition), lane.done, unfinished=lane.unfinished, now=now)
            if stood is not None:
                self._crashed(RuntimeError(f"{name}[{partition}] has work and did none of it for {stood:.0f} s"))
        for (topic, partition), end in ends.items():
            # Moves past transaction markers and what was compacted, so it does reach the end.
            position = await read_position(self._app, topic, partition) if self._fetches(topic, partition) else None
            if position is None:
                continue
            stood = self._watchdog.stalled((topic, partition), position, unfinished=position < end, now=now)
            if stood is not None:
                why = f"{topic}[{partition}] is read up to {position} of {end} and not further for {stood:.0f} s"
                self._crashed(RuntimeError(why))

    def _fetches(self, topic: str, partition: int) -> bool:
        lane = self._lanes.get((self._topics[topic].name, partition))
        return lane is not None and lane.ready


async def _ends(reader: AIOKafkaConsumer, partitions: list[tuple[str, int]]) -> dict[TopicPartition, int]:
    """The ends of the partitions that answer: one without a leader must not hide the others."""

    async def asked(*some: TopicPartition) -> dict[TopicPartition, int]:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                found: dict[TopicPartition, int] = await reader.end_offsets(some)
        except (KafkaError, TimeoutError):
            return {}
        return found

    wanted = [TopicPartition(*each) for each in partitions]
    if len(together := await asked(*wanted)) == len(wanted):
        return together
    apart = await asyncio.gather(*(asked(partition) for partition in wanted))
    return {partition: offset for answer in apart for partition, offset in answer.items()}


def credentials() -> faust.SASLCredentials | faust.SSLCredentials | None:
    """The login as Faust takes it."""
    options = login()
    if "sasl_mechanism" in options:
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=options.get("ssl_context"),
        )
    return faust.SSLCredentials(options["ssl_context"]) if options else None
