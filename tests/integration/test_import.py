"""History from a file and from Bluesky, on a real installation: relationships, outcomes, and no alert."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from rapport.demo.client import ndjson, signature
from rapport.local.installation import Installation
from rapport.local.running_installation import RunningInstallation
from services.api.http.ids import follower_parts, follower_ref
from tests.platforms.bluesky.appview import AppView, Record
from tests.services.ingest.jetstream import MICROSECONDS, Jetstream, commit
from tests.services.notifier.receivers import WebhookReceiver
from tests.waiting import until

pytestmark = [pytest.mark.stack, pytest.mark.e2e]

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SOON_SECONDS = 2
GALLERY, ADA, BO, CY = "did:plc:gallery", "did:plc:ada", "did:plc:bo", "did:plc:cy"


@dataclass
class Agency:
    """What runs, a client of its API, and who hears of alerts."""

    line: RunningInstallation
    api: httpx.Client
    webhooks: WebhookReceiver
    folder: Path

    def get(self, path: str) -> Any:
        answer = self.api.get(path)
        assert answer.is_success, answer.text
        return answer.json()

    def rapport(self, *words: str, secret: str, code: int, **more: str) -> Any:
        """What a command prints as JSON. `more` are variables of its environment."""
        ended = subprocess.run(
            [sys.executable, "-m", "rapport.cli", *words, "--json"],
            env={
                **os.environ,
                "RAPPORT_API_URL": self.line.api,
                "RAPPORT_DOOR_URL": self.line.ingest,
                "RAPPORT_KEY": self.line.admin_key,
                "RAPPORT_DOOR_SECRET": secret,
                "RAPPORT_LEDGER": str(self.folder / "imports.sqlite"),
                **{f"RAPPORT_{name}": value for name, value in more.items()},
            },
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == code, ended.stderr
        return json.loads(ended.stdout)

    def send(self, account: str, secret: str, *bodies: dict[str, Any]) -> None:
        """Something live."""
        body = ndjson(list(bodies))
        headers = {"X-Rapport-Account": account, "X-Rapport-Signature-256": signature(body, secret)}
        answer = httpx.post(
            f"{self.line.ingest}/v1/interactions",
            content=body,
            headers={**headers, "Content-Type": "application/x-ndjson"},
        )
        assert answer.status_code == 202, answer.text


@pytest.fixture(scope="module")
def agency(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agency]:
    folder = tmp_path_factory.mktemp("import")
    webhooks, installation = WebhookReceiver(), Installation()
    settings = {
        "RAPPORT_ALLOW_PRIVATE": "true",
        "RAPPORT_PLC_DIRECTORY": "http://127.0.0.1:1",
        "RAPPORT_TICK_SECONDS": "0.5",
        "RAPPORT_BREACH_GRACE_SECONDS": "0.5",
    }
    try:
        line = installation.start(folder / "data", lambda *_: None, settings, any_port=True)
        headers = {"Authorization": f"Bearer {line.admin_key}"}
        with httpx.Client(base_url=f"{line.api}/v1", headers=headers, timeout=30) as api:
            yield Agency(line, api, webhooks, folder)
    finally:
        installation.stop()
        webhooks.close()


def wrote(id: str, who: str, at: datetime, thread: str = "t") -> dict[str, Any]:
    return {
        "id": id, "kind": "comment", "actor": {"id": who, "name": who.title()}, "thread": f"{thread}-{who}",
        "text": f"Do you ship? ({id})", "occurred_at": at.isoformat(),
    }  # fmt: skip


def answered(comment: dict[str, Any], at: datetime) -> dict[str, Any]:
    return {
        "id": f"{comment['id']}-answer", "kind": "reply", "actor": {"id": "mira", "name": "Mira"},
        "parent": {"id": comment["id"], "actor": comment["actor"]["id"]}, "thread": comment["thread"],
        "text": "We do.", "occurred_at": at.isoformat(),
    }  # fmt: skip


def test_history_has_outcomes_and_relationships_alerts_nobody_and_counts_once(agency: Agency) -> None:
    hook = agency.webhooks.channel("crm", "/museum")
    channel = {"type": "webhook", "id": "crm", "url": hook.url, "secret": hook.secret}
    for method, path, body in (
        ("POST", "/brands", {"id": "museum", "name": "The Museum", "timezone": "Europe/Oslo"}),
        ("PUT", "/brands/museum/channels", {"channels": [channel]}),
    ):
        assert agency.api.request(method, path, json=body).is_success
    made = agency.api.post("/brands/museum/accounts", json={"id": "museum-desk", "platform": "desk", "handle": "Desk"})
    assert made.status_code == 201, made.text
    secret = made.json()["door_secret"]
    now = datetime.now(UTC)

    in_time = wrote("c1", "ada", now - 5 * DAY)
    too_late = wrote("c2", "bo", now - 4 * DAY)
    never = wrote("c3", "cy", now - 3 * DAY)
    long_ago = wrote("c0", "ada", now - 60 * DAY, "old")
    lines = [
        answered(in_time, now - 5 * DAY + HOUR),  # before its comment
        long_ago,
        answered(long_ago, now - 60 * DAY + HOUR),
        in_time,
        too_late,
        answered(too_late, now - 4 * DAY + 30 * HOUR),
        never,
        {"kind": "follow", "actor": {"id": "dee", "name": "Dee"}, "occurred_at": (now - 200 * DAY).isoformat()},
        wrote("late", "eve", now + HOUR),
        {**wrote("wrong", "eve", now - DAY), "kind": "coment"},
    ]
    file = agency.folder / "history.ndjson"
    file.write_bytes(ndjson(lines))
    words = ("import", "museum", "museum-desk", str(file))

    trial = agency.rapport(*words, "--dry-run", secret="", code=3)
    assert (trial["taken"], agency.get("/brands/museum/followers")["items"]) == (8, [])
    report = agency.rapport(*words, secret=secret, code=3)
    assert (report["read"], report["taken"], report["already_known"]) == (10, 8, 0)
    assert [(each["reason"], each["examples"][0]["at"]) for each in report["left_out"]] == [
        ("kind is missing or wrong", "line 10"),
        ("written after the account was connected", "line 9"),
    ]

    def exchanges() -> dict[str, Any]:
        return {each["first"]["id"]: each for each in agency.get("/brands/museum/exchanges")["items"]}

    def outcomes() -> dict[str, tuple[str, bool]]:
        return {first: (each["state"], each["breached_at"] is not None) for first, each in exchanges().items()}

    expected = {"c1": ("answered", False), "c2": ("answered_late", True), "c3": ("open", True)}
    until(lambda: outcomes() == expected, lambda: f"every outcome: {outcomes()}")
    assert all(each["backfilled"] for each in exchanges().values())
    assert exchanges()["c1"]["response_seconds"] == HOUR.total_seconds()

    def followers() -> dict[str, Any]:
        return {each["name"]: each for each in agency.get("/brands/museum/followers")["items"]}

    until(lambda: len(followers()) == 4, lambda: f"the followers are there: {followers()}")
    until(lambda: followers()["Ada"]["counts"].get("reply") == 2, lambda: f"both answers count: {followers()['Ada']}")
    counted = {name: each["counts"] for name, each in followers().items()}
    assert counted["Ada"] == {"comment": 2, "reply": 2}, "what opens no clock counts in the relationship"
    assert counted["Dee"] == {"follow": 1}
    assert followers()["Ada"]["first_seen"].startswith((now - 60 * DAY).date().isoformat())

    again = agency.rapport(*words, secret=secret, code=3)
    assert (again["taken"], again["already_known"]) == (0, 8)
    (agency.folder / "imports.sqlite").unlink()
    assert agency.rapport(*words, secret=secret, code=3)["taken"] == 8, "without the ledger they are sent once more"

    # Something live, as the sign that everything before it was processed and that alerts do arrive.
    policy = {"rules": [{"target_seconds": SOON_SECONDS, "warn_at": []}]}
    assert agency.api.put("/brands/museum/policy", json=policy).is_success
    agency.send("museum-desk", secret, wrote("live", "ada", datetime.now(UTC), "live"))
    until(lambda: len(agency.webhooks.posts["/museum"]) >= 1, "the live breach is heard of")
    heard = [post.event for post in agency.webhooks.posts["/museum"]]
    assert {each["data"]["first"]["id"] for each in heard} == {"live"}
    alerts = agency.get("/brands/museum/alerts")["items"]
    assert {each["exchange"] for each in alerts} == {exchanges()["live"]["id"]}
    until(lambda: followers()["Ada"]["counts"] == {"comment": 3, "reply": 2}, "only the live one was added")
    assert {name: each["counts"] for name, each in followers().items() if name != "Ada"} == {
        name: each for name, each in counted.items() if name != "Ada"
    }
    assert {first: each for first, each in outcomes().items() if first != "live"} == expected


def test_bluesky_is_asked_for_history_and_what_the_stream_tells_as_well_counts_once(agency: Agency) -> None:
    now = datetime.now(UTC)
    with AppView(GALLERY, "gallery.test") as network, Jetstream() as stream:
        network.handles |= {ADA: "ada.test", BO: "bo.test"}
        network.leads |= {"ada.test": ADA, "bo.test": "did:plc:another"}
        post = network.post(GALLERY, "A new exhibition", now - 6 * DAY)
        question = network.post(ADA, "Are you open?", now - 5 * DAY, reply=post)
        answer = network.post(GALLERY, "We are.", now - 5 * DAY + HOUR, reply=question)
        past = [
            post, question, answer,
            network.post(BO, "And on Sundays?", now - 3 * DAY, reply=post),
            network.like(ADA, post, now - 4 * DAY),
            network.repost(BO, post, now - 4 * DAY + HOUR),
            network.follow(CY, now - 200 * DAY),
        ]  # fmt: skip
        network.raw.append(((now - HOUR).isoformat(timespec="milliseconds").replace("+00:00", "Z"), {"uri": 7}))
        made = agency.api.post("/brands", json={"id": "gallery", "name": "The Gallery", "timezone": "Europe/Oslo"})
        assert made.is_success, made.text
        its = {"did": GALLERY, "jetstream": f"{stream.address}/subscribe"}
        account = {"id": "gallery-bluesky", "platform": "bluesky", "handle": "gallery.test", "connection": its}
        made = agency.api.post("/brands/gallery/accounts", json=account)
        assert made.status_code == 201, made.text
        secret = made.json()["door_secret"]
        words = ("import", "gallery", "gallery-bluesky", "--did", GALLERY)
        env = {"BLUESKY_PASSWORD": network.password, "PLC_DIRECTORY": network.address, "ALLOW_PRIVATE": "true"}

        report = agency.rapport(*words, secret=secret, code=0, **env)
        assert (report["read"], report["taken"], report["already_known"]) == (8, 7, 0)
        assert [(each["reason"], each["count"]) for each in report["left_out"]] == [("broken records", 1)]
        assert agency.rapport(*words, secret=secret, code=0, **env)["already_known"] == 7

        assert stream.connected.wait(60)
        new_post = network.post(GALLERY, "Open late", datetime.now(UTC))
        live = [
            new_post,
            *(network.post(one, "Thanks!", datetime.now(UTC), reply=new_post) for one in (ADA, BO)),
            *(network.like(one, new_post, datetime.now(UTC)) for one in (ADA, CY)),
            network.repost(BO, new_post, datetime.now(UTC)),
        ]
        for record in (*past, *live):
            tell(stream, record)

        def followers() -> dict[str, Any]:
            items = agency.get("/brands/gallery/followers")["items"]
            return {follower_parts(each["id"])[1]: each for each in items}

        def counts() -> dict[str, Any]:
            return {did: each["counts"] for did, each in followers().items()}

        # The live ones came last in each partition, so whatever was told twice has been seen by then.
        expected = {
            ADA: {"comment": 2, "reply": 1, "reaction": 2},
            BO: {"comment": 2, "share": 2},
            CY: {"follow": 1, "reaction": 1},
        }
        until(lambda: counts() == expected, lambda: f"everything counts once: {counts()}")

        def timeline() -> list[str]:
            ada = agency.get(f"/brands/gallery/followers/{follower_ref('bluesky', ADA)}")
            return sorted(each["kind"] for each in ada["timeline"])

        once = ["comment", "comment", "reaction", "reaction", "reply"]
        until(lambda: timeline() == once, lambda: f"everything is shown once: {timeline()}")
        assert {did: each["handle"] for did, each in followers().items()} == {ADA: "ada.test", BO: None, CY: None}

        def outcomes() -> dict[str, tuple[str, bool, bool]]:
            return {
                each["first"]["text"]: (each["state"], each["backfilled"], each["breached_at"] is not None)
                for each in agency.get("/brands/gallery/exchanges")["items"]
            }

        told = {
            "Are you open?": ("answered", True, False),
            "And on Sundays?": ("open", True, True),
            "Thanks!": ("open", False, False),
        }
        until(lambda: outcomes() == told, lambda: f"every outcome: {outcomes()}")
        assert agency.get("/brands/gallery/alerts")["items"] == []


def tell(stream: Jetstream, record: Record) -> None:
    """The stream tells a record as of now."""
    _, _, did, collection, rkey = record.uri.split("/")
    at = int(datetime.now(UTC).timestamp() * MICROSECONDS)
    frame = commit(did, at, collection, rkey, record.value)
    frame["commit"]["cid"] = record.cid
    stream.send(at, frame)
