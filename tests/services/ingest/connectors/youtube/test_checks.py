"""Comments that are deleted, rejected or held for review, on a YouTube on this machine."""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from rapport.contracts.controls import FollowerAway
from rapport.contracts.cursors import Cursor, Remembered
from rapport.contracts.events import Account, Interaction
from rapport.kit.broker.producer import NotAcknowledgedError
from rapport.kit.http.outgoing import Guard, GuardedHttp
from services.ingest import metrics
from services.ingest.connectors.youtube import checks, waiting
from services.ingest.connectors.youtube.connector import DAY_BEGINS_IN, YoutubeReader, exhausting, refused
from services.ingest.connectors.youtube.normalise import Page, threads
from services.ingest.connectors.youtube.presence import MOST_REQUESTS
from services.ingest.hooks.delivery import Watched
from services.ingest.polling.api import Api, LimitedError, Turns
from services.ingest.polling.quota import Quota
from tests.platforms.youtube import YoutubeServer
from tests.services.ingest.connectors.kept import Clock, Kept, shared

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
UNITS = 10_000


@pytest.fixture
def server() -> Iterator[YoutubeServer]:
    """One that nobody else uses."""
    with YoutubeServer() as running:
        yield running


class Forgetful(Kept):
    """A Reading whose process may end after something is told and before that is remembered."""

    ends = False
    _tells = False

    async def _append(self, interactions: Sequence[Interaction], away: Iterable[FollowerAway]) -> None:
        self._tells = bool(interactions)
        await super()._append(interactions, away)

    async def _remember(self, cursors: Sequence[Cursor]) -> None:
        if self.ends and self._tells:
            raise NotAcknowledgedError
        await super()._remember(cursors)


class World:
    """A channel that is read every ten minutes."""

    def __init__(self, server: YoutubeServer) -> None:
        self.server = server
        self.channel = server.channel(f"UC{uuid4().hex[:22]}")
        self.video = server.upload(self.channel, "How we roast")
        self.now = Clock()
        self.now.at = datetime.now(UTC)
        self.account = self._account()
        self.kept = Forgetful(self.account, self.now)
        self.restart()

    def _account(self) -> Account:
        return Account(
            id="account", platform="youtube", handle="Roastery", connected_at=self.now() - timedelta(hours=1),
            door_secrets=("secret",), connection={"channel": self.channel},
        )  # fmt: skip

    def restart(self) -> None:
        """Another process reads it from now on."""
        watched = Watched("brand", self.account, self.channel, frozenset([self.channel]))
        self.quota = Quota(UNITS, DAY_BEGINS_IN, self.now, lambda: 1.0)
        http = GuardedHttp(Guard(allow_private=True), timeout=20.0)
        key = {"X-Goog-Api-Key": self.server.key}
        said = exhausting(self.quota, refused)
        api = Api(http, "youtube", self.server.address, key, self.quota, Turns(), self.now, said)
        self.reader = YoutubeReader(self.account, self.kept, lambda: watched, api, self.quota, shared(self.now))

    def reconnect(self) -> None:
        """The account is disconnected, and connected again an hour later."""
        self.now.at += timedelta(hours=1)
        self.account = self._account()
        self.kept.account = self.account
        self.restart()

    def comment(self, text: str = "Is it back?", *, video: str | None = None) -> str:
        return self.server.comment(self.channel, text, video=video or self.video)

    async def read(self, times: int = 1, *, minutes: float = 10) -> None:
        for _ in range(times):
            self.now.at += timedelta(minutes=minutes)
            await self.reader.read()

    def hidings(self) -> list[tuple[str, str]]:
        """What was told of hidings, each id once, as the log counts it."""
        once = {one.id: one for one in self.kept.told if one.kind in ("hide", "unhide", "delete")}
        return [(one.kind, one.object.id) for one in once.values()]

    def last(self, kind: str) -> Interaction:
        return [one for one in self.kept.told if one.kind == kind][-1]


async def test_a_deleted_comment_is_hidden_since_it_was_first_missing(server: YoutubeServer) -> None:
    world = World(server)
    stays, goes = world.comment(), world.comment("Where are you?")
    await world.read(2)
    server.delete(goes)
    await world.read()
    first_missing = world.now()
    assert world.hidings() == [], "one missing answer may be a slip"
    await world.read(5)
    assert world.hidings() == [("hide", goes)]
    told = world.last("hide")
    assert (told.occurred_at, told.occurred_at_source) == (first_missing, "receipt")
    assert (told.conversation, told.thread, told.post) == (world.video, world.video, world.video)
    assert told.actor.id == world.channel
    assert all(what.endswith(f"%2C{stays}") for what in server.asked_for(stays)), "the list shows it"


@pytest.mark.parametrize("of", ["comment", "reply"])
async def test_what_is_held_for_review_and_published_counts_again_each_time(server: YoutubeServer, of: str) -> None:
    world = World(server)
    top = world.comment()
    held = top if of == "comment" else server.reply(top, "And the Guji?", author="UCben")
    world.comment("another")
    await world.read()
    expected: list[tuple[str, str]] = []
    for _ in range(2):
        server.hold(held)
        await world.read(3)
        expected.append(("hide", held))
        assert world.hidings()[: len(expected)] == expected
        server.approve(held)
        await world.read(2)
        expected.append(("unhide", held))
        assert world.hidings() == expected
    hidings = [one for one in world.kept.told if one.kind in ("hide", "unhide")]
    assert [one.occurred_at for one in hidings] == sorted(one.occurred_at for one in hidings)
    assert len({one.id for one in hidings}) == 4


async def test_a_comment_that_was_held_before_it_was_seen_is_told_once_it_is_published(server: YoutubeServer) -> None:
    world = World(server)
    held = world.comment()
    server.hold(held)
    await world.read(3)
    assert [one.id for one in world.kept.told if one.kind == "comment"] == []
    server.approve(held)
    await world.read()
    assert [one.id for one in world.kept.told if one.kind == "comment"] == [held]
    assert world.hidings() == []


async def test_with_a_deleted_comment_go_those_below_it(server: YoutubeServer) -> None:
    world = World(server)
    top = world.comment()
    below = server.reply(top, "+1", author="UCben")
    world.comment("another")
    await world.read()
    server.delete(top)
    await world.read(3)
    assert sorted(world.hidings()) == sorted([("hide", top), ("hide", below)])


async def test_one_behind_the_first_page_is_asked_for_by_its_id(server: YoutubeServer) -> None:
    world = World(server)
    old = [world.comment(f"old {number}") for number in range(3)]
    await world.read()
    for number in range(120):
        world.comment(f"new {number}")
    await world.read(2)
    server.delete(old[1])
    await world.read(12)
    assert world.hidings() == [("hide", old[1])]
    assert all(what.count("%2C") < 50 for what in server.asked_for(old[1]))


async def test_what_youtube_forgets_for_a_moment_or_for_long_is_not_hidden(server: YoutubeServer) -> None:
    world = World(server)
    first = world.comment()
    await world.read()
    for number in range(120):
        world.comment(f"new {number}")
    server.forgets = 10_000  # it knows no id, and its list has comments all the same
    await world.read(20)
    assert server.asked_for(first)
    assert world.hidings() == []
    server.forgets = 0
    await world.read(20)
    assert world.hidings() == []


async def test_an_empty_channel_and_no_id_known_is_a_fault_where_the_video_has_comments(server: YoutubeServer) -> None:
    world = World(server)
    comments = [world.comment(f"comment {number}") for number in range(10)]
    await world.read()
    server.blank, server.forgets = True, 10_000
    await world.read(10)
    assert server.asked("/videos?")
    assert world.hidings() == []
    server.blank, server.forgets = False, 0
    server.delete(comments[3])
    await world.read(10)
    assert world.hidings() == [("hide", comments[3])]


@pytest.mark.parametrize("how", ["deleted", "video removed", "comments off", "held"])
async def test_where_all_of_a_channels_comments_are_gone_the_video_says_so_too(server: YoutubeServer, how: str) -> None:
    world = World(server)
    comments = [world.comment(f"comment {number}") for number in range(30)]
    await world.read()
    match how:
        case "deleted":
            for each in comments:
                server.delete(each)
        case "video removed":
            server.remove_video(world.video)
        case "comments off":
            server.without_comments.add(world.video)
        case "held":
            for each in comments:
                server.hold(each)
    await world.read(12)
    assert sorted(world.hidings()) == sorted(("hide", each) for each in comments)
    if how in ("comments off", "held"):
        server.without_comments.clear()
        server.held.clear()
        await world.read(2)
        assert {each for kind, each in world.hidings() if kind == "unhide"} == set(comments)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{}", b'{"items": null}', b'{"items": [{}]}', b'{"items": [{"id": 7}]}', b'{"items": [1]}',
     b'{"items": [], "nextPageToken": "more"}', b'{"error": {"code": 404}}'],
)  # fmt: skip
async def test_an_answer_that_is_no_whole_list_hides_nothing(
    server: YoutubeServer, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(server)
    there, gone = world.comment(), world.comment("gone")
    await world.read()
    server.delete(gone)
    for _ in range(6):
        server.answer_ids(body)
        await world.read()
    assert world.hidings() == []
    assert "whether comments are still there is not known" in caplog.text
    assert len(server.asked("playlistItems")) > 1, "what comes after it is read"
    server._raw.clear()
    await world.read(4)
    assert world.hidings() == [("hide", gone)]
    assert there != gone


@pytest.mark.parametrize(
    ("status", "reason"), [(500, "backendError"), (503, ""), (403, ""), (400, "processingFailure")]
)
async def test_an_error_hides_nothing_and_takes_nothing_from_the_comments(
    server: YoutubeServer, status: int, reason: str
) -> None:
    world = World(server)
    gone = world.comment("gone")
    world.comment()
    await world.read(2)
    server.delete(gone)
    for number in range(5):
        late = world.comment(f"late {number}")
        world.now.at += timedelta(minutes=10)
        server.fail_ids(status, reason)
        await world.reader.read()
        assert late in {one.id for one in world.kept.told}
    assert server.asked_for(gone)
    assert world.hidings() == []


@pytest.mark.parametrize("reason", ["commentNotFound", "forbidden"])
async def test_where_youtube_refuses_the_whole_because_of_one_that_one_is_found(
    server: YoutubeServer, reason: str
) -> None:
    server.refuses_unknown = reason
    world = World(server)
    old = [world.comment(f"old {number}") for number in range(45)]
    await world.read()
    for number in range(110):
        world.comment(f"new {number}")
    await world.read(2)
    server.hold(old[17])
    asked = len(server.asked_for())
    await world.read(1, minutes=60)
    assert len(server.asked_for()) - asked <= MOST_REQUESTS
    await world.read(40)
    assert world.hidings() == [("hide", old[17])]


async def test_a_key_that_may_read_no_comment_by_its_id_hides_nothing(server: YoutubeServer) -> None:
    world = World(server)
    gone = world.comment("gone")
    world.comment()
    await world.read(2)
    server.delete(gone)
    for _ in range(6):
        server.fail_ids(403, "forbidden", MOST_REQUESTS)
        await world.read()
    assert world.hidings() == []


async def test_a_quota_that_is_used_up_hides_nothing_and_the_next_day_goes_on(server: YoutubeServer) -> None:
    world = World(server)
    gone = world.comment("gone")
    world.comment()
    await world.read(2)
    server.delete(gone)
    world.now.at += timedelta(minutes=10)
    server.quota = 1
    with pytest.raises(LimitedError):
        await world.reader.read()
    assert world.hidings() == []
    server.quota = None
    world.now.at += timedelta(days=1)
    await world.read(3)
    assert world.hidings() == [("hide", gone)]


async def test_a_restart_between_the_first_and_the_second_miss_loses_neither(server: YoutubeServer) -> None:
    world = World(server)
    gone = world.comment("gone")
    world.comment()
    await world.read(2)
    server.delete(gone)
    await world.read()
    first_missing = world.now()
    world.restart()
    await world.read(1, minutes=6)
    assert world.hidings() == [("hide", gone)]
    assert world.last("hide").occurred_at == first_missing
    world.restart()
    await world.read(3)
    assert world.hidings() == [("hide", gone)]


async def hidden_and_not_remembered(server: YoutubeServer) -> tuple[World, str]:
    """A comment whose hiding was told by a process that ended before it was stored, and the comment's id."""
    world = World(server)
    held = world.comment("held")
    world.comment()
    await world.read(2)
    server.hold(held)
    await world.read()
    world.kept.ends = True
    with pytest.raises(NotAcknowledgedError):
        await world.read()
    world.kept.ends = False
    world.restart()
    return world, held


async def test_what_was_told_and_not_remembered_is_told_again_with_the_same_id(server: YoutubeServer) -> None:
    world, _ = await hidden_and_not_remembered(server)
    await world.read()
    told = [one for one in world.kept.told if one.kind == "hide"]
    assert len(told) == 2
    assert told[0].id == told[1].id
    assert told[0].occurred_at == told[1].occurred_at


async def test_what_was_told_and_not_remembered_is_shown_once_it_is_back(server: YoutubeServer) -> None:
    world, held = await hidden_and_not_remembered(server)
    server.approve(held)
    await world.read(2)
    assert world.hidings() == [("hide", held), ("unhide", held)]


async def test_a_thread_that_cannot_be_read_is_told_and_counted_once(
    server: YoutubeServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(server)
    world.comment("fine")
    damaged = world.comment("damaged")

    def damage(body: bytes, *its: Any) -> Page:
        page = json.loads(body)
        for each in page["items"]:
            each["snippet"] = each["snippet"] if each["id"] != damaged else "damaged"
        return threads(json.dumps(page).encode(), *its)

    monkeypatch.setattr("services.ingest.connectors.youtube.comments.threads", damage)
    rejected = metrics.REJECTED.labels("youtube", "change")
    before = rejected._value.get()
    with caplog.at_level(logging.ERROR):
        await world.read()
        world.comment("another, so that it stands elsewhere")
        await world.read(3)
    assert caplog.text.count("is skipped") == 1
    assert rejected._value.get() == before + 1


async def test_an_account_that_was_connected_again_goes_on(server: YoutubeServer) -> None:
    world = World(server)
    held = world.comment("held")
    world.comment()
    await world.read()
    server.hold(held)
    await world.read()
    world.reconnect()
    await world.read()
    assert world.hidings() == [("hide", held)]
    world.reconnect()
    server.approve(held)
    await world.read()
    assert world.hidings() == [("hide", held), ("unhide", held)]


async def test_what_the_channel_has_answered_is_not_asked_for(server: YoutubeServer) -> None:
    world = World(server)
    answered = world.comment()
    world.comment("another")
    await world.read()
    server.reply(answered, "It is!", author=world.channel)
    await world.read()
    server.delete(answered)
    await world.read(10)
    assert not server.asked_for(answered)
    assert world.hidings() == []


async def test_a_thread_that_goes_while_its_replies_are_read_stops_nothing(server: YoutubeServer) -> None:
    world = World(server)
    top = world.comment()
    for number in range(8):
        server.reply(top, f"+{number}", author="UCben")
    server.fail_replies(404, "commentNotFound")
    other = world.comment("another")
    await world.read()
    assert {top, other} <= {one.id for one in world.kept.told}
    await world.read(2)
    assert sum(one.kind == "comment" for one in world.kept.told) == 10


async def test_looks_cost_a_small_part_of_what_reading_costs(server: YoutubeServer) -> None:
    world = World(server)
    for number in range(300):
        world.comment(f"comment {number}")
    await world.read()
    for minute in range(6 * 60):
        if minute % 2 == 0:
            server.delete(server._threads[-1].id)  # somebody always deletes something
        world.now.at += timedelta(minutes=1)
        await world.reader.read()
    looks, readings = len(server.asked_for()), len(server.asked("commentThreads"))
    # One that waits for its turn, and five minutes later a second one that does not.
    assert 0 < looks <= readings * 2 / (checks.READINGS_PER_UNIT + 5) + 2
    parts = [each for each in world.kept.cursors.values() if isinstance(each, Remembered) and "/waiting/" in each.thing]
    assert 0 < len(parts) <= waiting.PARTS


async def test_looks_are_logged_without_a_word_against_the_account(
    server: YoutubeServer, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(server)
    world.comment()
    with caplog.at_level(logging.INFO):
        await world.read(5)
    assert "still there" not in caplog.text
