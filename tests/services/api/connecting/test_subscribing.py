"""Connecting an account has its platform send what happens there, and disconnecting it ends that."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError
from pymongo.database import Database

from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.connecting.vendors import x as of_x
from services.api.connecting.vendors.meta import Facebook
from services.api.settings import ApiSettings
from services.ingest.connectors.facebook.reader import PUSHED
from services.ingest.connectors.x.normalise import READ_EVENTS
from services.ingest.connectors.x.webhook import PATH
from tests.kit.http.connections import clients
from tests.platforms.graph import FAILED, GraphServer, refusal
from tests.platforms.linkedin import LinkedInServer
from tests.platforms.oauth import CLIENT, MEMBER
from tests.platforms.subscribed_apps import OTHER
from tests.platforms.x import BEARER, Problem, XServer
from tests.services.api.connecting.world import World, page_fields, vendor, world
from tests.services.api.web.portal_session import logged_in

pytestmark = pytest.mark.stack

INGEST = "https://ingest.example"
REFUSED = refusal(200, "(#200) The user does not have MODERATE on the page", 403)


@pytest.fixture
def facebook(stack: Running, views: Database[Document]) -> Iterator[World]:
    with vendor("facebook") as server, world(stack, views, server) as found:
        yield found


@pytest.fixture
def x(stack: Running, views: Database[Document]) -> Iterator[World]:
    with vendor("x") as server, world(stack, views, server, x_bearer=SecretStr(BEARER)) as found:
        yield found


def graph(found: World) -> GraphServer:
    assert isinstance(found.server.interface, GraphServer)
    return found.server.interface


def connect(found: World, choice: str, **form: str) -> tuple[str, str]:
    """Connects an account, and gives its id and the page that says so."""
    path = found.granted(**form)
    answer = found.choose(path, choice)
    assert answer.status_code == 303, answer.text
    page = found.visitor.get(path).text
    stored = found.views["connection_attempts"].find_one({"_id": path.rpartition("/")[2]})
    assert stored is not None
    return str(stored["connected"]), " ".join(page.split())


def disconnect(found: World, account: str) -> None:
    answer = found.api.client.delete(f"/v1/brands/{found.brand}/accounts/{account}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["disconnected_at"] is not None


def test_a_page_is_subscribed_to_what_ingest_reads(facebook: World) -> None:
    account, page = connect(facebook, "4001")
    assert sorted(page_fields(facebook.server, "4001") or ()) == sorted(PUSHED)
    assert page_fields(facebook.server, "4002") is None
    assert "Facebook sends comments, mentions and messages from now on." in page
    assert "does not send" not in page
    # Which is what ingest finds when it looks.
    told = httpx.get(f"{graph(facebook).api}/4001/subscribed_apps", headers={"Authorization": "Bearer page-token-1"})
    assert sorted(each["id"] for each in told.json()["data"]) == sorted([CLIENT, OTHER["id"]])
    # Once more changes nothing, so nothing is asked for.
    account_again, page = connect(facebook, "4001", account=account)
    assert account_again == account
    assert "Facebook sends comments, mentions and messages from now on." in page
    assert sum("subscribed_fields" in query for _, query in graph(facebook).asked) == 1


def test_messages_are_left_out_where_they_are_not_allowed(facebook: World) -> None:
    facebook.server.refused = {"pages_messaging"}
    _, page = connect(facebook, "4001")
    assert sorted(page_fields(facebook.server, "4001") or ()) == ["feed", "mention"]
    assert "Facebook sends comments and mentions from now on." in page


def test_what_another_program_asked_for_with_the_same_application_stays(facebook: World) -> None:
    (its,) = (each for each in graph(facebook).owners if each.id == "4001")
    its.subscribed = ["leadgen"]
    account, _ = connect(facebook, "4001")
    assert sorted(page_fields(facebook.server, "4001") or ()) == sorted([*PUSHED, "leadgen"])
    disconnect(facebook, account)
    assert page_fields(facebook.server, "4001") == ["leadgen"]


def test_an_application_is_found_among_many_that_are_subscribed_to_a_page(facebook: World) -> None:
    graph(facebook).apps = [{**OTHER, "id": str(each)} for each in range(5_000, 5_060)]
    test_what_another_program_asked_for_with_the_same_application_stays(facebook)


@pytest.mark.parametrize(
    ("how", "why", "remedy"),
    [
        (refusal(200, "(#200) No, politely", 200), "Facebook answered 200: (#200) No, politely.", "Page access"),
        (REFUSED, "Facebook answered 403: (#200) The user does not have MODERATE on the page.", "Page access"),
        (FAILED, "Facebook answered 500: Service temporarily unavailable.", "Wait a few minutes, and connect again."),
    ],
)
def test_an_account_that_is_not_subscribed_is_connected_all_the_same(
    facebook: World, how: Any, why: str, remedy: str
) -> None:
    graph(facebook).refuse(how)
    account, page = connect(facebook, "4001")
    assert f"{account} is connected." in page
    assert f"Facebook does not send what happens on it: {why}" in page
    assert "Until then it is asked every ten minutes" in page
    assert remedy in page
    assert facebook.connection(account) == {"page": "4001", "token": "page-token-1"}
    assert page_fields(facebook.server, "4001") is None
    accounts = " ".join(facebook.visitor.get(f"/brands/{facebook.brand}/accounts").text.split())
    assert f"Facebook could not be made to send what happens on it: {why}" in accounts
    # The client learns that, and not what is between the agency and the platform.
    key = facebook.api.key([facebook.brand], "read")
    with logged_in(facebook.api, key) as client:
        accounts = " ".join(client.get(f"/brands/{facebook.brand}/accounts").text.split())
    assert "Facebook could not be made to send what happens on it." in accounts
    assert remedy not in accounts
    # The button below it leads to the same account's next try.
    assert f'name="account" value="{account}"' in page
    again, page = connect(facebook, "4001", account=account)
    assert again == account
    assert "Facebook sends comments, mentions and messages from now on." in page
    assert "could not be made to send" not in facebook.visitor.get(f"/brands/{facebook.brand}/accounts").text


def test_a_platform_that_hangs_keeps_nobody_waiting(
    stack: Running, views: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.connecting.pushing.ALL_SECONDS", 0.5)
    with vendor("facebook") as server, world(stack, views, server) as found:
        server.interface_hangs = True
        account, page = connect(found, "4001")
        assert "Facebook took too long to answer" in page
        assert found.connection(account)["token"] == "page-token-1"
        server.interface_hangs = False


def test_what_nobody_foresaw_costs_no_account(facebook: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks(*_: object) -> None:
        raise KeyError("page")

    monkeypatch.setattr("services.api.connecting.vendors.meta.Facebook.subscribe", breaks)
    account, page = connect(facebook, "4001")
    assert "it went wrong here" in page
    assert facebook.connection(account)["token"] == "page-token-1"


def test_an_instagram_account_is_subscribed_with_its_own_token(stack: Running, views: Database[Document]) -> None:
    with vendor("instagram") as server, world(stack, views, server) as found:
        _, page = connect(found, "17841")
        wanted = ["comments", "live_comments", "mentions", "messages", "messaging_postbacks"]
        assert sorted(page_fields(server, "17841") or ()) == wanted
        assert "Instagram sends comments, mentions and messages from now on." in page
        server.refused = {"instagram_business_manage_messages"}
        _, page = connect(found, "17841")
        assert sorted(page_fields(server, "17841") or ()) == wanted[:3]
        assert "Instagram sends comments and mentions from now on." in page
        disconnect(found, f"{found.brand}-instagram")
        assert page_fields(server, "17841") is None


def test_an_instagram_account_of_a_page_subscribes_the_page_and_nothing_that_people_write_there(
    stack: Running, views: Database[Document]
) -> None:
    with vendor("instagram-facebook") as server, world(stack, views, server) as found:
        account, page = connect(found, "17841")
        assert page_fields(server, "4001") == ["name"]
        assert "Instagram sends comments, mentions and messages from now on." in page
        assert found.connection(account)["page"] == "4001"
        disconnect(found, account)
        assert page_fields(server, "4001") is None


def test_a_page_is_kept_for_its_instagram_account_and_nothing_that_people_write_there_is_sent(facebook: World) -> None:
    page, _ = connect(facebook, "4001")
    body = {
        "id": f"{facebook.brand}-instagram",
        "platform": "instagram",
        "handle": "hillside",
        "connection": {"user": "17841", "login": "facebook", "page": "4001", "token": "t"},
    }
    assert facebook.api.client.post(f"/v1/brands/{facebook.brand}/accounts", json=body).status_code == 201
    disconnect(facebook, page)
    assert page_fields(facebook.server, "4001") == ["name"]
    # It was not Rapport that subscribed the one whose token was typed in: that stays somebody else's.
    disconnect(facebook, f"{facebook.brand}-instagram")
    assert page_fields(facebook.server, "4001") == ["name"]


def test_who_stops_in_the_middle_has_noted_that_a_platform_was_told(
    facebook: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe = Facebook.subscribe

    async def stops(*its: Any) -> Any:
        await subscribe(*its)
        raise asyncio.CancelledError

    monkeypatch.setattr(Facebook, "subscribe", stops)
    path = facebook.granted()
    with suppress(httpx.HTTPError):
        facebook.choose(path, "4001")
    assert "feed" in (page_fields(facebook.server, "4001") or ())
    accounts = " ".join(facebook.visitor.get(f"/brands/{facebook.brand}/accounts").text.split())
    assert "Rapport has not heard yet what came of it" in accounts
    disconnect(facebook, f"{facebook.brand}-facebook")
    assert page_fields(facebook.server, "4001") is None


def test_an_account_that_is_disconnected_while_a_platform_is_told_is_sent_nothing_of(
    facebook: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe, account = Facebook.subscribe, f"{facebook.brand}-facebook"

    async def meanwhile(*its: Any) -> Any:
        await asyncio.to_thread(disconnect, facebook, account)
        return await subscribe(*its)

    monkeypatch.setattr(Facebook, "subscribe", meanwhile)
    assert connect(facebook, "4001")[0] == account
    assert page_fields(facebook.server, "4001") is None
    assert facebook.views["account_tokens"].find_one({"_id": account}) is None


def test_an_account_that_is_connected_again_while_its_end_is_told_stays_known(
    facebook: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsubscribe = Facebook.unsubscribe
    account, _ = connect(facebook, "4001")

    def again() -> None:
        answer = facebook.choose(facebook.granted(), "4001", account)
        assert answer.status_code == 303, answer.text

    async def meanwhile(*its: Any) -> None:
        await unsubscribe(*its)
        await asyncio.to_thread(again)

    monkeypatch.setattr(Facebook, "unsubscribe", meanwhile)
    answer = facebook.api.client.delete(f"/v1/brands/{facebook.brand}/accounts/{account}", timeout=30)
    assert answer.status_code == 200, answer.text
    found = facebook.views["account_tokens"].find_one({"_id": account})
    assert found is not None
    assert found["push"]["what"] == ["comments", "mentions", "messages"]


def test_a_page_that_was_disconnected_is_not_subscribed_any_more(facebook: World) -> None:
    account, _ = connect(facebook, "4001")
    other, _ = connect(facebook, "4002")
    disconnect(facebook, account)
    assert page_fields(facebook.server, "4001") is None
    assert "feed" in (page_fields(facebook.server, "4002") or ())
    # A refusal keeps nobody from disconnecting.
    graph(facebook).refuse(REFUSED)
    disconnect(facebook, other)
    assert facebook.views["account_tokens"].find_one({"_id": other}) is None


def test_a_linkedin_page_is_subscribed_for_its_administrator(stack: Running, views: Database[Document]) -> None:
    urn = "urn:li:organization:77"
    settings = {"linkedin_application": "12345", "ingest_address": INGEST}
    with vendor("linkedin") as server, world(stack, views, server, **settings) as found:
        its = server.interface
        assert isinstance(its, LinkedInServer)
        account, page = connect(found, urn)
        assert its.webhooks == {urn: f"{INGEST}/v1/platforms/linkedin"}
        assert its.subscribed[urn] > time.time()
        assert "LinkedIn sends comments, mentions, likes and shares from now on." in page
        # By its member ingest asks whether it still is.
        assert found.connection(account)["member"] == MEMBER
        disconnect(found, account)
        assert its.subscribed == {}
        its.administrators = set()
        _, page = connect(found, urn)
        assert "LinkedIn does not send what happens on it: LinkedIn answered 403" in page


def test_a_linkedin_page_that_another_administrator_connects_again_is_sent_once(
    stack: Running, views: Database[Document]
) -> None:
    urn, other = "urn:li:organization:77", "urn:li:person:another"
    settings = {"linkedin_application": "12345", "ingest_address": INGEST}
    with vendor("linkedin") as server, world(stack, views, server, **settings) as found:
        its = server.interface
        assert isinstance(its, LinkedInServer)
        its.administrators = {MEMBER, other}
        account, _ = connect(found, urn)
        server.member = other
        again, page = connect(found, urn, account=account)
        assert again == account
        assert its.members == {urn: {other}}
        assert "LinkedIn sends comments, mentions, likes and shares from now on." in page
        disconnect(found, account)
        assert its.subscribed == {}


@pytest.mark.parametrize("missing", ["linkedin_application", "ingest_address"])
def test_a_linkedin_page_says_what_the_api_lacks(stack: Running, views: Database[Document], missing: str) -> None:
    settings = {"linkedin_application": "12345", "ingest_address": INGEST, missing: ""}
    with vendor("linkedin") as server, world(stack, views, server, **settings) as found:
        _, page = connect(found, "urn:li:organization:77")
        assert "LinkedIn does not send what happens on it" in page
        assert "RAPPORT_LINKEDIN_APPLICATION and RAPPORT_INGEST_ADDRESS" in page
        assert "asked every 15 minutes" in page


def test_an_x_account_is_subscribed_to_each_event_once(x: World) -> None:
    its = x.server.interface
    assert isinstance(its, XServer)
    path = x.granted()
    assert "charges for each event" in x.visitor.get(path).text
    account, page = connect(x, "42")
    assert {each["event_type"] for each in its.made.values()} == READ_EVENTS
    assert {each["filter"]["user_id"] for each in its.made.values()} == {"42"}
    assert "X sends replies, mentions, quotes, reposts, follows, likes and messages from now on." in page
    before = sorted(its.made)
    _, page = connect(x, "42")
    assert sorted(its.made) == before
    assert "does not send" not in page
    # X charges until that is ended, each that is left: so a failure of one leaves no other.
    its.subscribed.add("43")
    its.refuse("activity/subscriptions/", its.FAILS, times=2)
    disconnect(x, account)
    assert len(its.made) == 2
    assert its.subscribed == {"43"}
    account, _ = connect(x, "42")
    disconnect(x, account)
    assert its.made == {}
    assert its.subscribed == {"43"}


def test_what_another_process_subscribed_meanwhile_is_not_refused(x: World) -> None:
    its = x.server.interface
    assert isinstance(its, XServer)
    connect(x, "42")
    before = sorted(its.made)
    its.refuse("activity/subscriptions", Problem(200, {"data": [], "meta": {"result_count": 0}}))
    _, page = connect(x, "42")
    assert sorted(its.made) == before
    assert "X sends replies, mentions, quotes, reposts, follows, likes and messages from now on." in page
    assert "does not send" not in page


def test_an_answer_of_x_that_is_an_error_is_no_list_without_subscriptions(x: World) -> None:
    its = x.server.interface
    assert isinstance(its, XServer)
    its.refuse("activity", Problem(200, {"errors": [{"title": "Unavailable", "detail": "Try this later."}]}))
    _, page = connect(x, "42")
    assert "X does not send what happens on it: X answered 200: Try this later." in page
    assert its.made == {}


def test_an_event_that_x_refuses_leaves_the_others(x: World) -> None:
    its = x.server.interface
    assert isinstance(its, XServer)
    its.not_in_package = {"follow.follow", "follow.unfollow"}
    x.server.refused = {"dm.read"}
    account, page = connect(x, "42")
    messages = set(of_x.EVENTS["dm.read"])
    assert {each["event_type"] for each in its.made.values()} == READ_EVENTS - its.not_in_package - messages
    assert "X sends replies, mentions, quotes, reposts and likes from now on." in page
    assert "X does not send all of what happens on it: X refuses follow.follow, follow.unfollow: X answered 403" in page
    its.not_in_package = set()
    _, page = connect(x, "42", account=account)
    assert "does not send" not in page


def test_a_permission_that_x_was_not_given_takes_only_what_needs_it(x: World) -> None:
    its = x.server.interface
    assert isinstance(its, XServer)
    x.server.refused = {"like.read", "block.read"}
    account, page = connect(x, "42")
    left_out = {*of_x.EVENTS["like.read"], *of_x.EVENTS["block.read"]}
    assert {each["event_type"] for each in its.made.values()} == READ_EVENTS - left_out
    assert "does not send" not in page
    page = x.visitor.get(f"/brands/{x.brand}/accounts").text
    assert "Not allowed to be told of likes; to be told whom the account blocks. Connect it again to allow it." in page
    x.server.refused = set()
    connect(x, "42", account=account)
    assert {each["event_type"] for each in its.made.values()} == READ_EVENTS


@pytest.mark.parametrize(
    ("break_", "words"),
    [
        ("bearer", "Give the API the application&#39;s bearer token as RAPPORT_X_BEARER"),
        ("another", "X answered 401: Unauthorized, to RAPPORT_X_BEARER"),
        ("webhook", "no webhook of the application leads to Rapport"),
        ("limit", "Until then nothing of it is received. Wait a few minutes, and connect again."),
        ("package", "X answered 403: post.create is not in your package"),
    ],
)
def test_an_x_account_says_what_it_lacks(stack: Running, views: Database[Document], break_: str, words: str) -> None:
    bearer = {"bearer": "", "another": "another"}.get(break_, BEARER)
    with vendor("x") as server, world(stack, views, server, x_bearer=SecretStr(bearer)) as found:
        its = server.interface
        assert isinstance(its, XServer)
        its.registered = break_ != "webhook"
        if break_ == "limit":
            its.refuse("activity", its.FAILS._replace(status=429))
        if break_ == "package":
            its.not_in_package = set(READ_EVENTS)
        _, page = connect(found, "42")
        assert words in page, page
        assert its.made == {}


@pytest.mark.parametrize("name", ["threads", "youtube", "tiktok", "mastodon"])
def test_a_platform_that_needs_no_telling_is_told_nothing(stack: Running, views: Database[Document], name: str) -> None:
    choice = {"threads": "9001", "youtube": "UChillside", "tiktok": "open-1", "mastodon": "109"}[name]
    with vendor(name) as server, world(stack, views, server) as found:
        path = found.granted()
        assert found.choose(path, choice, identifier="me-1").status_code == 303
        page = found.visitor.get(path).text
        assert "is connected" in page
        assert "from now on." not in page
        assert "does not send" not in page


def test_the_api_says_what_came_of_it(facebook: World) -> None:
    path = facebook.granted()
    home = f"/v1/brands/{facebook.brand}/connections/{path.rpartition('/')[2]}"
    assert facebook.api.client.get(home).json()["push"] is None
    graph(facebook).refuse(REFUSED)
    facebook.choose(path, "4001")
    push = facebook.api.client.get(home).json()["push"]
    assert (push["what"], push["why"][:21]) == ([], "Facebook answered 403")
    assert "Page access" in push["remedy"]


def test_connections_to_platforms_end_with_the_api(
    stack: Running, views: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = clients(monkeypatch)
    with vendor("facebook") as server, world(stack, views, server) as found:
        connect(found, "4001")
    assert made
    assert [each for each in made if not each.is_closed] == []


def test_x_is_asked_for_each_event_that_ingest_reads() -> None:
    assert {event for its in of_x.EVENTS.values() for event in its} == READ_EVENTS
    assert {each.scope for each in of_x.X.permissions} > set(of_x.EVENTS)
    assert of_x.HOOK == PATH


@pytest.mark.parametrize(
    "setting",
    [
        {"ingest_address": "ingest.example"}, {"ingest_address": f"{INGEST}/v1"}, {"ingest_address": f"{INGEST}:0"},
        {"ingest_address": "https://ingest example"}, {"portal": ""}, {"portal": "https://me@portal.example"},
        {"linkedin_application": "urn:li:x:1"},
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_right_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ApiSettings(**setting)
