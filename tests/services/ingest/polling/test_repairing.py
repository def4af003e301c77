"""What is asked of an account of one of Meta's platforms, look by look, and what becomes of what fails."""

import json
import logging
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec import structs

from rapport.contracts.cursors import Remembered
from rapport.contracts.events import Account
from rapport.kit.http.outgoing import Guard, GuardedHttp
from services.ingest.connectors.facebook.reader import FacebookReader
from services.ingest.connectors.instagram import normalise as instagram
from services.ingest.connectors.instagram.albums import in_its_album
from services.ingest.connectors.instagram.reader import InstagramReader
from services.ingest.connectors.threads.reader import ThreadsReader
from services.ingest.hooks.delivery import Watched
from services.ingest.polling import graph, repairing
from services.ingest.polling.api import AttentionError, AwayError, LimitedError, TooMuchError, Turns
from services.ingest.polling.follower import PostsApart
from services.ingest.polling.graph import FailedError, Graph
from services.ingest.polling.told import POSTS_LATE
from tests.deliveries import FOLDER, OBSERVED_AT, lookup
from tests.platforms.graph import DENIED, FAILED, LIMITED, TOO_MUCH, GraphServer, Owner, Post, Refusal, refusal
from tests.platforms.subscribed_apps import OTHER
from tests.services.ingest.connectors.kept import Kept

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
PLATFORMS = ("facebook", "instagram", "threads")
LISTS = {"facebook": "feed", "instagram": "media", "threads": "threads"}
NOW = datetime.now(UTC).replace(microsecond=0)
REFUSED = refusal(100, "(#100) Tried accessing nonexisting field (x)")
COMMENTS = {"facebook": "comments", "instagram": "comments", "threads": "conversation"}


class Platform(GraphServer):
    """Refuses some paths."""

    def __init__(self) -> None:
        super().__init__()
        self.refusing: Callable[[str], Refusal | None] = lambda _: None

    def _route(self, owner: Owner, path: str, query: dict[str, str]) -> Any:
        return self.refusing(path) or super()._route(owner, path, query)


class Memory(Kept):
    """What is remembered of an account, and the clock that it is read by."""

    def __init__(self, account: Account) -> None:
        self.at = NOW
        super().__init__(account, lambda: self.at)

    def ids(self) -> set[str]:
        return {one.id for one in self.told}


class Asked:
    """An account with a post that is an hour old, and its reader. It was connected a day ago."""

    def __init__(self, server: Platform, platform: str = "facebook") -> None:
        self.server, self.platform = server, platform
        self.owner = server.owner(name="roastery")
        self.account = Account(
            id="account-1", platform=platform, handle="roastery", connected_at=NOW - timedelta(days=1),
            door_secrets=("secret",),
        )  # fmt: skip
        self.memory = Memory(self.account)
        self.post = self.posted()
        self.restart()

    def restart(self) -> None:
        """Another process reads it."""
        shared = cast(Any, SimpleNamespace(now=self.memory.now))
        http = GuardedHttp(Guard(allow_private=True), timeout=20)
        its = Graph(self.platform, self.server.api, self.owner.token, http, Turns(), shared, 10_000)
        watched = Watched("brand-1", self.account, self.owner.id, frozenset([self.owner.id]))
        given: Any = (self.owner.id, its, self.memory, lambda: watched, self.memory.now, logging.getLogger("test"))
        match self.platform:
            case "facebook":
                self.reader: repairing.RepairingReader = FacebookReader(*given, pushes=True)
            case "instagram":
                self.reader = InstagramReader(*given)
            case _:
                self.reader = ThreadsReader(*given)

    def posted(self, text: str = "Fresh beans", *, ago: timedelta = timedelta(hours=1)) -> Post:
        return self.server.post(self.owner, text, at=self.memory.at - ago)

    def commented(self, post: Post | None = None, *, ago: timedelta = timedelta(0)) -> str:
        return self.server.comment(post or self.post, at=self.memory.at - ago).id

    async def look(self, *, after: timedelta = timedelta(minutes=10)) -> list[str]:
        """Looks once, and says what was asked for."""
        self.memory.at += after
        before = len(self.server.asked)
        try:
            await self.reader.read()
        finally:
            self.asked = [path for path, _ in self.server.asked[before:]]
        return self.asked

    def comments_of(self, post: Post) -> str:
        return f"/{post.id}/{COMMENTS[self.platform]}"

    def refuse(self, how: Refusal, *words: str) -> None:
        """What has one of these words in its path is refused."""
        self.server.refusing = lambda path: how if any(word in path for word in words) else None

    def position(self, list_: str | None = None) -> str | None:
        return self.memory.position(f"{list_ or LISTS[self.platform]}@{self.owner.id}")


@pytest.fixture
def server() -> Iterator[Platform]:
    with Platform() as running:
        yield running


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_comment_that_was_hidden_late_is_not_hidden_from_the_start_for_the_next_process(
    server: Platform, platform: str
) -> None:
    one = Asked(server, platform)
    await one.look()
    comment = server.comment(one.post, "Are you open?", at=one.memory.at)
    await one.look()
    await one.look(after=timedelta(hours=2))
    comment.hidden = True
    one.restart()
    another = one.commented()
    await one.look()
    assert {comment.id, another} <= one.memory.ids()
    assert f"{comment.id}#hide-asked" not in one.memory.ids()


@pytest.mark.parametrize("platform", ["instagram", "threads"])
async def test_where_nobody_pushes_it_what_is_hidden_or_shown_later_is_told_once_at_the_time_of_the_look(
    server: Platform, platform: str
) -> None:
    one = Asked(server, platform)
    await one.look()
    comment = server.comment(one.post, "Are you open?", at=one.memory.at)
    later = []
    for hidden in (False, True, True, False, False, True):
        comment.hidden = hidden
        one.restart()
        await one.look(after=timedelta(minutes=11))
        later.append(one.memory.at)
    told = [(each.kind, each.occurred_at) for each in one.memory.told if each.object.id == comment.id]
    expected = [("hide", later[1]), ("unhide", later[3]), ("hide", later[5])]
    assert [each for each in told if each[0] != "comment"] == expected


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_comment_that_is_hidden_when_it_is_first_looked_at_is_told_with_that(
    server: Platform, platform: str
) -> None:
    one = Asked(server, platform)
    await one.look()
    one.restart()
    top = server.comment(one.post, "who?", at=one.memory.at)
    hidden = server.comment(one.post, "spam", at=one.memory.at, to=top)
    hidden.hidden = True
    await one.look()
    assert {hidden.id, f"{hidden.id}#hide-asked"} <= one.memory.ids()


@pytest.mark.parametrize("platform", ["facebook", "instagram"])
async def test_where_pages_have_to_be_small_as_many_posts_are_looked_at(server: Platform, platform: str) -> None:
    one = Asked(server, platform)
    posts = [one.posted() for _ in range(8)]
    server.refuse_large = 1
    for ago in (timedelta(0), timedelta(minutes=1)):
        sent = {one.commented(post, ago=ago) for post in posts}
        for _ in range(30):
            try:
                await one.look(after=timedelta(seconds=10))
            except AwayError:
                continue
            break
        assert sent <= one.memory.ids()


async def test_pages_become_larger_by_the_hour(server: Platform) -> None:
    one = Asked(server)
    await one.look()
    server.refuse_large = 30
    for _ in range(2):
        with pytest.raises(TooMuchError):
            await one.look(after=timedelta(seconds=10))
    server.refuse_large = 100

    async def limit() -> str:
        await one.look()
        return next(query["limit"] for path, query in reversed(server.asked) if path.endswith("/feed"))

    assert [await limit() for _ in range(13)] == ["25"] * 5 + ["50"] * 6 + ["100"] * 2


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("how", [REFUSED, DENIED, FAILED], ids=["refused", "denied", "failed"])
async def test_a_post_whose_comments_cannot_be_read_stops_no_other_and_is_asked_again(
    server: Platform, platform: str, how: Refusal
) -> None:
    one = Asked(server, platform)
    broken = one.posted()
    await one.look()
    lost, told = one.commented(broken), one.commented(ago=timedelta(minutes=1))
    one.refuse(how, one.comments_of(broken)[1:])
    await one.look()
    assert told in one.memory.ids()
    assert lost not in one.memory.ids()
    assert one.position() == one.memory.at.isoformat()
    await one.look()
    assert (one.comments_of(broken) in one.asked) == (how is FAILED), "what is refused is asked again after an hour"
    for _ in range(60):
        await one.look()  # it is the only one that is due, and still its own trouble
    one.refuse(how)
    await one.look(after=timedelta(hours=1))
    assert lost in one.memory.ids()
    assert one.position() == one.memory.at.isoformat()


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_where_the_comments_of_no_post_can_be_read_it_is_the_account_s_trouble(
    server: Platform, platform: str
) -> None:
    one = Asked(server, platform)
    await one.look()
    posts = [one.posted() for _ in range(3)]
    sent = {one.commented(post) for post in posts}
    one.refuse(DENIED, COMMENTS[platform])
    position = one.position()
    for _ in range(3):
        with pytest.raises(AttentionError, match="permission"):
            await one.look()
    one.refuse(FAILED, COMMENTS[platform])
    with pytest.raises(FailedError):
        await one.look()
    assert one.position() == position
    one.refuse(FAILED)
    await one.look()
    assert sent <= one.memory.ids()


async def test_a_limit_and_too_much_are_no_trouble_of_one_post(server: Platform) -> None:
    one = Asked(server)
    await one.look()
    for how, error in ((TOO_MUCH, TooMuchError), (LIMITED, LimitedError)):
        broken = one.posted()
        one.commented(broken)
        one.commented(ago=timedelta(minutes=1))
        one.refuse(how, one.comments_of(broken)[1:])
        with pytest.raises(error):
            await one.look()


async def test_an_optional_list_that_fails_leaves_out_no_other(server: Platform) -> None:
    one = Asked(server)
    message = server.message(one.owner, "7007", "Do you deliver?", at=one.memory.at)
    one.refuse(FAILED, "ads_posts")
    with pytest.raises(AwayError, match="unavailable"):
        await one.look()
    assert message.id in one.memory.ids()
    assert one.position("deep") == one.position("messages") == one.position() == one.memory.at.isoformat()
    assert one.position("ads") is None
    assert f"/{one.owner.id}/subscribed_apps" in one.asked
    one.refuse(FAILED, "feed")
    with pytest.raises(AwayError, match="unavailable"):
        await one.look()
    assert len(one.asked) == 1


async def test_an_account_that_is_not_subscribed_is_not_complete_where_a_list_failed(server: Platform) -> None:
    one = Asked(server)
    one.owner.subscribed = None
    one.refuse(FAILED, "ads_posts")
    for complete in (False, True):
        with pytest.raises(AttentionError) as caught:
            await one.look()
        assert caught.value.complete is complete
        one.refuse(FAILED)


async def test_a_page_is_subscribed_however_many_other_applications_are(server: Platform) -> None:
    one = Asked(server)
    server.apps = [{**OTHER, "id": str(each)} for each in range(5_000, 5_060)]
    one.owner.subscribed = ["feed"]
    await one.look()
    one.owner.subscribed = ["mention"]
    one.restart()
    with pytest.raises(AttentionError, match="subscribed_apps"):
        await one.look()


@pytest.mark.parametrize("how", [FAILED, LIMITED], ids=["it fails", "a limit"])
async def test_whether_it_is_subscribed_makes_no_reading_incomplete_and_is_asked_again(
    server: Platform, how: Refusal
) -> None:
    one = Asked(server)
    one.refuse(how, "subscribed_apps")
    await one.look()
    one.refuse(how)
    assert f"/{one.owner.id}/subscribed_apps" in await one.look()
    assert f"/{one.owner.id}/subscribed_apps" not in await one.look()


async def test_a_post_whose_last_comment_was_deleted_or_that_cannot_be_seen_is_asked_once(server: Platform) -> None:
    one = Asked(server, "instagram")
    old = one.posted(ago=timedelta(hours=20))
    unseen = one.posted(ago=timedelta(hours=20))
    for _ in range(6):
        server.comment(one.posted(), "busy", at=one.memory.at)
    comment = server.comment(old, "first", at=one.memory.at)
    server.comment(unseen, "first", at=one.memory.at)
    for _ in range(2):
        await one.look()
    server.remove(old, comment)
    server.comment(unseen, "second", at=one.memory.at)
    server.unseen = {unseen.id}
    await one.look()
    assert {one.comments_of(old), one.comments_of(unseen)} <= set(one.asked)
    await one.look(after=timedelta(days=8))  # not one of the busy any more
    await one.look()
    assert not {one.comments_of(old), one.comments_of(unseen)} & set(one.asked)


def limits(server: Platform, most: int) -> None:
    """So many requests, then a limit; from now on."""
    start = len(server.asked)
    server.limits = lambda _: len(server.asked) - start > most


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_post_that_costs_more_than_an_hour_allows_is_read_to_its_end(server: Platform, platform: str) -> None:
    one = Asked(server, platform)
    await one.look()
    server.most = 5
    sent = {one.commented(ago=timedelta(minutes=8)) for _ in range(60)}
    for _ in range(12):
        limits(server, 6)
        sent.add(one.commented())
        try:
            await one.look(after=timedelta(minutes=10))
        except LimitedError:
            continue
        break
    else:
        pytest.fail(f"it was never done: {len(sent - one.memory.ids())} are missing")
    server.limits = None
    await one.look()
    assert sent <= one.memory.ids()


async def test_replies_that_were_read_before_a_limit_are_not_read_again(server: Platform) -> None:
    one = Asked(server, "instagram")
    await one.look()
    tops = [server.comment(one.post, "who?", at=one.memory.at) for _ in range(8)]
    sent = {server.comment(one.post, "me", at=one.memory.at, to=top).id for top in tops for _ in range(60)}
    for _ in range(8):
        limits(server, 7)
        try:
            await one.look()
        except LimitedError:
            continue
        break
    else:
        pytest.fail("it was never done")
    assert sent <= one.memory.ids()
    server.limits = None
    late = server.comment(one.post, "me, too", at=one.memory.at, to=tops[0]).id
    await one.look()
    assert late in one.memory.ids()


async def test_where_comments_come_by_rank_a_new_one_is_found_on_any_of_the_first_pages(server: Platform) -> None:
    one = Asked(server)
    server.ranked = True
    for minutes in range(240, 0, -1):
        one.commented(ago=timedelta(hours=20, minutes=minutes))
    await one.look()
    new = one.commented()
    await one.look()
    assert new in one.memory.ids()
    assert one.asked.count(one.comments_of(one.post)) == 3
    server.most = 5
    one.commented()
    await one.look()
    assert one.asked.count(one.comments_of(one.post)) == repairing.UNSORTED_PAGES
    server.ranked = False
    one.commented()
    await one.look()
    assert one.asked.count(one.comments_of(one.post)) == 1


async def test_where_further_fields_of_messages_are_refused_messages_are_found_without(server: Platform) -> None:
    one = Asked(server)
    server.refusing = lambda _: REFUSED if "shares" in server.asked[-1][1].get("fields", "") else None
    message = server.message(one.owner, "7007", "Do you deliver?", at=one.memory.at)
    await one.look()
    assert message.id in one.memory.ids()
    assert one.position("messages") == one.memory.at.isoformat()
    one.refuse(REFUSED, "conversations")
    await one.look()
    assert one.position("messages") != one.memory.at.isoformat()


async def test_what_is_pushed_of_an_album_is_below_the_album(server: Platform) -> None:
    one = Asked(server, "instagram")
    one.post.parts = ["17900000000000011", "17900000000000012"]
    comment = server.comment(one.post, at=one.memory.at)
    await one.look()
    (asked,) = (told for told in one.memory.told if told.kind == "comment")
    for part in one.post.parts:
        pushed = structs.replace(asked, conversation=part, thread=part, post=part)
        assert in_its_album(pushed, one.memory.cursors.get) == asked
        elsewhere = structs.replace(pushed, account="account-2")
        assert in_its_album(elsewhere, one.memory.cursors.get) == elsewhere
    assert asked.id == comment.id
    assert in_its_album(asked, one.memory.cursors.get) == asked
    remembered = dict(one.memory.cursors)
    one.memory.at += timedelta(minutes=1)
    await one.look()
    assert {key: found for key, found in one.memory.cursors.items() if isinstance(found, Remembered)} == {
        key: found for key, found in remembered.items() if isinstance(found, Remembered)
    }, "it is remembered once"


async def test_instagram_s_posts_are_told_once_with_their_comments_below_them(server: Platform) -> None:
    one = Asked(server, "instagram")
    one.posted("long before it was connected", ago=timedelta(days=3))
    album, reel = one.posted("How it is made"), one.posted("Watch")
    album.parts, reel.shown, reel.surface = ["17900000000000011", "17900000000000012"], "VIDEO", "REELS"
    one.posted("an advertisement").surface = "AD"
    one.posted("a story").surface = "STORY"
    comment = one.commented(album)
    await one.look()
    posts = {told.id: told for told in one.memory.told if told.kind == "post"}
    assert {each: (found.text, found.media) for each, found in posts.items()} == {
        one.post.id: ("Fresh beans", ("image",)),
        album.id: ("How it is made", ("image", "image")),
        reel.id: ("Watch", ("video",)),
    }
    assert posts[album.id].object.url == f"https://www.instagram.com/p/{album.id}/"
    assert posts[album.id].occurred_at == album.at
    (said,) = (told for told in one.memory.told if told.id == comment)
    assert (said.conversation, said.thread, said.post) == (album.id,) * 3
    assert {(told.conversation, told.thread, told.post) for told in posts.values()} == {(each,) * 3 for each in posts}
    later = one.posted("one more", ago=timedelta(0))
    for _ in range(2):
        await one.look()
    # The next process knows up to when they were told, but for those that may be listed late.
    await one.look(after=POSTS_LATE)
    one.restart()
    await one.look()
    assert [told.id for told in one.memory.told if told.kind == "post"] == [*posts, later.id]
    assert isinstance(one.reader, PostsApart)
    assert one.reader.posts_checked_at == one.memory.at


@pytest.mark.parametrize("how", [REFUSED, DENIED, FAILED], ids=["refused", "denied", "failed"])
async def test_instagram_s_posts_that_cannot_be_read_hold_up_nothing_and_are_told_later(
    server: Platform, how: Refusal
) -> None:
    one = Asked(server, "instagram")
    await one.look()
    read_at = one.memory.at
    server.refusing = lambda _: how if "caption" in server.asked[-1][1].get("fields", "") else None
    post, comment = one.posted("Meanwhile", ago=timedelta(0)), one.commented()
    await one.look()
    assert comment in one.memory.ids()
    assert one.position() == one.memory.at.isoformat()
    assert post.id not in one.memory.ids()
    assert isinstance(one.reader, PostsApart)
    assert one.reader.posts_checked_at == read_at, "no planned post is missing for certain meanwhile"
    server.refusing = lambda _: None
    await one.look(after=timedelta(days=1, minutes=1))
    assert post.id in one.memory.ids()
    assert one.reader.posts_checked_at == one.memory.at


async def test_all_of_instagram_s_posts_are_told_also_those_that_are_listed_late(server: Platform) -> None:
    one = Asked(server, "instagram")
    sent = {one.posted(ago=timedelta(hours=2, minutes=minutes)).id for minutes in range(400)}
    await one.look()
    sent |= {one.posted(ago=timedelta(hours=20)).id for _ in range(2)}
    await one.look()
    await one.look(after=timedelta(days=1))
    sent.add(one.post.id)
    told = [told.id for told in one.memory.told if told.kind == "post"]
    assert (set(told), len(told)) == (sent, len(sent))


async def test_where_none_of_instagram_s_posts_can_be_read_that_is_not_all_that_was_posted(server: Platform) -> None:
    one = Asked(server, "instagram")
    await one.look()
    read_at = one.memory.at
    one.post.surface = cast(Any, 7)
    for _ in range(8):
        await one.look()
    assert isinstance(one.reader, PostsApart)
    assert (one.reader.posts_checked_at, one.position()) == (read_at, one.memory.at.isoformat())
    # One that stays odd keeps no other away.
    new = {one.posted(ago=timedelta(minutes=minutes)).id for minutes in range(10)}
    await one.look()
    assert new <= one.memory.ids()
    assert one.reader.posts_checked_at == one.memory.at


async def test_a_limit_that_is_reached_at_instagram_s_posts_leaves_the_account_read(server: Platform) -> None:
    one = Asked(server, "instagram")
    await one.look()
    read_at, comment = one.memory.at, one.commented()
    server.refusing = lambda _: LIMITED if "caption" in server.asked[-1][1].get("fields", "") else None
    await one.look()
    assert comment in one.memory.ids()
    assert isinstance(one.reader, PostsApart)
    assert (one.reader.posts_checked_at, one.position()) == (read_at, one.memory.at.isoformat())


def test_where_the_album_cannot_be_looked_up_a_comment_is_told_all_the_same() -> None:
    def broken(_: bytes) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    body = json.loads((FOLDER / "instagram/comment.json").read_text())
    found = instagram.read(json.dumps(body["body"]).encode(), lookup("instagram", body["accounts"]), OBSERVED_AT)
    assert [in_its_album(one, broken) for one in found.interactions] == found.interactions


async def test_a_list_that_never_ends_is_not_complete(server: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MOST_PAGES", 4)
    one = Asked(server)
    await one.look()
    server.most = 5
    sent = {one.commented(ago=timedelta(minutes=5)) for _ in range(30)}
    with pytest.raises(FailedError, match="more than 4 pages"):
        await one.look()
    await one.look()
    assert sent <= one.memory.ids()
