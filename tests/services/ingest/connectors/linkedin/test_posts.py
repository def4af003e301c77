"""The page's own posts are read beside the notifications: what goes wrong with them says nothing against these."""

import json
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from rapport.contracts.events import Account
from services.ingest.connectors.linkedin import reader
from services.ingest.connectors.linkedin.normalise import plain
from services.ingest.connectors.linkedin.reader import (
    POSTS_AGAIN,
    POSTS_AT_ONCE,
    POSTS_TWICE,
    LinkedInReader,
    posts_refused,
)
from services.ingest.hooks.delivery import Watched
from services.ingest.polling.api import AwayError, LimitedError, RefusedError
from services.ingest.polling.follower import PostsApart
from services.ingest.polling.told import POSTS_LATE
from tests.services.ingest.connectors.kept import Answers, Clock, Kept, shared

pytestmark = pytest.mark.anyio
PAGE = "urn:li:organization:7"


class World:
    """A page that was connected a day ago, without notifications, and its posts."""

    def __init__(self) -> None:
        self.now = Clock()
        self.posts: list[Any] = []
        """The one that was changed last stands first."""
        self.wrong: Exception | bytes = b""
        self.repeats = False
        """Whether each page is the first."""
        self.api = Answers(self._answer)
        self.account = Account(
            id="account", platform="linkedin", handle="Roastery", connected_at=self.now() - timedelta(days=1),
            door_secrets=("secret",), connection={"organization": "7", "token": "t"},
        )  # fmt: skip
        self.kept = Kept(self.account, self.now)
        self.restart()

    def restart(self) -> None:
        """All is forgotten but what is kept."""
        watched = Watched("brand", self.account, PAGE, frozenset([PAGE]))
        self.reader = LinkedInReader(self.account, self.kept, lambda: watched, self.api, self.api, "", shared(self.now))

    def post(self, name: str, ago: timedelta = timedelta(), **more: Any) -> None:
        at = int((self.now() - ago).timestamp() * 1000)
        its = {"id": f"urn:li:share:{name}", "author": PAGE, "lifecycleState": "PUBLISHED", "createdAt": at}
        self.posts.insert(0, {**its, "publishedAt": at, "lastModifiedAt": at, "commentary": name, **more})

    def told(self) -> list[str | None]:
        return [one.text for one in self.kept.told]

    async def read(self, later: timedelta = timedelta(minutes=15)) -> datetime:
        self.now.at += later
        await self.reader.read()
        return self.now()

    def _answer(self, path: str, asked: Mapping[str, str]) -> bytes:
        if path != "/rest/posts":
            return b'{"elements": []}'
        assert (asked["author"], asked["sortBy"]) == (PAGE, "LAST_MODIFIED")
        if isinstance(self.wrong, Exception):
            raise self.wrong
        start = 0 if self.repeats else int(asked["start"])
        return self.wrong or json.dumps({"elements": self.posts[start : start + int(asked["count"])]}).encode()


async def test_each_new_post_is_told_once_and_none_from_before_the_connection() -> None:
    world = World()
    world.post("before", timedelta(days=2))
    world.post("since", timedelta(hours=3))
    await world.read()
    world.post("new")
    for _ in range(3):
        await world.read()
    await world.read(POSTS_LATE)
    world.restart()
    await world.read()
    assert world.told() == ["since", "new"]
    assert world.api.count("/rest/posts") == 6, "a request of each look"


async def test_a_post_has_its_urn_its_text_and_what_it_shows() -> None:
    world = World()
    world.post("1", content={"media": {"id": "urn:li:video:C5"}}, commentary="New {hashtag|\\#|coffee} \\(Guji\\)")
    world.post("2", content={"media": {"id": "urn:li:image:C5", "altText": "beans"}})
    world.post("3", content={"multiImage": {"images": []}})
    world.post("4", content={"article": {"source": "https://roastery.example"}})
    world.post("5", commentary=None, reshareContext={"parent": "urn:li:share:9", "root": "urn:li:share:9"})
    await world.read()
    found = {one.id: one for one in world.kept.told}
    assert {one.object.id for one in found.values()} == found.keys()
    assert {(one.kind, one.actor.id) for one in found.values()} == {("post", PAGE)}
    assert [found[f"urn:li:share:{n}"].media for n in range(1, 6)] == [
        ("video",), ("image",), ("image",), ("link",), (),
    ]  # fmt: skip
    assert found["urn:li:share:1"].text == "New #coffee (Guji)"
    assert found["urn:li:share:5"].text is None
    assert found["urn:li:share:1"].object.url == "https://www.linkedin.com/feed/update/urn:li:share:1/"


async def test_drafts_and_broken_posts_are_left_out_and_stop_nothing(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.post("draft", lifecycleState="DRAFT")
    world.post("somebody else's", author="urn:li:organization:8")
    world.post("good")
    world.posts += [7, {**world.posts[0], "id": None}]
    await world.read()
    assert world.told() == ["good"]
    assert "elements[3] is skipped" in caplog.text


async def test_many_new_posts_are_read_page_by_page() -> None:
    world = World()
    for number in range(POSTS_AT_ONCE + 5):
        world.post(str(number))
    await world.read()
    assert len(world.told()) == POSTS_AT_ONCE + 5


async def test_all_new_posts_are_told_however_many_and_one_too_many_is_not_silent(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reader, "POSTS_PAGES", 3)
    world = World()
    for number in range(3 * POSTS_AT_ONCE):
        world.post(str(number))
    world.repeats = True
    await world.read()
    assert world.api.count("/rest/posts") == 2, "a list that does not go on has ended"
    world.restart()
    world.repeats = False
    await world.read()
    assert set(world.told()) == {str(number) for number in range(2 * POSTS_TWICE, 3 * POSTS_AT_ONCE)}
    assert "new posts" in caplog.text
    assert world.reader.posts_checked_at == world.now()


async def test_a_post_is_told_when_it_is_published_however_long_before_it_was_written() -> None:
    world = World()
    for number in range(POSTS_AT_ONCE):
        world.post(f"old {number}", timedelta(days=2))
    await world.read()
    long_ago = int((world.now() - timedelta(days=40)).timestamp() * 1000)
    world.post("scheduled", createdAt=long_ago)
    world.post("listed late", timedelta(hours=20))
    world.post("no times", createdAt=None, publishedAt=None, lastModifiedAt=None)
    world.post("changed", timedelta(days=2), lastModifiedAt=int(world.now().timestamp() * 1000))
    await world.read()
    assert sorted(map(str, world.told())) == ["listed late", "scheduled"]


def _moved_up(world: World, name: str, **changes: Any) -> None:
    """Somebody changes a post, so it stands first now."""
    one = next(each for each in world.posts if each["commentary"] == name)
    world.posts.remove(one)
    world.posts.insert(0, {**one, "lastModifiedAt": int(world.now().timestamp() * 1000), **changes})


async def test_a_post_that_could_not_be_told_before_is_told_once_it_can_be() -> None:
    world = World()
    world.post("good", timedelta(hours=2))
    await world.read()
    world.post("odd", content=7)
    world.post("being made", lifecycleState="PUBLISH_REQUESTED")
    world.post("good, too")
    for _ in range(4):
        await world.read(timedelta(hours=12))
    _moved_up(world, "odd", content=None)
    _moved_up(world, "being made", lifecycleState="PUBLISHED")
    await world.read()
    assert sorted(map(str, world.told())) == ["being made", "good", "good, too", "odd"]


@pytest.mark.parametrize("how", ["edited", "deleted"])
async def test_what_is_edited_or_deleted_while_the_list_is_read_loses_no_post(how: str) -> None:
    world = World()
    world.account = structs.replace(world.account, connected_at=world.now() - timedelta(days=90))
    world.kept.account = world.account
    world.restart()
    names = {str(number) for number in range(120)}
    for number in range(120):
        world.post(str(number), timedelta(hours=240 - number))
    answer = world.api._answer

    def meanwhile(path: str, asked: Mapping[str, str]) -> bytes:
        body = answer(path, asked)
        if path == "/rest/posts" and world.api.count(path) == 1:
            if how == "edited":
                _moved_up(world, "10")
            else:
                del world.posts[0]
        return body

    world.api._answer = meanwhile
    for _ in range(3):
        await world.read()
    assert set(world.told()) == names


async def test_a_page_with_few_posts_is_asked_once_however_young_they_are() -> None:
    world = World()
    world.post("young")
    await world.read()
    await world.read()
    assert world.api.count("/rest/posts") == 2


@pytest.mark.parametrize(
    "change",
    [{"lifecycleState": None}, {"lifecycleState": "LIVE"}, {"author": None}, {"publishedAt": None, "createdAt": None}],
    ids=["no state", "another state", "no author", "no time"],
)
async def test_posts_of_which_not_enough_is_said_are_not_taken_for_none(change: dict[str, Any]) -> None:
    world = World()
    read_at = await world.read()
    world.post("one", **change)
    world.post("two", **change)
    await world.read()
    assert (world.told(), world.reader.posts_checked_at) == ([], read_at)


async def test_a_single_post_that_cannot_be_read_holds_up_nothing_wherever_it_stands() -> None:
    world = World()
    world.post("odd", content=7)
    for number in range(POSTS_AT_ONCE):
        world.post(str(number))
    assert await world.read() == world.reader.posts_checked_at
    assert len(world.told()) == POSTS_AT_ONCE


async def test_advertisements_are_no_posts() -> None:
    world = World()
    world.post("direct sponsored", distribution={"feedDistribution": "NONE"}, adContext={"isDsc": True})
    world.post("dark", distribution={"feedDistribution": "NONE", "targetEntities": []})
    world.post("by its context", adContext={"isDsc": True, "dscName": "Beans"})
    world.post("good", distribution={"feedDistribution": "MAIN_FEED"}, adContext={"isDsc": False})
    await world.read()
    assert world.told() == ["good"]


async def test_where_no_post_can_be_read_that_is_not_all_that_was_posted(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    read_at = await world.read()
    world.posts = [{"id": {"urn": "urn:li:share:1"}, "createdAt": "2026-05-04T12:00:00Z"}, 7]
    await world.read()
    assert world.reader.posts_checked_at == read_at
    assert "none of LinkedIn's posts can be read" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [posts_refused(403, b"{}", Clock()()), AwayError("it answered 503"), LimitedError(60.0), b"<html>"],
    ids=["permission", "away", "limit", "html"],
)
async def test_what_is_wrong_with_the_posts_is_logged_and_they_count_as_known_up_to_before(
    wrong: Exception | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    assert isinstance(world.reader, PostsApart)
    assert world.reader.posts_checked_at == world.account.connected_at
    read_at = await world.read()
    assert world.reader.posts_checked_at == read_at
    world.post("meanwhile")
    world.wrong = wrong
    with caplog.at_level(logging.WARNING):
        await world.read()
    assert "its posts are not read" in caplog.text
    assert ("r_organization_social" in caplog.text) is isinstance(wrong, RefusedError)
    world.wrong = b""
    await world.read()
    assert world.reader.posts_checked_at == read_at, "not asked for again at once"
    assert await world.read(POSTS_AGAIN) == world.reader.posts_checked_at
    assert world.told() == ["meanwhile"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("by @[Ada \\(A\\)](urn:li:person:7x) and @[Roastery](urn:li:organization:7)", "by Ada (A) and Roastery"),
        ("{hashtag|#|one} {hashtag|\\#|two\\_2}", "#one #two_2"),
        ("a \\\\ b \\@c \\d", "a \\ b @c \\d"),
        ("{hashtag|", "{hashtag|"),
    ],
)
def test_a_text_reads_as_people_see_it(written: str, read: str) -> None:
    assert plain(written) == read
