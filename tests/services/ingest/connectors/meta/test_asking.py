"""Facebook, Instagram and Threads asked by ingest: what an account's webhook left out arrives, once."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from rapport.contracts.codec import ASKED_HEADER
from rapport.contracts.events import Parent
from services.ingest.polling import graph
from tests.platforms.graph import GraphServer
from tests.services.ingest.connectors.asking import reading, stands, until
from tests.services.ingest.connectors.meta.client import Client, asked_at
from tests.services.ingest.service import Log

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("_sooner")]
PLATFORMS = ("facebook", "instagram", "threads")
LISTS = {"facebook": "/feed", "instagram": "/media", "threads": "/threads"}


async def arrived(log: Log, client: Client, *ids: str) -> None:
    await asyncio.to_thread(log.wait_for, client.brand.id, *ids)


async def asked_again(client: Client) -> None:
    """It was asked from the beginning to the end since."""
    path = LISTS[client.platform]
    asked = len(client.server.paths(path))
    await until(lambda: len(client.server.paths(path)) > asked + 2, "it to be asked again")


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_comments_answers_and_answers_to_old_comments_arrive_once(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer, platform: str
) -> None:
    client = Client(server, platform)
    before = server.comment(client.post, "First!")
    async with reading(stack.kafka, tmp_path, asked_at(server, platform), client.pair) as connector:
        await arrived(log, client, before.id)
        comment = server.comment(client.post, "Is the Yirgacheffe back?", by="7002")
        answer = server.comment(client.post, "It is!", by=client.owner.id, to=comment)
        late = server.comment(client.post, "And the Sidamo?", by="7003", to=before)
        await arrived(log, client, comment.id, answer.id, late.id)
        await stands(stack.kafka, client.account.id, "live")
        assert connector.behind() == set()
        await asked_again(client)
        found = [one for one in log.interactions(client.brand.id) if one.kind != "post"]
        assert sorted(one.id for one in found) == sorted([before.id, comment.id, answer.id, late.id])
        by_id = {one.id: one for one in found}
        assert by_id[answer.id].kind == "reply"
        assert by_id[answer.id].parent == Parent(comment.id)
        assert {by_id[one].kind for one in (before.id, comment.id, late.id)} == {"comment"}
        assert {one.conversation for one in found} == {client.post.id}


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_what_happened_while_nobody_read_is_found_however_much_it_is(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer, platform: str
) -> None:
    client = Client(server, platform)
    first = client.comment("first")
    async with reading(stack.kafka, tmp_path / "one", asked_at(server, platform), client.pair):
        await arrived(log, client, first)
        await stands(stack.kafka, client.account.id, "live")
    posts = [server.post(client.owner, f"post {number}") for number in range(12)]
    missed = [server.comment(client.post, f"comment {number}").id for number in range(230)]
    missed += [server.comment(post, "here, too").id for post in posts]
    async with reading(stack.kafka, tmp_path / "two", asked_at(server, platform), client.pair):
        await arrived(log, client, *missed)
        await stands(stack.kafka, client.account.id, "live")
    ids = [one.id for one in log.interactions(client.brand.id) if one.kind == "comment"]
    assert set(ids) == {first, *missed}
    # What was near the end of the look before is told again, and counts once.
    assert len(ids) - len(set(ids)) <= 1


async def test_what_was_before_the_connection_stays_before_it(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer
) -> None:
    client = Client(server)
    now = datetime.now(UTC)
    server.comment(client.post, "long ago", at=now - timedelta(hours=3))
    just_before = server.comment(client.post, "just before", at=now - timedelta(minutes=2))
    async with reading(stack.kafka, tmp_path, asked_at(server), client.pair):
        await arrived(log, client, just_before.id)
        await stands(stack.kafka, client.account.id, "live")
    assert [one.text for one in log.interactions(client.brand.id) if one.kind == "comment"] == ["just before"]


@pytest.mark.parametrize("how", ["duplicates", "small pages", "addresses of pages"])
@pytest.mark.parametrize("platform", PLATFORMS)
async def test_pages_are_followed_to_their_end(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer, platform: str, how: str
) -> None:
    server.most, server.twice, server.plain_next = 7, how == "duplicates", how == "addresses of pages"
    client = Client(server, platform)
    sent = [client.comment(f"comment {number}") for number in range(40)]
    async with reading(stack.kafka, tmp_path, asked_at(server, platform), client.pair):
        await arrived(log, client, *sent)
        await stands(stack.kafka, client.account.id, "live")
    ids = [one.id for one in log.interactions(client.brand.id) if one.kind == "comment"]
    assert sorted(ids) == sorted(sent)


async def test_posts_that_nobody_commented_on_are_not_asked_for_comments(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer
) -> None:
    client = Client(server)
    quiet = [server.post(client.owner, f"post {number}") for number in range(30)]
    comment = client.comment()
    async with reading(stack.kafka, tmp_path, asked_at(server), client.pair):
        await arrived(log, client, comment)
        await stands(stack.kafka, client.account.id, "live")
        assert not [path for post in quiet for path in server.paths(f"{post.id}/comments")]


async def test_a_comment_is_found_also_where_the_post_does_not_say_that_it_has_one_more(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer
) -> None:
    client = Client(server, connected_at=datetime.now(UTC) - timedelta(hours=2))
    client.post.updated_at = client.post.at = datetime.now(UTC) - timedelta(hours=1)
    first = server.comment(client.post, "first", at=datetime.now(UTC) - timedelta(minutes=50))
    client.post.updated_at = datetime.now(UTC) - timedelta(minutes=50)
    async with reading(stack.kafka, tmp_path, asked_at(server), client.pair):
        await arrived(log, client, first.id)
        await stands(stack.kafka, client.account.id, "live")
        server.late_updates = True
        # Facebook shows it late, and it does not move the time of its post.
        late = server.comment(client.post, "shown late", at=datetime.now(UTC) - timedelta(minutes=20))
        await arrived(log, client, late.id)


async def test_comments_on_ads_messages_and_posts_that_name_the_page_arrive(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer
) -> None:
    client = Client(server)
    ad = server.post(client.owner, "Buy beans", ad=True)
    on_ad = server.comment(ad, "How much?")
    named = server.mention(client.owner, "Look at Roastery")
    visitor = server.post(client.owner, "Hello Roastery", by="7005")
    message = server.message(client.owner, "7007", "Do you deliver?")
    answer = server.message(client.owner, "7007", "We do", mine=True)
    async with reading(stack.kafka, tmp_path, asked_at(server), client.pair):
        await arrived(log, client, on_ad.id, named.id, visitor.id, message.id, answer.id)
        await stands(stack.kafka, client.account.id, "live")
    by_id = {one.id: one for one in log.interactions(client.brand.id)}
    kinds = {one: by_id[one].kind for one in (on_ad.id, named.id, visitor.id, message.id, answer.id)}
    assert list(kinds.values()) == ["comment", "mention", "mention", "message", "reply"]
    assert ad.id not in by_id, "an advertisement is no post of the calendar"
    assert by_id[answer.id].thread == by_id[message.id].thread == f"{client.owner.id}:7007"


async def test_what_threads_says_elsewhere_arrives(stack: Any, tmp_path: Path, log: Log, server: GraphServer) -> None:
    client, other = Client(server, "threads"), Client(server, "threads")
    named = server.mention(client.owner, "Look")
    asked = server.comment(other.post, "Any tips?", by="7001")
    answer = server.comment(other.post, "Grind finer", by=client.owner.id, to=asked)
    client.owner.replies.append((other.post, answer))
    async with reading(stack.kafka, tmp_path, asked_at(server, "threads"), client.pair):
        await arrived(log, client, named.id, answer.id)
    by_id = {one.id: one for one in log.interactions(client.brand.id)}
    assert (by_id[named.id].kind, by_id[answer.id].kind) == ("mention", "reply")
    assert by_id[answer.id].conversation == other.post.id


async def test_instagram_s_replies_that_do_not_fit_on_a_page_are_asked_for(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer
) -> None:
    client = Client(server, "instagram")
    comment = server.comment(client.post, "Who is coming?")
    replies = [server.comment(client.post, f"me {number}", to=comment).id for number in range(130)]
    async with reading(stack.kafka, tmp_path, asked_at(server, "instagram"), client.pair):
        await arrived(log, client, comment.id, *replies)


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_hidden_comment_is_told_with_its_hiding_and_one_that_is_gone_is_not_invented(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer, platform: str
) -> None:
    client = Client(server, platform)
    hidden = server.comment(client.post, "spam")
    hidden.hidden = True
    gone = server.comment(client.post, "never mind")
    async with reading(stack.kafka, tmp_path, asked_at(server, platform), client.pair):
        await arrived(log, client, hidden.id, gone.id, f"{hidden.id}#hide-asked")
        server.remove(client.post, gone)
        await arrived(log, client, client.comment("and on"))
        await asked_again(client)
    found = log.interactions(client.brand.id)
    assert not [one for one in found if one.kind == "delete"]
    (hiding,) = [one for one in found if one.kind == "hide"]
    assert hiding.object.id == hidden.id
    # Whatever was pushed about it is newer.
    assert hiding.occurred_at == next(one.occurred_at for one in found if one.id == hidden.id)


async def test_an_account_without_a_token_is_not_asked_and_not_behind(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer
) -> None:
    client, asked = Client(server, token=False), Client(server)
    client.comment()
    async with reading(stack.kafka, tmp_path, asked_at(server), client.pair, asked.pair) as connector:
        await stands(stack.kafka, asked.account.id, "live")
        assert client.account.id not in connector.behind()
        assert not server.paths(client.owner.id)
        assert not log.interactions(client.brand.id)


async def test_a_sibling_without_a_token_is_the_brand_s_all_the_same(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer
) -> None:
    client = Client(server)
    sibling = Client(server, brand=client.brand.id, token=False)
    comment = server.comment(client.post, "Are you open?")
    answer = server.comment(client.post, "We are", by=sibling.owner.id, to=comment)
    async with reading(stack.kafka, tmp_path, asked_at(server), client.pair, sibling.pair):
        await arrived(log, client, answer.id)
    assert next(one.kind for one in log.interactions(client.brand.id) if one.id == answer.id) == "reply"


@pytest.mark.parametrize("platform", ["instagram", "threads"])
async def test_a_sibling_is_known_by_its_handle_where_its_id_is_another_for_each_account(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer, platform: str
) -> None:
    client = Client(server, platform)
    sibling = Client(server, platform, brand=client.brand.id, token=False)
    sibling.account = structs.replace(sibling.account, handle="@User7009")
    comment = server.comment(client.post, "Are you open?")
    answer = server.comment(client.post, "We are", by="7009", to=comment)
    async with reading(stack.kafka, tmp_path, asked_at(server, platform), client.pair, sibling.pair):
        await arrived(log, client, answer.id)
    assert next(one.kind for one in log.interactions(client.brand.id) if one.id == answer.id) == "reply"


@pytest.mark.parametrize("pushes", [True, False])
async def test_what_should_have_been_pushed_long_ago_is_marked(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer, pushes: bool
) -> None:
    client = Client(server, connected_at=datetime.now(UTC) - timedelta(hours=1))
    old = server.comment(client.post, "old", at=datetime.now(UTC) - timedelta(minutes=10))
    young = server.comment(client.post, "young")
    async with reading(stack.kafka, tmp_path, asked_at(server, pushes=pushes), client.pair):
        await arrived(log, client, old.id, young.id)
    marked = {one.id for record, one in log.decoded(client.brand.id) if ASKED_HEADER in record.headers}
    assert marked == ({old.id} if pushes else set())


async def test_a_page_that_is_too_much_is_asked_for_in_parts(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer
) -> None:
    client = Client(server)
    comment = client.comment()
    server.refuse_large = 20
    async with reading(stack.kafka, tmp_path, asked_at(server), client.pair):
        await arrived(log, client, comment)
        await stands(stack.kafka, client.account.id, "live")
    assert {int(query["limit"]) for path, query in server.asked if path.endswith("/feed")} >= {100, 50, 25, 12}


async def test_a_list_that_never_ends_is_not_read_for_ever(
    stack: Any, tmp_path: Path, log: Log, server: GraphServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "MOST_PAGES", 5)
    client = Client(server)
    server.endless = True
    comment = client.comment()
    async with reading(stack.kafka, tmp_path, asked_at(server), client.pair):
        await arrived(log, client, comment)
        await stands(stack.kafka, client.account.id, "live")
