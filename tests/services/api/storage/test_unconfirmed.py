"""A replica set that takes writes, and confirms none: two members with data and an arbiter, of which one is lost."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo.database import Database
from pymongo.errors import PyMongoError, WTimeoutError

from rapport.contracts import codec
from rapport.contracts.controls import PolicyVersion
from rapport.contracts.topics import CONVERSATIONS
from rapport.kit import mongo
from rapport.kit.broker import kafka
from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.calendar.repository import MATCH
from services.api.publishing import broker
from services.api.publishing.broker import Broker
from services.api.publishing.service import Publisher
from tests.services.api import facts
from tests.services.api.conftest import Served, own_brand, serve, settings_for
from tests.services.api.log import everything, newest
from tests.services.api.storage.replica_set import ReplicaSet
from tests.waiting import until

pytestmark = pytest.mark.stack

DATABASE = "unconfirmed"
PATIENT = 150
"""Seconds for an answer: MongoDB has its time, and the machine may be slow."""


@pytest.fixture
def members(tmp_path: Path) -> Iterator[ReplicaSet]:
    """A replica set of three."""
    made = ReplicaSet(tmp_path, members=3)
    yield made
    made.end()


@pytest.fixture
def api(stack: Running, members: ReplicaSet) -> Iterator[Served]:
    """An API that is ready, with its views there."""
    yield from serve(settings_for(stack.kafka, members.uri, DATABASE), ready=True)


def said(api: Served) -> str:
    """What readiness says."""
    return api.client.get(f"{api.internal_url}/readyz").text


def all_at_once(api: Served, *requests: tuple[str, str, Any]) -> list[httpx.Response]:
    """The answers to requests of a method, a path and a body each, sent at one time."""

    def one(request: tuple[str, str, Any]) -> httpx.Response:
        method, path, body = request
        return api.client.request(method, path, json=body, timeout=PATIENT)

    with ThreadPoolExecutor(len(requests)) as threads:
        return list(threads.map(one, requests))


def test_a_change_that_no_majority_confirms_is_answered_and_readiness_says_so(members: ReplicaSet, api: Served) -> None:
    brand, other = own_brand(), own_brand()
    api.brand(brand)
    members.lose(1)
    began = time.monotonic()
    new = {"id": other, "name": "Other", "timezone": "UTC"}
    answer = api.client.post("/v1/brands", json=new, timeout=PATIENT)
    assert answer.status_code == 503, answer.text
    assert "does not confirm the change" in answer.json()["detail"]
    assert time.monotonic() - began > mongo.ACKNOWLEDGE_MS / 1000, "it was given its time"
    # What is stored can be read meanwhile.
    assert brand in [each["id"] for each in api.client.get("/v1/brands").json()["items"]]
    until(lambda: "mongodb" in said(api), lambda: said(api), 60)

    members.find(1)
    until(lambda: api.client.get(f"{api.internal_url}/readyz").status_code == 200, lambda: said(api), 90)
    again = api.client.post("/v1/brands", json=new, timeout=PATIENT)
    assert again.status_code in (201, 409), again.text
    brands = api.client.get("/v1/brands").json()["items"]
    assert other in [each["id"] for each in brands], "the change has taken place"


def publish_due(kafka_at: str, uri: str) -> None:
    """What the publisher does from time to time."""

    async def run() -> None:
        client, log = mongo.async_client(uri), Broker(lambda: kafka.producer(kafka_at, "test"))
        await log.connect()
        await Publisher(client[DATABASE], log).publish_due(datetime.now(UTC) - timedelta(days=1))
        log.close()
        await client.close()

    with pytest.MonkeyPatch.context() as patience:
        patience.setattr(broker, "ACKNOWLEDGED_WITHIN_SECONDS", 60.0)
        asyncio.run(run())


def policies_in(kafka_at: str, brand: str) -> list[tuple[int, int | None]]:
    """The versions of a brand's policy that the log has, each once: number and target."""
    found = set()
    for record in everything(kafka_at, CONVERSATIONS):
        if json.loads(record.value or b"{}").get("brand") == brand:
            event = codec.decode(codec.type_of(record.headers), record.value)
            if isinstance(event, PolicyVersion):
                found.add((event.version, event.rules[0].target_seconds))
    return sorted(found, key=str)


def test_the_log_has_nothing_that_is_taken_back_with_the_primary(
    stack: Running, members: ReplicaSet, api: Served
) -> None:
    brand = own_brand()
    api.brand(brand)
    policy, channels = f"/v1/brands/{brand}/policy", f"/v1/brands/{brand}/channels"

    def channel(name: str) -> Document:
        return {"channels": [{"type": "mail", "id": name, "to": f"{name}@example.com"}]}

    def target(seconds: int) -> Document:
        return {"rules": [{"target_seconds": seconds}]}

    first = all_at_once(api, ("PUT", policy, target(3600)), ("PUT", channels, channel("old")))
    assert [each.status_code for each in first] == [200, 200], first
    members.lose(1)
    ghosts = all_at_once(api, ("PUT", policy, target(60)), ("PUT", channels, channel("ghost")))
    assert [each.status_code for each in ghosts] == [503, 503], ghosts
    with contextlib.suppress(WTimeoutError):  # of whoever publishes them all the same, and cannot confirm it
        publish_due(stack.kafka, members.uri)

    members.lose(0)
    members.find(1)
    with members.member(1) as second:
        until(lambda: second.admin.command("hello")["isWritablePrimary"], "the second member is the primary", 90)
    members.find(0)
    until(members.is_confirming, "the members agree", 120)
    answer = until(
        lambda: found if (found := api.client.get(policy, timeout=PATIENT)).status_code == 200 else None, "it answers"
    )
    assert answer.json()["rules"][0]["target_seconds"] == 3600, "the change went with the primary"
    then = all_at_once(api, ("PUT", policy, target(7200)), ("PUT", channels, channel("new")))
    assert [each.status_code for each in then] == [200, 200], [each.text for each in then]
    assert policies_in(stack.kafka, brand) == [(1, 3600), (2, 7200)]
    with mongo.client(members.uri) as client:
        stored = client[DATABASE]["brands"].find_one({"_id": brand})
    assert stored is not None
    record = newest(stack.kafka, brand)
    assert (record.revision, [each.id for each in record.channels]) == (stored["revision"], ["new"])


def test_a_primary_that_gives_up_its_place_during_a_change_has_not_confirmed_it(
    members: ReplicaSet, api: Served
) -> None:
    brand = own_brand()
    api.brand(brand)
    members.lose(1)
    answers: list[httpx.Response] = []
    change = ("PUT", f"/v1/brands/{brand}/policy", {"rules": [{"target_seconds": 60}]})
    asking = threading.Thread(target=lambda: answers.extend(all_at_once(api, change)))
    asking.start()
    with members.member(0) as primary:
        until(lambda: primary[DATABASE]["policies"].find_one({"brand": brand}), "it is written")
        try:
            primary.admin.command("replSetStepDown", 5, force=True)
        except PyMongoError:
            assert primary.admin.command("ping")["ok"]
    asking.join(PATIENT)
    assert [each.status_code for each in answers] == [503], answers[0].text


def test_what_was_not_confirmed_is_there_as_a_whole_or_not_at_all(
    members: ReplicaSet, api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    brand, now = own_brand(), datetime.now(UTC)
    home = f"/v1/brands/{brand}"
    api.brand(brand)
    community = {"id": "fans", "name": "Fans", "rule": "trust > 1"}
    account = {"id": f"{brand}-a", "platform": "bluesky", "handle": "acme.example", "connection": {"did": "did:plc:a"}}
    with mongo.client(members.uri) as client:
        views: Database[Document] = client[DATABASE]
        facts.write(views, *facts.followers(brand, [("did:plc:one", now), ("did:plc:two", now)]))
        assert api.client.post(f"{home}/communities", json=community).status_code == 201
        made = api.client.post(f"{home}/accounts", json=account)
        assert made.status_code == 201, made.text
        before = views["brands"].find_one({"_id": brand})
        views["stale"].delete_many({})
        one, two = (f"bluesky~{name}" for name in ("did:plc:one", "did:plc:two"))
        listed = api.client.get(f"{home}/followers").json()["items"]
        one, two = (each["id"] for each in listed)
        plan = {
            "id": "monday", "account": account["id"], "planned_at": (now + timedelta(days=1)).isoformat(), "text": "Hi",
        }  # fmt: skip
        members.lose(1)
        monkeypatch.setattr(mongo, "REQUESTED_SECONDS", 5.0)
        answers = all_at_once(
            api,
            ("POST", f"{home}/identities", {"a": one, "b": two, "why": "They said so"}),
            ("POST", f"{home}/calendar/posts", plan),
            ("DELETE", f"{home}/communities/fans", None),
            ("PATCH", f"{home}/accounts/{account['id']}", {"handle": "renamed.example"}),
        )
        assert [each.status_code for each in answers] == [503] * 4, [each.text for each in answers]
        assert all("it may have taken place" in each.json()["detail"] for each in answers)
        members.find(1)
        until(members.is_confirming, "the members agree", 120)

        def many(collection: str, **query: Any) -> int:
            return views[collection].count_documents({"brand": brand, **query})

        assert (many("links"), many("link_log"), many("linked", dirty={"$ne": None})) in ((0, 0, 0), (1, 1, 2))
        assert (many("planned_posts"), many("stale", what=MATCH)) in ((0, 0), (1, 1))
        assert many("communities", removed_at={"$ne": None}) == many("removed_communities")
        after = views["brands"].find_one({"_id": brand})
        assert before is not None
        assert after is not None
        assert many("accounts", pending={"$ne": None}) == after["revision"] - before["revision"]
