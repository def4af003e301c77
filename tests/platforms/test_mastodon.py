"""The local Mastodon server pages, limits and streams as the real one does."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.platforms.mastodon import MastodonServer
from tests.waiting import until

NOTIFICATIONS = "/api/v1/notifications"


class Town:
    """A server with a roastery, and Ada, who has a token too, and Bo from elsewhere."""

    def __init__(self, server: MastodonServer) -> None:
        self.server = server
        self.roastery = server.add_account("roastery", token="r")
        self.ada = server.add_account("ada", token="a")
        self.bo = server.add_account("bo", domain="social.example")
        self.post = server.post(self.roastery, "New beans")

    def get(self, path: str, token: str | None = "r", **query: Any) -> httpx.Response:
        headers = {"User-Agent": "test"} | ({"Authorization": f"Bearer {token}"} if token else {})
        return httpx.get(self.server.address + path, params=query, headers=headers)

    def ids(self, path: str, **query: Any) -> list[str]:
        return [one["id"] for one in self.get(path, **query).json()]

    def stream(self, token: str = "r") -> ClientConnection:
        before = len(self.server.streams)
        opened = connect(
            f"ws://{self.server.host}/api/v1/streaming?stream=user", user_agent_header="streamer",
            additional_headers={"Authorization": f"Bearer {token}"},
        )  # fmt: skip
        until(lambda: len(self.server.streams) > before, "the stream is open", 10)
        return opened


@pytest.fixture
def town() -> Iterator[Town]:
    with MastodonServer() as server:
        yield Town(server)


def frame(stream: ClientConnection) -> tuple[str, Any]:
    found = json.loads(stream.recv(10))
    assert found["stream"] == ["user"]
    return found["event"], found["payload"] if found["event"] == "delete" else json.loads(found["payload"])


def test_min_id_pages_forward_without_gaps_since_id_skips_and_max_id_goes_back(town: Town) -> None:
    for number in range(7):
        town.server.mention(town.ada, town.roastery, f"{number}")
    newest_first = town.ids(NOTIFICATIONS)
    oldest_first = newest_first[::-1]
    assert town.ids(NOTIFICATIONS, min_id=oldest_first[0], limit=3) == oldest_first[1:4][::-1]
    assert town.ids(NOTIFICATIONS, since_id=oldest_first[0], limit=3) == newest_first[:3]
    assert town.ids(NOTIFICATIONS, max_id=oldest_first[4], limit=3) == oldest_first[1:4][::-1]
    assert town.ids(NOTIFICATIONS, min_id=oldest_first[1], max_id=oldest_first[4]) == oldest_first[2:4][::-1]
    assert town.ids(NOTIFICATIONS, min_id=newest_first[0]) == []
    assert town.get(NOTIFICATIONS, min_id=newest_first[0]).headers.get("link") is None
    links = town.get(NOTIFICATIONS, limit=2, **{"types[]": "mention"}).links
    assert f"max_id={newest_first[1]}" in links["next"]["url"]
    assert f"min_id={newest_first[0]}" in links["prev"]["url"]
    assert "limit=2" in links["next"]["url"]
    assert "types%5B%5D=mention" in links["next"]["url"]


def test_a_page_has_40_notifications_or_80_at_most_and_20_statuses_or_40(town: Town) -> None:
    for number in range(90):
        town.server.mention(town.ada, town.roastery, f"{number}")
    statuses = f"/api/v1/accounts/{town.ada}/statuses"
    assert [len(town.ids(NOTIFICATIONS, **q)) for q in ({}, {"limit": 500})] == [40, 80]
    assert [len(town.ids(statuses, **q)) for q in ({}, {"limit": 500})] == [20, 40]


def test_notifications_are_of_the_tokens_account_and_of_the_types_asked_for(town: Town) -> None:
    town.server.comment(town.bo, town.post, "Is it back?")
    town.server.favourite(town.ada, town.post)
    town.server.reblog(town.ada, town.post)
    town.server.follow(town.bo, town.roastery)

    def types(**query: Any) -> list[str]:
        return [one["type"] for one in town.get(NOTIFICATIONS, **query).json()]

    assert types() == ["follow", "reblog", "favourite", "mention"]
    assert types(**{"types[]": ["mention", "follow"]}) == ["follow", "mention"]
    assert types(**{"exclude_types[]": ["mention", "follow"]}) == ["reblog", "favourite"]
    assert types(token="a") == []
    town.server.unfavourite(town.ada, town.post)
    town.server.silenced.add(town.bo)
    assert types() == ["reblog"]
    assert types(include_filtered="true") == ["follow", "reblog", "mention"]


def test_an_accounts_own_statuses_have_private_ones_for_itself_alone(town: Town) -> None:
    private = town.server.message(town.roastery, town.ada, "Hello")
    passed = town.server.reblog(town.roastery, town.server.post(town.ada, "Nice"))
    path = f"/api/v1/accounts/{town.roastery}/statuses"
    assert town.ids(path) == [passed, private, town.post]
    assert town.ids(path, exclude_reblogs="true") == [private, town.post]
    assert town.ids(path, token="a") == [passed, town.post]
    assert town.get(f"/api/v1/statuses/{private}").json()["visibility"] == "direct"
    town.server.delete(town.post)
    assert town.get(f"/api/v1/statuses/{town.post}").status_code == 404


def test_who_has_no_token_is_refused_and_whose_is_revoked(town: Town) -> None:
    assert town.get("/api/v1/accounts/verify_credentials").json()["acct"] == "roastery"
    instance = town.get("/api/v2/instance", token=None).json()
    assert instance["configuration"]["urls"]["streaming"] == f"ws://{town.server.host}"
    with town.stream() as stream:
        town.server.revoke("r")
        with pytest.raises(ConnectionClosed):
            stream.recv(10)
    for token in ("r", None):
        refused = town.get(NOTIFICATIONS, token=token)
        assert (refused.status_code, refused.json()) == (401, {"error": "The access token is invalid"})
    with pytest.raises(InvalidStatus, match="401"):
        town.stream()


def test_requests_that_page_have_a_budget_of_their_own_per_account(town: Town) -> None:
    town.server.limit("paging", 2, 3600)
    town.server.add_token("r2", town.roastery)
    first = town.get(NOTIFICATIONS, min_id="1").headers
    assert (first["X-RateLimit-Limit"], first["X-RateLimit-Remaining"]) == ("2", "1")
    town.get(NOTIFICATIONS, token="r2", min_id="1")
    refused = town.get(NOTIFICATIONS, since_id="1")
    assert (refused.status_code, refused.json()) == (429, {"error": "Too many requests"})
    assert refused.headers["X-RateLimit-Remaining"] == "0"
    now = datetime.now(UTC)
    assert now < datetime.fromisoformat(refused.headers["X-RateLimit-Reset"]) <= now + timedelta(hours=1)
    assert town.get(NOTIFICATIONS).headers["X-RateLimit-Limit"] == "300"
    assert town.get(NOTIFICATIONS, token="a", min_id="1").status_code == 200


def test_a_limit_ends_with_its_period(town: Town) -> None:
    town.server.limit("token", 1, 0.5)
    until(lambda: town.get(NOTIFICATIONS).status_code == 429, "the limit", 10)
    until(lambda: town.get(NOTIFICATIONS).status_code == 200, "the next period", 10)


def test_the_stream_tells_what_concerns_the_account(town: Town) -> None:
    town.server.follow(town.roastery, town.ada)
    with town.stream() as stream:
        asked = town.server.comment(town.bo, town.post, "Is it back?")
        answered = town.server.answer(town.roastery, asked, "Yes")
        town.server.edit(asked, "Is it back in Lisbon?")  # nobody tells the brand, which does not follow Bo
        weather = town.server.post(town.ada, "Rain")
        town.server.edit(weather, "Sun")
        town.server.delete(asked)
        told = [frame(stream) for _ in range(5)]
    assert [(event, payload if event == "delete" else payload["id"]) for event, payload in told[1:]] == [
        ("update", answered), ("update", weather), ("status.update", weather), ("delete", asked)
    ]  # fmt: skip
    event, comment = told[0]
    assert (event, comment["type"], comment["status"]["id"]) == ("notification", "mention", asked)
    assert (comment["account"]["acct"], comment["status"]["in_reply_to_id"]) == ("bo@social.example", town.post)
    assert town.get(f"/api/v1/statuses/{answered}").json()["in_reply_to_id"] is None
    assert town.get(f"/api/v1/statuses/{answered}").json()["in_reply_to_account_id"] == town.bo


def test_a_token_may_be_in_the_query_or_in_the_protocol_and_streams_are_subscribed_to_later(town: Town) -> None:
    address = f"ws://{town.server.host}/api/v1/streaming"
    with connect(f"{address}?stream=user&access_token=r") as stream:
        until(lambda: len(town.server.streams) == 1, "it is open", 10)
        town.server.post(town.roastery, "1")
        assert frame(stream)[0] == "update"
    with connect(address, subprotocols=["r"]) as stream:  # type: ignore[list-item]  # what is no Subprotocol but a token
        stream.send(json.dumps({"type": "subscribe", "stream": "user"}))
        stream.send(json.dumps({"type": "nonsense"}))
        until(lambda: any(each.names for each in town.server._streams), "it is subscribed", 10)
        town.server.post(town.roastery, "2")
        assert frame(stream)[0] == "update"
    until(lambda: not town.server.streams, "they are closed", 10)


def test_streams_drop_and_do_not_resume_and_may_be_refused(town: Town) -> None:
    with town.stream() as stream:
        assert town.server.streams == [("r", "streamer")]
        town.server.drop_streams()
        with pytest.raises(ConnectionClosed):
            stream.recv(10)
    town.server.post(town.roastery, "while nobody listened")
    with town.stream() as stream:
        town.server.post(town.roastery, "now")
        assert "now" in frame(stream)[1]["content"]
        town.server.stop_streaming()
    with pytest.raises(InvalidStatus, match="404"):
        town.stream()
    town.server.start_streaming()
    with town.stream():
        assert len(town.server.streams) == 1


def test_frames_come_twice_or_backwards(town: Town) -> None:
    with town.stream() as stream:
        town.server.duplicate()
        twice = town.server.post(town.roastery, "twice")
        assert [frame(stream)[1]["id"] for _ in range(2)] == [twice, twice]
        town.server.duplicate(on=False)
        town.server.hold_frames()
        ids = [town.server.post(town.roastery, f"{number}") for number in range(3)]
        town.server.release_frames()
        assert [frame(stream)[1]["id"] for _ in range(3)] == ids[::-1]


def test_requests_fail_and_hang_as_told_and_are_noted(town: Town) -> None:
    town.server.fail(503, times=2, retry_after=7)
    failed = town.get(NOTIFICATIONS)
    assert (failed.status_code, failed.headers["retry-after"]) == (503, "7")
    assert [town.get(NOTIFICATIONS).status_code for _ in range(2)] == [503, 200]
    town.server.hang(0.3)
    before = time.monotonic()
    town.get(NOTIFICATIONS, limit=1)
    assert time.monotonic() - before >= 0.3
    asked = town.server.asked(NOTIFICATIONS, "r")
    assert [(one.method, one.path, one.agent) for one in asked[-2:]] == [
        ("GET", NOTIFICATIONS, "test"), ("GET", f"{NOTIFICATIONS}?limit=1", "test")
    ]  # fmt: skip


def test_it_runs_as_a_process_that_is_told_what_happens_and_has_ulids() -> None:
    command = [sys.executable, "-m", "tests.platforms.mastodon", "--ulids"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())["address"]

        def do(method: str, **arguments: Any) -> Any:
            return httpx.post(f"{address}/control/{method}", json=arguments).json()["result"]

        try:
            roastery, ada = do("add_account", username="roastery", token="r"), do("add_account", username="ada")
            mention = do("mention", who=ada, whom=roastery, text="hi")
            found = httpx.get(address + NOTIFICATIONS, headers={"Authorization": "Bearer r"}).json()
            assert [one["status"]["id"] for one in found] == [mention]
            assert len(mention) == 26
            assert httpx.get(f"{address}/control/streams").json() == []
            assert httpx.get(f"{address}/control/requests").json()[-1]["token"] == "r"
            assert httpx.post(f"{address}/control/_end").status_code == 404
        finally:
            process.terminate()
