"""A comment on Mastodon is answered from here, on a real installation: the answer comes back and ends the clock."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from rapport.local.installation import Installation
from rapport.local.running_installation import RunningInstallation
from tests.platforms.mastodon import MastodonServer
from tests.services.ingest.connectors.mastodon.client import Client
from tests.waiting import until

pytestmark = [pytest.mark.stack, pytest.mark.e2e]


@dataclass
class Agency:
    """What runs, a client of its API, and a brand with its account on a server."""

    line: RunningInstallation
    api: httpx.Client
    server: MastodonServer
    client: Client

    def exchange(self, comment: str) -> dict[str, Any]:
        """The exchange that a comment opened, once it is there."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            items = self.api.get("/brands/roastery/exchanges").json()["items"]
            found[:] = [each for each in items if each["first"]["id"] == comment]
            return bool(found)

        until(there, f"{comment} to be an exchange")
        return found[0]

    def errand(self, exchange: str, id: str) -> dict[str, Any]:
        items = self.api.get(f"/brands/roastery/exchanges/{exchange}/errands").json()["items"]
        return next((each for each in items if each["id"] == id), {})

    def ask(self, exchange: str, what: str, key: str, **body: Any) -> dict[str, Any]:
        path = f"/brands/roastery/exchanges/{exchange}/{what}"
        answer = self.api.post(path, json=body, headers={"Idempotency-Key": key})
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture(scope="module")
def agency(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agency]:
    installation = Installation()
    settings = {"RAPPORT_ALLOW_PRIVATE": "true", "RAPPORT_TICK_SECONDS": "0.5"}
    data: Path = tmp_path_factory.mktemp("answering") / "data"
    with MastodonServer() as server:
        server.keeps_keys = False  # no help from there
        client = Client(server)
        try:
            line = installation.start(data, lambda *_: None, settings, any_port=True)
            headers = {"Authorization": f"Bearer {line.admin_key}"}
            with httpx.Client(base_url=f"{line.api}/v1", headers=headers, timeout=30) as api:
                made = api.post("/brands", json={"id": "roastery", "name": "Roastery", "timezone": "UTC"})
                assert made.status_code == 201, made.text
                account = {
                    "id": client.account.id, "platform": "mastodon", "handle": client.account.handle,
                    "connection": client.account.connection,
                }  # fmt: skip
                made = api.post("/brands/roastery/accounts", json=account)
                assert made.status_code == 201, made.text
                yield Agency(line, api, server, client)
        finally:
            installation.stop()


def test_an_answer_from_here_comes_back_and_ends_the_clock(agency: Agency) -> None:
    comment = agency.client.comment()
    exchange = agency.exchange(comment)
    assert exchange["state"] == "open"
    asked = agency.ask(exchange["id"], "answers", "one", text="From eight on")
    assert agency.ask(exchange["id"], "answers", "one", text="From eight on")["id"] == asked["id"]
    agency.ask(exchange["id"], "likes", "two")

    def answered() -> bool:
        found = agency.api.get(f"/brands/roastery/exchanges/{exchange['id']}").json()
        return bool(found["state"] == "answered")

    until(answered, "the exchange to be answered")
    until(lambda: agency.errand(exchange["id"], asked["id"]).get("state") == "done", "the answer to be confirmed")
    bare = comment.partition("@")[0]
    assert [each.text for each in agency.server.answers(bare)] == ["From eight on"]
    until(lambda: (agency.client.itself, bare) in agency.server.favourites, "it to be liked")


@pytest.mark.long
def test_a_process_killed_while_it_sends_sends_nothing_twice(agency: Agency) -> None:
    comment = agency.client.comment("And on Sundays?")
    exchange = agency.exchange(comment)
    bare = comment.partition("@")[0]
    agency.server.answer_late(60)
    asked = agency.ask(exchange["id"], "answers", "three", text="Only in summer")
    until(lambda: len(agency.server.answers(bare)) == 1, "the answer to be there")
    os.kill(agency.line.pids["ingest"], signal.SIGKILL)
    # A minute has to pass in which it could still be on its way.
    until(lambda: agency.errand(exchange["id"], asked["id"]).get("state") == "done", "it to be found", 180)
    assert [each.text for each in agency.server.answers(bare)] == ["Only in summer"]


def test_what_the_platform_refuses_is_told(agency: Agency) -> None:
    exchange = agency.exchange(agency.client.comment("Tell me everything"))
    asked = agency.ask(exchange["id"], "answers", "four", text="x" * 600)
    until(lambda: agency.errand(exchange["id"], asked["id"]).get("state") == "refused", "it to be refused")
    assert "500" in agency.errand(exchange["id"], asked["id"])["why"]
