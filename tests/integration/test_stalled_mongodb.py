"""A MongoDB that says hello and does nothing else, as where a disk hangs or files are locked for a copy."""

import contextlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from rapport.contracts.events import MailChannel
from rapport.kit import mongo
from rapport.local.ports import usual_or_free
from rapport.local.servers.stack import Running
from tests.services.api.conftest import PLAIN, Served, own_brand, serve, settings_for
from tests.services.api.storage.replica_set import ReplicaSet
from tests.services.notifier.conftest import World
from tests.services.notifier.receivers import MailReceiver, WebhookReceiver
from tests.waiting import until

pytestmark = pytest.mark.stack

DATABASE = "stalled"
WAITING = 120
"""Changes that wait at once: more than a client has connections."""


@pytest.fixture
def mongodb(tmp_path: Path) -> Iterator[ReplicaSet]:
    made = ReplicaSet(tmp_path, members=1)
    yield made
    made.end()


@pytest.fixture
def api(stack: Running, mongodb: ReplicaSet, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """An API that gives up sooner than it would."""
    monkeypatch.setitem(mongo._OPTIONS, "socketTimeoutMS", 3_000)
    yield from serve(settings_for(stack.kafka, mongodb.uri, DATABASE), ready=True)


@pytest.fixture
def world(stack: Running, mongodb: ReplicaSet) -> Iterator[World]:
    """Where a notifier can be started."""
    servers = SimpleNamespace(kafka=stack.kafka, mongodb=mongodb.uri)
    found = World(servers, DATABASE, MailReceiver(), WebhookReceiver())
    yield found
    found.close()


@pytest.fixture
def projector(stack: Running, mongodb: ReplicaSet) -> Iterator[str]:
    """The address of a running projector."""
    port = usual_or_free(0)
    its = {"KAFKA": stack.kafka, "MONGODB": mongodb.uri, "DATABASE": DATABASE, "PORT": str(port)}
    environment = {**os.environ, **{f"RAPPORT_{name}": value for name, value in its.items()}}
    command = [sys.executable, "-c", "from services.api.projector.process import run; run()"]
    process = subprocess.Popen(command, env=environment)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(60)


@contextlib.contextmanager
def stalled(mongodb: ReplicaSet) -> Iterator[None]:
    with mongodb.member(0) as admin:
        admin.admin.command("fsync", lock=True)
        try:
            yield
        finally:
            admin.admin.command("fsyncUnlock")


def readiness(url: str) -> tuple[int, str]:
    with contextlib.suppress(httpx.HTTPError):
        answer = httpx.get(f"{url}/readyz", verify=PLAIN)
        return answer.status_code, answer.text
    return 0, ""


def test_changes_are_answered_and_all_who_write_say_that_they_cannot(
    mongodb: ReplicaSet, api: Served, world: World, projector: str
) -> None:
    notifier = world.start(RAPPORT_ALLOW_PRIVATE="1")
    processes = (api.internal_url, f"http://127.0.0.1:{notifier.port}", projector)
    team = MailChannel(id="team", to="team@acme.example")
    brand, told = own_brand(), world.brand(team)
    api.brand(brand)

    def change(number: int) -> int:
        body = {"channels": [{"type": "mail", "id": f"team-{number}", "to": "team@acme.example"}]}
        return api.client.put(f"/v1/brands/{brand}/channels", json=body, timeout=150).status_code

    until(lambda: all(readiness(each)[0] == 200 for each in processes), "all are ready")
    with stalled(mongodb):
        alert = world.alert(told)
        with ThreadPoolExecutor(WAITING) as threads:
            answers = Counter(threads.map(change, range(WAITING)))
        assert answers == {503: WAITING}
        for each in processes:
            until(lambda each=each: "mongodb" in readiness(each)[1], f"{each} says so", 60)  # type: ignore[misc]
    until(lambda: all(readiness(each)[0] == 200 for each in processes), "all are ready again")
    assert change(0) == 200
    assert world.ended(alert, "team")["status"] == "delivered"
