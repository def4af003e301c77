"""An installation as `rapport up` makes it, with receivers for its alerts, and a client of its API."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from rapport.local.installation import Installation
from rapport.local.running_installation import RunningInstallation
from tests.platforms.bluesky.network import Network, Person
from tests.services.api.conftest import api, prepared, shared_api, views
from tests.services.notifier.receivers import MailReceiver, WebhookReceiver
from tests.waiting import until

__all__ = ["api", "prepared", "shared_api", "views"]

PROGRESS: Callable[[str, str], None] = lambda *_: None  # noqa: E731


@dataclass
class Agency:
    """Everything that runs, and what came out of it."""

    line: RunningInstallation
    mails: MailReceiver
    webhooks: WebhookReceiver
    api: httpx.Client

    def get(self, path: str, **query: Any) -> Any:
        """What the API gives; fails with what it says otherwise."""
        return self._checked(self.api.get(path, params=query))

    def put(self, path: str, body: Any) -> Any:
        """As `get`."""
        return self._checked(self.api.put(path, json=body))

    def post(self, path: str, body: Any) -> Any:
        """As `get`."""
        return self._checked(self.api.post(path, json=body))

    def brand(self) -> str:
        """A new brand, whose alerts go to a mailbox and a webhook of its own name."""
        brand = f"brand-{uuid.uuid4().hex[:8]}"
        self.post("/brands", {"id": brand, "name": "Harbour Roasters", "timezone": "Europe/Oslo"})
        webhook = self.webhooks.channel("crm", f"/{brand}")
        self.put(
            f"/brands/{brand}/channels",
            {
                "channels": [
                    {"type": "mail", "id": "team", "to": f"{brand}@example.test"},
                    {"type": "webhook", "id": "crm", "url": webhook.url, "secret": webhook.secret},
                ]
            },
        )
        return brand

    def follow(self, brand: str, person: Person) -> None:
        """Connects a person's Bluesky account to the brand, and returns when its stream is read."""
        before = self._followed()
        self.post(
            f"/brands/{brand}/accounts",
            {
                "id": f"{brand}-bluesky",
                "platform": "bluesky",
                "handle": person.handle,
                "connection": {"service": person.pds, "did": person.did},
            },
        )
        until(lambda: self._followed() > before, "the account's stream is read")

    def _followed(self) -> float:
        lines = httpx.get(f"{self.line.internal['ingest']}/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("rapport_ingest_accounts_followed{"))

    def mailed(self, brand: str) -> list[str]:
        """The subjects of the brand's mails."""
        return [str(mail["Subject"]) for mail in self.mails.to(f"{brand}@example.test")]

    def posted(self, brand: str) -> list[Any]:
        """The events of the brand's webhooks, each of which was signed rightly."""
        return [post.event for post in self.webhooks.posts[f"/{brand}"]]

    def _checked(self, answer: httpx.Response) -> Any:
        assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
        return answer.json()


@pytest.fixture(scope="session")
def agency(tmp_path_factory: pytest.TempPathFactory, bluesky: Network) -> Iterator[Agency]:
    """Started once: the servers, the five services as processes, a mail server, a webhook receiver, and a Bluesky."""
    mails, webhooks, installation = MailReceiver(), WebhookReceiver(), Installation()
    try:
        line = installation.start(
            tmp_path_factory.mktemp("agency"),
            PROGRESS,
            {
                "RAPPORT_SMTP": mails.address,
                "RAPPORT_ALLOW_PRIVATE": "true",
                "RAPPORT_PLC_DIRECTORY": bluesky.plc,
                "RAPPORT_TICK_SECONDS": "0.5",
                "RAPPORT_BREACH_GRACE_SECONDS": "0.5",
            },
            any_port=True,
        )
        assert line.breach_grace_seconds == 0.5, "whoever verifies has to know it"
        headers = {"Authorization": f"Bearer {line.admin_key}"}
        with httpx.Client(base_url=f"{line.api}/v1", headers=headers, timeout=30) as api:
            yield Agency(line, mails, webhooks, api)
    finally:
        installation.stop()
        mails.close()
        webhooks.close()
