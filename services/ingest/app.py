"""The ingest service: the generic door, and a reader for each stream that an account is connected to."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from rapport.kit import health as probes
from rapport.kit import kafka
from rapport.kit.asgi import App, Caught, Scope
from rapport.kit.health import Health
from rapport.kit.log import set_up
from rapport.kit.outgoing import Guard
from rapport.kit.probe import Probe, room_in
from rapport.kit.serving import Limits, Server
from services.ingest.broker import Broker
from services.ingest.connectors.bluesky import Bluesky
from services.ingest.connectors.bluesky_resolver import DomainResolver
from services.ingest.directory import KAFKA_GONE, NOT_READ, Directory
from services.ingest.door import Door
from services.ingest.heartbeat import beat
from services.ingest.problems import ProblemError
from services.ingest.settings import IngestSettings

CLOSE_WITHIN = 10
"""Seconds that requests under way may still take after a signal to end."""


def utc_now() -> datetime:
    """The time, as every interaction's `observed_at` has it: UTC, whole milliseconds like the log's own times."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def build(settings: IngestSettings, log: logging.Logger) -> Starlette:
    """The service as an ASGI application; its threads and readers live as long as it does."""
    health = Health(NOT_READ, KAFKA_GONE)
    broker = Broker(lambda: kafka.producer(settings.kafka, "rapport-ingest"), log)
    asking = [
        kafka.probe(KAFKA_GONE, settings.kafka),
        broker.probe(KAFKA_GONE),
        Probe("disk", lambda: room_in(settings.data / "ingest")),
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
        resolver = DomainResolver.usual(allow_private=settings.allow_private)
        bluesky = Bluesky(settings.data / "ingest", settings.plc_directory, broker, utc_now, log, guard, resolver)

        followed = asyncio.Event()

        def follow() -> None:
            bluesky.follow(directory.accounts())
            followed.set()

        def changed() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended; so does the service
                loop.call_soon_threadsafe(follow)

        async def beats() -> None:
            await followed.wait()  # before, nothing is known of what may be behind
            await beat(heart, settings.instance, bluesky.behind, log, bluesky.disconnected)

        directory.listen(changed)
        for probe in asking:
            probe.start(health)
        broker.start()
        heart.start()
        directory.start()
        beating = loop.create_task(beats())
        try:
            yield
        finally:
            beating.cancel()
            going_round.cancel()
            for probe in asking:
                probe.stop()
            await bluesky.close()
            await asyncio.to_thread(directory.stop)
            await asyncio.to_thread(heart.close)
            await asyncio.to_thread(broker.close)
            await asyncio.to_thread(internal.shutdown)
            internal.server_close()

    directory = Directory(settings.kafka, health, log)
    door = Door(directory, broker, health, utc_now)

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    return Starlette(
        routes=[
            Route("/v1/interactions", door.post, methods=["POST"]),
            Route("/healthz", healthz),
        ],
        exception_handlers={HTTPException: _http_problem},
        # Inside of what Starlette does with errors, which ends the connection.
        middleware=[Middleware(Caught, answer=_own_fault)],
        lifespan=lifespan,
    )


async def _http_problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    slug = {404: "no-such-route", 405: "method-not-allowed"}.get(error.status_code, "http")
    detail = f"{request.method} {request.url.path}: {error.detail}"
    return ProblemError(error.status_code, slug, error.detail, detail, headers=error.headers).response()


def _own_fault(scope: Scope, error: Exception) -> App:
    number = secrets.token_hex(6)
    logging.getLogger("rapport.ingest").error("%s failed, request %s", scope["method"], number, exc_info=error)
    return ProblemError(
        500, "own-fault", "Ingest failed", "the fault is ours and logged; nothing was taken", id=number
    ).response()


def run() -> None:
    """Serves until SIGTERM or SIGINT."""
    settings = IngestSettings()
    log = set_up("ingest")
    log.info("ingest starts: %s", settings.described())
    if settings.allow_private:
        log.warning(
            "RAPPORT_ALLOW_PRIVATE: accounts may be read from this network's own machines; never do so in public"
        )
    serve(build(settings, log), settings).run()
    log.info("ingest ended")


def serve(app: Starlette, settings: IngestSettings, limits: Limits | None = None) -> Server:
    """The server of an application, not yet running."""
    return Server(
        app,
        host=settings.host,
        port=settings.port,
        trusted_proxies=settings.proxies,
        graceful=CLOSE_WITHIN,
        limits=limits,
    )
