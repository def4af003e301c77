"""Whatever YouTube's pages leave out or refuse, what stands on others is told, and the rest is once it can be read."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from rapport.contracts.events import Account, Parent
from services.ingest.connectors.youtube.connector import DAY_BEGINS_IN, YoutubeReader, refused
from services.ingest.hooks.delivery import Watched
from services.ingest.polling.api import LARGEST_ANSWER, AttentionError, AwayError, TooMuchError
from services.ingest.polling.quota import Quota
from tests.services.ingest.connectors.kept import Answers, Clock, Kept, shared

pytestmark = pytest.mark.anyio
CHANNEL = "UCroastery"
SHOWN = 5


class Asked(Answers):
    """What was asked."""

    def asked_below(self, top: str) -> int:
        """How often, for the replies to a comment."""
        return sum(asked.get("parentId") == top for _, asked in self.asked)


class World:
    """A channel that is read every five minutes, on a YouTube in memory."""

    def __init__(self) -> None:
        self.now = Clock()
        self.tops: list[str] = []
        self.below: dict[str, list[str]] = {}
        self.comments: dict[str, dict[str, Any]] = {}
        self.newest_first = False
        """Whether replies are listed like this."""
        self.fails: dict[str, Exception] = {}
        """What is raised where the replies to a comment are asked for, or a page of threads by its token."""
        self.shown_first = False
        """Whether the page of a thread shows its oldest replies, and not its newest."""
        self.unlisted: set[str] = set()
        """Replies that are counted, and in no list."""
        self.repeats = False
        """Whether each page is the first one again."""
        self.api = Asked(self._answer)
        self.account = Account(
            id="account", platform="youtube", handle="Roastery", connected_at=self.now() - timedelta(days=1),
            door_secrets=("secret",), connection={"channel": CHANNEL},
        )  # fmt: skip
        self.kept = Kept(self.account, self.now)
        self.quota = Quota(1_000_000, DAY_BEGINS_IN, self.now, lambda: 1.0)
        self.restart()

    def restart(self) -> None:
        """Another process reads it from now on."""
        watched = Watched("brand", self.account, CHANNEL, frozenset([CHANNEL]))
        self.reader = YoutubeReader(self.account, self.kept, lambda: watched, self.api, self.quota, shared(self.now))

    def comment(self, id: str, text: str = "Hello", *, to: str | None = None, by: str = "", ago: float = 0) -> str:
        """Somebody writes, so many minutes ago."""
        at = (self.now() - timedelta(minutes=ago)).isoformat()
        snippet = {
            "authorDisplayName": f"@{(by or id).lower()}", "authorChannelId": {"value": by or f"UC{id}"},
            "textDisplay": text, "publishedAt": at, "updatedAt": at, **({"parentId": to} if to else {}),
        }  # fmt: skip
        made = f"{to}.{id}" if to else id
        self.comments[made] = {"id": made, "snippet": snippet}
        if to is None:
            self.tops.append(made)
            self.below[made] = []
        else:
            self.below[to].append(made)
        return made

    def edit(self, id: str, text: str) -> None:
        self.comments[id]["snippet"] |= {"textDisplay": text, "updatedAt": self.now().isoformat()}

    async def read(self, times: int = 1, *, minutes: float = 5) -> list[Exception]:
        """Reads so often; what went wrong."""
        wrong: list[Exception] = []
        for _ in range(times):
            self.now.at += timedelta(minutes=minutes)
            try:
                await self.reader.read()
            except Exception as error:
                wrong.append(error)
        return wrong

    def told(self) -> set[str]:
        return {one.id for one in self.kept.told}

    def parent(self, id: str) -> Parent | None:
        """What a reply answers, as it was told first."""
        return next(one.parent for one in self.kept.told if one.id == id)

    def _answer(self, path: str, asked: Mapping[str, str]) -> bytes:
        if path.endswith("/commentThreads"):
            wrong = self.fails.get(asked.get("pageToken", ""))
            its = sorted(self.tops, key=self._written_at, reverse=True)
            return self._page(wrong, its, self._place(asked), self._thread)
        if path.endswith("/comments") and "parentId" in asked:
            its = [each for each in self.below[asked["parentId"]] if each not in self.unlisted]
            wrong = self.fails.get(asked["parentId"])
            return self._page(wrong, its[::-1] if self.newest_first else its, self._place(asked), self.comments.get)
        there = [{"id": each} for each in asked.get("id", "").split(",") if each in self.comments]
        return json.dumps({"items": there}).encode()

    def _place(self, asked: Mapping[str, str]) -> Mapping[str, str]:
        return {**asked, "pageToken": "0"} if self.repeats else asked

    def _written_at(self, id: str) -> datetime:
        return datetime.fromisoformat(self.comments[id]["snippet"]["publishedAt"])

    def _thread(self, top: str) -> dict[str, Any]:
        its = self.below[top]
        snippet = {"videoId": "video", "topLevelComment": self.comments[top], "totalReplyCount": len(its)}
        listed = [self.comments[each] for each in its if each not in self.unlisted]
        shown = listed[:SHOWN] if self.shown_first else listed[-SHOWN:]
        return {"id": top, "snippet": snippet, "replies": {"comments": shown}}

    def _page(self, wrong: Exception | None, its: list[str], asked: Mapping[str, str], shown: Any) -> bytes:
        if wrong is not None:
            raise wrong
        start, most = int(asked.get("pageToken", "0")), int(asked["maxResults"])
        more = {"nextPageToken": str(start + most)} if start + most < len(its) else {}
        body = json.dumps({"items": [shown(each) for each in its[start : start + most]], **more}).encode()
        if len(body) > LARGEST_ANSWER:
            raise TooMuchError("too large")
        return body


@pytest.mark.parametrize("newest_first", [False, True])
async def test_an_answer_that_names_somebody_is_theirs_on_whichever_page_they_are(newest_first: bool) -> None:
    world = World()
    world.newest_first = newest_first
    top = world.comment("top", ago=300)
    yara = world.comment("yara", to=top, ago=200)
    for number in range(120):
        world.comment(f"r{number}", to=top, ago=180 - number)
    await world.read()
    answer = world.comment("answer", "@yara here you are", to=top, by=CHANNEL)
    await world.read()
    assert world.parent(answer) == Parent(yara, "UCyara")


async def test_pages_that_long_comments_make_too_large_are_read_in_parts_and_later_whole_again() -> None:
    world = World()
    await world.read()
    top = world.comment("top")
    long = [world.comment(f"t{number}", "あ" * 10_000) for number in range(75)]
    replies = [world.comment(f"r{number}", "あ" * 10_000, to=top) for number in range(75)]
    asks = world.comment("asks", "please help me")
    assert await world.read() == []
    assert world.told() >= {top, asks, *long, *replies}
    for each in (*long, *replies):
        world.comments[each]["snippet"]["textDisplay"] = "short"
    assert await world.read(minutes=9 * 60) == []
    asked = [asked["maxResults"] for path, asked in world.api.asked if path.endswith("/commentThreads")]
    assert asked[-1] == "100"
    assert len(asked) < 30


TROUBLES = [
    (400, "processingFailure"), (400, "operationNotSupported"), (500, "backendError"), (403, "commentsDisabled"),
    (403, "forbidden"), (404, "commentNotFound"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "reason"), TROUBLES)
async def test_a_thread_whose_replies_cannot_be_read_holds_up_no_other_and_is_read_once_it_can_be(
    status: int, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    top = world.comment("top", ago=60)
    replies = [world.comment(f"r{number}", to=top, ago=50 - number) for number in range(7)]
    other = world.comment("other", "please help")
    body = json.dumps({"error": {"errors": [{"reason": reason}]}}).encode()
    world.fails[top] = refused(status, body) or AttentionError(f"it was answered with {status}")
    assert await world.read(12) == []
    assert world.told() == {top, other, *replies[-SHOWN:]}
    assert world.api.asked_below(top) < 6
    assert f"the replies to {top} cannot be read" in caplog.text
    for number in range(120):  # its thread is on no page that is read any more
        world.comment(f"later{number}")
    await world.read()
    world.fails.clear()
    world.restart()
    assert await world.read(6) == []
    assert world.told() >= set(replies)
    asked = world.api.asked_below(top)
    assert await world.read(20) == []
    assert world.api.asked_below(top) == asked


async def test_where_no_replies_can_be_read_the_channel_is_not_taken_for_read(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    for name in ("one", "two", "three", "four"):
        top = world.comment(name)
        for number in range(7):
            world.comment(f"r{number}", to=top)
        world.fails[top] = AwayError("it answered 500", incident=True)
    (wrong,) = await world.read()
    assert isinstance(wrong, AwayError)
    assert "given up" not in caplog.text


async def test_a_thread_is_given_up_after_a_week_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    top = world.comment("top")
    for number in range(7):
        world.comment(f"r{number}", to=top)
    world.fails[top] = AwayError("it answered 500", incident=True)
    await world.read(8 * 24, minutes=60)
    assert f"the replies to {top} cannot be read and are given up" in caplog.text
    asked = world.api.asked_below(top)
    assert asked < 40
    await world.read(20)
    assert world.api.asked_below(top) == asked


async def test_an_answer_that_is_shown_and_names_somebody_who_is_not_is_told_once_that_is_known() -> None:
    world = World()
    top = world.comment("top", ago=60)
    yara = world.comment("yara", to=top, ago=50)
    for number in range(7):
        world.comment(f"r{number}", to=top, ago=40)
    answer = world.comment("answer", "@yara at ten", to=top, by=CHANNEL)
    world.fails[top] = AwayError("it answered 500", incident=True)
    await world.read()
    assert answer not in world.told()
    world.fails.clear()
    await world.read(6)
    assert world.parent(answer) == Parent(yara, "UCyara")


async def test_a_comment_and_the_answer_that_its_page_does_not_show_are_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    world.shown_first = True
    top = world.comment("T", "Are you open?")
    for number in range(150):
        world.comment(f"r{number}", to=top)
    answer = world.comment("answer", "From eight on", to=top, by=CHANNEL)
    together: list[set[str]] = []
    found = world.kept.found

    async def noted(interactions: Any, *more: Any) -> None:
        together.append({one.id for one in interactions})
        await found(interactions, *more)

    monkeypatch.setattr(world.kept, "found", noted)
    await world.read()
    assert any({top, answer} <= each for each in together), "else its clock could run out in between"


@pytest.mark.parametrize("shown_first", [False, True])
async def test_an_answer_is_seen_though_the_number_of_replies_is_the_same(shown_first: bool) -> None:
    world = World()
    world.shown_first = shown_first
    top = world.comment("top")
    replies = [world.comment(f"r{number}", to=top) for number in range(8)]
    await world.read()
    world.below[top].remove(replies[7 if shown_first else 0])
    answer = world.comment("answer", "@r3 yes", to=top, by=CHANNEL)
    await world.read()
    assert (answer in world.told()) is not shown_first
    await world.read(26, minutes=60)
    assert world.parent(answer) == Parent(replies[3], "UCr3")


async def test_an_edit_of_a_reply_that_its_page_does_not_show_is_told_within_a_day() -> None:
    world = World()
    top = world.comment("top")
    replies = [world.comment(f"r{number}", to=top) for number in range(8)]
    await world.read()
    world.edit(replies[0], "actually: where is my order?")
    await world.read(26, minutes=60)
    assert [one.object.id for one in world.kept.told if one.kind == "edit"] == [replies[0]]


async def test_threads_are_not_read_whole_again_and_again_where_the_daily_reading_breaks_off() -> None:
    world = World()
    for number in range(150):
        world.comment(f"c{number}", ago=number)
    top = world.comment("top")
    for number in range(8):
        world.comment(f"r{number}", to=top)
    await world.read()
    world.fails["100"] = AwayError("it answered 503", incident=True)
    assert len(await world.read(50, minutes=60)) > 20
    assert world.api.asked_below(top) <= 5


async def test_replies_that_are_counted_before_they_are_listed_are_asked_for_again() -> None:
    world = World()
    top = world.comment("top")
    replies = [world.comment(f"r{number}", to=top) for number in range(8)]
    world.unlisted = {replies[0]}
    await world.read(3)
    assert replies[0] not in world.told()
    assert world.api.asked_below(top) == 1
    world.unlisted.clear()
    await world.read(4)
    assert world.told() == {top, *replies}


async def test_a_thread_of_more_than_a_thousand_replies_is_read_to_its_end_and_pages_that_repeat_are_not_read_on() -> (
    None
):
    world = World()
    top = world.comment("top")
    for number in range(1005):
        world.comment(f"r{number}", to=top)
    await world.read()
    assert len(world.told()) == 1006
    asked = world.api.asked_below(top)
    world.repeats = True
    last = world.comment("last", to=top, by="UCx")
    await world.read()
    assert world.api.asked_below(top) <= asked + 2
    world.repeats = False
    world.below[top].remove(f"{top}.r0")
    await world.read(6)
    assert last in world.told()


@pytest.mark.parametrize("hours", [23, 25])
async def test_what_was_written_during_an_outage_is_read_whatever_its_length(hours: int) -> None:
    world = World()
    for number in range(150):
        world.comment(f"old{number}", ago=60 * 48 + number)
    await world.read()
    asked = len(world.api.asked)
    world.now.at += timedelta(hours=hours)
    new = [world.comment(f"new{number}", ago=number) for number in range(1200)]
    world.restart()
    assert await world.read() == []
    assert world.told() >= set(new)
    assert len(world.api.asked) < asked + 20


async def test_a_reading_that_broke_off_is_made_up_for_by_the_next_one_whoever_that_is() -> None:
    world = World()
    for number in range(150):
        world.comment(f"old{number}", ago=60 * 48 + number)
    await world.read()
    new = [world.comment(f"new{number}", ago=number / 600) for number in range(700)]
    world.fails["200"] = AwayError("it answered 503", incident=True)
    (wrong,) = await world.read()
    assert wrong is world.fails.pop("200")
    assert len(world.told() & set(new)) == 200, "each page is told as it comes"
    world.restart()
    later = world.comment("later")
    assert await world.read() == []
    assert world.told() >= {later, *new}
    asked = len(world.api.asked)
    await world.read()
    assert len(world.api.asked) <= asked + 2, "then one page is enough again"


async def test_a_list_that_does_not_go_on_is_told_and_ends_the_reading() -> None:
    world = World()
    await world.read()
    for number in range(700):
        world.comment(f"new{number}")
    world.repeats = True
    (wrong,) = await world.read()
    assert "same threads" in str(wrong)
    world.repeats = False
    await world.read()
    assert len(world.told()) == 700


async def test_what_is_too_old_for_any_clock_is_not_looked_for_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    await world.read()
    world.now.at += timedelta(days=60)
    for number in range(2_000):
        world.comment(f"c{number}", ago=60 * 24 * number / 40)
    await world.read()
    assert 1_200 <= len(world.told()) < 1_400
    assert "is not read any more" in caplog.text


async def test_a_long_reading_does_not_put_off_the_next_one_for_hours() -> None:
    world = World()
    world.quota = Quota(200, DAY_BEGINS_IN, world.now, lambda: 1.0)
    world.restart()
    await world.read(30)
    usual = world.reader.every_seconds
    for number in range(1_500):
        world.comment(f"new{number}", ago=3)
    await world.read()
    assert len(world.told()) == 1_500
    assert world.reader.every_seconds < 2.5 * usual
