"""A year of an installation: every process of it, the servers too, is shown a later date at each start."""

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from rapport.contracts.topics import ENGAGEMENTS, EXCHANGES, Topic
from rapport.local import installation as local
from rapport.local.errors import StackError
from rapport.local.installation import Installation
from rapport.local.servers.stack import Stack
from services.api.http.ids import follower_ref
from tests.faults.broker import begin_and_end
from tests.services.notifier.receivers import WebhookReceiver
from tests.waiting import until

pytestmark = [pytest.mark.stack, pytest.mark.faults]

SETTINGS = {
    "RAPPORT_WEBHOOK_ALLOW_PRIVATE": "true",
    "RAPPORT_TICK_SECONDS": "0.5",
    "RAPPORT_BREACH_GRACE_SECONDS": "0.5",
}
BRAND = "acme"
PATIENCE_SECONDS = 120.0
_PACKAGE = find_spec("libfaketime")
READERS = ("scorer", "projector", "notifier")


class Ages:
    """One installation, and which day it is there."""

    def __init__(self, data: Path, webhooks: WebhookReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data = data
        self.webhooks = webhooks
        self._monkeypatch = monkeypatch
        self._day = 0
        self._secret = b""
        self._installation = Installation()

    def turn_to(self, day: int) -> None:
        """What is started from now on takes it to be so many days later than it is."""
        self._day = day
        # Only the time of day moves; what measures durations does not, and Java waits by that.
        for name, value in {
            "LD_PRELOAD": str(_library()),
            "FAKETIME": f"+{day}d",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }.items():
            self._monkeypatch.setenv(name, value)

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(days=self._day)

    @contextmanager
    def up(self, day: int) -> Iterator[None]:
        """Everything runs on that day, and ends in an orderly way after the block unless it was ended before."""
        self.turn_to(day)
        self._installation = Installation()
        line = self._installation.start(self.data, lambda *_: None, SETTINGS, any_port=True)
        self._api = httpx.Client(
            base_url=f"{line.api}/v1", headers={"Authorization": f"Bearer {line.admin_key}"}, timeout=60
        )
        self._door = httpx.Client(base_url=line.ingest, timeout=60)
        try:
            yield
        finally:
            self._api.close()
            self._door.close()
            self._installation.stop()

    def servers(self, day: int) -> None:
        """The servers alone on that day, until retention has taken all that was old."""
        self.turn_to(day)
        stack = Stack(self.data)
        running = stack.up(bound=True, any_port=True)
        try:
            with pytest.MonkeyPatch.context() as patched:
                for name, value in running.kafka_login().variables().items():
                    patched.setenv(name, value)
                for topic in (ENGAGEMENTS, EXCHANGES):
                    empty = partial(_is_empty, running.kafka, topic)
                    until(empty, f"{topic.name} is empty", PATIENCE_SECONDS)
        finally:
            stack.down()

    def made(self, method: str, path: str, body: object) -> Any:
        answer = self._api.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json()

    def get(self, path: str, **query: Any) -> Any:
        answer = self._api.get(f"/brands/{BRAND}{path}", params=query)
        answer.raise_for_status()
        return answer.json()

    def connect(self) -> None:
        self.made("POST", "/brands", {"id": BRAND, "name": BRAND, "timezone": "Europe/Oslo"})
        self.made("PUT", f"/brands/{BRAND}/policy", {"rules": [{"target_seconds": 86_400, "warn_at": []}]})
        channel = {
            "type": "webhook",
            "id": "crm",
            "url": self.webhooks.url("/told"),
            "secret": self.webhooks.channel("", "").secret,
        }
        self.made("PUT", f"/brands/{BRAND}/channels", {"channels": [channel]})
        account = {"id": "door", "platform": "generic", "handle": BRAND}
        self._secret = self.made("POST", f"/brands/{BRAND}/accounts", account)["door_secret"].encode()
        until(lambda: self._post({"id": "p", "kind": "post", "actor": {"id": "staff"}}) == 202, "the door is open")

    def _post(self, made: dict[str, Any]) -> int:
        body = json.dumps({"occurred_at": self.now().isoformat(), **made}).encode()
        signature = "sha256=" + hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        headers = {"X-Rapport-Account": "door", "X-Rapport-Signature-256": signature}
        answer = self._door.post("/v1/interactions", content=body, headers=headers)
        if answer.status_code != 202:
            sys.stderr.write(f"{answer.status_code} {answer.text[:300]}\n")
        return answer.status_code

    def tell(self, id: str, kind: str, who: str, **more: Any) -> None:
        made = {"id": id, "kind": kind, "actor": {"id": who}, **more}
        until(lambda: self._post(made) == 202, f"{id} is accepted", 30)

    def comment(self, number: int, **more: Any) -> None:
        self.tell(f"c{number}", "comment", f"f{number}", post="p", conversation=f"k{number}", text="Is it?", **more)

    def answer(self, number: int) -> None:
        parent = {"id": f"c{number}", "actor": f"f{number}"}
        self.tell(f"r{number}", "reply", "staff", post="p", conversation=f"k{number}", parent=parent, text="It is.")

    def states(self) -> dict[int, str]:
        """Of each comment's exchange the state, by the number."""
        items = self.get("/exchanges", limit=100)["items"]
        return {int(each["follower"]["platform_id"][1:]): each["state"] for each in items}

    def told(self) -> list[tuple[int, str]]:
        """What the webhook was told of, in order: the number and the step."""
        found = []
        for post in self.webhooks.posts["/told"]:
            alert = post.event["data"]
            found.append((int(alert["follower"]["id"].removeprefix("f")), alert["step"]))
        return found

    def crash(self) -> None:
        """Everything at once, without a word."""
        line = self._installation.status()
        assert line is not None
        for pid in line.pids.values():
            os.kill(pid, signal.SIGKILL)

    def hold(self) -> None:
        """Whoever reads the log stands still; ingest goes on."""
        line = self._installation.status()
        assert line is not None
        for name in READERS:
            os.kill(line.pids[name], signal.SIGSTOP)

    def rapport(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "rapport.cli", *arguments, "--data", str(self.data)]
        return subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)

    def verified(self, keep: Path) -> list[Any]:
        """What differs."""
        done = self.rapport("verify", "--grace", "0.5", "--json", "--settle", "2", "--keep", str(keep))
        assert done.stdout.strip(), done.stderr
        *differences, summary = [json.loads(line) for line in done.stdout.splitlines()]
        assert summary["verified"], summary
        return differences

    def counted(self, number: int) -> dict[str, int]:
        """How many interactions of each kind count for a follower."""
        found: dict[str, int] = self.get(f"/followers/{follower_ref('generic', f'f{number}')}")["counts"]
        return found


@pytest.mark.timeout(1500)
def test_what_is_promised_for_outages_of_days_weeks_and_months_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhooks = WebhookReceiver(any_time=True)
    ages, kept = Ages(tmp_path / "data", webhooks, monkeypatch), tmp_path / "kept"
    try:
        with ages.up(0):
            ages.connect()
            for number in range(8):
                ages.comment(number)
                ages.tell(f"s{number}", "follow", f"f{number}")
            for number in range(4):
                ages.answer(number)
            until(lambda: sorted(ages.states().values()) == ["answered"] * 4 + ["open"] * 4, "all are shown")
        # Eight days away: longer than brokers keep the positions of groups by default.
        with ages.up(8):
            overdue = [(number, "breach") for number in range(4, 8)]
            until(lambda: sorted(ages.told()) == overdue, "everything overdue is told", PATIENCE_SECONDS)
            assert ages.verified(kept) == []
        # Quiet for 23 days; then ingest takes in what nobody reads, and everything is killed.
        with ages.up(31):
            ages.comment(20, occurred_at=(ages.now() - timedelta(days=31)).isoformat())
            ages.answer(4)
            until(lambda: ages.states().get(4) == "answered_late", "the late answer counts")
            until(lambda: (4, "resolved") in ages.told(), "and is told")
            assert ages.verified(kept) == []
            ages.hold()
            for number in range(8, 12):
                ages.comment(number)
            ages.crash()
        # Away for 69 days. The log of the first days is gone, what nobody read is there.
        with ages.up(100):
            told = [*overdue, (4, "resolved"), *((number, "breach") for number in range(8, 12))]
            until(lambda: sorted(ages.told()) == sorted(told), "what was not read is told", PATIENCE_SECONDS)
            ages.answer(5)
            until(lambda: ages.states().get(5) == "answered_late", "an answer after 100 days counts")
            assert ages.counted(0)["follow"] == 1
            ages.tell("s0-undone", "follow", "f0", undo=True, object={"id": "s0"})
            until(lambda: ages.counted(0).get("follow", 0) == 0, "an unfollow after 100 days counts")
            until(lambda: (5, "resolved") in ages.told(), "the answer is told")
            assert 20 not in ages.states()
            assert ages.verified(kept) == []
        # Quiet for months: only what the scorer writes itself is new, and the other topics are empty in the end.
        with ages.up(185):
            assert ages.verified(kept) == []
        ages.servers(270)
        with ages.up(270):
            ages.comment(12)
            until(lambda: ages.states().get(12) == "open", "a new comment is shown")
            assert ages.verified(kept) == []
            ages.hold()
            ages.comment(13)
            ages.crash()
        # Away for 110 days with something unread: longer than promised. It is said, and there is a way on.
        ages.servers(380)
        monkeypatch.setattr(local, "READY_SECONDS", 30.0)
        with pytest.raises(StackError, match=r"scorer .*(deleted before|not ready|ends each time)"), ages.up(380):
            pass
        monkeypatch.undo()
        ages.turn_to(380)
        stack = Stack(ages.data)
        stack.up(bound=True, any_port=True)
        listed = ages.rapport("positions", "list")
        assert (listed.returncode, "deleted" in listed.stdout) == (1, True), listed.stdout + listed.stderr
        accepted = ages.rapport("positions", "accept", "--yes")
        assert accepted.returncode == 0, accepted.stderr
        stack.down()
        with ages.up(380):
            ages.comment(14)
            until(lambda: ages.states().get(14) == "open", "a new comment is shown")
            until(lambda: (12, "breach") in ages.told(), "what fell due meanwhile is told", PATIENCE_SECONDS)
            assert 13 not in ages.states()
            ids = [post.id for post in webhooks.posts["/told"]]
            assert len(ids) == len(set(ids)), "something was told twice"
            assert sorted(ages.told()) == sorted([*told, (5, "resolved"), (12, "breach")])
    finally:
        webhooks.close()


def _library() -> Path:
    """What a process is preloaded with to be shown another date. Linux on x86-64 only, like the database."""
    assert _PACKAGE is not None, "libfaketime is not installed"
    assert _PACKAGE.origin is not None
    return Path(_PACKAGE.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"


def _is_empty(bootstrap: str, topic: Topic) -> bool:
    return all(begin == end for begin, end in begin_and_end(bootstrap, topic).values())
