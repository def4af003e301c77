"""Whatever YouTube's pages leave out or refuse, what stands on others is told, and the rest is once it can be read."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from rapport.contracts.events import Account, Parent
from services.ingest.connectors.youtube.connector import DAY_BEGINS_IN, YoutubeReader
from services.ingest.hooks.delivery import Watched
from services.ingest.polling.api import LARGEST_ANSWER, TooMuchError
from services.ingest.polling.quota import Quota
from tests.services.ingest.connectors.kept import Answers, Clock, Kept, shared

pytestmark = pytest.mark.anyio
CHANNEL = "UCroastery"
SHOWN = 5


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
        self.api = Answers(self._answer)
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
            return self._page(wrong, its, asked, self._thread)
        if path.endswith("/comments") and "parentId" in asked:
            its = self.below[asked["parentId"]]
            return self._page(
                self.fails.get(asked["parentId"]), its[::-1] if self.newest_first else its, asked, self.comments.get
            )
        there = [{"id": each} for each in asked.get("id", "").split(",") if each in self.comments]
        return json.dumps({"items": there}).encode()

    def _written_at(self, id: str) -> datetime:
        return datetime.fromisoformat(self.comments[id]["snippet"]["publishedAt"])

    def _thread(self, top: str) -> dict[str, Any]:
        its = self.below[top]
        snippet = {"videoId": "video", "topLevelComment": self.comments[top], "totalReplyCount": len(its)}
        return {"id": top, "snippet": snippet, "replies": {"comments": [self.comments[each] for each in its[-SHOWN:]]}}

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
