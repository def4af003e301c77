"""A video counts as read only where all of it was; and a look that breaks off goes on where it was."""

import contextlib
import itertools
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from rapport.contracts.cursors import Cursor, thing_key
from rapport.contracts.events import Account
from rapport.kit.broker.producer import NotAcknowledgedError
from services.ingest.connectors.tiktok import reader
from services.ingest.connectors.tiktok.answers import checked
from services.ingest.connectors.tiktok.reader import (
    COMMENT_PAGES,
    COMMENTS,
    REPLY_PAGES,
    VIDEOS,
    Pushing,
    TiktokReader,
)
from services.ingest.hooks.delivery import Watched
from services.ingest.polling.api import AttentionError, AwayError, LimitedError, RefusedError
from services.ingest.polling.follower import PostsApart
from services.ingest.polling.told import POSTS_LATE
from tests.services.ingest.connectors.kept import Answers, Clock, Kept, shared

pytestmark = pytest.mark.anyio
OWN = "-000business"


class _Pushing(Pushing):
    def __init__(self) -> None:
        pass

    async def is_there(self) -> bool:
        return True


@dataclass
class Tiktok:
    """Videos with their comments, newest first: the id and when it was written; and the answers to each."""

    videos: dict[str, list[tuple[str, datetime]]] = field(default_factory=dict)
    answers: dict[str, list[tuple[str, datetime]]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    """The videos and the comments below which nothing may be asked for."""
    failing: set[str] = field(default_factory=set)
    """Those below which nothing can be asked for now."""
    hidden: set[str] = field(default_factory=set)
    own: str | None = None
    """Who wrote all of it, if that was the account itself."""
    left: int = 100_000
    """How many requests are allowed."""
    made: float = 1_600_000_000
    """When the videos were."""
    posted: dict[str, Any] = field(default_factory=dict)
    """When others of them were."""

    def answer(self, path: str, asked: Mapping[str, str]) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise LimitedError(60.0)
        below = asked.get("comment_id") or asked.get("video_id")
        if below in self.refused:
            raise RefusedError("it is not there")
        if below in self.failing:
            raise AwayError("it answered 502")
        if path.endswith("video/list/"):
            return _page("videos", [self._video(each) for each in self.videos], asked)
        if path.endswith("reply/list/"):
            return _page("comments", [self._comment(*each) for each in self.answers.get(str(below), [])], asked)
        return _page("comments", [self._comment(*each) for each in self.videos[str(below)]], asked)

    def _video(self, video: str) -> dict[str, Any]:
        many = sum(1 + len(self.answers.get(comment, [])) for comment, _ in self.videos[video])
        at = self.posted.get(video, self.made)
        return {"item_id": video, "create_time": at, "comments": many, "caption": video, "share_url": None}

    def _comment(self, id: str, at: datetime) -> dict[str, Any]:
        return {
            "comment_id": id, "unique_identifier": self.own or "+ada", "owner": self.own is not None, "text": id,
            "create_time": at.timestamp(),
            "replies": len(self.answers.get(id, [])), "status": "HIDDEN" if id in self.hidden else "PUBLIC",
        }  # fmt: skip


def _page(name: str, every: list[dict[str, Any]], asked: Mapping[str, str]) -> bytes:
    start = int(asked.get("cursor", 0))
    end = start + int(asked["max_count"])
    data = {name: every[start:end], "cursor": end, "has_more": end < len(every)}
    return json.dumps({"code": 0, "message": "OK", "data": data}).encode()


class World:
    """One account that was connected a year ago, and its reader."""

    def __init__(self) -> None:
        self.now = Clock()
        self.tiktok = Tiktok()
        self.api = Answers(self.tiktok.answer)
        account = Account(
            id="account", platform="tiktok", handle="Roastery", connected_at=self.now() - timedelta(days=365),
            door_secrets=("secret",), connection={"business": OWN, "identifier": "+ZMroastery", "token": "t"},
        )  # fmt: skip
        self.kept = Kept(account, self.now)
        self.restart()

    def restart(self) -> None:
        """All is forgotten but what is kept."""
        account = self.kept.account
        watched = Watched("brand", account, OWN, frozenset([OWN]))
        self.reader = TiktokReader(account, self.kept, lambda: watched, self.api, _Pushing(), shared(self.now))

    def comments(self, name: str, many: int, ago: timedelta = timedelta()) -> list[tuple[str, datetime]]:
        """Newest first, a second apart."""
        return [(f"{name}-{number}", self.now() - ago - timedelta(seconds=number)) for number in range(many)]

    def noted(self, thing: str) -> bool:
        return thing_key("account", thing) in self.kept.cursors

    def told(self) -> list[str]:
        """Without the videos."""
        return [one.object.id for one in self.kept.told if one.kind != "post"]

    def posts(self) -> list[str]:
        return [one.object.id for one in self.kept.told if one.kind == "post"]


async def _read_once(world: World, video: str = "v") -> None:
    """The video is known, and an hour goes by."""
    world.tiktok.videos[video] = world.comments("known", 1)
    await world.reader.read()
    world.now.at += timedelta(hours=1)
    world.kept.told.clear()


async def test_all_that_is_new_below_a_video_is_read_however_many_pages_that_is() -> None:
    world = World()
    await _read_once(world)
    many = (COMMENT_PAGES + 5) * COMMENTS
    world.tiktok.videos["v"] = world.comments("new", many) + world.tiktok.videos["v"]
    await world.reader.read()
    assert len(world.told()) == many


async def test_all_new_answers_to_a_comment_are_read_however_many_pages_that_is() -> None:
    world = World()
    await _read_once(world)
    many = (REPLY_PAGES + 5) * COMMENTS
    world.tiktok.answers["known-0"] = world.comments("answer", many)
    await world.reader.read()
    assert len(world.told()) == many


async def test_what_was_read_before_is_looked_through_for_some_pages_only() -> None:
    world = World()
    world.tiktok.videos["v"] = world.comments("known", (COMMENT_PAGES + 9) * COMMENTS, timedelta(minutes=10))
    await world.reader.read()
    world.now.at += timedelta(hours=1)
    world.tiktok.videos["v"] = world.comments("new", 1) + world.tiktok.videos["v"]
    before = world.api.count("comment/list/")
    await world.reader.read()
    # The first page has what is new, and counts for itself.
    assert world.api.count("comment/list/") - before == COMMENT_PAGES + 1
    assert world.told()[-1] == "new-0"


@pytest.mark.parametrize("below", ["comments", "answers"])
async def test_more_than_can_be_read_at_once_is_said_and_the_video_is_not_noted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, below: str
) -> None:
    monkeypatch.setattr(reader, "MOST_PAGES", 2)
    world = World()
    if below == "comments":
        world.tiktok.videos["v"] = world.comments("new", 3 * COMMENTS)
    else:
        world.tiktok.videos["v"] = world.comments("new", 1)
        world.tiktok.answers["new-0"] = world.comments("answer", 3 * COMMENTS)
    with caplog.at_level(logging.ERROR):
        await world.reader.read()
    assert f"more than {2 * COMMENTS} new {below}" in caplog.text
    assert not world.noted("v/comments")
    assert not world.noted("new-0/replies")


@pytest.mark.parametrize("gone", ["v", "new-0"])
async def test_what_tiktok_does_not_give_is_not_noted_as_read_and_holds_up_no_other(gone: str) -> None:
    world = World()
    world.tiktok.videos["v"] = world.comments("new", 1)
    world.tiktok.answers["new-0"] = world.comments("answer", 1)
    world.tiktok.videos["other"] = world.comments("other", 1)
    world.tiktok.refused.add(gone)
    await world.reader.read()
    assert "other-0" in world.told()
    assert world.noted("other/comments")
    assert not world.noted("v/comments")
    world.tiktok.refused.clear()
    await world.reader.read()
    assert sorted(world.told()) == ["answer-0", "new-0", "other-0"]
    assert world.noted("v/comments")


async def test_a_look_that_a_limit_breaks_off_goes_on_with_the_videos_that_are_left() -> None:
    world = World()
    world.tiktok.made = world.now().timestamp()  # so each look asks for the comments below all of them
    world.tiktok.videos = {f"v{number}": world.comments(f"v{number}", 1) for number in range(10)}
    for _ in range(5):
        world.tiktok.left = 4
        try:
            await world.reader.read()
        except LimitedError:
            continue
        break
    else:
        pytest.fail("the look never came to its end")
    assert sorted(world.told()) == sorted(f"v{number}-0" for number in range(10))
    world.tiktok.left = 100_000
    before = world.api.count("comment/list/")
    world.tiktok.videos["v3"] = world.comments("late", 1) + world.tiktok.videos["v3"]
    await world.reader.read()
    assert world.api.count("comment/list/") > before, "a new look is at all of them again"


@pytest.mark.parametrize("below", ["comments", "answers"])
async def test_a_busy_video_goes_on_where_a_limit_broke_it_off_and_lets_the_others_go_first(below: str) -> None:
    world = World()
    world.tiktok.videos["calm"] = []
    await _read_once(world, "busy")
    many = 12 * COMMENTS
    if below == "comments":
        world.tiktok.videos["busy"] = world.comments("new", many) + world.tiktok.videos["busy"]
    else:
        world.tiktok.answers["known-0"] = world.comments("new", many)
    world.tiktok.videos = {"busy": world.tiktok.videos["busy"], "calm": world.comments("calm", 1)}
    before = len(world.api.asked)
    for attempt in range(5):
        world.tiktok.left = 5
        try:
            await world.reader.read()
        except LimitedError:
            assert attempt == 0 or "calm-0" in world.told()
            world.now.at += timedelta(minutes=1)
            continue
        break
    else:
        pytest.fail("the look never came to its end")
    assert sorted(world.told()) == sorted(["calm-0", *(f"new-{number}" for number in range(many))])
    assert len(world.api.asked) - before < 12 + 12, "no page is asked for from the beginning again"


async def test_a_look_that_was_broken_off_long_ago_begins_anew() -> None:
    world = World()
    world.tiktok.videos = {name: world.comments(name, 1) for name in ("one", "two")}
    world.tiktok.left = 2
    with pytest.raises(LimitedError):
        await world.reader.read()
    assert world.told() == ["one-0"]
    world.now.at += timedelta(hours=1)
    world.tiktok.left = 100_000
    world.tiktok.videos["one"] = world.comments("late", 1) + world.tiktok.videos["one"]
    await world.reader.read()
    assert sorted(world.told()) == ["late-0", "one-0", "two-0"]


async def test_what_is_hidden_and_shown_again_is_told_once_for_each_change_also_after_a_restart() -> None:
    world = World()
    world.tiktok.made = world.now().timestamp()  # so each look asks for the comments below it
    world.tiktok.videos["v"] = world.comments("new", 2, timedelta(hours=1))
    world.tiktok.hidden = {"new-0"}
    told: list[str] = []
    for number, hidden in enumerate(({"new-0"}, {"new-0"}, {"new-1"}, {"new-1"}, {"new-0"})):
        world.tiktok.hidden = hidden
        world.kept.told.clear()
        await world.reader.read()
        told.append(",".join(sorted(f"{one.kind} {one.object.id}" for one in world.kept.told if one.kind != "post")))
        for one in world.kept.told:
            if one.kind in ("hide", "unhide"):
                first = number == 0
                assert (one.occurred_at < world.now()) is first, "from the beginning only where it is told with that"
        world.now.at += timedelta(minutes=30)
        world.restart()
    assert told == [
        "comment new-0,comment new-1,hide new-0", "", "hide new-1,unhide new-0", "", "hide new-0,unhide new-1",
    ]  # fmt: skip


async def test_a_video_whose_answers_can_never_be_read_keeps_no_new_video_out() -> None:
    world = World()
    world.tiktok.made = world.now().timestamp()
    world.tiktok.videos["stuck"] = world.comments("stuck", 1)
    world.tiktok.answers["stuck-0"] = world.comments("answer", 1)
    world.tiktok.failing = {"stuck-0"}
    for number in range(12):
        if number == 2:
            world.tiktok.videos = {"new": world.comments("new", 1), **world.tiktok.videos}
        with contextlib.suppress(AwayError):
            await world.reader.read()
        world.now.at += timedelta(minutes=5)
    assert "new-0" in world.told()


async def test_an_identifier_that_is_not_the_accounts_is_said_with_the_one_to_enter() -> None:
    world = World()
    world.tiktok.videos["v"] = world.comments("own", 1)
    world.tiktok.own = "+ZMr0astery"
    with pytest.raises(AttentionError, match=r"is \+ZMr0astery, and Rapport has \+ZMroastery") as wrong:
        await world.reader.read()
    assert not wrong.value.complete, "answers may be missing"
    assert world.noted("v/comments")
    world.tiktok.own = "+ZMroastery"
    world.restart()
    world.tiktok.videos["v"] += world.comments("more", 1)
    await world.reader.read()


def test_a_limit_of_tiktok_is_waited_for_as_long_as_it_may_last() -> None:
    with pytest.raises(LimitedError) as limited:
        checked(b'{"code": 40100, "message": "Too many requests"}', object)
    assert limited.value.seconds >= 300


async def test_where_nothing_is_remembered_of_a_video_any_more_what_is_old_is_not_told_again() -> None:
    world = World()
    world.tiktok.videos["v"] = [
        *world.comments("new", 1),
        *world.comments("month", 1, timedelta(days=29)),
        *world.comments("old", 1, timedelta(days=31)),
    ]
    await world.reader.read()
    assert sorted(world.told()) == ["month-0", "new-0"]


def _posts(world: World, *ids: str, ago: timedelta = timedelta()) -> None:
    """The account publishes videos that nobody comments on; the newest stand first."""
    for id in ids:  # noqa: A001
        world.tiktok.videos = {id: [], **world.tiktok.videos}
        world.tiktok.posted[id] = (world.now() - ago).timestamp()


async def test_new_videos_are_told_once_and_those_from_before_the_connection_never() -> None:
    world = World()
    _posts(world, "before", ago=timedelta(days=366))
    _posts(world, "since", ago=timedelta(days=3))
    await world.reader.read()
    assert world.posts() == ["since"]
    _posts(world, "new")
    for _ in range(3):
        world.now.at += timedelta(minutes=30)
        await world.reader.read()
    assert world.posts() == ["since", "new"]
    # The next process knows up to when they were told: an old one that is listed again is no news.
    world.now.at += POSTS_LATE
    await world.reader.read()
    world.restart()
    _posts(world, "after it")
    await world.reader.read()
    assert world.posts() == ["since", "new", "after it"]


async def test_a_video_that_is_listed_late_is_told_all_the_same() -> None:
    world = World()
    await world.reader.read()
    world.now.at += timedelta(hours=12)
    await world.reader.read()
    _posts(world, "reviewed for hours", ago=timedelta(hours=10))
    await world.reader.read()
    assert world.posts() == ["reviewed for hours"]


async def test_a_broken_video_stops_nothing_and_one_without_a_time_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    await _read_once(world)
    _posts(world, "broken", "undated", "good")
    world.tiktok.posted |= {"broken": [], "undated": None}
    world.tiktok.videos["v"] = world.comments("comment", 1) + world.tiktok.videos["v"]
    with caplog.at_level(logging.ERROR):
        await world.reader.read()
    assert (world.posts(), world.told()) == (["good"], ["comment-0"])
    assert "videos[2] is skipped" in caplog.text


@pytest.mark.parametrize("odd", [[], None], ids=["broken", "undated"])
async def test_where_no_video_can_be_read_that_is_not_all_that_was_posted(odd: object) -> None:
    world = World()
    await _read_once(world)
    known = world.reader.posts_checked_at
    world.tiktok.posted["v"] = odd
    await world.reader.read()
    assert world.reader.posts_checked_at == known
    # One among others holds up nothing, wherever it stands.
    _posts(world, *(f"new {number}" for number in range(VIDEOS)))
    await world.reader.read()
    assert (len(world.posts()), world.reader.posts_checked_at) == (VIDEOS, world.now())


def _listing(world: World, change: Callable[[dict[str, Any]], None], **asked: str) -> None:
    """Pages of the list of videos are changed, and others asked for."""
    answer = world.api._answer

    def other(path: str, given: Mapping[str, str]) -> bytes:
        if not path.endswith("video/list/"):
            return answer(path, given)
        page = json.loads(answer(path, {**given, **asked}))
        change(page["data"])
        return json.dumps(page).encode()

    world.api._answer = other


async def test_a_list_of_videos_that_does_not_go_on_has_ended() -> None:
    world = World()
    await _read_once(world)
    _posts(world, *(f"new {number}" for number in range(VIDEOS)))
    _listing(world, lambda data: data.update(has_more=True, cursor=20), cursor="0")
    before = world.api.count("video/list/")
    await world.reader.read()
    assert (world.api.count("video/list/") - before, len(world.posts())) == (2, VIDEOS)


async def test_empty_pages_with_more_behind_them_are_not_all_that_was_posted(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    await _read_once(world)
    known = world.reader.posts_checked_at
    cursors = itertools.count(20, 20)
    _listing(world, lambda data: data.update(videos=[], has_more=True, cursor=next(cursors)), cursor="0")
    await world.reader.read()
    assert (world.reader.posts_checked_at, "new posts" in caplog.text) == (known, False)


async def test_a_page_of_nothing_but_pinned_videos_is_not_the_end() -> None:
    world = World()
    await _read_once(world)
    _posts(world, "new")
    _posts(world, "pinned", "pinned, too", "and this", ago=timedelta(days=90))
    _listing(world, lambda _: None, max_count="3")
    world.tiktok.left = 1
    known = world.reader.posts_checked_at
    with contextlib.suppress(LimitedError):
        await world.reader.read()
    assert (world.posts(), world.reader.posts_checked_at) == ([], known)
    world.tiktok.left = 100
    await world.reader.read()
    assert "new" in world.posts()
    assert world.reader.posts_checked_at == world.now()


async def test_how_far_posts_were_told_is_noted_again_where_the_log_did_not_take_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    await _read_once(world)
    _posts(world, "new")
    remember, known = world.kept._remember, world.reader.posts_checked_at

    async def once(cursors: Sequence[Cursor]) -> None:
        monkeypatch.setattr(world.kept, "_remember", remember)
        raise NotAcknowledgedError("it is not there")

    monkeypatch.setattr(world.kept, "_remember", once)
    with pytest.raises(NotAcknowledgedError):
        await world.reader.read()
    assert world.reader.posts_checked_at == known
    await world.reader.read()
    assert world.reader.posts_checked_at == world.now()


async def test_new_videos_are_listed_before_the_comments_below_any_of_them() -> None:
    world = World()
    await _read_once(world)
    _posts(world, *(f"new {number}" for number in range(VIDEOS + 5)))
    world.tiktok.videos["v"] = world.comments("comment", 1) + world.tiktok.videos["v"]
    world.tiktok.left = 2
    with contextlib.suppress(LimitedError):
        await world.reader.read()
    assert len(world.posts()) == VIDEOS + 5
    assert world.reader.posts_checked_at == world.now()
    world.tiktok.left = 100
    await world.reader.read()
    assert world.told() == ["comment-0"]


async def test_more_new_videos_than_are_listed_are_not_left_out_in_silence(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reader, "PAGES", 1)
    monkeypatch.setattr(reader, "DEEP_PAGES", 2)
    world = World()
    await _read_once(world)
    _posts(world, *(f"new {number}" for number in range(3 * VIDEOS)))
    with caplog.at_level(logging.ERROR):
        await world.reader.read()
    assert (len(world.posts()), "more than 40 new posts" in caplog.text) == (2 * VIDEOS, True)


async def test_posts_are_known_up_to_the_beginning_of_the_last_look_that_listed_them() -> None:
    world = World()
    connected_at = world.kept.account.connected_at
    assert isinstance(world.reader, PostsApart)
    world.tiktok.videos["v"] = world.comments("known", 1)
    world.tiktok.left = 0
    with contextlib.suppress(LimitedError):
        await world.reader.read()
    assert world.reader.posts_checked_at == connected_at, "they never were"
    world.tiktok.left = 1
    began = world.now()
    with contextlib.suppress(LimitedError):
        await world.reader.read()
    assert world.reader.posts_checked_at == began, "the comments are still to come"
    world.now.at += timedelta(minutes=5)
    world.tiktok.left = 100
    await world.reader.read()
    assert world.reader.posts_checked_at == began, "the look went on, and the videos were not listed again"
    world.restart()
    assert world.reader.posts_checked_at == began
