"""`rapport api`: the API under `/v1` and the portal under `/`."""

import asyncio
import contextlib
import functools
import gc
import logging
import secrets
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pymongo.errors import PyMongoError
from starlette.responses import PlainTextResponse

from rapport.contracts.topics import CATALOGUE
from rapport.kit import backoff, mongo
from rapport.kit import health as probes
from rapport.kit.broker import kafka, kafka_topics
from rapport.kit.broker.producer import NotAcknowledgedError
from rapport.kit.health import Health
from rapport.kit.http.outgoing import Guard
from rapport.kit.http.serving import Limits, Server
from rapport.kit.log import set_up
from services.api.accounts import routes as accounts
from services.api.alerts import routes as alerts
from services.api.answering import routes as answering
from services.api.brands import routes as brands
from services.api.brands.repository import Brands
from services.api.calendar import routes as calendar
from services.api.campaigns import routes as campaigns
from services.api.channels import routes as channels
from services.api.charges import gauges as charge_gauges
from services.api.charges import routes as charges
from services.api.communities import routes as communities
from services.api.connecting import renewing
from services.api.connecting import routes as connecting
from services.api.connecting.renewing import Renewing
from services.api.connecting.service import Connecting
from services.api.consistency import routes as consistency
from services.api.errands import routes as errands
from services.api.exchanges import routes as exchanges
from services.api.followers import routes as followers
from services.api.http import conditional, idempotency, middleware, problems
from services.api.http.context import Context
from services.api.http.documented import with_headers
from services.api.identities import routes as identities
from services.api.keys import routes as keys
from services.api.keys import service as auth
from services.api.listening import routes as listening
from services.api.mix import routes as mix
from services.api.movers import routes as movers
from services.api.new_relationships import routes as new
from services.api.outreach import routes as outreach
from services.api.overview import gauges
from services.api.overview import routes as overview
from services.api.overview import service as overview_service
from services.api.policies import routes as policy
from services.api.publishing.broker import Broker
from services.api.publishing.service import Publisher
from services.api.scoring import routes as scoring
from services.api.sealing import routes as sealing
from services.api.settings import ApiSettings
from services.api.storage import indexes
from services.api.storage.tenants import Tenants
from services.api.web import pages

log = logging.getLogger("rapport.api")

ROUTES = (
    brands,
    accounts,
    charges,
    listening,
    connecting,
    policy,
    channels,
    keys,
    overview,
    exchanges,
    errands,
    followers,
    alerts,
    movers,
    answering,
    scoring,
    sealing,
    identities,
    mix,
    consistency,
    new,
    outreach,
    campaigns,
    communities,
    calendar,
)
SHUTDOWN_SECONDS = 5
PING_SECONDS = 5.0


class _StoppedError(Exception):
    """The API ends while its thread still looks for the topics."""


def create_app(settings: ApiSettings) -> FastAPI:
    """The application. When it starts it connects to MongoDB and Kafka, and keeps trying."""
    database = mongo.async_client(settings.mongodb.get_secret_value())[settings.database]
    broker = Broker(lambda: kafka.producer(settings.kafka, "rapport-api"))
    context = Context(
        database=database,
        publisher=Publisher(database, broker),
        health=Health("kafka", "mongodb"),
        admin_key=_admin_key(settings),
        environment=settings.environment,
        signing_secret=_signing_secret(settings),
        guard=Guard(allow_private=settings.allow_private),
        sealer=settings.sealer,
        pricing=settings.pricing,
    )

    vendors = Connecting(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loop = probes.Loop()
        internal = probes.serve(settings.host, settings.internal_port, context.health, loop.alive)
        app.state.internal_port = internal.server_port
        asking = [
            kafka.probe("kafka", settings.kafka).start(context.health),
            broker.probe("kafka").start(context.health),
            mongo.probe("mongodb", settings.mongodb.get_secret_value()).start(context.health),
            mongo.write_probe("mongodb", settings.mongodb.get_secret_value(), settings.database).start(context.health),
        ]
        tasks = [asyncio.create_task(_connect(settings, context, broker, vendors)), asyncio.create_task(loop.beat())]
        try:
            yield
        finally:
            for probe in asking:
                probe.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await vendors.close()
            await asyncio.to_thread(broker.close)
            await asyncio.to_thread(internal.shutdown)
            internal.server_close()
            await database.client.close()

    # FastAPI's documentation pages would load scripts from other sites.
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/v1/openapi.json")
    app.state.context = context
    app.state.connecting = vendors
    app.add_middleware(conditional.Conditional, resources=_resources())
    app.add_middleware(idempotency.Idempotent, database=database)
    app.add_middleware(middleware.BodyLimit)
    problems.install(app)
    app.add_middleware(middleware.Observed)
    app.add_middleware(middleware.Head)
    # With `include_router`, FastAPI builds every route a second time when the first request comes.
    app.router.routes.extend(_routes())
    app.add_api_route("/healthz", _healthz, include_in_schema=False)
    pages.install(app)
    app.openapi = openapi  # type: ignore[method-assign]
    return app


@functools.cache
def openapi() -> dict[str, Any]:
    """The OpenAPI document."""
    described = FastAPI(
        title="Rapport",
        version="1",
        summary="What an agency's clients and their followers say to each other, and how soon.",
        responses={422: {"model": problems.Problem, "content": {problems.MEDIA_TYPE: {}}}},
    )
    for module in ROUTES:
        described.include_router(module.router)
    return with_headers(described.openapi())


def _routes() -> list[APIRoute]:
    return [each for module in ROUTES for each in module.router.routes if isinstance(each, APIRoute)]


@functools.cache
def _resources() -> list[conditional.Resource]:
    return conditional.resources(_routes())


async def _healthz() -> PlainTextResponse:
    """For load balancers: the process answers. Readiness and metrics are on the internal port."""
    return PlainTextResponse("ok\n")


async def _connect(settings: ApiSettings, context: Context, broker: Broker, vendors: Connecting) -> None:
    """Creates the indexes, warms the cache of counts and keeps the settings in the log."""
    where = mongo.shown(settings.mongodb.get_secret_value())
    for delay in backoff.delays():
        try:
            await indexes.create_async(context.database)
        except PyMongoError as error:
            log.warning(
                "MongoDB at %s does not have its indexes yet (%.300s); trying again in %.1f s", where, error, delay
            )
            await asyncio.sleep(delay)
            continue
        break
    context.health.ready("mongodb")
    await asyncio.gather(
        _warm_counts(context),
        _publish(settings, context, broker),
        _watch_mongodb(context),
        gauges.keep(context.database),
        charge_gauges.keep(context.database, context.pricing),
        renewing.keep(context.database),
        Renewing(context, vendors).run(),
    )


async def _warm_counts(context: Context) -> None:
    """Warms the cache, so that the first visitor does not wait."""
    everybody = Tenants(None)
    try:
        brands = await Brands(context.database, everybody).all()
        await overview_service.overview(context.database, everybody, brands, datetime.now(UTC))
        for brand in brands:
            await overview_service.overview(context.database, Tenants.one(brand["_id"]), [brand], datetime.now(UTC))
    except PyMongoError as error:
        log.info("the counts were not warmed (%s: %.300s)", type(error).__name__, error)


async def _watch_mongodb(context: Context) -> None:
    """Keeps the readiness of MongoDB current. Does not end."""
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
    loop, there, ended = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def wait(seconds: float) -> None:
        if ended.wait(seconds):
            raise _StoppedError

    def look() -> None:
        try:
            kafka_topics.wait_until_there(settings.kafka, CATALOGUE, log, wait, context.health)
        except _StoppedError:
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(there.set)

    # A daemon thread: it must not keep the process from ending.
    threading.Thread(target=look, name="topics", daemon=True).start()
    try:
        await there.wait()
    finally:
        ended.set()
    for delay in backoff.delays():
        try:
            await broker.connect()
        except NotAcknowledgedError as error:
            log.warning("Kafka at %s is not reachable (%s); trying again in %.1f s", settings.kafka, error, delay)
            await asyncio.sleep(delay)
            continue
        break
    context.health.ready("kafka")
    await context.publisher.run()


def _admin_key(settings: ApiSettings) -> str | None:
    if settings.admin_key is None:
        return None
    key = settings.admin_key.get_secret_value()
    if auth.id_of(key) is None:
        raise SystemExit(
            "RAPPORT_ADMIN_KEY is not a valid key: use rp_<env>_<id>_<secret> with an id of 4 to 32 lower-case letters "
            "and digits and a secret of at least 32 letters and digits"
        )
    return key


def _signing_secret(settings: ApiSettings) -> bytes:
    given = settings.session_secret or settings.admin_key
    return given.get_secret_value().encode() if given is not None else secrets.token_bytes(32)


def run() -> None:
    """Serves until SIGTERM or SIGINT."""
    settings = ApiSettings()
    set_up("api")
    log.info("settings: %s", settings.described())
    if settings.allow_private:
        log.warning(
            "RAPPORT_ALLOW_PRIVATE is set: accounts and webhooks may be on private servers; never in production"
        )
    app = create_app(settings)
    openapi()  # cached; computed on the first request it would delay all others
    # Collecting objects that live forever would stop all answers for a tenth of a second, again and again.
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
