"""YouTube asked by ingest: what is new, edited and answered, what the quota allows, and what is wrong in words."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from rapport.contracts.events import Account, Brand, Interaction
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.youtube import checks, connector, waiting
from services.ingest.connectors.youtube.connector import quota_of, youtube
from services.ingest.connectors.youtube.settings import YoutubeSettings
from services.ingest.leases.leases import Leases
from services.ingest.polling import follower, quota
from services.ingest.polling.polled import Polled
from tests.platforms.youtube import SHOWN_REPLIES, YoutubeServer
from tests.services.ingest.connectors.asking import reading, stands, until
from tests.services.ingest.service import CONNECTED_AT, Log, brand_with

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "SOONEST_SECONDS", 0.3)
    monkeypatch.setattr(quota, "LATEST_SECONDS", 0.6)
    monkeypatch.setattr(follower, "ATTENTION_SECONDS", 0.5)
    monkeypatch.setattr(follower, "LONGEST_BACKOFF_SECONDS", 2.0)


@pytest.fixture
def server() -> Iterator[YoutubeServer]:
    """One that nobody else uses."""
    with YoutubeServer() as running:
        yield running


class Channel:
    """A brand with a channel."""

    def __init__(self, server: YoutubeServer) -> None:
        self.id = server.channel(f"UC{uuid4().hex[:22]}")
        self.account = Account(
            id=f"account-{uuid4().hex[:12]}", platform="youtube", handle="Roastery", connected_at=CONNECTED_AT,
            door_secrets=("secret",), connection={"channel": self.id},
        )  # fmt: skip
        self.brand: Brand = brand_with(self.account)
        self.pair = self.brand.id, self.account


def asked_at(server: YoutubeServer, key: str = "a-key") -> Callable[[Leases, Shared], Polled]:
    """Makes the connector."""
    settings = YoutubeSettings(port=0, youtube_key=SecretStr(key), youtube_api=server.address)
    return lambda leases, shared: youtube(settings, quota_of(settings, leases, shared), leases, shared)


async def arrived(log: Log, channel: Channel, *ids: str) -> None:
    await asyncio.to_thread(log.wait_for, channel.brand.id, *ids)


async def asked_again(server: YoutubeServer) -> None:
    asked = len(server.asked("commentThreads"))
    await until(lambda: len(server.asked("commentThreads")) > asked + 3, "it to be asked again")


async def test_comments_replies_answers_and_edits_arrive_once(
    stack: Any, tmp_path: Path, log: Log, server: YoutubeServer
) -> None:
    channel = Channel(server)
    before = server.comment(channel.id, "First!")
    async with reading(stack.kafka, tmp_path, asked_at(server), channel.pair):
        await arrived(log, channel, before)
        comment = server.comment(channel.id, "Is the Yirgacheffe back?")
        others = [server.reply(comment, f"+{number}", author="UCben") for number in range(SHOWN_REPLIES + 3)]
        answer = server.reply(comment, "It is!", author=channel.id)
        server.edit(before, "First, and last")
        await arrived(log, channel, comment, answer, *others)
        await until(lambda: any(one.kind == "edit" for one in log.interactions(channel.brand.id)), "the edit")
        await stands(stack.kafka, channel.account.id, "live")
        await asked_again(server)
        replies = len(server.asked(f"parentId={comment}"))
        await asked_again(server)
        assert len(server.asked(f"parentId={comment}")) == replies, "it asks for replies that it has"
        found = log.interactions(channel.brand.id)
        ids = [one.id for one in found]
        assert len(ids) == len(set(ids))
        kinds = {one.id: one.kind for one in found}
        assert (kinds[comment], kinds[answer]) == ("comment", "reply")


async def test_a_deleted_comment_is_hidden_and_a_held_one_is_shown_again_by_whoever_reads_the_channel(
    stack: Any, tmp_path: Path, log: Log, server: YoutubeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "READINGS_PER_UNIT", 1)
    monkeypatch.setattr(waiting, "SECOND_AFTER", timedelta(seconds=4))
    channel = Channel(server)
    video = server.upload(channel.id, "How we roast")
    deleted, held, there = (server.comment(channel.id, text, video=video) for text in ("one", "two", "three"))

    def hidings() -> list[Interaction]:
        return [one for one in log.interactions(channel.brand.id) if one.kind in ("hide", "unhide")]

    async with reading(stack.kafka, tmp_path / "one", asked_at(server), channel.pair):
        await arrived(log, channel, deleted, held, there)
        server.delete(deleted)
        server.hold(held)
        await until(lambda: server.asked_for(deleted) and server.asked_for(held), "them to be asked for")
    async with reading(stack.kafka, tmp_path / "two", asked_at(server), channel.pair):
        await until(lambda: len(hidings()) == 2, lambda: f"both to be hidden: {hidings()}")
        assert {(one.kind, one.object.id) for one in hidings()} == {("hide", deleted), ("hide", held)}
        server.approve(held)
        await until(lambda: len(hidings()) == 3, lambda: f"one to be shown again: {hidings()}")
        await stands(stack.kafka, channel.account.id, "live")
        last = hidings()[-1]
        assert (last.kind, last.object.id) == ("unhide", held)
        assert all(what.endswith(f"%2C{there}") for what in server.asked_for(there)), "the list shows it"


async def test_what_a_channel_publishes_is_its_post_and_told_once(
    stack: Any, tmp_path: Path, log: Log, server: YoutubeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector, "UPLOADS_EVERY", timedelta())
    monkeypatch.setattr(connector, "READINGS_PER_UPLOADS", 0)
    channel = Channel(server)
    old = server.upload(channel.id, "How we roast", "From bean to cup.")
    scheduled = server.upload(channel.id, "Tomorrow", public=False)
    async with reading(stack.kafka, tmp_path / "one", asked_at(server), channel.pair):
        await arrived(log, channel, old)
        asked = len(server.asked("playlistItems"))
        await until(lambda: len(server.asked("playlistItems")) > asked + 2, "it to be asked again")
        assert [one.id for one in log.interactions(channel.brand.id)] == [old]
    missed = [server.upload(channel.id, f"video {number}") for number in range(70)]
    server.publish(scheduled)
    async with reading(stack.kafka, tmp_path / "two", asked_at(server), channel.pair):
        await arrived(log, channel, scheduled, *missed)
        await stands(stack.kafka, channel.account.id, "live")
    found = log.interactions(channel.brand.id)
    # The second process finds the last hour's again; they count once by their ids.
    assert {one.id for one in found} == {old, scheduled, *missed}
    assert len(found) <= len({one.id for one in found}) + 1
    first = next(one for one in found if one.id == old)
    assert (first.kind, first.actor.id, first.media) == ("post", channel.id, ("video",))
    assert first.text == "How we roast\n\nFrom bean to cup."


async def test_a_channel_without_uploads_is_read_all_the_same(
    stack: Any, tmp_path: Path, log: Log, server: YoutubeServer
) -> None:
    channel = Channel(server)
    server.without_uploads.add(channel.id)
    comment = server.comment(channel.id, "Hello?")
    async with reading(stack.kafka, tmp_path, asked_at(server), channel.pair):
        await arrived(log, channel, comment)
        await stands(stack.kafka, channel.account.id, "live")
        await asked_again(server)
        assert len(server.asked("playlistItems")) == 1


async def test_what_was_written_while_nobody_asked_is_found_also_behind_the_first_page(
    stack: Any, tmp_path: Path, log: Log, server: YoutubeServer
) -> None:
    channel = Channel(server)
    first = server.comment(channel.id, "first")
    async with reading(stack.kafka, tmp_path / "one", asked_at(server), channel.pair):
        await arrived(log, channel, first)
        await stands(stack.kafka, channel.account.id, "live")
    missed = [server.comment(channel.id, f"comment {number}") for number in range(250)]
    async with reading(stack.kafka, tmp_path / "two", asked_at(server), channel.pair):
        await arrived(log, channel, *missed)
    ids = [one.id for one in log.interactions(channel.brand.id)]
    assert sorted(ids) == sorted([first, *missed])


async def test_a_quota_that_is_used_up_waits_for_the_next_day(
    stack: Any, tmp_path: Path, server: YoutubeServer
) -> None:
    channel, beside = Channel(server), Channel(server)
    async with reading(stack.kafka, tmp_path, asked_at(server), channel.pair, beside.pair) as connector:
        for each in (channel, beside):
            await stands(stack.kafka, each.account.id, "live")
        since, server.quota = time.monotonic(), 0
        for each in (channel, beside):
            assert "limit" in (await stands(stack.kafka, each.account.id, "behind") or "")
        assert connector.behind() == {channel.account.id, beside.account.id}
        # One refusal is enough: nothing is left for anybody.
        assert len([what for what in server.requests if what[0] > since]) <= 2


@pytest.mark.parametrize(
    ("reason", "status", "state", "word"),
    [
        ("keyInvalid", 400, "attention", "RAPPORT_YOUTUBE_KEY"),
        ("accessNotConfigured", 403, "attention", "switched on"),
        ("channelNotFound", 404, "attention", "channel"),
        ("", 403, "attention", "permission"),
        ("backendError", 500, "incident", "500"),
    ],
)
async def test_what_is_wrong_is_said_in_words_and_it_goes_on_once_it_is_right(
    stack: Any, tmp_path: Path, log: Log, server: YoutubeServer, reason: str, status: int, state: str, word: str
) -> None:
    channel = Channel(server)
    server.fail(status, reason, 100_000)
    async with reading(stack.kafka, tmp_path, asked_at(server), channel.pair):
        assert word in (await stands(stack.kafka, channel.account.id, state) or "")
        server.recover()
        await arrived(log, channel, server.comment(channel.id, "hello"))
        await stands(stack.kafka, channel.account.id, "live")


async def test_without_a_key_the_channel_says_so(stack: Any, tmp_path: Path, server: YoutubeServer) -> None:
    channel = Channel(server)
    async with reading(stack.kafka, tmp_path, asked_at(server, key=""), channel.pair):
        assert "RAPPORT_YOUTUBE_KEY" in (await stands(stack.kafka, channel.account.id, "attention") or "")
        assert server.requests == []
