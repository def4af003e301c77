"""Meta limits, fails, refuses, hangs and forgets: the account says so in words, and nothing is lost."""

from pathlib import Path
from typing import Any

import pytest

from services.ingest.polling import follower, repairing, usage
from tests.platforms.graph import DENIED, FAILED, LIMITED, UNSEEN, GraphServer, refusal
from tests.services.ingest.connectors.asking import reading, stands, states, until
from tests.services.ingest.connectors.meta.client import Client, asked_at
from tests.services.ingest.connectors.meta.test_asking import PLATFORMS, arrived, asked_again
from tests.services.ingest.service import Log

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("_sooner")]


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_revoked_token_needs_attention_and_a_new_one_goes_on_where_it_stopped(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer, platform: str
) -> None:
    client = Client(server, platform)
    first = client.comment("first")
    async with reading(stack.kafka, tmp_path, asked_at(server, platform), client.pair) as connector:
        await arrived(log, client, first)
        await stands(stack.kafka, client.account.id, "live")
        token = server.revoke(client.owner)
        why = await stands(stack.kafka, client.account.id, "attention") or ""
        assert "token" in why
        assert "press “Connect again”" in why
        assert connector.behind() == {client.account.id} == connector.disconnected()
        meanwhile = client.comment("meanwhile")
        brand, account = client.with_token(token)
        connector.follow({account.id: (brand, account)})
        await arrived(log, client, meanwhile)
        await stands(stack.kafka, client.account.id, "live")
        await asked_again(client)
    ids = [one.id for one in log.interactions(client.brand.id) if one.kind == "comment"]
    assert set(ids) == {first, meanwhile}


async def test_a_missing_permission_for_comments_needs_attention_and_for_messages_does_not(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer
) -> None:
    client = Client(server)
    server.denied = {"conversations", "ads_posts", "tagged"}
    async with reading(stack.kafka, tmp_path, asked_at(server), client.pair):
        await arrived(log, client, client.comment())
        await stands(stack.kafka, client.account.id, "live")
        await asked_again(client)
        assert len(server.paths("conversations")) == 1, "once a day is enough"
        server.denied = {"feed"}
        why = await stands(stack.kafka, client.account.id, "attention") or ""
        assert "pages_read_user_content" in why
        assert "leave every permission switched on" in why
        comment = client.comment("meanwhile")
        server.recover()
        await arrived(log, client, comment)
        await stands(stack.kafka, client.account.id, "live")


async def test_messages_from_before_a_permission_was_given_arrive_once_it_is(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repairing, "OFF_FOR", repairing.OFF_FOR * 0)
    client = Client(server)
    server.denied = {"conversations"}
    async with reading(stack.kafka, tmp_path, asked_at(server), client.pair):
        await stands(stack.kafka, client.account.id, "live")
        message = server.message(client.owner, "7001", "Do you deliver?")
        await asked_again(client)
        server.recover()
        await arrived(log, client, message.id)


async def test_a_page_that_is_not_subscribed_is_read_and_says_what_to_do(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer
) -> None:
    client = Client(server)
    client.owner.subscribed = None
    async with reading(stack.kafka, tmp_path, asked_at(server), client.pair) as connector:
        why = await stands(stack.kafka, client.account.id, "attention") or ""
        assert f"POST {client.owner.id}/subscribed_apps with subscribed_fields=feed," in why
        await arrived(log, client, client.comment())
        await asked_again(client)
        assert connector.behind() == set() == connector.disconnected(), "everything was read"
        checked = [one.checked_at for one in states(stack.kafka, client.account.id) if one.state == "attention"]
        assert None not in checked
        client.owner.subscribed = ["feed"]
        await stands(stack.kafka, client.account.id, "live")


async def test_where_ingest_takes_no_pushes_nobody_has_to_subscribe(
    stack: Any, tmp_path: Path, server: GraphServer
) -> None:
    client = Client(server)
    client.owner.subscribed = None
    async with reading(stack.kafka, tmp_path, asked_at(server, pushes=False), client.pair):
        await stands(stack.kafka, client.account.id, "live")


async def test_a_limit_is_waited_for_and_what_was_read_is_not_read_again(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "PAUSE_SECONDS", 1.5)
    client = Client(server, "instagram")
    posts = [server.post(client.owner, f"post {number}") for number in range(6)]
    sent = [server.comment(post).id for post in posts]
    limited = False

    def limits(path: str) -> bool:
        nonlocal limited
        limited = limited or len(server.paths("/comments")) == 4
        return limited and len(server.paths("/comments")) == 4

    server.limits = limits
    async with reading(stack.kafka, tmp_path, asked_at(server, "instagram"), client.pair):
        await until(lambda: limited, "the limit to be reached")
        server.limits = None
        await arrived(log, client, *sent)
        await stands(stack.kafka, client.account.id, "live")
    # The fourth was refused, and it goes on with that one.
    asked = server.paths("/comments")
    assert sorted([*asked[:3], *asked[4:7]]) == sorted(f"/{post.id}/comments" for post in posts)


async def test_a_long_limit_makes_it_behind_and_keeps_its_place(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer
) -> None:
    client = Client(server)
    first = client.comment("first")
    async with reading(stack.kafka, tmp_path / "one", asked_at(server), client.pair) as connector:
        await arrived(log, client, first)
        await stands(stack.kafka, client.account.id, "live")
        server.refuse(LIMITED, 1)
        assert "limit" in (await stands(stack.kafka, client.account.id, "behind") or "")
        asked = len(server.asked)
        assert connector.behind() == {client.account.id}
    meanwhile = client.comment("meanwhile")
    assert len(server.asked) == asked
    async with reading(stack.kafka, tmp_path / "two", asked_at(server), client.pair):
        await arrived(log, client, meanwhile)


async def test_what_the_headers_say_is_used_slows_it_down_and_stops_it_before_the_limit(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer
) -> None:
    client = Client(server)
    async with reading(stack.kafka, tmp_path, asked_at(server), client.pair):
        await stands(stack.kafka, client.account.id, "live")
        server.percent = 85
        assert "limit" in (await stands(stack.kafka, client.account.id, "behind") or "")
        assert not [state for state in states(stack.kafka, client.account.id) if state.state == "attention"]


@pytest.mark.parametrize(
    ("how", "state", "word"),
    [
        (FAILED, "incident", "temporarily unavailable"),
        (refusal(4, "Application request limit reached", 403), "behind", "limit"),
        (refusal(100, "(#100) Tried accessing nonexisting field (x)"), "attention", "nonexisting field"),
        (UNSEEN, "attention", "does not exist"),
        (DENIED, "attention", "permission"),
        (refusal(190, "", 401), "attention", "token"),
        (refusal(0, "", 503), "incident", "fails"),
    ],
    ids=["it fails", "the app's limit", "a field", "no page", "a permission", "a token", "something else"],
)
async def test_what_is_wrong_is_said_in_words(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer, how: Any, state: str, word: str
) -> None:
    client = Client(server)
    server.refuse(how, 100_000)
    async with reading(stack.kafka, tmp_path, asked_at(server), client.pair):
        assert word in (await stands(stack.kafka, client.account.id, state) or "")
        if state == "behind":
            return  # for five minutes
        server.recover()
        await arrived(log, client, client.comment())
        await stands(stack.kafka, client.account.id, "live")


async def test_an_interface_that_hangs_holds_up_nobody_else_for_long(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ingest.connectors.facebook.reader.ANSWERED_SECONDS", 1.0)
    client = Client(server)
    server.hanging = True
    async with reading(stack.kafka, tmp_path, asked_at(server), client.pair):
        await stands(stack.kafka, client.account.id, "behind")
        comment = client.comment()
        server.recover()
        await arrived(log, client, comment)
        await stands(stack.kafka, client.account.id, "live")


async def test_a_post_that_is_gone_when_its_comments_are_asked_for_stops_nothing(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer
) -> None:
    client = Client(server)
    gone = server.post(client.owner, "gone")
    server.comment(gone)
    server.unseen = {gone.id}
    comment = client.comment()
    async with reading(stack.kafka, tmp_path, asked_at(server), client.pair):
        await arrived(log, client, comment)
        await stands(stack.kafka, client.account.id, "live")
    assert not [one for one in log.interactions(client.brand.id) if one.kind == "delete"]


async def test_one_account_that_is_refused_holds_up_no_other(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer
) -> None:
    broken, well = Client(server), Client(server)
    server.revoke(broken.owner)
    async with reading(stack.kafka, tmp_path, asked_at(server), broken.pair, well.pair):
        await arrived(log, well, well.comment())
        await stands(stack.kafka, well.account.id, "live")
        await stands(stack.kafka, broken.account.id, "attention")


async def test_an_account_that_is_read_but_needs_attention_becomes_behind_once_it_is_not_read(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "LATE_SECONDS", 1.0)
    client = Client(server)
    client.owner.subscribed = None
    async with reading(stack.kafka, tmp_path, asked_at(server), client.pair) as connector:
        await stands(stack.kafka, client.account.id, "attention")
        await until(lambda: not connector.behind(), "it to be read")
        server.hanging = True
        await until(lambda: connector.behind() == {client.account.id}, "it to be behind")
        server.recover()
        await until(lambda: not connector.behind(), "it to be read again")
