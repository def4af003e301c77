"""What TikTok's webhook did not deliver is asked for: once, page by page, and with words where it cannot be."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from pydantic import SecretStr

from rapport.contracts.events import Account, Interaction
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.tiktok import answers, reader
from services.ingest.connectors.tiktok.reader import TiktokReader, tiktok, usable
from services.ingest.connectors.tiktok.settings import TiktokSettings
from services.ingest.hooks.delivery import Watched
from services.ingest.leases.leases import Leases
from services.ingest.polling import follower
from services.ingest.polling.polled import Polled
from tests.deliveries import HOOKS
from tests.platforms.tiktok import APP, SECRET, Comment, TiktokServer
from tests.platforms.writing import Refusal
from tests.services.ingest.connectors.asking import reading, stands, states, until
from tests.services.ingest.service import Log, brand_with

pytestmark = pytest.mark.anyio
OWN = "+ZMroastery"


@pytest.fixture(autouse=True)
def _sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TiktokReader, "every_seconds", 0.4)
    monkeypatch.setattr(follower, "ATTENTION_SECONDS", 0.5)
    monkeypatch.setattr(follower, "LONGEST_BACKOFF_SECONDS", 2.0)
    monkeypatch.setattr(answers, "LIMITED_SECONDS", 1.0)
    monkeypatch.setattr(reader, "BUDGET", 100_000)
    monkeypatch.setattr(reader, "CHECKED_EVERY", timedelta(0))


@pytest.fixture
def server() -> Iterator[TiktokServer]:
    """One that nobody else uses."""
    with TiktokServer() as running:
        yield running


class Business:
    """A brand with a business account, connected an hour ago."""

    def __init__(self, server: TiktokServer) -> None:
        self.server = server
        self.id = f"-000{uuid4().hex}"
        self.token = uuid4().hex
        server.tokens[self.token] = self.id
        self.account = Account(
            id=f"account-{uuid4().hex[:12]}", platform="tiktok", handle="Roastery",
            connected_at=datetime.now(UTC) - timedelta(hours=1), door_secrets=("secret",),
            connection={"business": self.id, "identifier": OWN, "token": self.token},
        )  # fmt: skip
        self.brand = brand_with(self.account)

    @property
    def pair(self) -> tuple[str, Account]:
        return self.brand.id, self.account

    def pushed(self, *comments: Comment) -> list[Interaction]:
        """What the webhook would have made of comments."""
        watched = Watched(self.brand.id, self.account, self.id, frozenset([self.id]))
        found = []
        for one in comments:
            by, text = json.dumps(OWN if one.by == "owner" else one.by), json.dumps(one.text)
            content = (
                f'{{"comment_id":{one.id},"video_id":{one.video},"parent_comment_id":{one.parent},'
                f'"comment_action":"insert","timestamp":{int(one.at) * 1000},'
                f'"unique_identifier":{by},"text":{text}}}'
            )
            event = {"event": "comment.update", "create_time": int(one.at), "user_openid": self.id, "content": content}
            body = json.dumps(event).encode()
            found += HOOKS["tiktok"].read(body, lambda _: [watched], datetime.now(UTC)).interactions
        return found


def asked_at(server: TiktokServer) -> Callable[[Leases, Shared], Polled]:
    settings = TiktokSettings(
        port=0, tiktok_api=server.address, tiktok_client_id=APP, tiktok_secrets=SecretStr(f"{SECRET},an-older-one")
    )
    return lambda leases, shared: tiktok(settings, leases, shared)


async def arrived(log: Log, business: Business, *comments: Comment) -> list[Interaction]:
    return await asyncio.to_thread(log.wait_for, business.brand.id, *[one.id for one in comments])


def same(one: Interaction) -> Interaction:
    """Without when it was observed."""
    return msgspec.structs.replace(one, observed_at=one.occurred_at)


async def test_comments_and_answers_become_exactly_what_the_webhook_would_have_given_and_count_once(
    stack: Any, tmp_path: Path, log: Log, server: TiktokServer
) -> None:
    business = Business(server)
    video = server.video(business.id, 86_400)
    asked = server.comment(video, "Is the Guji back?", ago=600)
    answered = server.comment(video, "It is!", by="owner", ago=300, to=asked.id)
    old = server.comment(video, "First!", ago=7200)
    async with reading(stack.kafka, tmp_path, asked_at(server), business.pair) as connector:
        await arrived(log, business, asked, answered)
        await stands(stack.kafka, business.account.id, "live")
        assert connector.behind() == set()
        # An old comment is answered: nothing new is on the first pages but the number of answers.
        late = server.comment(video, "Thanks", by="+ben", to=asked.id)
        fresh = server.comment(video, "And the Yirgacheffe?", by="+cleo")
        await arrived(log, business, late, fresh)
        looked = server.count("video/list/")
        await until(lambda: server.count("video/list/") > looked + 3, "it to be asked again")
        found = log.interactions(business.brand.id)
        expected = business.pushed(asked, answered, late, fresh)
        assert {one.kind for one in expected} == {"comment", "reply"}
        assert sorted(map(same, found), key=lambda one: one.id) == sorted(map(same, expected), key=lambda one: one.id)
        assert old.id not in {one.id for one in found}, "it is from before the connection"


async def test_after_an_outage_everything_is_found_also_below_old_videos_and_behind_first_pages(
    stack: Any, tmp_path: Path, log: Log, server: TiktokServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "DEEP_EVERY", timedelta(0))
    business = Business(server)
    videos = [server.video(business.id, (30 - number) * 86_400) for number in range(12)]
    first = server.comment(videos[-1], "first")
    async with reading(stack.kafka, tmp_path / "one", asked_at(server), business.pair):
        await arrived(log, business, first)
        await stands(stack.kafka, business.account.id, "live")
    missed = [server.comment(video, f"missed {number}") for video in videos for number in range(2)]
    missed += [server.comment(videos[0], f"many {number}", by=f"+{number}") for number in range(17)]
    async with reading(stack.kafka, tmp_path / "two", asked_at(server), business.pair):
        await arrived(log, business, *missed)
        await stands(stack.kafka, business.account.id, "live")
        quiet = server.count("comment/list/")
        looked = server.count("video/list/")
        await until(lambda: server.count("video/list/") > looked + 8, "it to be asked again")
        assert server.count("comment/list/") == quiet, "nothing has changed, and the videos are not new"
    # The first is found again by the second process, within its overlap; it counts once by its id.
    ids = [one.id for one in log.interactions(business.brand.id) if one.id != first.id]
    assert sorted(ids) == sorted(one.id for one in missed)


async def test_each_new_video_of_the_account_is_told_as_its_post(
    stack: Any, tmp_path: Path, log: Log, server: TiktokServer
) -> None:
    business = Business(server)
    old = server.video(business.id, 86_400, "from before the connection")
    first = server.video(business.id, 600, "The Guji is back #coffee")
    async with reading(stack.kafka, tmp_path, asked_at(server), business.pair):
        await asyncio.to_thread(log.wait_for, business.brand.id, first)
        second = server.video(business.id, 0, "")
        await asyncio.to_thread(log.wait_for, business.brand.id, second)
        found = {one.id: one for one in log.interactions(business.brand.id)}
        assert found.keys() == {first, second}, old
        told, at = found[first], server.published(first)
        assert (told.kind, told.actor.id, told.text, told.media) == (
            "post", business.id, "The Guji is back #coffee", ("video",),
        )  # fmt: skip
        assert told.object.url == f"https://www.tiktok.com/@roastery/video/{first}?utm_campaign=tt4d_open_api"
        assert told.occurred_at == datetime.fromtimestamp(int(at), UTC)
        assert found[second].text is None
        # The webhook tells those that were published through the API.
        content = json.dumps({"publish_id": "v_pub_url~v1.2", "post_id": int(first), "publish_type": "DIRECT_PUBLISH"})
        event = {
            "event": "post.publish.publicly_available", "create_time": int(at), "user_openid": business.id,
            "content": content,
        }  # fmt: skip
        watched = Watched(business.brand.id, business.account, business.id, frozenset([business.id]))
        (pushed,) = HOOKS["tiktok"].read(json.dumps(event).encode(), lambda _: [watched], told.observed_at).interactions
        its = msgspec.structs.replace(told, text=None, object=msgspec.structs.replace(told.object, url=None))
        assert its == pushed
        state = states(stack.kafka, business.account.id)[-1]
        assert state.posts_checked_at is not None


async def test_somebody_whom_the_list_does_not_name_is_nobody_else_and_what_is_hidden_is_told_as_hidden(
    stack: Any, tmp_path: Path, log: Log, server: TiktokServer
) -> None:
    business = Business(server)
    video = server.video(business.id, 86_400)
    unnamed = server.comment(video, "hello", by="")
    unnamed.hidden = True
    async with reading(stack.kafka, tmp_path, asked_at(server), business.pair):
        await arrived(log, business, unnamed)
        await until(lambda: len(log.interactions(business.brand.id)) == 2, "that it is hidden")
        comment, hidden = log.interactions(business.brand.id)
        assert comment.actor.id == f"unknown:{unnamed.id}"
        assert (hidden.kind, hidden.object.id) == ("hide", unnamed.id)


@pytest.mark.parametrize(
    ("refusal", "state", "words"),
    [
        (TiktokServer.EXPIRED, "attention", ("token", "Connect again")),
        (TiktokServer.DENIED, "attention", ("permission", "Connect again")),
        (TiktokServer.NO_SCOPE, "attention", ("scope", "Connect again")),
        (TiktokServer.FAILS, "incident", ("System error",)),
        (Refusal(503, {}), "incident", ("503",)),
        (Refusal(200, []), "behind", ("cannot be read",)),
    ],
    ids=["token", "account", "scope", "it fails", "nothing behind it", "no answer of TikTok's"],
)
async def test_what_is_wrong_is_said_in_words_and_nothing_is_lost(
    stack: Any, tmp_path: Path, log: Log, server: TiktokServer, refusal: Refusal, state: str, words: tuple[str, ...]
) -> None:
    business = Business(server)
    video = server.video(business.id)
    async with reading(stack.kafka, tmp_path, asked_at(server), business.pair) as connector:
        await stands(stack.kafka, business.account.id, "live")
        server.refuse(refusal, 100_000)
        why = await stands(stack.kafka, business.account.id, state) or ""
        assert all(word in why for word in words), why
        assert connector.behind() == {business.account.id}
        meanwhile = server.comment(video, "meanwhile")
        server.recover()
        await arrived(log, business, meanwhile)
        await stands(stack.kafka, business.account.id, "live")


async def test_a_limit_is_waited_for(stack: Any, tmp_path: Path, log: Log, server: TiktokServer) -> None:
    business = Business(server)
    video = server.video(business.id)
    async with reading(stack.kafka, tmp_path, asked_at(server), business.pair):
        await stands(stack.kafka, business.account.id, "live")
        server.refuse(server.LIMITED)
        await until(lambda: not server._refusals, "it to be told")
        await arrived(log, business, server.comment(video, "after it"))
        assert "attention" not in {one.state for one in states(stack.kafka, business.account.id)}


async def test_a_missing_callback_address_needs_attention_while_everything_is_read(
    stack: Any, tmp_path: Path, log: Log, server: TiktokServer
) -> None:
    business = Business(server)
    video = server.video(business.id)
    server.callback = None
    async with reading(stack.kafka, tmp_path, asked_at(server), business.pair) as connector:
        assert "callback address" in (await stands(stack.kafka, business.account.id, "attention") or "")
        await arrived(log, business, server.comment(video, "not pushed"))
        assert connector.behind() == set(), "it is asked instead, so nothing is missing"
        server.callback = "https://rapport.example/v1/platforms/tiktok"
        await stands(stack.kafka, business.account.id, "live")


def test_only_an_account_with_a_token_is_asked() -> None:
    business = Business(TiktokServer())
    assert usable(business.account)
    its = {name: value for name, value in business.account.connection.items() if name != "token"}
    assert not usable(msgspec.structs.replace(business.account, connection=its))
