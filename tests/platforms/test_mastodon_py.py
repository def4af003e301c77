"""The local Mastodon server speaks Mastodon: a library that was written for the real one agrees."""

import queue
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import mastodon
import pytest

from tests.platforms.mastodon import MastodonServer
from tests.waiting import until

LONG = 10**9
"""Seconds: no limit is reset within a test."""


@pytest.fixture
def server() -> Iterator[MastodonServer]:
    with MastodonServer() as made:
        yield made


@pytest.fixture
def roastery(server: MastodonServer) -> str:
    return server.add_account("roastery", token="r", name="Roastery")


@pytest.fixture
def ada(server: MastodonServer) -> str:
    return server.add_account("ada", domain="social.example")


def client(server: MastodonServer, token: str | None = "r", **more: Any) -> Any:
    return mastodon.Mastodon(
        access_token=token, api_base_url=server.address, ratelimit_method="throw", request_timeout=20, **more
    )


def ids(found: Any) -> list[str]:
    return [str(one.id) for one in found]


def test_it_logs_in_with_a_token_and_one_that_is_none_is_refused(server: MastodonServer, roastery: str) -> None:
    itself = client(server).account_verify_credentials()
    assert (str(itself.id), itself.acct, itself.display_name) == (roastery, "roastery", "Roastery")
    assert isinstance(itself.created_at, datetime)
    with pytest.raises(mastodon.MastodonUnauthorizedError):
        client(server, "nobody").account_verify_credentials()


def test_it_knows_the_version_and_where_the_stream_is(server: MastodonServer, roastery: str) -> None:
    its = client(server, version_check_mode="created")
    assert its.retrieve_mastodon_version() == "4.5.2"
    assert its.instance_v1().urls.streaming_api == f"ws://{server.host}"
    found = its.instance_v2()
    assert found.configuration.urls.streaming == f"ws://{server.host}"
    assert found.configuration.statuses.max_characters == 500
    assert all("Location" not in one.path for one in server.requests)


def test_notifications_page_forward_by_min_id_and_back_by_max_id(
    server: MastodonServer, roastery: str, ada: str
) -> None:
    written = [server.mention(ada, roastery, f"{number}") for number in range(7)]
    its = client(server)
    newest_first = its.notifications(limit=80)
    assert [str(one.status.id) for one in newest_first] == written[::-1]
    assert {one.type for one in newest_first} == {"mention"}
    assert {one.account.acct for one in newest_first} == {"ada@social.example"}
    oldest_first = ids(newest_first)[::-1]
    assert ids(its.notifications(min_id=oldest_first[0], limit=3)) == oldest_first[1:4][::-1]
    assert ids(its.notifications(max_id=oldest_first[4], limit=3)) == oldest_first[1:4][::-1]
    assert ids(its.notifications(since_id=oldest_first[0], limit=3)) == oldest_first[-3:][::-1]
    first = its.notifications(limit=3)
    second = its.fetch_next(first)
    assert ids(first) + ids(second) == oldest_first[::-1][:6]
    assert ids(its.fetch_previous(second)) == ids(first)
    assert ids(its.fetch_remaining(first)) == oldest_first[::-1]
    server.follow(ada, roastery)
    assert [one.type for one in its.notifications(types=["follow"])] == ["follow"]
    assert {one.type for one in its.notifications(exclude_types=["follow"])} == {"mention"}


def test_an_accounts_statuses_page_and_leave_out_what_is_not_asked_for(
    server: MastodonServer, roastery: str, ada: str
) -> None:
    posts = [server.post(roastery, f"{number}") for number in range(5)]
    answer = server.answer(roastery, server.mention(ada, roastery, "Is it back?"), "Yes")
    passed = server.reblog(roastery, server.post(ada, "Nice"))
    its = client(server)
    assert ids(its.account_statuses(roastery)) == [passed, answer, *posts[::-1]]
    assert ids(its.account_statuses(roastery, exclude_reblogs=True, exclude_replies=True)) == posts[::-1]
    page = its.account_statuses(roastery, limit=4)
    assert ids(its.fetch_next(page)) == ids(its.account_statuses(roastery, max_id=page[-1].id, limit=4))
    assert ids(its.account_statuses(roastery, min_id=posts[0], limit=2)) == posts[1:3][::-1]
    shown = its.account_statuses(roastery)[0]
    assert shown.reblog.reblogged
    assert shown.reblog.account.acct == "ada@social.example"


def test_a_status_is_written_once_per_key(server: MastodonServer, roastery: str, ada: str) -> None:
    asked = server.mention(ada, roastery, "Is it back?")
    its, key = client(server), str(uuid.uuid4())
    made = its.status_post("@ada@social.example Since Monday!", in_reply_to_id=asked, idempotency_key=key)
    again = its.status_post("@ada@social.example Since Monday!", in_reply_to_id=asked, idempotency_key=key)
    other = its.status_post("And decaf", visibility="unlisted", spoiler_text="Coffee", idempotency_key="other")
    assert made.id == again.id != other.id
    assert (str(made.in_reply_to_id), str(made.in_reply_to_account_id)) == (asked, ada)
    assert [each.acct for each in made.mentions] == ["ada@social.example"]
    assert "Since Monday!" in made.content
    assert made.created_at.tzinfo is not None
    assert (datetime.now(UTC) - made.created_at).total_seconds() < 3600
    assert (other.visibility, other.spoiler_text) == ("unlisted", "Coffee")
    assert [one.id for one in server.answers(asked)] == [str(made.id)]
    assert its.status(asked).replies_count == 1
    with pytest.raises(mastodon.MastodonAPIError, match="limit of 500"):
        its.status_post("x" * 501)
    with pytest.raises(mastodon.MastodonNotFoundError):
        its.status_post("to nobody", in_reply_to_id="1")


def test_a_favourite_is_seen_by_who_gave_it(server: MastodonServer, roastery: str, ada: str) -> None:
    asked, its = server.mention(ada, roastery, "Is it back?"), client(server)
    assert not its.status(asked).favourited
    given = its.status_favourite(asked)
    assert (given.favourited, given.favourites_count) == (True, 1)
    assert its.status_favourite(asked).favourites_count == 1, "once"
    assert its.status(asked).favourited
    assert its.notifications()[0].status.favourited
    server.add_account("bo", token="b")
    others = client(server, "b").status(asked)
    assert (others.favourited, others.favourites_count) == (False, 1)


def test_the_context_of_a_status_is_what_it_answers_and_what_answers_it(
    server: MastodonServer, roastery: str, ada: str
) -> None:
    post = server.post(roastery, "New beans")
    asked = server.comment(ada, post, "Is it back?")
    answered = server.answer(roastery, asked, "Yes")
    thanks = server.comment(ada, answered, "Thanks!")
    server.comment(ada, post, "Something else")
    found = client(server).status_context(asked)
    assert (ids(found.ancestors), ids(found.descendants)) == ([post], [answered, thanks])
    found = client(server).status_context(thanks)
    assert (ids(found.ancestors), ids(found.descendants)) == ([post, asked, answered], [])
    server.delete(post)
    with pytest.raises(mastodon.MastodonNotFoundError):
        client(server).status(post)


def test_limits_are_told_and_thrown(server: MastodonServer, roastery: str) -> None:
    server.limit("token", 2, LONG)
    its = client(server)
    for left in (1, 0):
        its.notifications()
        assert (its.ratelimit_limit, its.ratelimit_remaining) == (2, left)
        assert its.ratelimit_reset > datetime.now(UTC).timestamp()
    with pytest.raises(mastodon.MastodonRatelimitError):
        its.notifications()


def test_its_stream_tells_what_happens(server: MastodonServer, roastery: str, ada: str) -> None:
    told: queue.Queue[tuple[str, Any]] = queue.Queue()

    class Listener(mastodon.StreamListener):
        def on_notification(self, notification: Any) -> None:
            told.put(("notification", notification))

        def on_update(self, status: Any) -> None:
            told.put(("update", status))

        def on_status_update(self, status: Any) -> None:
            told.put(("status.update", status))

        def on_delete(self, status_id: Any) -> None:
            told.put(("delete", status_id))

    handle = client(server).stream_user(Listener(), run_async=True)
    try:
        until(lambda: server.streams, "the stream is open")
        assert client(server).stream_healthy()
        asked = server.mention(ada, roastery, "Is it back?")
        post = server.post(roastery, "New beans")
        server.edit(post, "New beans, decaf")
        server.delete(asked)
        (first, mention), (second, written), (third, edited), (fourth, gone) = (told.get(timeout=60) for _ in range(4))
    finally:
        handle.close()
    assert (first, mention.type, str(mention.status.id)) == ("notification", "mention", asked)
    assert (second, str(written.id)) == ("update", post)
    assert (third, str(edited.id)) == ("status.update", post)
    assert "decaf" in edited.content
    assert (fourth, str(gone)) == ("delete", asked)


def test_a_stream_is_for_who_has_a_token(server: MastodonServer, roastery: str) -> None:
    with pytest.raises(mastodon.MastodonNetworkError):
        client(server, "nobody").stream_user(mastodon.StreamListener())
