"""A real API over HTTP, on the session's Kafka and a MongoDB database of the test's own."""

import asyncio
import ssl
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from pymongo.database import Database

from rapport.kit import mongo
from rapport.kit.http.serving import Limits
from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api import app as app_module
from services.api.app import create_app
from services.api.charges import gauges as charge_gauges
from services.api.connecting import renewing
from services.api.http.rates import Rates
from services.api.overview import gauges
from services.api.publishing.service import Publisher
from services.api.settings import ApiSettings
from services.api.storage import counted, indexes
from tests.waiting import until

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients that never speak TLS: httpx would read all certificate authorities for each."""
ADMIN_KEY = "rp_test_admin_" + "0123456789abcdef" * 4


@dataclass
class Served:
    """An API that answers at `url`."""

    url: str
    client: httpx.Client
    """With the administrator's key."""
    internal_url: str
    """Where probes and metrics are."""

    def with_key(self, key: str | None) -> httpx.Client:
        """A client with another key, or none."""
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=30, verify=PLAIN
        )

    def brand(self, brand: str, timezone: str = "Europe/Berlin") -> None:
        """Adds a brand."""
        answer = self.client.post("/v1/brands", json={"id": brand, "name": brand.title(), "timezone": timezone})
        assert answer.status_code == 201, answer.text

    def key(self, brands: list[str] | None, *scopes: str) -> str:
        """Makes a key."""
        answer = self.client.post("/v1/keys", json={"name": "test", "brands": brands, "scopes": list(scopes)})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["key"])


@pytest.fixture(scope="session")
def prepared(stack: Running) -> Iterator[Database[Document]]:
    """A database with the read side's indexes. They take longer to make than most tests do, so all use this one."""
    name = f"test_{uuid.uuid4().hex}"
    with mongo.client(stack.mongodb) as client:
        indexes.create(client[name])
        yield client[name]
        client.drop_database(name)


@pytest.fixture
def views(prepared: Database[Document]) -> Database[Document]:
    """The read side's database, empty."""
    for collection in prepared.list_collection_names():
        prepared[collection].delete_many({})
    return prepared


def zone_at_noon(now: datetime) -> str:
    """A zone where it is noon `now`: no day of a brand there ends while a test looks at it."""
    return f"Etc/GMT{now.hour - 12:+d}"


def own_brand() -> str:
    """The id of a brand that no other test has: the log is everybody's."""
    return f"b-{uuid.uuid4().hex[:12]}"


def settings_for(kafka: str, mongodb: str, database: str) -> ApiSettings:
    """An API's settings as they would be read from the environment."""
    return ApiSettings(
        kafka=kafka,
        mongodb=SecretStr(mongodb),
        database=database,
        admin_key=SecretStr(ADMIN_KEY),
        environment="test",
        port=0,
        internal_port=0,
    )


@pytest.fixture(scope="module")
def shared_api(stack: Running, prepared: Database[Document]) -> Iterator[tuple[FastAPI, Served]]:
    """An API for all of a file's tests: starting one takes longer than most tests do.

    What it does from time to time it does once: a test of metrics reads what it set itself, and one that looks at all
    that is stored finds no lease that nobody asked for. It publishes what it is asked to, and nothing by itself: other
    tests keep a change out of the log and look what is seen of it, or count a brand's records.
    """
    settings = settings_for(stack.kafka, stack.mongodb, prepared.name)
    app = create_app(settings)
    with pytest.MonkeyPatch.context() as patched:
        for module in (gauges, charge_gauges, renewing):
            patched.setattr(module, "EVERY_SECONDS", 3600.0)
        patched.setattr(renewing, "LOOK_SECONDS", 3600.0)
        patched.setattr(Publisher, "run", _rest)
        for served in serve(settings, ready=True, app=app):
            yield app, served


async def _rest(_: Publisher) -> None:
    await asyncio.Event().wait()


@pytest.fixture
def api(shared_api: tuple[FastAPI, Served], views: Database[Document]) -> Served:
    """An API that is ready and remembers nothing; its file's tests share it, one after the other."""
    app, served = shared_api
    app.state.context = replace(app.state.context, rates=Rates())
    counted._of_client.clear()
    served.client.cookies.clear()
    return served


@pytest.fixture
def own_api(stack: Running, views: Database[Document]) -> Iterator[Served]:
    """An API of this test alone, where what it does from time to time matters."""
    yield from serve(settings_for(stack.kafka, stack.mongodb, views.name), ready=True)


def serve(
    settings: ApiSettings,
    *,
    ready: bool,
    limits: Limits | None = None,
    loop: Literal["auto", "asyncio"] = "auto",
    app: FastAPI | None = None,
) -> Iterator[Served]:
    """Serves the application in a thread; waits until it says that it is `ready`, or only that it lives."""
    app = app or create_app(settings)
    server = app_module.serve(app, settings, limits)
    server.config.loop = loop
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started, "the API listens")
    port = server.servers[0].sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    internal = f"http://127.0.0.1:{app.state.internal_port}"
    with httpx.Client(
        base_url=url, headers={"Authorization": f"Bearer {ADMIN_KEY}"}, timeout=30, verify=PLAIN
    ) as client:
        if ready:
            until(lambda: httpx.get(f"{internal}/readyz", verify=PLAIN).status_code == 200, "the API is ready")
        yield Served(url, client, internal)
    server.should_exit = True
    thread.join(20)
