"""`rapport api`: the API under `/v1` and the portal under `/`."""

import asyncio
import contextlib
import gc
import hashlib
import hmac
import logging
import secrets
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pymongo.errors import PyMongoError

from rapport.contracts.topics import CATALOGUE
from rapport.kit import backoff, kafka, mongo
from rapport.kit import health as probes
from rapport.kit.health import Health
from rapport.kit.log import set_up
from rapport.kit.serving import Limits, Server
from services.api import auth, conditional, idempotency, middleware, numbers, problems
from services.api.broker import Broker, NotAcknowledgedError
from services.api.context import Context
from services.api.documented import with_headers
from services.api.portal import pages
from services.api.publisher import Publisher
from services.api.repositories import indexes
from services.api.repositories.brands import Brands
from services.api.repositories.tenants import Tenants
from services.api.routes import (
    accounts,
    alerts,
    answering,
    brands,
    calendar,
    campaigns,
    channels,
    communities,
    consistency,
    exchanges,
    followers,
    identities,
    keys,
    mix,
    movers,
    new,
    operations,
    overview,
    policy,
    scoring,
)
from services.api.settings import ApiSettings

log = logging.getLogger("rapport.api")

ROUTES = (
    brands,
    accounts,
    policy,
    channels,
    keys,
    overview,
    exchanges,
    followers,
    alerts,
    movers,
    answering,
    scoring,
    identities,
    mix,
    consistency,
    new,
    campaigns,
    communities,
    calendar,
)
SHUTDOWN_SECONDS = 5
PING_SECONDS = 5.0


def create_app(settings: ApiSettings) -> FastAPI:
    """The application. It connects to MongoDB and Kafka when it starts, and goes on trying where they are away."""
    database = mongo.async_client(settings.mongodb.get_secret_value())[settings.database]
    broker = Broker(lambda: kafka.producer(settings.kafka, "rapport-api"))
    context = Context(
        database=database,
        publisher=Publisher(database, broker),
        health=Health("kafka", "mongodb"),
        admin_key=_admin_key(settings),
        environment=settings.environment,
        session_secret=_session_secret(settings),
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loop = probes.Loop()
        internal = probes.serve(settings.host, settings.internal_port, context.health, loop.alive)
        app.state.internal_port = internal.server_port
        asking = [
            kafka.probe("kafka", settings.kafka).start(context.health),
            broker.probe("kafka").start(context.health),
            mongo.probe("mongodb", settings.mongodb.get_secret_value()).start(context.health),
        ]
        tasks = [asyncio.create_task(_connect(settings, context, broker)), asyncio.create_task(loop.beat())]
        try:
            yield
        finally:
            for probe in asking:
                probe.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(broker.close)
            await asyncio.to_thread(internal.shutdown)
            internal.server_close()
            await database.client.close()

    app = FastAPI(
        title="Rapport",
        version="1",
        summary="What an agency's clients and their followers say to each other, and how soon.",
        lifespan=lifespan,
        # The pages of the documentation would load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        responses={422: {"model": problems.Problem, "content": {problems.MEDIA_TYPE: {}}}},
    )
    app.state.context = context
    routes = [each for module in ROUTES for each in module.router.routes if isinstance(each, APIRoute)]
    app.add_middleware(conditional.Conditional, routes=routes)
    app.add_middleware(idempotency.Idempotent, database=database)
    app.add_middleware(middleware.BodyLimit)
    problems.install(app)
    app.add_middleware(middleware.Observed)
    for module in ROUTES:
        app.include_router(module.router)
    app.include_router(operations.router)
    pages.install(app)
    described = app.openapi
    app.openapi = lambda: with_headers(described())  # type: ignore[method-assign]
    return app


async def _connect(settings: ApiSettings, context: Context, broker: Broker) -> None:
    """Makes the indexes and what takes long to count, and the producer, then keeps the settings in the log."""
    where = mongo.shown(settings.mongodb.get_secret_value())
    for delay in backoff.delays():
        try:
            await indexes.create_async(context.database)
        except PyMongoError as error:
            log.warning("MongoDB at %s is not reachable (%.300s); trying again in %.1f s", where, error, delay)
            await asyncio.sleep(delay)
            continue
        break
    context.health.ready("mongodb")
    await asyncio.gather(_count_beforehand(context), _publish(settings, context, broker), _watch_mongodb(context))


async def _count_beforehand(context: Context) -> None:
    """So that not the first who asks waits for it."""
    everybody = Tenants(None)
    try:
        brands = await Brands(context.database, everybody).all()
        await numbers.overview(context.database, everybody, brands, datetime.now(UTC))
        for brand in brands:
            await numbers.overview(context.database, Tenants.one(brand["_id"]), [brand], datetime.now(UTC))
    except PyMongoError as error:
        log.info("nothing is counted beforehand (%s: %.300s)", type(error).__name__, error)


async def _watch_mongodb(context: Context) -> None:
    """Says whether MongoDB answers, for as long as this process runs."""
    while True:
        await asyncio.sleep(PING_SECONDS)
        try:
            async with asyncio.timeout(PING_SECONDS):
                await context.database.command("ping")
        except (PyMongoError, TimeoutError):
            context.health.unready("mongodb")
        else:
            context.health.ready("mongodb")


async def _publish(settings: ApiSettings, context: Context, broker: Broker) -> None:
    for delay in backoff.delays():
        try:
            await broker.connect()
        except NotAcknowledgedError as error:
            log.warning("Kafka at %s is not reachable (%s); trying again in %.1f s", settings.kafka, error, delay)
            await asyncio.sleep(delay)
            continue
        break
    # A daemon: what is only told must not keep the process from ending.
    look = (settings.kafka, CATALOGUE, log)
    threading.Thread(target=kafka.tell_shortfalls, args=look, name="settings of Kafka", daemon=True).start()
    context.health.ready("kafka")
    await context.publisher.run()


def _admin_key(settings: ApiSettings) -> str | None:
    if settings.admin_key is None:
        return None
    key = settings.admin_key.get_secret_value()
    if auth.id_of(key) is None:
        raise SystemExit(
            "RAPPORT_ADMIN_KEY is no key: it has to be rp_<env>_<id>_<secret>, with 4 to 32 lower-case letters and "
            "digits as id and at least 32 letters and digits as secret"
        )
    return key


def _session_secret(settings: ApiSettings) -> bytes:
    if settings.session_secret is not None:
        return settings.session_secret.get_secret_value().encode()
    if settings.admin_key is not None:
        return hmac.digest(settings.admin_key.get_secret_value().encode(), b"rapport portal session", hashlib.sha256)
    return secrets.token_bytes(32)


def run() -> None:
    """Serves until SIGTERM or SIGINT."""
    settings = ApiSettings()
    set_up("api")
    log.info("settings: %s", settings.described())
    app = create_app(settings)
    app.openapi()  # kept from then on; whoever asks first would keep everybody waiting
    # A collection of what stays for good would stop all answers for a tenth of a second, again and again.
    gc.collect()
    gc.freeze()
    serve(app, settings).run()
    log.info("stopped")


def serve(app: FastAPI, settings: ApiSettings, limits: Limits | None = None) -> Server:
    """The server of an application, not yet running."""
    return Server(
        app,
        host=settings.host,
        port=settings.port,
        trusted_proxies=settings.proxies,
        graceful=SHUTDOWN_SECONDS,
        limits=limits,
    )
