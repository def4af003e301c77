"""An account is connected in the portal: from the list of accounts to the vendor, back, and into the log."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pymongo.database import Database

from rapport.contracts.sealed import connection_place
from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.connecting.vendors.table import VENDORS
from tests.platforms.oauth import SECRET
from tests.services.api.connecting.world import ACCOUNTS, World, sealer, vendor, world
from tests.services.api.log import newest

pytestmark = pytest.mark.stack


@pytest.fixture
def facebook(stack: Running, views: Database[Document]) -> Iterator[World]:
    with vendor("facebook") as server, world(stack, views, server) as found:
        yield found


@pytest.mark.parametrize("name", sorted(VENDORS))
def test_an_account_is_connected_at_every_vendor(
    stack: Running, views: Database[Document], tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="rapport")
    seal, file = sealer(tmp_path)
    with vendor(name) as server, world(stack, views, server, sealing_keys=file) as found:
        path = found.granted()
        page = found.visitor.get(path).text
        for each in VENDORS[name].permissions:
            assert f'data-scope="{each.scope}" data-granted="yes"' in page
        first = ACCOUNTS[name][0]
        its = str(first.get("instagram_business_account", first).get("id") or first.get("user_id") or "")
        its = {"linkedin": "urn:li:organization:77", "tiktok": "open-1"}.get(name, its)
        more = {"identifier": "me-1"} if name == "tiktok" else {}
        answer = found.choose(path, its, **more)
        assert answer.status_code == 303, answer.text
        done = found.visitor.get(path).text
        assert "is connected" in done
        platform = VENDORS[name].platform
        account = f"{found.brand}-{platform}"
        open_ = found.connection(account, seal)
        token = {"facebook": "page-token-1", "instagram-facebook": "page-token-1"}.get(name) or server.live[-1]
        assert open_["token"] == token
        # In the log it is there, and sealed.
        (published,) = newest(stack.kafka, found.brand).accounts
        assert (published.id, published.platform) == (account, platform)
        assert published.connection["token"].startswith("sealed.v1.")
        assert seal.open(connection_place(account, "token"), published.connection["token"]) == token
        shown = found.api.client.get(f"/v1/brands/{found.brand}/accounts/{account}").json()
        assert shown["missing"] == []
        if name == "facebook":
            ends = datetime.fromisoformat(shown["expires_at"])
            assert timedelta(days=89) < ends - datetime.now(UTC) < timedelta(days=91)
        accounts = found.visitor.get(f"/brands/{found.brand}/accounts").text
        attempt = found.views["connection_attempts"].find_one({})
        hidden = [SECRET, token, *(one for each in server.consents for one in (*each.tokens, *each.refresh_tokens))]
        for where in (page, done, accounts, str(attempt), caplog.text, str(published.connection)):
            for secret in hidden:
                assert secret not in where


def test_a_permission_that_may_be_left_out_is_named_with_what_to_do(facebook: World) -> None:
    facebook.server.refused = {"pages_messaging"}
    path = facebook.granted()
    page = facebook.visitor.get(path).text
    assert 'data-scope="pages_messaging" data-granted="no"' in page
    assert "Edit settings" in page
    assert facebook.choose(path, "4001").status_code == 303
    found = facebook.api.client.get(f"/v1/brands/{facebook.brand}/accounts").json()["items"][0]
    assert [each["scope"] for each in found["missing"]] == ["pages_messaging"]
    assert "Edit settings" in found["missing"][0]["remedy"]
    # Asked again, Facebook is told to ask for what was refused.
    facebook.server.refused = set()
    again = facebook.visitor.get(f"{facebook.begin(account=found['id'])}/leave").headers["location"]
    assert "auth_type" not in again


def test_without_a_needed_permission_nothing_is_connected(facebook: World) -> None:
    facebook.server.refused = {"pages_read_user_content"}
    path = facebook.granted()
    page = facebook.visitor.get(path).text
    assert "without which nothing can be read" in page
    assert f"{path}/choose" not in page
    assert facebook.choose(path, "4001").status_code == 409
    assert facebook.api.client.get(f"/v1/brands/{facebook.brand}/accounts").json()["items"] == []
    # The owner changes their mind.
    facebook.server.refused = set()
    left = facebook.visitor.get(f"{path}/leave")
    assert "auth_type=rerequest" in left.headers["location"]
    assert facebook.visitor.get(facebook.consented(path)).status_code == 303
    assert facebook.choose(path, "4001").status_code == 303


def test_what_this_person_may_not_do_with_a_page_is_said_beside_it(facebook: World) -> None:
    page = facebook.visitor.get(facebook.granted()).text
    assert page.count("give this person the task MODERATE") == 1


def test_an_account_that_is_there_gets_the_new_token(facebook: World) -> None:
    account = facebook.connected("4001")
    facebook.server.accounts = [
        {**each, "access_token": f"{each['access_token']}-new"} for each in ACCOUNTS["facebook"]
    ]
    assert facebook.connected("4001") == account
    assert facebook.connection(account)["token"] == "page-token-1-new"
    path = facebook.granted(account=account)
    refused = facebook.choose(path, "4002")
    assert refused.status_code == 409
    assert "cannot become another one" in refused.text
    assert facebook.connection(account) == {"page": "4001", "token": "page-token-1-new"}
    assert facebook.choose(path, "4001").status_code == 303
    assert len(facebook.api.client.get(f"/v1/brands/{facebook.brand}/accounts").json()["items"]) == 1


def test_an_account_of_another_client_is_refused(facebook: World) -> None:
    facebook.connected("4001")
    other = f"{facebook.brand}-2"
    facebook.api.brand(other)
    facebook.brand = other
    answer = facebook.choose(facebook.granted(), "4001")
    assert answer.status_code == 409
    assert "is connected to another client" in answer.text


def test_an_id_that_is_taken_is_said_beside_the_field(facebook: World) -> None:
    facebook.connected("4001", "a-page")
    path = facebook.granted()
    assert "already an account" in facebook.choose(path, "4002", "a-page").text
    assert "use letters" in facebook.choose(path, "4002", "a b").text.lower()
    assert facebook.choose(path, "4002", "another-page").status_code == 303


def test_a_mastodon_account_from_before_the_id_was_kept_is_known_by_its_handle(
    stack: Running, views: Database[Document]
) -> None:
    with vendor("mastodon") as server, world(stack, views, server) as found:
        account = f"m-{found.brand}"
        body = {
            "id": account,
            "platform": "mastodon",
            "handle": f"@Hillside@{server.host}",
            "connection": {"service": server.address, "token": "old"},
        }
        assert found.api.client.post(f"/v1/brands/{found.brand}/accounts", json=body).status_code == 201
        path = found.granted(account=account)
        assert found.choose(path, "109").status_code == 303
        assert found.connection(account) == {
            "service": server.address,
            "user": "109",
            "token": server.live[-1],
        }
        server.accounts = [{"id": "110", "acct": "somebody", "display_name": "Else"}]
        assert found.choose(found.granted(account=account), "110").status_code == 409


@pytest.mark.parametrize(
    ("vendor_name", "break_", "words"),
    [
        ("facebook", "denies", "the consent was refused at Facebook"),
        ("youtube", "code_lasts", "does not accept its own code any more"),
        ("youtube", "clients", "compare RAPPORT_YOUTUBE_CLIENT_ID"),
        ("facebook", "accounts", "manages no Facebook Page"),
        ("x", "garbage", "something that is not JSON"),
        ("x", "empty", "no token that can be used"),
        ("x", "down", "X answered 503"),
        ("x", "limited", "limit of requests is reached"),
        ("facebook", "bulk", "more than 1048576 bytes"),
    ],
)
def test_what_goes_wrong_at_the_vendor_is_told_in_words(
    stack: Running, views: Database[Document], vendor_name: str, break_: str, words: str
) -> None:
    with vendor(vendor_name) as server, world(stack, views, server) as found:
        path = found.begin()
        match break_:
            case "denies":
                server.denies = True
            case "code_lasts":
                server.code_lasts = -1.0
            case "clients":
                server.clients = {"app-1": "another"}
            case "accounts":
                server.accounts = []
            case "bulk":
                server.bulk = 2 * 1_048_576
            case "garbage":
                server.failures = [(200, ["a list"])]
            case "empty":
                server.failures = [(200, {"access_token": "a\nb"})]
            case "down":
                server.failures = [(503, {})]
            case "limited":
                server.failures = [(429, {})]
        assert found.visitor.get(found.consented(path)).status_code == 303
        page = found.visitor.get(path).text
        assert "The account is not connected" in page
        assert words in page, page
        # And from there it can be tried again.
        assert f'href="{path}/leave"' in page


def test_a_vendor_that_hangs_is_given_up(
    stack: Running, views: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.connecting.service.CALL_SECONDS", 0.5)
    with vendor("x") as server, world(stack, views, server) as found:
        path = found.begin()
        server.hangs = True
        assert found.visitor.get(found.consented(path)).status_code == 303
        assert "X did not answer as it should: no answer in time" in found.visitor.get(path).text


def test_an_installation_without_an_application_says_what_is_missing(stack: Running, views: Database[Document]) -> None:
    with vendor("facebook") as server, world(stack, views, server, facebook_client_id="") as found:
        page = found.visitor.get(f"/brands/{found.brand}/accounts").text
        assert "Not set up in this installation: Facebook Page" in page
        answer = found.visitor.post(f"/brands/{found.brand}/connect", data={"vendor": "facebook"})
        assert answer.status_code == 409
        assert "RAPPORT_FACEBOOK_CLIENT_ID" in answer.text


def test_the_api_begins_what_the_portal_completes(facebook: World) -> None:
    home = f"/v1/brands/{facebook.brand}/connections"
    made = facebook.api.client.post(home, json={"vendor": "facebook"})
    assert made.status_code == 201, made.text
    begun = made.json()
    path = f"/brands/{facebook.brand}/connect/{begun['id']}"
    assert begun["address"] == f"https://portal.example{path}"
    assert (begun["step"], begun["permissions"][0]["granted"]) == ("begun", None)
    facebook.visitor.get(facebook.consented(path))
    assert facebook.api.client.get(f"{home}/{begun['id']}").json()["step"] == "granted"
    assert facebook.choose(path, "4001").status_code == 303
    done = facebook.api.client.get(f"{home}/{begun['id']}").json()
    assert (done["step"], done["account"], done["replaced"]) == ("connected", f"{facebook.brand}-facebook", False)
    assert all(each["granted"] for each in done["permissions"])
    for wrong, status in (({"vendor": "myspace"}, 422), ({"vendor": "x"}, 409), ({"vendor": "mastodon"}, 422)):
        assert facebook.api.client.post(home, json=wrong).status_code == status
