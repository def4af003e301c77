"""A replica set that takes writes, and confirms none: two members with data and an arbiter, of which one is lost."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from rapport.kit import mongo
from rapport.local import child, ports
from rapport.local.servers.mongod import REPLICA_SET, Mongod
from rapport.local.servers.stack import Running
from tests.services.api.conftest import Served, own_brand, serve, settings_for
from tests.waiting import until


class ThreeMembers:
    """A primary, a second member with data, and an arbiter."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = [ports.usual_or_free(0) for _ in range(3)]
        self._processes = [self._start(number) for number in range(3)]
        names = [f"{ports.LOOPBACK}:{port}" for port in self._ports]
        self.uri = f"mongodb://{','.join(names)}/?replicaSet={REPLICA_SET}"
        members = [
            {"_id": 0, "host": names[0], "priority": 2},
            {"_id": 1, "host": names[1], "priority": 1},
            {"_id": 2, "host": names[2], "arbiterOnly": True},
        ]

        def initiated() -> bool:
            with MongoClient[dict[str, object]](names[0], directConnection=True) as client:
                try:
                    client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
                except PyMongoError as error:
                    return "already initialized" in str(error)
                return True

        until(initiated, "the replica set is made", 90)
        until(self.is_confirming, "the second member has what the first wrote", 90)

    def _start(self, number: int) -> child.Child:
        data = self._folder / str(number)
        data.mkdir(exist_ok=True)
        command = [
            Mongod(self._folder).command(self._ports[number])[0],
            *("--bind_ip", ports.LOOPBACK, "--port", str(self._ports[number]), "--nounixsocket"),
            *("--dbpath", str(data), "--replSet", REPLICA_SET, "--wiredTigerCacheSizeGB", "0.25"),
            *("--oplogSize", "50", "--setParameter", "diagnosticDataCollectionEnabled=false"),
        ]
        return child.start(command, self._folder / f"{number}.log", os.environ, signal.SIGKILL)

    def is_confirming(self) -> bool:
        """Whether both members with data have a write."""
        with mongo.client(self.uri) as client:
            try:
                client["admin_test"]["written"].insert_one({})
            except PyMongoError:
                return False
            return True

    def lose(self) -> None:
        """Kills the second member."""
        self._processes[1].send(signal.SIGKILL)
        assert child.ended([self._processes[1]], 30)

    def find(self) -> None:
        """Starts it again."""
        self._processes[1] = self._start(1)

    def end(self) -> None:
        """Ends all."""
        for process in self._processes:
            process.send(signal.SIGKILL)
        assert child.ended(self._processes, 30)


@pytest.fixture
def members(tmp_path: Path) -> Iterator[ThreeMembers]:
    """A replica set of three."""
    made = ThreeMembers(tmp_path)
    yield made
    made.end()


@pytest.fixture
def api(stack: Running, members: ThreeMembers) -> Iterator[Served]:
    """An API that is ready, with its views there."""
    yield from serve(settings_for(stack.kafka, members.uri, "unconfirmed"), ready=True)


def test_a_change_that_no_majority_confirms_is_answered_and_readiness_says_so(
    members: ThreeMembers, api: Served
) -> None:
    brand, other = own_brand(), own_brand()
    api.brand(brand)
    members.lose()
    began = time.monotonic()
    answer = api.client.post("/v1/brands", json={"id": other, "name": "Other", "timezone": "UTC"}, timeout=120)
    assert answer.status_code == 503, answer.text
    assert "does not confirm the change" in answer.json()["detail"]
    assert time.monotonic() - began > mongo.ACKNOWLEDGE_MS / 1000, "it was given its time"
    # What is stored can be read meanwhile.
    assert brand in [each["id"] for each in api.client.get("/v1/brands").json()["items"]]

    def said() -> str:
        return api.client.get(f"{api.internal_url}/readyz").text

    until(lambda: "mongodb" in said(), said, 60)

    members.find()
    until(lambda: api.client.get(f"{api.internal_url}/readyz").status_code == 200, said, 90)
    again = api.client.post("/v1/brands", json={"id": other, "name": "Other", "timezone": "UTC"}, timeout=120)
    assert again.status_code in (201, 409), again.text
    brands = api.client.get("/v1/brands").json()["items"]
    assert other in [each["id"] for each in brands], "the change has taken place"
