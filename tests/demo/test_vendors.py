"""What the demonstration's platforms push becomes, in the product's own connectors, what the recording says."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from rapport.contracts.events import Account, Interaction
from rapport.demo.recording.cast import DemoAccount
from rapport.demo.recording.feed import ELSEWHERE, Body
from rapport.demo.recording.generator import Recording, record
from rapport.demo.vendors import facebook
from rapport.demo.vendors.mastodon.recorded import is_served
from rapport.demo.vendors.platforms import Platforms, way
from services.ingest.connectors.facebook import normalise
from services.ingest.connectors.mastodon.normalise import Noted, Page, notifications, statuses
from services.ingest.hooks import meta
from services.ingest.hooks.delivery import Watched

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
    headers = {name.lower(): value for name, value in facebook.signed(body, "secret").items()}
    meta.check(headers, body, ["secret"])
    assert len(msgspec.json.decode(body)["entry"]) == 3


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
    assert ways == {("facebook", "pushed"), ("facebook", "door"), ("mastodon", "served"), ("mastodon", "door")}


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
            if not page.count:
                return found
            query["max_id"] = page.oldest

    return [*pages(f"accounts/{account.platform_id}/statuses", statuses), *pages("notifications", notifications)]
