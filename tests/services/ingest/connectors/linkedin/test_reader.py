"""What LinkedIn's webhook did not deliver is asked for: once, page by page, and with words where it cannot be."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from rapport.contracts.events import Account, Interaction
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.linkedin import reader
from services.ingest.connectors.linkedin.reader import LinkedInReader, linkedin, usable
from services.ingest.connectors.linkedin.settings import LinkedInSettings
from services.ingest.hooks.delivery import Watched
from services.ingest.leases.leases import Leases
from services.ingest.polling import follower
from services.ingest.polling.polled import Polled
from tests.deliveries import HOOKS
from tests.platforms.linkedin import LinkedInServer
from tests.platforms.writing import Refusal
from tests.services.ingest.connectors.asking import reading, stands, states, until
from tests.services.ingest.service import Log, brand_with

pytestmark = pytest.mark.anyio
APPLICATION = "76543210"


@pytest.fixture(autouse=True)
def _sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LinkedInReader, "every_seconds", 0.4)
    monkeypatch.setattr(follower, "ATTENTION_SECONDS", 0.5)
    monkeypatch.setattr(follower, "LONGEST_BACKOFF_SECONDS", 2.0)
    monkeypatch.setattr(reader, "BUDGET", 100_000)
    monkeypatch.setattr(reader, "LONGEST_WAIT_SECONDS", 1.0)
    monkeypatch.setattr(reader, "CHECKED_EVERY", timedelta(0))


@pytest.fixture
def server() -> Iterator[LinkedInServer]:
    """One that nobody else uses."""
    with LinkedInServer() as running:
        yield running


class Page:
    """A brand with a page on LinkedIn, connected an hour ago."""

    def __init__(self, server: LinkedInServer, **connection: str) -> None:
        self.server = server
        self.number = uuid4().int % 10**12 * 1000
        self.urn = f"urn:li:organization:{self.number // 1000}"
        self.token = uuid4().hex
        server.tokens.add(self.token)
        self.account = Account(
            id=f"account-{uuid4().hex[:12]}", platform="linkedin", handle="Roastery",
            connected_at=datetime.now(UTC) - timedelta(hours=1), door_secrets=("secret",),
            connection={"organization": self.urn, "token": self.token, **connection},
        )  # fmt: skip
        self.brand = brand_with(self.account)

    @property
    def pair(self) -> tuple[str, Account]:
        return self.brand.id, self.account

    def comment(self, ago: float = 0.0, **more: Any) -> dict[str, Any]:
        """Somebody comments, so many seconds ago."""
        self.number += 1
        return self.server.happen(self.urn, "COMMENT", self.number, time.time() - ago, **more)

    def pushed(self, *notifications: dict[str, Any]) -> list[Interaction]:
        """What the webhook would have made of notifications."""
        body = {"type": "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS", "notifications": notifications}
        watched = Watched(self.brand.id, self.account, self.urn, frozenset([self.urn]))
        found = HOOKS["linkedin"].read(
            json.dumps(body).encode(), lambda its: [watched] if its == self.urn else [], datetime.now(UTC)
        )
        return found.interactions


def asked_at(server: LinkedInServer) -> Callable[[Leases, Shared], Polled]:
    settings = LinkedInSettings(port=0, linkedin_api=server.address, linkedin_application=APPLICATION)
    return lambda leases, shared: linkedin(settings, leases, shared)


async def arrived(log: Log, page: Page, *notifications: dict[str, Any]) -> list[Interaction]:
    ids = [each.id for each in page.pushed(*notifications)]
    return await asyncio.to_thread(log.wait_for, page.brand.id, *ids)


def same(one: Interaction) -> Interaction:
    """Without when it was observed."""
    return msgspec.structs.replace(one, observed_at=one.occurred_at)


async def test_what_was_not_pushed_becomes_exactly_what_the_webhook_would_have_given_and_counts_once(
    stack: Any, tmp_path: Path, log: Log, server: LinkedInServer
) -> None:
    page = Page(server)
    told = [page.comment(ago) for ago in (1800, 900)]
    answer = {"owner": page.urn, "text": "We are", "parentComment": told[0]["generatedActivity"]}
    liked = "urn:li:like:(urn:li:person:ben,urn:li:activity:7)"
    others: list[tuple[str, dict[str, Any]]] = [
        ("ADMIN_COMMENT", {"decoratedGeneratedActivity": {"comment": answer}}),
        ("COMMENT_EDIT", {}),
        ("COMMENT_DELETE", {}),
        ("LIKE", {"generatedActivity": liked, "decoratedGeneratedActivity": None}),
    ]
    told += [
        server.happen(page.urn, action, page.number + 1 + place, time.time() - 600 + place, **more)
        for place, (action, more) in enumerate(others)
    ]
    expected = page.pushed(*told)
    assert {one.kind for one in expected} == {"comment", "reply", "edit", "delete", "reaction"}
    async with reading(stack.kafka, tmp_path, asked_at(server), page.pair) as connector:
        await arrived(log, page, *told)
        await stands(stack.kafka, page.account.id, "live")
        asked = len(server.spans())
        await until(lambda: len(server.spans()) > asked + 2, "it to be asked again")
        found = log.interactions(page.brand.id)
        assert sorted(map(same, found), key=lambda one: one.id) == sorted(map(same, expected), key=lambda one: one.id)
        assert connector.behind() == set()


async def test_after_an_outage_everything_is_found_behind_the_first_page_and_nothing_is_asked_for_twice(
    stack: Any, tmp_path: Path, log: Log, server: LinkedInServer
) -> None:
    page = Page(server)
    first = page.comment()
    async with reading(stack.kafka, tmp_path / "one", asked_at(server), page.pair):
        await arrived(log, page, first)
        await stands(stack.kafka, page.account.id, "live")
    ended = time.time()
    missed = [page.comment() for _ in range(45)]
    server.asked.clear()
    async with reading(stack.kafka, tmp_path / "two", asked_at(server), page.pair):
        await arrived(log, page, *missed)
    assert all(start > ended - 400 for start, _ in server.spans()), "it goes on where it stopped"
    ids = {one.id for one in log.interactions(page.brand.id)}
    assert ids == {one.id for one in page.pushed(first, *missed)}


async def test_an_account_that_was_away_for_longer_than_linkedin_keeps_is_read_from_there(
    stack: Any, tmp_path: Path, log: Log, server: LinkedInServer
) -> None:
    page = Page(server)
    page.account = msgspec.structs.replace(page.account, connected_at=datetime.now(UTC) - timedelta(days=200))
    old, kept = page.comment(61 * 86_400), page.comment(59 * 86_400)
    async with reading(stack.kafka, tmp_path, asked_at(server), page.pair):
        await arrived(log, page, kept)
        await stands(stack.kafka, page.account.id, "live")
    assert page.pushed(old)[0].id not in {one.id for one in log.interactions(page.brand.id)}


@pytest.mark.parametrize(
    ("refusal", "state", "words"),
    [
        (LinkedInServer.ENDED, "attention", ("token", "Connect again")),
        (LinkedInServer.NO_ROLE, "attention", ("administrator", "Connect again")),
        (LinkedInServer.FAILS, "incident", ("500",)),
        (Refusal(426, {"status": 426, "code": "NONEXISTENT_VERSION"}), "attention", ("update Rapport",)),
    ],
    ids=["grant taken back", "role gone", "it fails", "version ended"],
)
async def test_what_is_wrong_is_said_in_words_and_nothing_is_lost(
    stack: Any, tmp_path: Path, log: Log, server: LinkedInServer, refusal: Refusal, state: str, words: tuple[str, ...]
) -> None:
    page = Page(server)
    async with reading(stack.kafka, tmp_path, asked_at(server), page.pair) as connector:
        await stands(stack.kafka, page.account.id, "live")
        server.refuse(refusal, 100_000)
        why = await stands(stack.kafka, page.account.id, state) or ""
        assert all(word in why for word in words), why
        assert connector.behind() == {page.account.id}
        meanwhile = page.comment()
        server.recover()
        await arrived(log, page, meanwhile)
        await stands(stack.kafka, page.account.id, "live")


async def test_the_pages_own_posts_are_told_and_how_far_they_are_known(
    stack: Any, tmp_path: Path, log: Log, server: LinkedInServer
) -> None:
    page = Page(server)
    post = server.post(page.urn, page.number, time.time() - 60, commentary="The Guji is back")
    async with reading(stack.kafka, tmp_path, asked_at(server), page.pair):
        await asyncio.to_thread(log.wait_for, page.brand.id, post)
        await stands(stack.kafka, page.account.id, "live")
        (told,) = log.interactions(page.brand.id)
        assert (told.kind, told.actor.id, told.text) == ("post", page.urn, "The Guji is back")
        known = states(stack.kafka, page.account.id)[-1].posts_checked_at
        assert known is not None
        assert known > page.account.connected_at


async def test_a_daily_limit_is_waited_for(stack: Any, tmp_path: Path, log: Log, server: LinkedInServer) -> None:
    page = Page(server)
    async with reading(stack.kafka, tmp_path, asked_at(server), page.pair):
        await stands(stack.kafka, page.account.id, "live")
        server.refuse(server.LIMITED)
        await until(lambda: not server._refusals, "it to be told")
        await arrived(log, page, page.comment())
        assert "attention" not in {one.state for one in states(stack.kafka, page.account.id)}


async def test_a_subscription_that_is_gone_needs_attention_while_everything_is_read(
    stack: Any, tmp_path: Path, log: Log, server: LinkedInServer
) -> None:
    page = Page(server, member="urn:li:person:admin")
    server.subscribed[page.urn] = time.time() + 3600
    async with reading(stack.kafka, tmp_path, asked_at(server), page.pair) as connector:
        await stands(stack.kafka, page.account.id, "live")
        del server.subscribed[page.urn]
        assert "connect the account again" in (await stands(stack.kafka, page.account.id, "attention") or "")
        await arrived(log, page, page.comment())
        assert connector.behind() == set(), "it is asked instead, so nothing is missing"
        server.subscribed[page.urn] = time.time() + 3600
        await stands(stack.kafka, page.account.id, "live")
        server.subscribed[page.urn] = time.time() - 1
        assert "has ended" in (await stands(stack.kafka, page.account.id, "attention") or "")


async def test_more_than_a_span_can_hold_is_asked_for_in_halves(
    stack: Any, tmp_path: Path, log: Log, server: LinkedInServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MOST_PAGES", 3)
    page = Page(server)
    told = [page.comment(60 * number) for number in range(55)]
    async with reading(stack.kafka, tmp_path, asked_at(server), page.pair):
        await arrived(log, page, *told)
        await stands(stack.kafka, page.account.id, "live")


def test_only_an_account_with_a_token_is_asked() -> None:
    page = Page(LinkedInServer())
    assert usable(page.account)
    for missing in ("token", "organization"):
        its = {name: value for name, value in page.account.connection.items() if name != missing}
        assert not usable(msgspec.structs.replace(page.account, connection=its))
