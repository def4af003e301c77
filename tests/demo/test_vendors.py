"""What the demonstration's platforms push, or tell whoever asks: in the product's own connectors it becomes what the
recording says.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from rapport.contracts.events import Account, Interaction
from rapport.demo.recording.cast import DemoAccount
from rapport.demo.recording.feed import ELSEWHERE, Body, since
from rapport.demo.recording.generator import Recording, record
from rapport.demo.vendors import facebook, instagram
from rapport.demo.vendors import meta as pushing
from rapport.demo.vendors.mastodon.recorded import is_served
from rapport.demo.vendors.platforms import Platforms, way
from rapport.kit.http.outgoing import Guard, GuardedHttp
from services.ingest.connectors.facebook import normalise
from services.ingest.connectors.instagram import normalise as on_instagram
from services.ingest.connectors.mastodon.normalise import Noted, Page, notifications, statuses
from services.ingest.connectors.youtube.connector import DAY_BEGINS_IN, YoutubeReader, refused
from services.ingest.hooks import meta
from services.ingest.hooks.delivery import Watched
from services.ingest.polling.api import Api, Turns
from services.ingest.polling.quota import Quota
from tests.services.ingest.connectors.kept import Kept, shared

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record(NOW)


def on_facebook(recording: Recording) -> tuple[DemoAccount, list[Body]]:
    (account,) = [
        each
        for brand in recording.brands
        for each in brand.accounts
        if each.platform_id and each.platform == "facebook"
    ]
    return account, [one for one in recording.deliveries[account.id] if one["kind"] not in ELSEWHERE]


def read(account: DemoAccount, bodies: list[Body]) -> list[Interaction]:
    connected = Account(
        id=account.id, platform="facebook", handle=account.handle, connected_at=NOW, door_secrets=(),
        connection={"page": str(account.platform_id)},
    )  # fmt: skip
    watched = Watched("northfell", connected, str(account.platform_id), frozenset({str(account.platform_id)}))
    found = normalise.read(
        facebook.delivery(bodies, account), lambda page: [watched] if page == watched.id else [], NOW
    )
    assert (found.problems, dict(found.ignored)) == ([], {})
    return found.interactions


def test_a_page_pushes_everything_that_the_recording_has_of_it(recording: Recording) -> None:
    account, bodies = on_facebook(recording)
    found = read(account, bodies)
    assert len(found) == len(bodies)
    for one, body in zip(found, bodies, strict=True):
        at = datetime.fromisoformat(body["occurred_at"])
        assert (one.kind, one.occurred_at, one.undo) == (body["kind"], at, body.get("undo", False))
        assert one.text == body.get("text")
        match one.kind:
            case "comment" | "mention" | "message":
                assert (one.id, one.actor.id) == (body["id"], body["actor"]["id"])
            case "reply":
                assert one.id == body["id"]
                assert one.parent is None or one.parent.id == body["parent"]["id"]
            case "edit" | "delete" | "hide":
                assert one.object.id == body["object"]["id"]
            case "reaction" | "share":
                assert (one.post, one.actor.id) == (body["post"], body["actor"]["id"])
    assert {one.kind for one in found} == {
        "comment", "mention", "message", "reply", "reaction", "share", "post", "edit", "delete", "hide"
    }  # fmt: skip


def test_what_no_platform_tells_of_comes_through_the_door(recording: Recording) -> None:
    account, bodies = on_facebook(recording)
    kinds = {one["kind"] for one in recording.deliveries[account.id]}
    assert kinds - {one["kind"] for one in bodies} == {"purchase"}
    assert "follow" not in kinds


def test_a_delivery_is_signed_as_meta_signs_it(recording: Recording) -> None:
    account, bodies = on_facebook(recording)
    body = facebook.delivery(bodies[:3], account)
    headers = {name.lower(): value for name, value in pushing.signed(body, "secret").items()}
    meta.check(headers, body, ["secret"])
    assert len(msgspec.json.decode(body)["entry"]) == 3


def on(platform: str, recording: Recording) -> list[DemoAccount]:
    return [each for brand in recording.brands for each in brand.accounts if each.platform == platform]


def test_instagram_pushes_what_was_written_since_the_connection_and_nothing_else(recording: Recording) -> None:
    kinds = set()
    for account in on("instagram", recording):
        its = str(account.platform_id)
        pushed = [one for one in recording.deliveries[account.id] if way(one, account, recording) == "pushed"]
        connected = Account(
            id=account.id, platform="instagram", handle=account.handle, connected_at=NOW, door_secrets=(),
            connection={"user": its},
        )  # fmt: skip
        watched = Watched("brand", connected, its, frozenset({its}))
        found = on_instagram.read(instagram.delivery(pushed, account), {its: [watched]}.__getitem__, NOW)
        assert (found.problems, dict(found.ignored)) == ([], {})
        for one, body in zip(found.interactions, pushed, strict=True):
            kinds.add(one.kind)
            assert (one.kind, one.occurred_at) == (body["kind"], datetime.fromisoformat(body["occurred_at"]))
            assert (one.conversation, one.thread) == (body["conversation"], body["thread"])
            assert (one.object.id, one.text, one.post) == (body["object"]["id"], body.get("text"), body.get("post"))
            if one.kind in ("comment", "message"):
                assert one.actor.id == body["actor"]["id"]
            if one.kind == "reply" and one.post is not None:
                assert one.parent is not None
                assert one.parent.id == body["parent"]["id"]
        assert all(since(one, recording.connected_at) for one in pushed)
    assert {"comment", "reply", "message"} <= kinds <= {"comment", "reply", "message", "edit", "delete"}


@pytest.mark.anyio
async def test_youtube_tells_whoever_asks_once_of_everything_since_the_connection() -> None:
    with Platforms() as platforms:
        recording = record(NOW, host=platforms.host)
        platforms.take(recording)
        for account in on("youtube", recording):
            found = await read_channel(platforms, account, recording)
            bodies = {one["id"]: one for one in recording.deliveries[account.id]}
            served = {name for name, one in bodies.items() if way(one, account, recording) == "served"}
            told = {one.id: one for one in found}
            posts = {name for name, one in bodies.items() if one["kind"] == "post"}
            assert served
            assert served <= told.keys()
            again = told.keys() - served - posts
            answered = {bodies[name]["parent"]["id"] for name in served if bodies[name]["kind"] == "reply"}
            assert again <= answered, "what an answer is about has to be there, whenever it was written"
            for name, one in told.items():
                body = bodies[name]
                assert (one.kind, one.text) == (body["kind"], body["text"])
                assert one.occurred_at == datetime.fromisoformat(body["occurred_at"])
                if one.kind != "post":
                    assert (one.conversation, one.thread) == (body["conversation"], body["thread"])
                if one.kind == "comment":
                    assert (one.actor.id, one.actor.handle) == (body["actor"]["id"], body["actor"]["handle"])
                if one.kind == "reply":
                    assert one.parent is not None
                    assert one.parent.id == body["parent"]["id"]
                if one.kind == "post":
                    assert list(one.media) == body["media"]


async def read_channel(platforms: Platforms, account: DemoAccount, recording: Recording) -> list[Interaction]:
    """What ingest finds when it first asks for a channel."""
    settings = platforms.settings
    connected = Account(
        id=account.id, platform="youtube", handle=account.handle, connected_at=recording.connected_at,
        door_secrets=(), connection=platforms.connection(account),
    )  # fmt: skip
    its = str(account.platform_id)
    watched = Watched("brand", connected, its, frozenset({its}))
    quota = Quota(10_000, DAY_BEGINS_IN, lambda: NOW, lambda: 1.0)
    http = GuardedHttp(Guard(allow_private=True), timeout=20.0)
    key, address = {"X-Goog-Api-Key": settings["RAPPORT_YOUTUBE_KEY"]}, settings["RAPPORT_YOUTUBE_API"]
    api = Api(http, "youtube", address, key, quota, Turns(), lambda: NOW, refused)
    kept = Kept(connected, lambda: NOW)
    await YoutubeReader(connected, kept, lambda: watched, api, quota, shared(lambda: NOW)).read()
    return kept.told


def test_the_mastodon_server_tells_of_everything_since_the_connection() -> None:
    with Platforms() as platforms:
        recording = record(NOW, host=platforms.host)
        platforms.take(recording)
        (account,) = [
            each for brand in recording.brands for each in brand.accounts
            if each.platform_id and each.platform == "mastodon"
        ]  # fmt: skip
        found = asked(platforms, account)
    bodies = {one["id"]: one for one in recording.deliveries[account.id]}
    served = {name: one for name, one in bodies.items() if is_served(one, recording.connected_at)}
    told = {one.id: one for one in found if one.kind in ("comment", "mention", "message", "reply", "post")}
    words = ("comment", "mention", "message", "reply", "post")
    posts = {name for name, one in bodies.items() if one["kind"] == "post"}
    assert told.keys() == {name for name, one in served.items() if one["kind"] in words} | posts
    for name, one in told.items():
        body = bodies[name]
        assert (one.kind, one.occurred_at) == (body["kind"], datetime.fromisoformat(body["occurred_at"]))
        assert str(one.text).endswith(body["text"])
        if one.kind in ("comment", "mention", "message"):
            assert (one.actor.id, one.conversation) == (body["actor"]["id"], body["conversation"])
        if one.kind == "comment":
            assert one.parent is not None
            assert one.parent.id == body["post"] == body["thread"]
        if one.kind == "message":
            assert one.thread == body["thread"]
        if one.kind == "reply":
            assert one.parent is not None
            assert one.conversation == body["conversation"]
            assert (one.parent.id, one.parent.actor) == (body["parent"]["id"], body["parent"]["actor"])
    for kind in ("reaction", "share", "follow"):
        done = {(one["actor"]["id"], one.get("post")) for one in served.values() if one["kind"] == kind}
        assert {(one.actor.id, one.post) for one in found if one.kind == kind} == done
        assert done, kind


def test_each_interaction_has_one_way(recording: Recording) -> None:
    ways = {
        (account.platform, way(body, account, recording))
        for brand in recording.brands
        for account in brand.accounts
        for body in recording.deliveries[account.id]
        if account.platform_id
    }
    assert ways == {
        ("facebook", "pushed"), ("facebook", "door"), ("instagram", "pushed"), ("instagram", "door"),
        ("mastodon", "served"), ("mastodon", "door"), ("youtube", "served"), ("youtube", "door"),
    }  # fmt: skip


def asked(platforms: Platforms, account: DemoAccount) -> list[Interaction]:
    """All that the server tells the account, read as ingest reads it."""
    connection = platforms.connection(account)
    connected = Account(
        id=account.id, platform="mastodon", handle=account.handle, connected_at=NOW, door_secrets=(),
        connection=connection,
    )  # fmt: skip
    its_id = f"{account.platform_id}@{platforms.host}"
    watched = Watched("harbour", connected, its_id, frozenset({its_id}))
    known: dict[str, Noted] = {}

    def pages(path: str, read: Callable[..., Page]) -> list[Interaction]:
        found, query = list[Interaction](), dict[str, Any](limit=80)
        while True:
            answer = httpx.get(
                f"{connection['service']}/api/v1/{path}", params=query,
                headers={"Authorization": f"Bearer {connection['token']}"}, trust_env=False,
            )  # fmt: skip
            page = read(answer.raise_for_status().content, platforms.host, watched, known.get, NOW)
            assert page.problems == []
            known.update({one.status: one for one in page.noted})
            found += page.interactions
            if not page.ids:
                return found
            query["max_id"] = page.ids[-1]

    return [*pages(f"accounts/{account.platform_id}/statuses", statuses), *pages("notifications", notifications)]
