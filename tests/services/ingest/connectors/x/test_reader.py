"""X is asked to send again what was missed, and whether it still sends; reading mentions is the last resort."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from pydantic import SecretStr

from rapport.contracts import codec
from rapport.contracts.charges import Charge
from rapport.contracts.cursors import partition_of_brand
from rapport.contracts.events import Account, Interaction
from rapport.contracts.topics import CHARGES, CURSORS
from services.ingest.broker import Broker
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.x import webhook
from services.ingest.connectors.x.reader import XReader, usable, x
from services.ingest.connectors.x.settings import XSettings
from services.ingest.hooks.delivery import Watched
from services.ingest.leases.leases import Leases
from services.ingest.polling import follower
from services.ingest.polling.polled import Polled
from tests.deliveries import HOOKS
from tests.platforms.x import BEARER, SECRET, XServer
from tests.services.api.log import everything
from tests.services.ingest.connectors.asking import reading, stands, states, until
from tests.services.ingest.service import Ingest, Log, brand_with, publish

pytestmark = pytest.mark.anyio

MINUTE = 6


@pytest.fixture(autouse=True)
def _sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(XReader, "every_seconds", 0.4)
    monkeypatch.setattr(follower, "ATTENTION_SECONDS", 0.5)
    monkeypatch.setattr(follower, "LONGEST_BACKOFF_SECONDS", 2.0)
    monkeypatch.setattr(webhook, "REPLAYING_SECONDS", 1.0)
    monkeypatch.setattr(webhook, "BUDGET", 100_000)
    for name in ("LOOKED_EVERY", "LISTED_EVERY", "AGAIN"):
        monkeypatch.setattr(webhook, name, timedelta(0))
    # X takes whole minutes; here they are shorter, since the one under way has to end.
    monkeypatch.setattr(webhook, "MINUTE", timedelta(seconds=MINUTE))
    monkeypatch.setattr(webhook, "_minute", lambda at: at.replace(second=at.second // MINUTE * MINUTE, microsecond=0))


@pytest.fixture
def server() -> Iterator[XServer]:
    """One that nobody else uses."""
    with XServer() as running:
        yield running


class Clock:
    """The time, as far ahead as a test wants."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        """In UTC."""
        return datetime.now(UTC) + self.ahead


class Roastery:
    """A brand with an account on X."""

    def __init__(self, server: XServer) -> None:
        self.server = server
        self.user = str(uuid4().int)[:19]
        self.token = uuid4().hex
        self.number = uuid4().int % 10**12
        server.tokens[self.token] = self.user
        server.subscribed.add(self.user)
        self.account = Account(
            id=f"account-{uuid4().hex[:12]}", platform="x", handle="@roastery",
            connected_at=datetime.now(UTC) - timedelta(days=30), door_secrets=("secret",),
            connection={"user": self.user, "token": self.token},
        )  # fmt: skip
        self.brand = brand_with(self.account)

    @property
    def pair(self) -> tuple[str, Account]:
        return self.brand.id, self.account

    def mention(self, at: datetime) -> dict[str, Any]:
        """Somebody mentions it."""
        self.number += 1
        return self.server.mention(self.user, self.number, at)

    def pushed(self, *events: dict[str, Any], now: datetime | None = None) -> list[Interaction]:
        """What the webhook would have made of events."""
        watched = Watched(self.brand.id, self.account, self.user, frozenset([self.user]))
        found = []
        for event in events:
            body = json.dumps(event).encode()
            found += HOOKS["x"].read(body, lambda _: [watched], now or datetime.now(UTC)).interactions
        return found


def asked_at(
    server: XServer, clock: Clock | None = None, *, mentions: bool = False
) -> Callable[[Leases, Shared], Polled]:
    settings = XSettings(port=0, x_api=server.address, x_bearer=SecretStr(BEARER), x_mentions=mentions)
    now = (clock or Clock()).now
    return lambda leases, shared: x(settings, leases, replace(shared, now=now))


def _one_in_each_partition(server: XServer) -> list[Roastery]:
    found: dict[int, Roastery] = {}
    while len(found) < CURSORS.partitions:
        made = Roastery(server)
        found.setdefault(partition_of_brand(made.brand.id), made)
    server.subscribed &= {each.user for each in found.values()}
    return list(found.values())


def charges(bootstrap: str, brand: str) -> list[Charge]:
    found = [codec.decode("rapport.charge.v1", each.value) for each in everything(bootstrap, CHARGES)]
    return [each for each in found if each.brand == brand]


async def test_in_the_ordinary_course_nothing_is_read_and_nothing_is_sent_again(
    stack: Any, tmp_path: Path, server: XServer
) -> None:
    roastery, beside = Roastery(server), Roastery(server)
    async with reading(stack.kafka, tmp_path, asked_at(server, mentions=True), roastery.pair, beside.pair) as connector:
        for each in (roastery, beside):
            await stands(stack.kafka, each.account.id, "live")
        looked = server.count("webhooks")
        await until(lambda: server.count("webhooks") > looked + 6, "it to be looked at again")
        assert connector.behind() == set()
    assert server.replays == []
    assert server.count("users/") == 0


async def test_after_an_outage_x_sends_again_what_was_missed_and_it_counts_once(
    stack: Any, tmp_path: Path, log: Log, server: XServer
) -> None:
    # One in each partition: whichever of them are the other process's, some are read here.
    roasteries, clock = _one_in_each_partition(server), Clock()
    pairs = [each.pair for each in roasteries]
    async with reading(stack.kafka, tmp_path / "one", asked_at(server, clock), *pairs):
        for each in roasteries:
            await stands(stack.kafka, each.account.id, "live")
    missed = [each.mention(clock.now()) for each in roasteries]
    for event in missed:
        assert server.send(event, clock.now()) == 0, "nobody is there"
    ended = clock.now()
    clock.ahead = timedelta(minutes=40)
    (tmp_path / "hook").mkdir()
    hook = Ingest(stack.kafka, tmp_path / "hook", RAPPORT_X_SECRETS=SECRET)
    try:
        publish(stack.kafka, *[each.brand for each in roasteries])
        hook.start().ready()
        server.deliver_to = f"{hook.url}/v1/platforms/x"
        await until(lambda: server._push(json.dumps(missed[0]).encode()) == 200, "the account to be known")
        async with reading(stack.kafka, tmp_path / "two", asked_at(server, clock), *pairs):
            await until(lambda: server.replays, "it to be asked to send again")
            for each, event in zip(roasteries, missed, strict=True):
                await asyncio.to_thread(log.wait_for, each.brand.id, *[one.id for one in each.pushed(event)])
                clock.ahead += timedelta(minutes=1)
                await stands(stack.kafka, each.account.id, "live")
            await until(lambda: server.count("webhooks") > 20, "it to be looked at again")
    finally:
        hook.close()
    # Accounts whose turn comes at about the same time share one: `test_replays` has that to the second.
    assert len(server.replays) < len(roasteries)
    since, to = server.replays[0]
    assert since < ended < to
    found = charges(stack.kafka, roasteries[0].brand.id)
    assert len({each.id for each in found}) == 1, "what is sent again on the same day is charged once"
    assert len(found) > 1


async def test_what_kafka_did_not_take_is_sent_again(stack: Any, tmp_path: Path, server: XServer) -> None:
    roastery, clock = Roastery(server), Clock()
    brokers: list[Broker] = []

    def make(leases: Leases, shared: Shared) -> Polled:
        brokers.append(shared.broker)
        return asked_at(server, clock)(leases, shared)

    async with reading(stack.kafka, tmp_path, make, roastery.pair):
        await stands(stack.kafka, roastery.account.id, "live")
        assert server.replays == []
        brokers[0].failed_at = time.monotonic()  # a delivery was answered with 503
        clock.ahead += timedelta(minutes=3)
        await until(lambda: server.count("webhooks") > 5, "it to be looked at")
        clock.ahead += timedelta(minutes=2)
        await until(lambda: server.replays, "it to be asked to send again")
        clock.ahead += timedelta(minutes=2)
        await stands(stack.kafka, roastery.account.id, "live")
        assert len(server.replays) == 1


async def test_a_webhook_that_is_not_valid_is_validated_again_and_a_day_is_sent_again(
    stack: Any, tmp_path: Path, server: XServer
) -> None:
    roastery, clock = Roastery(server), Clock()
    async with reading(stack.kafka, tmp_path, asked_at(server, clock), roastery.pair) as connector:
        await stands(stack.kafka, roastery.account.id, "live")
        server.valid = server.passes = False
        why = await stands(stack.kafka, roastery.account.id, "attention") or ""
        assert "RAPPORT_X_SECRETS" in why
        assert connector.behind() == {roastery.account.id}
        server.passes = True
        clock.ahead += timedelta(minutes=2)
        await until(lambda: server.replays, "it to be asked to send again")
        assert server.valid
        clock.ahead += timedelta(minutes=2)
        await stands(stack.kafka, roastery.account.id, "live")
        ((since, to),) = server.replays
        assert to - since > timedelta(hours=23)


async def test_an_event_that_x_has_ended_is_subscribed_to_again_and_that_is_said(
    stack: Any, tmp_path: Path, server: XServer
) -> None:
    roastery = Roastery(server)
    async with reading(stack.kafka, tmp_path, asked_at(server), roastery.pair):
        await stands(stack.kafka, roastery.account.id, "live")
        server.ended = {"post.mention.create", "dm.sent"}
        why = await stands(stack.kafka, roastery.account.id, "attention") or ""
        assert "X had ended post.mention.create: look at the account on X" in why
        await stands(stack.kafka, roastery.account.id, "live")
        assert sorted(its["event_type"] for its in server.made.values()) == ["dm.sent", "post.mention.create"]


async def test_an_event_that_x_refuses_is_said_unless_it_is_for_a_scope_that_was_left_out(
    stack: Any, tmp_path: Path, server: XServer
) -> None:
    roastery = Roastery(server)
    server.ended = {"like.create", "block.block"}
    server.granted = ["tweet.read"]
    async with reading(stack.kafka, tmp_path, asked_at(server), roastery.pair) as connector:
        await stands(stack.kafka, roastery.account.id, "live")
        looked = server.count("webhooks")
        await until(lambda: server.count("webhooks") > looked + 4, "it to be looked at again")
        assert sum(method == "POST" for method, _, _ in server.asked) == 2, "it is asked for once a day"
        server.not_in_package = {"post.create"}
        server.ended |= {"post.create"}
        # A list that was being read page by page just then may lack another event, which is asked for again first.
        refused = "X does not send post.create of this account"
        why = await stands(stack.kafka, roastery.account.id, "attention", refused) or ""
        assert "not in your package" in why
        assert "Connect again" in why
        assert connector.behind() == {roastery.account.id}, "answers may be missing"
        server.not_in_package = set()
        await stands(stack.kafka, roastery.account.id, "live")


async def test_an_account_whose_owner_took_the_access_back_says_so(stack: Any, tmp_path: Path, server: XServer) -> None:
    roastery, beside = Roastery(server), Roastery(server)
    async with reading(stack.kafka, tmp_path, asked_at(server), roastery.pair, beside.pair):
        await stands(stack.kafka, roastery.account.id, "live")
        server.subscribed.discard(roastery.user)
        del server.tokens[roastery.token]
        why = await stands(stack.kafka, roastery.account.id, "attention") or ""
        assert "does not accept its token" in why
        assert "Connect again" in why
        await stands(stack.kafka, beside.account.id, "live")
        server.tokens[roastery.token] = roastery.user
        await stands(stack.kafka, roastery.account.id, "live")


@pytest.mark.parametrize(
    ("what", "problem", "state", "words"),
    [
        ("webhooks", XServer.EXPIRED, "attention", ("RAPPORT_X_BEARER",)),
        ("webhooks", XServer.NO_CREDIT, "attention", ("credit", "console.x.com")),
        ("activity", XServer.FAILS, "incident", ("503",)),
    ],
    ids=["bearer token", "no credit", "it fails"],
)
async def test_what_is_wrong_is_said_in_words(
    stack: Any, tmp_path: Path, server: XServer, what: str, problem: Any, state: str, words: tuple[str, ...]
) -> None:
    roastery = Roastery(server)
    async with reading(stack.kafka, tmp_path, asked_at(server), roastery.pair) as connector:
        await stands(stack.kafka, roastery.account.id, "live")
        server.refuse(what, problem, 100_000)
        why = await stands(stack.kafka, roastery.account.id, state) or ""
        assert all(word in why for word in words), why
        assert connector.behind() == {roastery.account.id}
        server.recover()
        await stands(stack.kafka, roastery.account.id, "live")


async def test_no_webhook_that_leads_here_and_a_limit(stack: Any, tmp_path: Path, server: XServer) -> None:
    roastery = Roastery(server)
    server.registered = False
    async with reading(stack.kafka, tmp_path, asked_at(server), roastery.pair):
        assert "register" in (await stands(stack.kafka, roastery.account.id, "attention") or "")
        server.registered = True
        await stands(stack.kafka, roastery.account.id, "live")
        server.refuse("webhooks", server.limited(datetime.now(UTC) + timedelta(seconds=3)))
        asked = server.count("webhooks")
        await until(lambda: server.count("webhooks") > asked + 3, "it to be asked again")
        assert {one.state for one in states(stack.kafka, roastery.account.id)[-2:]} <= {"live", "attention"}


@pytest.mark.parametrize("how", ["two days ago", "not in the package"])
async def test_what_x_does_not_send_again_is_read_where_the_agency_wants_that_and_charged(
    stack: Any, tmp_path: Path, log: Log, server: XServer, how: str
) -> None:
    roastery, clock = Roastery(server), Clock()
    async with reading(stack.kafka, tmp_path / "one", asked_at(server, clock, mentions=True), roastery.pair):
        await stands(stack.kafka, roastery.account.id, "live")
    missed = [roastery.mention(clock.now() + timedelta(minutes=2 + number)) for number in range(5)]
    if how == "two days ago":
        clock.ahead = timedelta(days=2)
    else:
        clock.ahead = timedelta(hours=1)
        server.refuse("webhooks/replay", server.NOT_IN_PACKAGE, 100_000)
    expected = roastery.pushed(*missed, now=clock.now())
    async with reading(stack.kafka, tmp_path / "two", asked_at(server, clock, mentions=True), roastery.pair):
        await until(lambda: server.count("webhooks/replay") or server.count("users/"), "it to be asked")
        clock.ahead += timedelta(minutes=2)
        await asyncio.to_thread(log.wait_for, roastery.brand.id, *[one.id for one in expected])
        clock.ahead += timedelta(minutes=2)
        await stands(stack.kafka, roastery.account.id, "live")
    found = log.interactions(roastery.brand.id)
    assert [one.kind for one in expected] == ["mention"] * 5
    # Names cost extra, so they are left out; all else is the same.
    plain = {one.id: (one.kind, one.actor.id, one.text, one.thread, one.conversation, one.occurred_at) for one in found}
    assert plain == {
        one.id: (one.kind, one.actor.id, one.text, one.thread, one.conversation, one.occurred_at) for one in expected
    }
    read = charges(stack.kafka, roastery.brand.id)
    assert {each.what for each in read} == {"posts.read"}
    assert len({each.id for each in read}) == 5


async def test_without_that_what_is_lost_is_said(stack: Any, tmp_path: Path, server: XServer) -> None:
    roastery, clock = Roastery(server), Clock()
    async with reading(stack.kafka, tmp_path / "one", asked_at(server, clock), roastery.pair):
        await stands(stack.kafka, roastery.account.id, "live")
    clock.ahead = timedelta(hours=1)
    server.refuse("webhooks/replay", server.NOT_IN_PACKAGE, 100_000)
    async with reading(stack.kafka, tmp_path / "two", asked_at(server, clock), roastery.pair):
        await until(lambda: server.count("webhooks") > 1, "it to be looked at")
        clock.ahead += timedelta(minutes=2)
        why = await stands(stack.kafka, roastery.account.id, "attention") or ""
        assert "did not arrive" in why
        assert "your package" in why
        await stands(stack.kafka, roastery.account.id, "live")
    assert server.count("users/") == 0, "reading is off"


def test_only_an_account_with_a_token_is_asked() -> None:
    roastery = Roastery(XServer())
    assert usable(roastery.account)
    its = {name: value for name, value in roastery.account.connection.items() if name != "token"}
    assert not usable(msgspec.structs.replace(roastery.account, connection=its))


async def test_without_a_bearer_token_nobody_is_asked(stack: Any, tmp_path: Path, server: XServer) -> None:
    roastery = Roastery(server)
    settings = XSettings(port=0, x_api=server.address)
    async with reading(
        stack.kafka, tmp_path, lambda leases, shared: x(settings, leases, shared), roastery.pair
    ) as connector:
        assert connector.behind() == set()
    assert server.asked == []
