"""A client of the API and the generic door, as anybody could write one."""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import httpx

from rapport.demo.inbox import Inbox
from rapport.demo.recording.cast import DemoAccount, DemoBrand
from rapport.demo.recording.crowd import BUSINESS_TAG, PERSONAL_TAG
from rapport.demo.recording.feed import Body

PAGE = 200
NEW_A_DAY = 25
"""The goal of each brand."""


class ApiError(Exception):
    """The API refused. The text says what was asked, and the answer."""


class Api:
    """The API with a key. Raises ApiError, and httpx.TransportError if it cannot be reached."""

    def __init__(self, address: str, key: str) -> None:
        self._http = httpx.Client(
            base_url=f"{address.rstrip('/')}/v1",
            headers={"Authorization": f"Bearer {key}"},
            timeout=30,
            trust_env=False,
        )

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def ask(self, method: str, path: str, body: object = None, **query: object) -> Any:
        """Sends one request, and returns the JSON of the answer."""
        parameters = {name: str(value) for name, value in query.items() if value is not None}
        answer = self._http.request(method, path, json=body, params=parameters)
        if answer.is_error:
            raise ApiError(f"{method} {answer.url}: {answer.status_code} {answer.text[:500]}")
        return answer.json()

    def every(self, path: str, of: str = "items", **query: object) -> Iterator[dict[str, Any]]:
        """All items of a list, page by page; `of` is the field that holds them."""
        cursor: str | None = None
        while True:
            page = self.ask("GET", path, limit=PAGE, cursor=cursor, **query)
            yield from page[of]
            cursor = page["next"]
            if cursor is None:
                return

    def connect(
        self,
        brand: DemoBrand,
        connected_at: datetime,
        inbox: Inbox,
        connection: Callable[[DemoAccount], dict[str, str]] = lambda _: {},
    ) -> dict[str, str]:
        """Creates a brand with its accounts and channels, and returns the door secret of each account."""
        self.ask("POST", "/brands", {"id": brand.id, "name": brand.name, "timezone": brand.timezone})
        channels = [
            {"type": "mail", "id": "team", "to": inbox.mailbox_of(brand.id)},
            {"type": "webhook", "id": "hook", "url": inbox.webhook_of(brand.id), "secret": inbox.secret},
        ]
        self.ask("PUT", f"/brands/{brand.id}/channels", {"channels": channels})
        rules = [
            {"label": "personal", "hashtag": PERSONAL_TAG.strip()},
            {"label": "business", "hashtag": BUSINESS_TAG.strip()},
        ]
        targets = {"labels": {"business": 0.8, "personal": 0.2}, "formats": {"image": 0.5, "video": 0.2}}
        self.ask("PUT", f"/brands/{brand.id}/mix/settings", {**targets, "rules": rules})
        self.ask("PUT", f"/brands/{brand.id}/new/goal", {"goal": NEW_A_DAY})
        return {
            account.id: self._account(brand, account, connected_at, connection(account)) for account in brand.accounts
        }

    def _account(
        self, brand: DemoBrand, account: DemoAccount, connected_at: datetime, connection: dict[str, str]
    ) -> str:
        body = {
            "id": account.id,
            "platform": account.platform,
            "handle": account.handle,
            "connected_at": connected_at.isoformat(),
            "staff": [person.id for person in brand.team],
            "connection": connection,
        }
        return str(self.ask("POST", f"/brands/{brand.id}/accounts", body)["door_secret"])

    def key_for_people(self) -> str:
        """A key for the portal, for all brands."""
        body = {"name": "demonstration", "brands": None, "scopes": ["read", "write"]}
        return str(self.ask("POST", "/keys", body)["key"])


def ndjson(bodies: Sequence[Body]) -> bytes:
    """Interactions, one per line."""
    return b"".join(json.dumps(body, ensure_ascii=False).encode() + b"\n" for body in bodies)


def signature(body: bytes, secret: str) -> str:
    """The door's signature of a raw body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
