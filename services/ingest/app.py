"""The ingest service: the generic door, and the connectors of the platforms."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from rapport.contracts.errands import Errand
from rapport.kit import health as probes
from rapport.kit import tracing
from rapport.kit.broker import kafka
from rapport.kit.health import Health
from rapport.kit.http.asgi import App, Caught, Scope
from rapport.kit.http.outgoing import Guard
from rapport.kit.http.problems import internal, of_status, request_id
from rapport.kit.http.serving import Limits, Server
from rapport.kit.log import set_up
from rapport.kit.probe import Probe, room_in
from services.ingest.broker import Broker
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.instagram.albums import in_its_album
from services.ingest.connectors.platforms import Platforms, hooks, make
from services.ingest.directory import KAFKA_GONE, NOT_READ, Directory
from services.ingest.door import Door
from services.ingest.errands.desk import Desk
from services.ingest.errands.errand_log import ErrandLog
from services.ingest.heartbeat import beat
from services.ingest.hooks.endpoint import Hooks
from services.ingest.leases.leases import Lease, Leases
from services.ingest.settings import IngestSettings

CLOSE_WITHIN = 10
"""How many seconds requests under way may still take after a signal to end."""


def utc_now() -> datetime:
    """The time for `observed_at`: UTC, in whole milliseconds like the log's own times."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def build(settings: IngestSettings, log: logging.Logger) -> Starlette:
    """The service as an ASGI application. Its threads and connectors live as long as it does."""
    health = Health(NOT_READ, KAFKA_GONE)
    folder = settings.data / "ingest"
    broker = Broker(lambda: kafka.producer(settings.kafka, "rapport-ingest"), log)
    asking = [
        kafka.probe(KAFKA_GONE, settings.kafka),
        broker.probe(KAFKA_GONE),
        Probe("disk", lambda: room_in(folder)),
    ]
    heart = Broker(lambda: kafka.producer(settings.kafka, "rapport-ingest-heartbeats"), log)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        round_trips = probes.Loop()
        internal = probes.serve(settings.host, settings.internal_port, health, round_trips.alive)
        app.state.internal_port = internal.server_port
        going_round = loop.create_task(round_trips.beat())
        guard = Guard(allow_private=settings.allow_private)
        shared = Shared(folder, broker, utc_now, log, guard)
        health.check(leases.filling)
        made = make(settings, shared, leases)
        platforms = Platforms(made.connectors)
        desk = Desk(made.speakers, leases, broker, directory.account, utc_now, log)
        errands = ErrandLog(settings.kafka, leases, utc_now, log)
        followed = asyncio.Event()

        def asked(lease: Lease, errand: Errand) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended; so does the service
                loop.call_soon_threadsafe(desk.take, lease, errand)

        def follow() -> None:
            platforms.follow(directory.accounts())
            if not followed.is_set():
                errands.start(asked)  # whose accounts are known now
            followed.set()

        def changed() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended; so does the service
                loop.call_soon_threadsafe(follow)

        async def beats() -> None:
            await followed.wait()  # before that, it is not known what may be behind
            await beat(heart, settings.instance, platforms.behind, log, platforms.disconnected)

        def leased() -> None:
            if followed.is_set():  # before, there is nothing to read
                changed()

        directory.listen(changed)
        leases.listen(leased)
        for probe in asking:
            probe.start(health)
        broker.start()
        heart.start()
        directory.start()
        leases.start()
        beating = loop.create_task(beats())
        pruning = loop.create_task(leases.prune(utc_now))
        try:
            yield
        finally:
            beating.cancel()
            pruning.cancel()
            going_round.cancel()
            for probe in asking:
                probe.stop()
            await asyncio.to_thread(errands.stop)
            await leases.leave()
            await desk.close()
            await platforms.close()
            await shared.close()
            await leases.close()
            await asyncio.to_thread(directory.stop)
            await asyncio.to_thread(heart.close)
            await asyncio.to_thread(broker.close)
            await asyncio.to_thread(internal.shutdown)
            internal.server_close()

    directory = Directory(settings.kafka, health, log, settings.sealer)
    door = Door(directory, broker, health, utc_now)
    leases = Leases(settings.kafka, settings.instance, broker, folder, log)
    placed = partial(in_its_album, remembered=leases.get)
    pushed = Hooks(hooks(settings), directory, broker, health, utc_now, log, placed)

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    return Starlette(
        routes=[
            Route("/v1/interactions", door.post, methods=["POST"]),
            Route("/v1/platforms/{platform}", pushed.get, methods=["GET"]),
            Route("/v1/platforms/{platform}", pushed.post, methods=["POST"]),
            Route("/healthz", healthz),
        ],
        exception_handlers={HTTPException: _http_problem},
        # Inside Starlette's own handling of errors, which ends the connection.
        middleware=[Middleware(Caught, answer=_unforeseen)],
        lifespan=lifespan,
    )


async def _http_problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    detail = f"{request.method} {request.url.path}: {error.detail}"
    return of_status(error.status_code, detail, error.headers).response()


def _unforeseen(scope: Scope, error: Exception) -> App:
    return internal(logging.getLogger("rapport.ingest"), scope["method"], error, request_id()).response()


def run() -> None:
    """Serves until SIGTERM or SIGINT."""
    settings = IngestSettings()
    log = set_up("ingest")
    log.info("ingest starts: %s", settings.described())
    tracing.set_up("ingest", settings.traces, settings.traces_share)
    if settings.allow_private:
        log.warning(
            "RAPPORT_ALLOW_PRIVATE is set: accounts may be read from private addresses; never set it in production"
        )
    serve(build(settings, log), settings).run()
    log.info("ingest ended")


def serve(app: Starlette, settings: IngestSettings, limits: Limits | None = None) -> Server:
    """A server for the application, not running yet."""
    return Server(
        app,
        host=settings.host,
        port=settings.port,
        trusted_proxies=settings.proxies,
        graceful=CLOSE_WITHIN,
        limits=limits,
    )
