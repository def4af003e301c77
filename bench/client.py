"""A client that puts an installation under load: sends signed interactions and reads the API."""

import asyncio
import hashlib
import hmac
import random
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec

from rapport.contracts.topics import (
    ALERTS,
    CONVERSATIONS,
    ENGAGEMENTS,
    EXCHANGES,
    PROJECTOR_GROUP,
    RELATIONSHIPS_CHANGELOG,
    SCORER_GROUP,
)
from rapport.kit.broker.kafka_login import login
from rapport.local.running_installation import RunningInstallation

READ_BY = {
    SCORER_GROUP: (CONVERSATIONS, ENGAGEMENTS, EXCHANGES),
    PROJECTOR_GROUP: (CONVERSATIONS, ENGAGEMENTS, EXCHANGES, ALERTS, RELATIONSHIPS_CHANGELOG),
}
KINDS = ("comment", "comment", "reply", "reaction", "reaction", "reaction", "follow", "share", "mention", "message")
"""Roughly what a brand sees: half of it belongs to conversations."""
UNHEARD = {"id": "post-0", "kind": "post", "actor": {"id": "staff"}}
"""Shows whether the door knows an account: the brand's own post counts for no follower."""


class Agency:
    """A brand with one account behind the generic door."""

    def __init__(self, running: RunningInstallation, brand: str) -> None:
        self.running = running
        self.brand = brand
        self.api = httpx.AsyncClient(
            base_url=f"{running.api}/v1", headers={"Authorization": f"Bearer {running.admin_key}"}, timeout=60
        )
        self.door = httpx.AsyncClient(timeout=60)
        self._secret = b""
        self._dice = random.Random(brand)
        self._number = 0

    async def connect(self) -> None:
        """Creates brand and account, and returns when the door knows them."""
        await self.ask("POST", "/brands", {"id": self.brand, "name": self.brand, "timezone": "UTC"})
        made = await self.ask(
            "POST",
            f"/brands/{self.brand}/accounts",
            {"id": f"{self.brand}-door", "platform": "generic", "handle": "bench"},
        )
        self._secret = made["door_secret"].encode()
        while (await self._post([UNHEARD])).status_code != httpx.codes.ACCEPTED:  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    async def ask(self, method: str, path: str, body: object = None, **query: Any) -> Any:
        """One request to the API."""
        answer = await self.api.request(method, path, json=body, params=query)
        answer.raise_for_status()
        return answer.json()

    def interactions(self, many: int, people: int = 20_000, posts: int = 200) -> list[dict[str, Any]]:
        """Made up, each with an id of its own."""
        found = []
        now = datetime.now(UTC).isoformat()
        for _ in range(many):
            self._number += 1
            kind = self._dice.choice(KINDS)
            follower = f"person-{self._dice.randrange(people)}"
            post = f"post-{self._dice.randrange(posts)}"
            made: dict[str, Any] = {
                "id": f"{kind}-{self._number}",
                "kind": kind,
                "actor": {"id": follower},
                "occurred_at": now,
            }
            if kind in ("comment", "mention", "reply"):
                made |= {"post": post, "text": "Where can I buy one of these, and do you ship to Norway?"}
            if kind == "message":
                made |= {"text": "My grinder arrived broken, what can I do?"}
            if kind == "reply":
                made |= {"actor": {"id": "staff"}, "parent": {"id": f"comment-{self._number - 1}", "actor": follower}}
            found.append(made)
        return found

    async def send(self, made: list[dict[str, Any]]) -> None:
        """Through the door; raises unless all are accepted."""
        answer = await self._post(made)
        if answer.status_code != httpx.codes.ACCEPTED:
            raise RuntimeError(f"the door answered {answer.status_code}: {answer.text[:300]}")

    async def _post(self, made: list[dict[str, Any]]) -> httpx.Response:
        body = msgspec.json.encode(made)
        return await self.door.post(
            f"{self.running.ingest}/v1/interactions",
            content=body,
            headers={
                "Content-Type": "application/json",
                "X-Rapport-Account": f"{self.brand}-door",
                "X-Rapport-Signature-256": "sha256=" + hmac.new(self._secret, body, hashlib.sha256).hexdigest(),
            },
        )

    async def close(self) -> None:
        """Ends the connections."""
        await self.api.aclose()
        await self.door.aclose()


def lag(bootstrap: str) -> dict[str, int]:
    """How many records each group has not processed yet; markers of transactions count as records."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap, **login())
    try:
        found = {}
        for group, topics in READ_BY.items():
            partitions = [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
            ends = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
            committed = admin.list_group_offsets({group: partitions})[group]
            found[group] = sum(
                max(0, end.offset - max(0, committed[partition].offset if partition in committed else 0))
                for partition, end in ends.items()
            )
        return found
    finally:
        admin.close()


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
