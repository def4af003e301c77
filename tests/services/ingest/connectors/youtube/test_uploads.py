"""The list of uploads is read beside the comments: what goes wrong with it says nothing against them."""

import json
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from rapport.contracts.cursors import AccountState
from rapport.contracts.events import Account
from services.ingest.connectors.youtube.connector import DAY_BEGINS_IN, UPLOADS_EVERY, QuotaError, YoutubeReader
from services.ingest.hooks.delivery import Watched
from services.ingest.polling.api import AttentionError, AwayError, LimitedError, RefusedError
from services.ingest.polling.follower import PostsApart
from services.ingest.polling.quota import Quota
from tests.services.ingest.connectors.kept import Answers, Clock, Kept, shared

pytestmark = pytest.mark.anyio
CHANNEL, PLAYLIST = "UC7", "UU7"


class World:
    """A channel without comments, its uploads, and what is wrong with their list."""

    def __init__(self) -> None:
        self.now = Clock()
        self.uploads: list[tuple[str, datetime]] = []
        self.wrong: dict[str, Exception | bytes] = {}
        """By the path that is asked."""
        self.api = Answers(self._answer)
        account = Account(
            id="account", platform="youtube", handle="Roastery", connected_at=self.now() - timedelta(hours=1),
            door_secrets=("secret",), connection={"channel": CHANNEL},
        )  # fmt: skip
        self.kept = Kept(account, self.now)
        self.reader = self.another()

    def another(self) -> YoutubeReader:
        """A reader as a process has it that has just got the channel."""
        account = self.kept.account
        watched = Watched("brand", account, CHANNEL, frozenset([CHANNEL]))
        quota = Quota(1_000_000, DAY_BEGINS_IN, self.now, lambda: 1.0)
        return YoutubeReader(account, self.kept, lambda: watched, self.api, quota, shared(self.now))

    def told(self) -> list[str]:
        return [one.id for one in self.kept.told]

    async def read(self) -> None:
        """Once it is time for the uploads again."""
        self.now.at += UPLOADS_EVERY + timedelta(minutes=1)
        await self.reader.read()

    def _answer(self, path: str, asked: Mapping[str, str]) -> bytes:
        wrong = self.wrong.get(path.rsplit("/", 1)[-1], b"")
        if isinstance(wrong, Exception):
            raise wrong
        items: list[dict[str, Any]] = []
        if path.endswith("channels"):
            items = [{"id": CHANNEL, "contentDetails": {"relatedPlaylists": {"uploads": PLAYLIST}}}]
        if path.endswith("playlistItems"):
            items = [
                {
                    "snippet": {"channelId": CHANNEL, "title": id},
                    "contentDetails": {"videoId": id, "videoPublishedAt": at.isoformat()},
                }
                for id, at in self.uploads  # noqa: A001
            ]
        return wrong or json.dumps({"items": items}).encode()


@pytest.mark.parametrize("path", ["channels", "playlistItems"])
@pytest.mark.parametrize(
    "wrong",
    [RefusedError("gone"), AttentionError("it is not allowed"), AwayError("it answered 503", incident=True), b"<html>"],
    ids=["refused", "attention", "away", "html"],
)
async def test_trouble_with_the_uploads_is_logged_and_they_are_asked_for_again_later(
    wrong: Exception | bytes, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    world.uploads = [("video", world.now())]
    world.wrong[path] = wrong
    with caplog.at_level(logging.INFO):
        await world.read()
    assert "its uploads are not read" in caplog.text
    asked = world.api.count(path)
    await world.reader.read()
    assert world.api.count(path) == asked, "not at each reading"
    world.wrong.clear()
    await world.read()
    assert world.told() == ["video"]


async def test_posts_are_known_up_to_the_last_time_that_the_uploads_were_read() -> None:
    world = World()
    connected_at = world.kept.account.connected_at
    assert isinstance(world.reader, PostsApart)
    world.wrong["playlistItems"] = AwayError("it answered 503", incident=True)
    await world.read()
    assert world.reader.posts_checked_at == connected_at, "they never were"
    world.wrong.clear()
    await world.read()
    read_at = world.now()
    assert world.reader.posts_checked_at == read_at
    world.now.at += UPLOADS_EVERY / 2
    await world.reader.read()
    world.wrong["channels"] = world.wrong["playlistItems"] = AwayError("it answered 503", incident=True)
    await world.read()
    assert world.reader.posts_checked_at == read_at, "the comments alone were read"
    # The next process goes on from what this one said.
    await world.kept.stands(
        AccountState(
            brand="brand", account="account", platform="youtube", state="live", since=read_at, claim=1,
            posts_checked_at=world.reader.posts_checked_at,
        )
    )  # fmt: skip
    assert world.another().posts_checked_at == read_at


@pytest.mark.parametrize("wrong", [LimitedError(60.0), QuotaError(1.0)], ids=["limit", "quota"])
async def test_a_limit_is_one_for_the_comments_too(wrong: Exception) -> None:
    world = World()
    world.wrong["playlistItems"] = wrong
    with pytest.raises(LimitedError):
        await world.read()


async def test_an_upload_that_is_listed_late_is_told_and_each_is_told_once() -> None:
    world = World()
    first = world.now()
    world.uploads = [("first", first)]
    await world.read()
    world.uploads = [
        ("late", first - timedelta(minutes=50)),
        ("older", first - timedelta(minutes=70)),
        ("first", first),
    ]
    await world.read()
    await world.read()
    assert world.told() == ["first", "late"]
