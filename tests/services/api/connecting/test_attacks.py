"""Somebody tries to connect what is not theirs, or to learn what they should not."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from pymongo.database import Database

from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from tests.services.api.connecting.world import PORTAL, World, vendor, world
from tests.services.api.web.portal_session import logged_in

pytestmark = pytest.mark.stack


@pytest.fixture
def found(stack: Running, views: Database[Document]) -> Iterator[World]:
    with vendor("x") as server, world(stack, views, server) as made:
        yield made


def refused(answer: httpx.Response) -> None:
    assert answer.status_code == 403, answer.text
    assert "this consent was not asked for here" in answer.text.lower()


def test_a_state_is_valid_once(found: World) -> None:
    path = found.begin()
    back = found.consented(path)
    assert found.visitor.get(back).status_code == 303
    refused(found.visitor.get(back))
    assert len(found.server.consents) == 1
    # Going to the vendor again makes the one before useless.
    other = found.begin()
    first = found.consented(other)
    second = found.consented(other)
    refused(found.visitor.get(first))
    assert found.visitor.get(second).status_code == 303


def test_a_state_is_valid_for_ten_minutes(found: World) -> None:
    path = found.begin()
    back = found.consented(path)
    (stored,) = found.views["connection_attempts"].find()
    assert timedelta(minutes=9) < stored["state_until"] - datetime.now(UTC) < timedelta(minutes=11)
    found.views["connection_attempts"].update_one({}, {"$set": {"state_until": datetime.now(UTC)}})
    refused(found.visitor.get(back))


def test_what_is_stored_is_no_state(found: World) -> None:
    path = found.begin()
    back = found.consented(path)
    state = parse_qs(urlsplit(back).query)["state"][0]
    (stored,) = found.views["connection_attempts"].find()
    assert state not in str(stored)
    refused(found.visitor.get(f"/connect/x?{urlencode({'code': 'a', 'state': stored['state']})}"))


def test_another_session_cannot_come_back_and_does_not_use_up_the_state(found: World) -> None:
    """An attacker has a victim come back with the attacker's own code: theirs would be connected as the victim's."""
    path = found.begin()
    back = found.consented(path)
    with logged_in(found.api) as victim:
        victim.headers["Accept"] = "text/html"
        refused(victim.get(back))
        # Nor does the same person in another browser.
        assert victim.get(path).status_code == 200
    assert found.server.consents == []
    assert found.visitor.get(back).status_code == 303


def test_who_is_logged_out_is_not_sent_to_the_login_with_the_code(found: World) -> None:
    back = found.consented(found.begin())
    with httpx.Client(base_url=found.api.url, headers={"Accept": "text/html"}) as nobody:
        answer = nobody.get(back)
        assert answer.status_code == 401
        assert "location" not in answer.headers
        assert parse_qs(urlsplit(back).query)["code"][0] not in answer.text


def test_a_code_that_nobody_asked_for_is_not_taken(found: World) -> None:
    for query in ({}, {"code": "a"}, {"code": "a", "state": ""}, {"code": "a", "state": "x" * 5_000}):
        refused(found.visitor.get(f"/connect/x?{urlencode(query)}"))
    refused(found.visitor.get("/connect/%2e%2e"))
    assert found.server.posted == []


def test_a_state_of_one_vendor_is_none_of_another(found: World) -> None:
    """A vendor that was asked must not get the code of another one."""
    back = found.consented(found.begin())
    refused(found.visitor.get(back.replace("/connect/x?", "/connect/mastodon?")))
    assert found.server.posted == []
    assert found.visitor.get(back).status_code == 303


def test_a_code_for_another_challenge_is_not_taken(found: World) -> None:
    """An attacker puts the code of their own consent into the victim's way back."""
    theirs = parse_qs(urlsplit(found.consented(found.begin())).query)["code"][0]
    path = found.begin()
    back = urlsplit(found.consented(path))
    query = {**{name: values[0] for name, values in parse_qs(back.query).items()}, "code": theirs}
    assert found.visitor.get(f"{back.path}?{urlencode(query)}").status_code == 303
    assert "does not accept its own code any more" in found.visitor.get(path).text
    assert found.server.consents == []


def test_only_who_may_administer_the_brand_gets_anywhere(found: World) -> None:
    path = found.begin()
    other = f"{found.brand}-2"
    found.api.brand(other)
    back = found.consented(path)
    for key in (
        found.api.key([found.brand], "read"),
        found.api.key([found.brand], "write"),
        found.api.key([other], "admin"),
    ):
        with logged_in(found.api, key) as visitor:
            for answer in (
                visitor.get(path),
                visitor.get(f"{path}/leave"),
                visitor.post(f"{path}/choose", data={"choice": "42"}),
                visitor.post(f"/brands/{found.brand}/connect", data={"vendor": "x"}),
                visitor.get(back),
            ):
                assert answer.status_code in (403, 404), answer.text
        with found.api.with_key(key) as client:
            assert client.post(f"/v1/brands/{found.brand}/connections", json={"vendor": "x"}).status_code in (403, 404)
    # An attempt is its own brand's alone.
    assert found.visitor.get(path.replace(found.brand, other)).status_code == 404
    assert found.visitor.get(back).status_code == 303


def test_a_key_that_was_revoked_meanwhile_connects_nothing(found: World) -> None:
    made = found.api.client.post("/v1/keys", json={"name": "t", "brands": [found.brand], "scopes": ["admin"]}).json()
    with logged_in(found.api, made["key"]) as visitor:
        visitor.headers["Accept"] = "text/html"
        path = found.begin()
        back = found.consented(path, visitor)
        assert found.api.client.delete(f"/v1/keys/{made['id']}").status_code in (200, 204)
        assert visitor.get(back).status_code == 401
    assert found.server.consents == []


def test_another_sites_page_cannot_begin_or_send_anybody_away(found: World) -> None:
    path = found.begin()
    away = {"Origin": "https://evil.example", "Referer": "https://evil.example/", "Sec-Fetch-Site": "cross-site"}
    assert found.visitor.get(f"{path}/leave", headers=away).status_code == 403
    answer = found.visitor.post(f"/brands/{found.brand}/connect", data={"vendor": "x"}, headers=away)
    assert answer.status_code == 403


def test_the_way_back_is_the_installations_own_whatever_the_request_says(found: World) -> None:
    path = found.begin()
    left = found.visitor.get(f"{path}/leave?next=https://evil.example", headers={"X-Forwarded-Host": "evil.example"})
    query = parse_qs(urlsplit(left.headers["location"]).query)
    assert query["redirect_uri"] == [f"{PORTAL}/connect/x"]
    back = found.visitor.get(f"{found.consented(path)}&next=https://evil.example&redirect_uri=https://evil.example")
    assert back.headers["location"] == path


@pytest.mark.parametrize(
    "service",
    [
        "SERVER",
        "127.0.0.1:8000",
        "http://127.0.0.1:8000",
        "https://localhost",
        "https://[::1]",
        "https://2130706433",
        "https://169.254.169.254",
        "https://metadata.google.internal",
        "https://user:password@mastodon.example",
        "https://mastodon.example/a/path",
        "https://mastodon.example?x=1",
        "ftp://mastodon.example",
        "https://",
        "\u202ehttps://mastodon.example",
        "x" * 400,
        "",
    ],
)
def test_a_server_inside_is_not_called(stack: Running, views: Database[Document], service: str) -> None:
    with vendor("mastodon") as server, world(stack, views, server, allow_private=False) as found:
        service = service.replace("SERVER", server.address)
        answer = found.visitor.post(f"/brands/{found.brand}/connect", data={"vendor": "mastodon", "service": service})
        assert answer.status_code == 422, answer.text
        assert 'id="service-wrong"' in answer.text
        made = found.api.client.post(
            f"/v1/brands/{found.brand}/connections", json={"vendor": "mastodon", "service": service}
        )
        assert made.status_code == 422
        assert server.asked == []


def test_a_server_that_is_none_of_mastodons_says_so(stack: Running, views: Database[Document]) -> None:
    with vendor("x") as server, world(stack, views, server) as found:
        data = {"vendor": "mastodon", "service": server.address}
        answer = found.visitor.post(f"/brands/{found.brand}/connect", data=data)
        assert answer.status_code == 422
        assert "no application could be registered there" in answer.text.lower()


def test_what_a_vendor_says_is_shown_harmless(found: World) -> None:
    path = found.begin()
    back = urlsplit(found.consented(path))
    state = parse_qs(back.query)["state"][0]
    said = {"error": "odd", "error_description": "\u202e<script>alert(1)</script>" + "y" * 3_000, "state": state}
    assert found.visitor.get(f"{back.path}?{urlencode(said)}").status_code == 303
    page = found.visitor.get(path).text
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "y" * 300 not in page
    assert "X gave no code" in page


@pytest.mark.parametrize(
    ("name", "shown"),
    [("\u2800\u200b", "42"), ("\u202eevil\x1b[2J<b>", "evil[2J<b>"), ("h" * 400, "h" * 256), ("'=1+1", "'=1+1")],
    ids=["nothing to see", "controls", "too long", "a formula"],
)
def test_whatever_a_vendor_calls_an_account_it_is_connected(found: World, name: str, shown: str) -> None:
    found.server.accounts = [{"id": "42", "username": name, "name": name}]
    account = found.connected("42")
    home = f"/v1/brands/{found.brand}/accounts/{account}"
    assert found.api.client.get(home).json()["handle"] == shown
    page = found.visitor.get(f"/brands/{found.brand}/accounts").text
    assert "[2J<b>" not in page
