"""A brand that gets another account at each step of a test, and somebody there who has waited for too long.

So each state that the replicas are in is walked from end to end: one API makes the account, each door has to know it,
a scorer has to find the clock overdue, a notifier to tell it, and every API to show it.
"""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from rapport.demo.client import Api, signature
from tests.faults.replicas.cluster import Cluster, until_none
from tests.faults.replicas.fortnight import CountingInbox

BRAND = "watched"
WAITED = timedelta(hours=25)
"""An hour longer than a brand that says nothing else has time to answer."""
DOOR_SECONDS = 60.0
RIGHT_WITHIN_SECONDS = 120.0


class Steps:
    """Who has waited so far."""

    def __init__(self, cluster: Cluster, inbox: CountingInbox, apis: list[Api]) -> None:
        self._doors = [replica.url for replica in cluster.of("ingest")]
        self._apis = apis
        self._inbox = inbox
        self._made = 0
        self._secrets: dict[int, str] = {}

    def connect(self) -> None:
        """Makes the brand."""
        api = self._apis[0]
        api.ask("POST", "/brands", {"id": BRAND, "name": BRAND, "timezone": "Europe/Oslo"})
        channels = [
            {"type": "mail", "id": "team", "to": self._inbox.mailbox_of(BRAND)},
            {"type": "webhook", "id": "hook", "url": self._inbox.webhook_of(BRAND), "secret": self._inbox.secret},
        ]
        api.ask("PUT", f"/brands/{BRAND}/channels", {"channels": channels})

    def step(self) -> None:
        """Another account, somebody who waits there, and an answer to whoever waited at the step before."""
        number, self._made = self._made, self._made + 1
        body = {
            "id": f"{BRAND}-{number}",
            "platform": "generic",
            "handle": f"account {number}",
            "connected_at": (datetime.now(UTC) - 3 * WAITED).isoformat(),
        }
        api = self._apis[number % len(self._apis)]
        self._secrets[number] = str(api.ask("POST", f"/brands/{BRAND}/accounts", body)["door_secret"])
        comment = {"kind": "comment", "text": "Is anybody there?", "post": f"post-{number}"}
        # The same comment through every door counts once; none may refuse it.
        for door in self._doors:
            said = {"id": f"comment-{number}", "actor": {"id": f"person-{number}"}, **comment}
            self._through(door, number, said, datetime.now(UTC) - WAITED)
        if number:
            before = number - 1
            # An answer that comes within the grace is seen before the breach, and then there is no alert.
            until_none(lambda: self._unbreached(api, before), RIGHT_WITHIN_SECONDS)
            # Nor is anybody told of it once it is answered, as where the notifier that was to tell crashed.
            until_none(lambda: self._untold(self._breaches(api)), RIGHT_WITHIN_SECONDS)
            answer = {
                "id": f"reply-{before}",
                "kind": "reply",
                "actor": {"id": "staff"},
                "parent": {"id": f"comment-{before}", "actor": f"person-{before}"},
                "post": f"post-{before}",
                "text": "Yes.",
            }
            self._through(self._doors[number % len(self._doors)], before, answer, datetime.now(UTC))

    def _through(self, door: str, number: int, said: dict[str, Any], at: datetime) -> None:
        body = json.dumps({**said, "occurred_at": at.isoformat()}).encode()
        headers = {
            "X-Rapport-Account": f"{BRAND}-{number}",
            "X-Rapport-Signature-256": signature(body, self._secrets[number]),
        }
        end = time.monotonic() + DOOR_SECONDS
        while True:
            answer = httpx.post(f"{door}/v1/interactions", content=body, headers=headers, timeout=30, trust_env=False)
            if answer.status_code == httpx.codes.ACCEPTED:
                return
            assert time.monotonic() < end, f"{door} answers {answer.status_code} for account {number}: {answer.text}"
            time.sleep(0.1)

    def _unbreached(self, api: Api, step: int) -> Iterator[str]:
        found = {one["first"]["id"]: one for one in api.every(f"/brands/{BRAND}/exchanges")}
        exchange = found.get(f"comment-{step}")
        if exchange is None or exchange["breached_at"] is None:
            yield f"{exchange} for comment-{step}, which nobody has answered"

    def until_right(self) -> None:
        """Returns once every API shows all of them, and all were told."""
        until_none(self._differences, RIGHT_WITHIN_SECONDS)

    def _differences(self) -> Iterator[str]:
        for number, api in enumerate(self._apis):
            found = {one["first"]["id"]: one for one in api.every(f"/brands/{BRAND}/exchanges")}
            for step in range(self._made):
                exchange = found.get(f"comment-{step}")
                state = "open" if step == self._made - 1 else "answered_late"
                if exchange is None or exchange["state"] != state or exchange["breached_at"] is None:
                    yield f"api-{number} shows {exchange} for comment-{step}, which is {state}"
            breaches = self._breaches(api)
            if len(breaches) != self._made:
                yield f"api-{number} shows {len(breaches)} breaches of {self._made}"
            yield from self._untold(breaches)
        mails = self._mails()
        if mails != self._made:
            yield f"{mails} mails of {self._made}"

    def _breaches(self, api: Api) -> set[str]:
        """The ids of the alerts."""
        return {one["id"] for one in api.every(f"/brands/{BRAND}/alerts", step="breach")}

    def _untold(self, breaches: set[str]) -> Iterator[str]:
        """Alerts that nobody was told of by webhook and mail."""
        told = {one.id for one in self._inbox.received() if one.way == "webhook"}
        untold = [alert for alert in breaches if f"{alert}/hook" not in told]
        if untold:
            yield f"{len(untold)} breaches were not told, such as {untold[0]}"
        if self._mails() < len(breaches):
            yield f"{self._mails()} mails of {len(breaches)} breaches"

    def _mails(self) -> int:
        return sum(
            one.way == "mail" and one.brand == BRAND and one.subject.startswith("Overdue")
            for one in self._inbox.received()
        )
