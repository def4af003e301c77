"""Tokens are renewed before they end: by one process, into the log, and whatever gets lost on the way."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pymongo.database import Database
from pymongo.errors import WTimeoutError

from rapport.kit import mongo
from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.accounts.documents import AccountChanges, AccountDocument
from services.api.accounts.repository import Accounts
from services.api.connecting import renewing
from services.api.connecting.repository import RenewalLease, Tokens
from services.api.connecting.service import stamp
from tests.services.api.conftest import PLAIN, serve
from tests.services.api.connecting.world import World, page_fields, settings_with, vendor, world
from tests.services.api.log import newest
from tests.waiting import until

pytestmark = pytest.mark.stack


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewing, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(renewing, "EVERY_SECONDS", 0.1)


@pytest.fixture
def x(stack: Running, views: Database[Document]) -> Iterator[World]:
    with vendor("x") as server, world(stack, views, server) as found:
        yield found


def nearly_over(found: World, account: str, left: timedelta = timedelta(minutes=10)) -> None:
    """As if two hours had passed since the token was given."""
    now = datetime.now(UTC)
    changes = {"$set": {"connection.token_expires_at": stamp(now + left)}}
    found.views["accounts"].update_one({"_id": account}, changes)
    # Last, because with this alone it would be renewed at once.
    found.views["account_tokens"].update_one({"_id": account}, {"$set": {"obtained_at": now - timedelta(hours=2)}})


def known(found: World, account: str) -> dict[str, Any]:
    token = found.views["account_tokens"].find_one({"_id": account})
    assert token is not None
    return dict(token)


def due_now(found: World, account: str) -> None:
    """As if the time for another try had come."""
    found.views["account_tokens"].update_one(
        {"_id": account, "next_at": {"$ne": None}}, {"$set": {"next_at": datetime.now(UTC)}}
    )


def test_a_token_is_renewed_again_and_again_and_ingest_hears_of_it(x: World, stack: Running) -> None:
    account = x.connected("42")
    seen = [x.connection(account)]
    for times in (1, 2):
        nearly_over(x, account)
        until(lambda times=times: x.server.renewals() == times, "the token is renewed")  # type: ignore[misc]
        until(lambda: x.connection(account)["token"] == x.server.live[-1], "the token is stored")
        until(
            lambda: newest(stack.kafka, x.brand).accounts[0].connection == x.connection(account), "ingest hears of it"
        )
        seen.append(x.connection(account))
    assert len({each["refresh_token"] for each in seen}) == 3
    assert x.server.consents[0].revoked is False
    until(lambda: known(x, account)["asked_at"] is None, "it is noted")
    assert known(x, account)["ends_at"] > datetime.now(UTC) + timedelta(days=180)


def test_of_two_processes_one_renews(stack: Running, x: World) -> None:
    account = x.connected("42")
    for _ in serve(settings_with(stack, x.views.name, x.server), ready=True):
        for times in range(1, 6):
            nearly_over(x, account)
            until(lambda times=times: x.server.renewals() >= times, "the token is renewed")  # type: ignore[misc]
            until(lambda: x.connection(account)["token"] == x.server.live[-1], "the token is stored")
            until(lambda: known(x, account)["asked_at"] is None, "it is noted")
        assert x.server.renewals() == 5
        assert not x.server.consents[0].revoked


def test_a_lost_answer_costs_nothing_where_the_refresh_token_stays(stack: Running, views: Database[Document]) -> None:
    with vendor("youtube") as server, world(stack, views, server) as found:
        account = found.connected("UChillside")
        server.loses = 1
        nearly_over(found, account)
        until(lambda: known(found, account)["failures"] == 1, "the answer is lost")
        until(lambda: known(found, account)["why"], "it is noted")
        assert known(found, account)["attention"] is False
        due_now(found, account)
        until(lambda: found.connection(account)["token"] == server.live[-1], "the token is renewed")
        until(lambda: known(found, account)["failures"] == 0, "it is noted")
        assert (known(found, account)["why"], known(found, account)["ends_at"]) == (None, None)


def test_a_lost_answer_of_a_vendor_that_rotates_is_asked_for_again_at_the_end_only(x: World) -> None:
    account = x.connected("42")
    x.server.loses = 1
    nearly_over(x, account, timedelta(minutes=30))
    until(lambda: known(x, account)["failures"] == 1 and known(x, account)["asked_at"] is None, "the answer is lost")
    left = known(x, account)["next_at"] - datetime.now(UTC)
    assert timedelta(minutes=25) < left < timedelta(minutes=28)
    home = f"/v1/brands/{x.brand}/accounts/{account}"
    assert x.api.client.get(home).json()["standing"]["state"] != "attention"
    # X ends the consent, as it would if somebody had stolen the refresh token.
    due_now(x, account)
    until(lambda: known(x, account)["attention"], "somebody has to do something")
    until(lambda: known(x, account)["asked_at"] is None, "it is noted")
    assert known(x, account)["next_at"] is None
    assert x.server.consents[0].revoked
    shown = x.api.client.get(home).json()
    assert datetime.fromisoformat(shown["expires_at"]) < datetime.now(UTC) + timedelta(hours=1)
    text = httpx.get(f"{x.api.internal_url}/metrics", verify=PLAIN).text
    until(
        lambda: (
            f'rapport_account_ends_timestamp_seconds{{account="{account}",platform="x"}}'
            in httpx.get(f"{x.api.internal_url}/metrics", verify=PLAIN).text
        ),
        "the alert's metric tells it",
    )
    assert 'rapport_account_token_renewals_total{outcome="refused",platform="x"}' in text
    asked = len(x.server.posted)
    # A new consent makes it good.
    assert x.connected("42", account=account) == account
    assert known(x, account)["attention"] is False
    assert len(x.server.posted) == asked + 1


def test_a_token_that_was_replaced_meanwhile_stays(x: World) -> None:
    account = x.connected("42")
    home = f"/v1/brands/{x.brand}/accounts/{account}"

    def by_hand() -> None:
        body = {"connection": {"user": "42", "token": "by-hand"}}
        assert x.api.client.patch(home, json=body).status_code == 200

    x.server.meanwhile = by_hand
    nearly_over(x, account)
    until(lambda: x.server.renewals() == 1, "the token is renewed")
    until(lambda: x.connection(account) == {"user": "42", "token": "by-hand"}, "the one that was entered stays")
    # Whoever was renewing has finished; nothing is written after that.
    until(lambda: known(x, account)["asked_at"] is None or x.connection(account)["token"] == "by-hand", "it ends")
    assert x.connection(account) == {"user": "42", "token": "by-hand"}


def test_a_token_that_was_stored_without_being_confirmed_is_stored_again_until_it_is(
    x: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = x.connected("42")
    stored, tries = Accounts.change, []

    async def unconfirmed(self: Accounts, account: AccountDocument, changes: AccountChanges) -> bool:
        done = await stored(self, account, changes)
        tries.append(changes)
        if len(tries) < 3:
            raise WTimeoutError("waiting for replication timed out")
        return done

    monkeypatch.setattr(Accounts, "change", unconfirmed)
    nearly_over(x, account)
    until(lambda: x.server.renewals() == 1, "the token is renewed")
    until(lambda: known(x, account)["asked_at"] is None, "it is noted", 30)
    assert len(tries) == 3
    assert x.connection(account)["token"] == x.server.live[-1]
    assert known(x, account)["obtained_at"] > datetime.now(UTC) - timedelta(hours=1), "it is known as the new one"


def test_a_change_of_something_else_does_not_lose_the_token(x: World) -> None:
    account = x.connected("42")
    home = f"/v1/brands/{x.brand}/accounts/{account}"
    x.server.meanwhile = lambda: x.api.client.patch(home, json={"handle": "renamed"})
    nearly_over(x, account)
    until(lambda: x.server.renewals() == 1, "the token is renewed")
    until(lambda: x.connection(account)["token"] == x.server.live[-1], "the token is stored")
    assert x.api.client.get(home).json()["handle"] == "renamed"


def test_a_token_that_was_entered_by_hand_is_renewed_too(stack: Running, views: Database[Document]) -> None:
    with vendor("youtube") as server, world(stack, views, server) as found:
        account = found.connected("UChillside")
        its = found.connection(account)
        views["account_tokens"].delete_many({})
        until(lambda: views["account_tokens"].find_one({"_id": account}), "the token is noticed")
        nearly_over(found, account)
        until(lambda: found.connection(account)["token"] == server.live[-1] != its["token"], "it is renewed")
        until(lambda: known(found, account)["failures"] == 0, "it is known")


def test_an_account_that_is_disconnected_is_left_alone(x: World) -> None:
    account = x.connected("42")
    home = f"/v1/brands/{x.brand}/accounts/{account}"
    assert x.api.client.delete(home).status_code == 200
    assert x.views["account_tokens"].find_one({"_id": account}) is None
    other = x.connected("42", f"{account}-2")
    nearly_over(x, account)
    nearly_over(x, other)
    until(lambda: x.server.renewals() == 1, "the other one is renewed")
    until(lambda: known(x, other)["asked_at"] is None, "it is noted")
    assert x.server.renewals() == 1
    assert x.server.consents[0].tokens[1:] == []


def test_what_nobody_ended_when_an_account_was_disconnected_is_ended_later(
    stack: Running, views: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(*_: object, **__: object) -> None:
        raise RuntimeError("the process ends here")

    with vendor("facebook") as server, world(stack, views, server) as found:
        account, other = found.connected("4001"), found.connected("4002")
        with monkeypatch.context() as patched:
            patched.setattr("services.api.accounts.routes.connecting.ended", dies)
            answer = found.api.client.delete(f"/v1/brands/{found.brand}/accounts/{account}")
            assert answer.status_code == 500
        assert "feed" in (page_fields(server, "4001") or ())
        monkeypatch.setattr(renewing, "LEFT_AFTER", timedelta(0))
        until(lambda: page_fields(server, "4001") is None, "it is ended")
        until(lambda: found.views["account_tokens"].find_one({"_id": account}) is None, "its token is forgotten")
        assert "feed" in (page_fields(server, "4002") or ())
        assert known(found, other)["push"]["what"] == ["comments", "mentions", "messages"]


def test_an_installation_that_lost_its_application_says_so(stack: Running, views: Database[Document]) -> None:
    with vendor("youtube") as server:
        with world(stack, views, server) as found:
            account = found.connected("UChillside")
        nearly_over(found, account)
        for _ in serve(settings_with(stack, views.name, server, youtube_client_id=""), ready=True):
            until(lambda: known(found, account)["attention"], "somebody has to do something")
            until(lambda: known(found, account)["asked_at"] is None, "it is noted")
            assert "no application at Google is set up" in known(found, account)["why"]
            assert known(found, account)["next_at"] is not None
        for _ in serve(settings_with(stack, views.name, server), ready=True):
            due_now(found, account)
            until(lambda: not known(found, account)["attention"], "it is renewed")


def test_who_has_lost_the_lease_writes_nothing(stack: Running, views: Database[Document]) -> None:
    async def play() -> None:
        client = mongo.async_client(stack.mongodb)
        database = client[views.name]
        now = datetime.now(UTC)
        one, other, tokens = RenewalLease(database), RenewalLease(database), Tokens(database)
        first = await one.take(now)
        assert first is not None
        assert await one.take(now) == first
        assert await other.take(now) is None
        later = now + timedelta(minutes=2)
        second = await other.take(later)
        assert second is not None
        assert second > first
        assert await one.take(later) is None
        await database["account_tokens"].insert_one({"_id": "a", "number": 0, "asked_at": None})
        assert await tokens.ask("a", second, later)
        # It woke up: nothing of it is written, and nobody is asked twice.
        assert not await tokens.ask("a", first, later)
        assert not await tokens.note("a", first, {"failures": 9})
        assert not await tokens.ask("a", second, later)
        assert await tokens.note("a", second, {"failures": 0})
        assert not await tokens.ask("a", first, later)
        found = await database["account_tokens"].find_one({"_id": "a"})
        assert found == {"_id": "a", "number": second, "asked_at": None, "failures": 0}
        await other.release()
        third = await one.take(later)
        assert third is not None
        assert third > second
        await client.close()

    asyncio.run(play())


def test_what_a_clock_that_was_ahead_has_written_is_not_waited_for(stack: Running, views: Database[Document]) -> None:
    async def play() -> None:
        client = mongo.async_client(stack.mongodb)
        database = client[views.name]
        one, other = RenewalLease(database), RenewalLease(database)
        now = datetime.now(UTC)
        assert await one.take(now + timedelta(days=365)) is not None
        assert await other.take(now) is not None
        assert await one.take(now) is None
        ahead = {"_id": "a", "number": 0, "asked_at": now + timedelta(days=365)}
        await database["account_tokens"].insert_one(ahead)
        assert await Tokens(database).ask("a", 9, now)
        await client.close()

    asyncio.run(play())


def test_a_token_that_was_obtained_while_the_clock_was_ahead_is_renewed(x: World) -> None:
    account = x.connected("42")
    later = datetime.now(UTC) + timedelta(days=365)
    x.views["account_tokens"].update_one({"_id": account}, {"$set": {"obtained_at": later}})
    changes = {"$set": {"connection.token_expires_at": stamp(later + timedelta(hours=2))}}
    x.views["accounts"].update_one({"_id": account}, changes)
    until(lambda: x.server.renewals() == 1, "the token is renewed")
    until(lambda: x.connection(account)["token"] == x.server.live[-1], "the token is stored")


def test_a_server_that_is_away_delays_no_other(
    stack: Running, views: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each Mastodon server is somebody else's. A brand with many accounts on a dead one must not delay the others."""
    asked: list[str] = []

    async def one(_: Any, account: Any, __: int) -> bool:
        asked.append(account["_id"])
        return "dead" in account["connection"]["service"]

    async def due(*_: Any) -> bool:
        return True

    monkeypatch.setattr(renewing.Renewing, "_one", one)
    monkeypatch.setattr(renewing.Renewing, "_is_due", due)
    with vendor("mastodon") as server, world(stack, views, server) as found:
        for number in range(renewing.AT_ONCE + 1):
            good = number == renewing.AT_ONCE
            connection = {
                "service": "https://good.example" if good else "https://dead.example",
                "token": f"t-{number}",
                "token_expires_at": stamp(datetime.now(UTC) + timedelta(minutes=number + 1)),
            }
            body = {"id": f"{found.brand}-{number}", "platform": "mastodon", "handle": "@a", "connection": connection}
            answer = found.api.client.post(f"/v1/brands/{found.brand}/accounts", json=body)
            assert answer.status_code == 201, answer.text
        until(lambda: f"{found.brand}-{renewing.AT_ONCE}" in asked, "the account on the other server is asked for")
