"""The scorer's process: settings, health, and a worker until it is asked to stop or cannot go on."""

import asyncio
import logging
import os
import signal
import time
from typing import Any

from rapport.contracts.topics import CATALOGUE
from rapport.kit import health, tracing
from rapport.kit import log as logs
from rapport.kit.broker import kafka, kafka_topics
from rapport.kit.probe import Probe, room_in
from services.scorer.fenced.state import RefusedError
from services.scorer.settings import ScorerSettings
from services.scorer.worker import Worker

log = logging.getLogger("rapport.scorer")

STALLED_SECONDS = 60.0
"""An event loop that did not turn for this long is stuck, whatever Kafka does."""


async def _serve(settings: ScorerSettings) -> int:
    state = health.Health("kafka", "partitions restored")
    kafka.probe("kafka", settings.kafka).start(state)
    Probe("disk", lambda: room_in(settings.data / "scorer")).start(state)
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    beat = [time.monotonic()]
    server = health.serve(settings.host, settings.port, state, lambda: time.monotonic() - beat[0] < STALLED_SECONDS)
    running = health.Loop()
    beats = asyncio.create_task(running.beat())
    try:
        there = asyncio.create_task(asyncio.to_thread(_wait_for_kafka, settings.kafka, stopping, loop, state))
        while not there.done():
            beat[0] = time.monotonic()
            await asyncio.wait([there], timeout=1)
        await there
        if stopping.is_set():
            return 0
        state.ready("kafka")
        worker = Worker(settings, state, running)
        await worker.start()
        stopped: asyncio.Future[Any] = asyncio.create_task(stopping.wait())
        ends: list[asyncio.Future[Any]] = [stopped, worker.failed]
        while not (stopped.done() or worker.failed.done()):
            beat[0] = worker.beat
            await asyncio.wait(ends, timeout=1, return_when=asyncio.FIRST_COMPLETED)
        if worker.failed.done():
            error = worker.failed.result()
            if isinstance(error, RefusedError):
                log.critical("refusing to go on: %s", error)
            else:
                log.critical("the worker ends, the next owner carries on", exc_info=error)
            return 1
        await worker.stop()
        return 0
    finally:
        # A task that is still pending would be logged while the interpreter ends.
        beats.cancel()
        await asyncio.wait([beats])
        server.shutdown()


class _Stopped(Exception):  # noqa: N818 - not an error: we were asked to stop
    """Ends the wait for Kafka."""


def _wait_for_kafka(
    bootstrap: str, stopping: asyncio.Event, loop: asyncio.AbstractEventLoop, state: health.Health
) -> None:
    def wait(seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if stopping.is_set() or loop.is_closed():
                raise _Stopped
            time.sleep(0.05)

    try:
        kafka_topics.wait_until_there(bootstrap, CATALOGUE, log, wait, state)
    except _Stopped:
        return


def run() -> None:
    """Runs until SIGTERM or SIGINT (exit code 0), or until it cannot go on (1)."""
    logs.set_up("scorer")
    for name in ("faust", "mode", "services.scorer.fenced.transport"):  # the transport logs as a Faust service
        logging.getLogger(name).setLevel(logging.WARNING)
    settings = ScorerSettings()
    log.info("settings: %s", settings.described())
    tracing.set_up("scorer", settings.traces, settings.traces_share)
    # Not asyncio.run: it would wait for tasks and threads of Faust's that may never end. What was committed is safe in
    # the log, and the next owner of the partitions does the rest.
    code = asyncio.new_event_loop().run_until_complete(_serve(settings))
    tracing.end()
    logging.shutdown()
    os._exit(code)
