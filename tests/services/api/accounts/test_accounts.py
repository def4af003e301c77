"""Accounts come and go: what the scorer and ingest hear of it, and who sees it when."""

import asyncio
import inspect
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from pymongo.database import Database

from rapport.contracts.controls import AccountConnected, AccountDisconnected
from rapport.contracts.events import Account
from rapport.domain.exchanges.connection import Connection
from rapport.domain.times import ms
from rapport.kit import mongo
from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.accounts.connections import READ
from services.api.accounts.repository import Accounts
from services.api.accounts.schemas import MOST_STAFF
from services.api.publishing.repository import Outgoing
from services.api.storage.tenants import Tenants
from services.ingest.connectors.bluesky import source as bluesky_source
from services.ingest.connectors.bluesky import speaker as bluesky_speaker
from services.ingest.door import secrets_at
from tests.services.api.conftest import Served
from tests.services.api.log import controls, newest
from tests.services.api.publishing.test_publisher import cut_off, publish_all

pytestmark = pytest.mark.stack
__all__ = ["cut_off"]


@pytest.fixture
def brand(database: str) -> str:
    """A brand of this test's own, because the log is shared."""
    return f"b-{database[5:17]}"


def _connect(api: Served, brand: str, **more: Any) -> dict[str, Any]:
    body = {"id": f"a-{brand}", "platform": "bluesky", "handle": "shop.example", **more}
    answer = api.client.post(f"/v1/brands/{brand}/accounts", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _accounts(stack: Running, brand: str) -> tuple[Account, ...]:
    """Those in the newest record of a brand."""
    return newest(stack.kafka, brand).accounts


def _times(stack: Running, brand: str) -> list[list[tuple[str, datetime]]]:
    """What each partition says of connections, in order."""
    return [
        [
            ("connected", each.connected_at)
            if isinstance(each, AccountConnected)
            else ("disconnected", each.disconnected_at)
            for each in found
            if isinstance(each, AccountConnected | AccountDisconnected)
        ]
        for found in controls(stack.kafka, brand).values()
    ]


def test_a_disconnected_account_is_gone_for_ingest_and_every_partition_knows_since_when(
    api: Served, stack: Running, brand: str
) -> None:
    api.brand(brand)
    account = _connect(api, brand, staff=["did:plc:grace"])
    path = f"/v1/brands/{brand}/accounts/{account['id']}"
    assert _accounts(stack, brand)[0].staff == ("did:plc:grace",)
    before = datetime.now(UTC)
    gone = api.client.delete(path)
    assert gone.status_code == 200, gone.text
    disconnected_at = datetime.fromisoformat(gone.json()["disconnected_at"])
    assert before - timedelta(seconds=1) < disconnected_at <= datetime.now(UTC)
    assert _accounts(stack, brand) == ()
    assert api.client.get(f"/v1/brands/{brand}/accounts").json()["items"] == []
    connected_at = datetime.fromisoformat(account["connected_at"])
    for times in _times(stack, brand):
        assert times[0] == ("connected", connected_at)
        assert times[-1] == ("disconnected", disconnected_at)
    again = api.client.delete(path)
    assert (again.status_code, again.json()) == (200, gone.json())
    assert api.client.patch(path, json={"handle": "b"}).status_code == 404
    assert api.client.delete(f"/v1/brands/{brand}/accounts/nobody").status_code == 404


def test_an_account_connected_again_has_a_new_secret_and_all_its_times_stay_in_the_log(
    api: Served, stack: Running, views: Database[Document], brand: str
) -> None:
    api.brand(brand)
    api.brand(f"{brand}-2")
    first = _connect(api, brand, connected_at="2026-01-01T00:00:00Z")
    path = f"/v1/brands/{brand}/accounts/{first['id']}"
    ended = api.client.delete(path).json()["disconnected_at"]
    body = {"id": first["id"], "platform": "bluesky", "handle": "new.example"}
    for changed, status in (
        ({"platform": "mastodon"}, 409),
        ({"connected_at": ended}, 422),
        ({"connected_at": "2026-01-02T00:00:00Z"}, 422),
    ):
        answer = api.client.post(f"/v1/brands/{brand}/accounts", json={**body, **changed})
        assert answer.status_code == status, answer.text
    assert api.client.post(f"/v1/brands/{brand}-2/accounts", json=body).status_code == 409

    second = _connect(api, brand, handle="new.example")
    assert second["door_secret"] != first["door_secret"]
    assert (second["handle"], second["disconnected_at"]) == ("new.example", None)
    assert api.client.post(f"/v1/brands/{brand}/accounts", json=body).status_code == 409
    (now_there,) = _accounts(stack, brand)
    assert (now_there.handle, now_there.door_secrets) == ("new.example", (second["door_secret"],))

    # A day later, all of it is said again, and whoever reads only that knows the same.
    seen = [len(times) for times in _times(stack, brand)]
    views["brands"].update_many({}, {"$set": {"published_at": datetime.now(UTC) - timedelta(days=2)}})
    assert brand in publish_all(stack, views.name)
    times = [
        ("connected", datetime.fromisoformat(first["connected_at"])),
        ("disconnected", datetime.fromisoformat(ended)),
        ("connected", datetime.fromisoformat(second["connected_at"])),
    ]
    for known, found in zip(seen, _times(stack, brand), strict=True):
        assert found[known:] == times
        connection = Connection()
        for what, at in found:
            connection.note(ms(at), connected=what == "connected")
        assert connection.live(ms(times[0][1]))
        assert not connection.live(ms(times[1][1]))
        assert connection.live(ms(times[2][1]))


def test_every_name_that_the_connector_reads_may_be_saved() -> None:
    source = inspect.getsource(bluesky_source) + inspect.getsource(bluesky_speaker)
    read = set(re.findall(r'(?:connection|its)(?:\.get\(|\[)"(\w+)"', source))
    assert read == set(READ["bluesky"])


@pytest.mark.parametrize(
    ("connection", "why"),
    [
        ({"jetsream": "wss://j.example"}, "did you mean jetstream?"),
        ({"did": "did:plc:a", "pasword": "x"}, "did you mean password?"),
        ({"password": "x"}, "also needs did"),
        ({"service": "wss://a.example"}, "also needs did"),
        ({"did": "did:plc:a", "service": "wss://me:hunter2@a.example"}, "service has a login"),
        ({"did": "did:plc:a", "jetstream": "wss://hunter2@a.example"}, "jetstream has a login"),
        ({"did": "did:plc:a", "jetstream": "wss://[hunter2@"}, "jetstream has a login"),
        ({"did": "alice.example", "jetstream": "wss://a.example"}, "also needs did"),
        ({"did": "did:plc:a", "service": "wss://a.example", "jetstream": "wss://b.example"}, "only one of"),
    ],
)
def test_a_connection_that_nothing_could_be_read_by_is_refused_when_it_is_saved(
    api: Served, brand: str, connection: dict[str, str], why: str
) -> None:
    api.brand(brand)
    body = {"id": f"a-{brand}", "platform": "bluesky", "handle": "shop.example", "connection": connection}
    answer = api.client.post(f"/v1/brands/{brand}/accounts", json=body)
    assert (answer.status_code, why in answer.json()["detail"]) == (422, True), answer.text
    account = _connect(api, brand)
    path = f"/v1/brands/{brand}/accounts/{account['id']}"
    answer = api.client.patch(path, json={"connection": connection})
    assert (answer.status_code, why in answer.json()["detail"]) == (422, True), answer.text


@pytest.mark.parametrize(
    ("connection", "why"),
    [
        ({"service": "https://m.example"}, "token is missing"),
        ({"token": "x"}, "service is missing"),
        ({"service": "m.example", "token": "x"}, "service is missing"),
        ({"service": "https://m.example/api?x", "token": "x"}, "service is missing"),
        ({"service": "https://u:p@m.example", "token": "x"}, "service is missing"),
        ({"service": "https://m.example", "token": "x\r\nHost: y"}, "token is missing"),
        ({"service": "https://m.example", "token": "é"}, "token is missing"),
        ({"service": "https://m.example", "token": "x", "users": "1"}, "did you mean user?"),
        ({"service": "https://m.example", "token": "x", "token_expires_at": "soon"}, "token_expires_at is not a time"),
        ({"service": "https://m.example", "token": "x", "refresh_token": "a b"}, "refresh_token is not a token"),
    ],
)
def test_a_mastodon_account_needs_its_server_and_a_token(
    api: Served, brand: str, connection: dict[str, str], why: str
) -> None:
    api.brand(brand)
    body = {"id": f"a-{brand}", "platform": "mastodon", "handle": "@a@m.example", "connection": connection}
    answer = api.client.post(f"/v1/brands/{brand}/accounts", json=body)
    assert (answer.status_code, why in answer.json()["detail"]) == (422, True), answer.text


def test_a_platforms_account_is_connected_to_one_client_only(api: Served, brand: str) -> None:
    """Its webhooks, private messages included, would go to both."""
    other = f"{brand}-2"
    api.brand(brand)
    api.brand(other)
    page = {"platform": "facebook", "connection": {"page": f"page-{brand}"}}
    first = _connect(api, brand, **page)
    _connect(api, brand, id=f"again-{brand}", **page)
    body = {"id": f"a-{other}", "handle": "b", **page}
    for wrong in (body, {**body, "connection": {"page": f" page-{brand} "}}):
        refused = api.client.post(f"/v1/brands/{other}/accounts", json=wrong)
        assert (refused.status_code, "connected to another client" in refused.text) == (409, True), refused.text
    later = _connect(api, other, id=f"a-{other}", platform="facebook", connection={"page": "elsewhere"})
    path = f"/v1/brands/{other}/accounts/{later['id']}"
    assert api.client.patch(path, json={"connection": page["connection"]}).status_code == 409
    # Once nobody has it any more, it can be another client's.
    for account in (first["id"], f"again-{brand}"):
        assert api.client.delete(f"/v1/brands/{brand}/accounts/{account}").status_code == 200
    assert api.client.patch(path, json={"connection": page["connection"]}).status_code == 200


@pytest.mark.parametrize("first", ["{}", "urn:li:organization:{}", "urn:li:company:{}"])
def test_a_linkedin_page_is_one_clients_only_however_its_id_is_written(api: Served, brand: str, first: str) -> None:
    """Its webhooks find an account under each of these."""
    other, number = f"{brand}-2", str(uuid4().int % 10**12)
    api.brand(brand)
    api.brand(other)
    _connect(api, brand, platform="linkedin", connection={"organization": first.format(number)})
    for written in ("{}", "urn:li:organization:{}", "urn:li:company:{}", " {} "):
        body = {"id": f"a-{other}", "platform": "linkedin", "handle": "b"}
        wrong = {**body, "connection": {"organization": written.format(number)}}
        refused = api.client.post(f"/v1/brands/{other}/accounts", json=wrong)
        assert (refused.status_code, "connected to another client" in refused.text) == (409, True), refused.text
    good = {**body, "connection": {"organization": f"{number}1"}}
    assert api.client.post(f"/v1/brands/{other}/accounts", json=good).status_code == 201


def test_blanks_around_a_platforms_id_are_no_part_of_it(api: Served, brand: str) -> None:
    other = f"{brand}-2"
    api.brand(brand)
    api.brand(other)
    _connect(api, brand, platform="facebook", connection={"page": f" page-{brand}\u00a0"})
    body = {"id": f"a-{other}", "platform": "facebook", "handle": "b", "connection": {"page": f"page-{brand}"}}
    assert api.client.post(f"/v1/brands/{other}/accounts", json=body).status_code == 409


def test_an_account_is_changed_by_what_is_given(api: Served, stack: Running, brand: str) -> None:
    api.brand(brand)
    account = _connect(api, brand, connection={"did": "did:plc:shop"}, staff=["a"])
    path = f"/v1/brands/{brand}/accounts/{account['id']}"
    answer = api.client.patch(path, json={"staff": ["b", "c"]})
    assert (answer.status_code, answer.json()["staff"]) == (200, ["b", "c"])
    assert api.client.patch(path, json={"handle": "new.example", "connection": {}}).status_code == 200
    assert api.client.patch(path, json={}).json()["handle"] == "new.example"
    (written,) = _accounts(stack, brand)
    assert (written.handle, written.staff, written.connection) == ("new.example", ("b", "c"), {})
    assert written.door_secrets == (account["door_secret"],)
    assert [each["staff"] for each in api.client.get(f"/v1/brands/{brand}/accounts").json()["items"]] == [["b", "c"]]
    for wrong, field in (
        ({"staff": [""]}, "staff.0"),
        ({"staff": ["x"] * (MOST_STAFF + 1)}, "staff"),
        ({"staff": ["x" * 257]}, "staff.0"),
        ({"handle": ""}, "handle"),
        ({"platform": "mastodon"}, "platform"),
    ):
        answer = api.client.patch(path, json=wrong)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == field


def test_accounts_take_the_admin_scope(api: Served, brand: str) -> None:
    api.brand(brand)
    account = _connect(api, brand)
    with api.with_key(api.key([brand], "write")) as client:
        path = f"/v1/brands/{brand}/accounts/{account['id']}"
        assert client.delete(path).status_code == 403
        assert client.patch(path, json={"handle": "b"}).status_code == 403


def test_without_a_broker_a_change_is_seen_by_nobody_until_it_is_in_the_log(
    cut_off: Served, stack: Running, views: Database[Document], brand: str
) -> None:
    assert cut_off.client.post("/v1/brands", json={"id": brand, "name": "Aurora"}).status_code == 503
    publish_all(stack, views.name)
    body = {"id": f"a-{brand}", "platform": "bluesky", "handle": "shop.example"}
    path = f"/v1/brands/{brand}/accounts"
    assert cut_off.client.post(path, json=body).status_code == 503
    publish_all(stack, views.name)

    def handles() -> list[str]:
        return [each["handle"] for each in cut_off.client.get(path).json()["items"]]

    assert cut_off.client.patch(f"{path}/{body['id']}", json={"handle": "new.example"}).status_code == 503
    assert handles() == ["shop.example"]
    assert cut_off.client.delete(f"{path}/{body['id']}").status_code == 503
    assert handles() == ["shop.example"]
    assert len(_accounts(stack, brand)) == 1
    assert publish_all(stack, views.name) == [brand]
    assert handles() == []
    assert _accounts(stack, brand) == ()
    assert publish_all(stack, views.name) == []

    again = {**body, "handle": "again.example"}
    assert cut_off.client.post(path, json=again).status_code == 503
    stored = views["accounts"].find_one({"_id": body["id"]})
    assert stored is not None
    wanted = stored["pending"]["door_secrets"]
    assert cut_off.client.post(path, json=again).status_code == 503, "the same request again is that request"
    publish_all(stack, views.name)
    assert handles() == ["again.example"]
    assert list(_accounts(stack, brand)[0].door_secrets) == wanted


def test_an_account_stored_by_an_earlier_version_can_be_disconnected(
    api: Served, stack: Running, views: Database[Document], brand: str
) -> None:
    api.brand(brand)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    views["accounts"].insert_one(
        {"_id": f"a-{brand}", "brand": brand, "platform": "bluesky", "handle": "a", "connected_at": at}
        | {"door_secrets": ["s"], "connection": {}, "published": True, "secret_shown": True}
    )
    assert [each["staff"] for each in api.client.get(f"/v1/brands/{brand}/accounts").json()["items"]] == [[]]
    assert api.client.delete(f"/v1/brands/{brand}/accounts/a-{brand}").status_code == 200
    assert [[what for what, _ in times] for times in _times(stack, brand)] == [["connected", "disconnected"]] * 4


def test_changes_at_the_same_time_are_taken_one_by_one_and_all_that_was_taken_is_in_the_log(
    api: Served, stack: Running, views: Database[Document], brand: str
) -> None:
    api.brand(brand)
    account = _connect(api, brand)
    path = f"/v1/brands/{brand}/accounts/{account['id']}"

    def change(number: int) -> int:
        return api.client.patch(path, json={"staff": [str(number)]}).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(change, range(16)))
    assert set(statuses) <= {200, 409}
    assert 200 in statuses
    stored = views["accounts"].find_one({"_id": account["id"]})
    assert stored is not None
    assert (stored["pending"], stored["revision"]) == (None, 1 + statuses.count(200))
    assert list(_accounts(stack, brand)[0].staff) == stored["staff"]


def test_a_change_that_came_while_another_was_written_waits_for_its_own_turn(
    views: Database[Document], stack: Running, brand: str
) -> None:
    async def run() -> None:
        client = mongo.async_client(stack.mongodb)
        database = client[views.name]
        accounts, outgoing = Accounts(database, Tenants.one(brand)), Outgoing(database)
        at = datetime(2026, 1, 1, tzinfo=UTC)
        assert await accounts.add("a", {"brand": brand, "platform": "x", "handle": "one", "connected_at": at})
        read = await outgoing.accounts(brand)
        first = await accounts.find(brand, "a")
        assert first is not None
        assert await accounts.change(first, {"handle": "two"})
        assert not await accounts.change(first, {"handle": "three"}), "it was changed since it was read"
        await outgoing.confirm_accounts(read)
        assert await outgoing.due(at) == [brand], "the later change is not in the log"
        assert await accounts.connected(brand) == []
        await outgoing.confirm_accounts(await outgoing.accounts(brand))
        assert [each["handle"] for each in await accounts.connected(brand)] == ["two"]
        assert await outgoing.due(at) == []
        # As if the process had died between storing it and noting it at the brand.
        await database["accounts"].update_one({"_id": "a"}, {"$set": {"pending": {"handle": "four"}}})
        assert await outgoing.due(at) == [brand]
        await client.close()

    asyncio.run(run())


def test_a_secret_is_rotated_with_an_overlap_in_which_both_are_taken(api: Served, stack: Running, brand: str) -> None:
    api.brand(brand)
    account = _connect(api, brand)
    path = f"/v1/brands/{brand}/accounts/{account['id']}/rotate-secret"
    rotated = api.client.post(path, json={"overlap_seconds": 3600})
    assert rotated.status_code == 200, rotated.text
    (there,) = _accounts(stack, brand)
    assert there.door_secrets == (rotated.json()["door_secret"], account["door_secret"])
    until = datetime.fromisoformat(rotated.json()["old_secret_until"])
    assert there.old_secrets_until == until
    assert timedelta(minutes=59) < until - datetime.now(UTC) <= timedelta(hours=1)
    assert secrets_at(there, until - timedelta(seconds=1)) == there.door_secrets
    assert secrets_at(there, until) == (rotated.json()["door_secret"],)


def test_a_second_rotation_does_not_end_the_secret_in_use_unless_that_is_what_is_wanted(
    api: Served, stack: Running, brand: str
) -> None:
    api.brand(brand)
    account = _connect(api, brand)
    path = f"/v1/brands/{brand}/accounts/{account['id']}/rotate-secret"
    assert api.client.post(path, json={}).status_code == 200
    refused = api.client.post(path, json={})
    assert refused.status_code == 409
    assert "a rotation is under way" in refused.json()["detail"]
    leaked = api.client.post(path, json={"overlap_seconds": 0})
    assert leaked.status_code == 200
    (there,) = _accounts(stack, brand)
    assert secrets_at(there, datetime.now(UTC)) == (leaked.json()["door_secret"],)
    assert api.client.post(path, json={}).status_code == 200, "nothing is under way any more"


@pytest.mark.parametrize("seconds", [-1, 7 * 86_400 + 1])
def test_the_overlap_is_bounded(api: Served, brand: str, seconds: int) -> None:
    api.brand(brand)
    account = _connect(api, brand)
    path = f"/v1/brands/{brand}/accounts/{account['id']}/rotate-secret"
    assert api.client.post(path, json={"overlap_seconds": seconds}).status_code == 422


def test_only_an_account_that_is_connected_is_given_a_new_secret(api: Served, brand: str) -> None:
    api.brand(brand)
    account = _connect(api, brand)
    path = f"/v1/brands/{brand}/accounts"
    assert api.client.post(f"{path}/nobody/rotate-secret", json={}).status_code == 404
    assert api.client.delete(f"{path}/{account['id']}").status_code == 200
    assert api.client.post(f"{path}/{account['id']}/rotate-secret", json={}).status_code == 404


def test_a_rotation_that_the_log_did_not_take_is_shown_by_the_same_request_later(
    cut_off: Served, stack: Running, views: Database[Document], brand: str
) -> None:
    assert cut_off.client.post("/v1/brands", json={"id": brand, "name": "Aurora"}).status_code == 503
    at = datetime(2026, 1, 1, tzinfo=UTC)
    views["accounts"].insert_one(
        {"_id": f"a-{brand}", "brand": brand, "platform": "bluesky", "handle": "a", "connected_at": at, "staff": []}
        | {"door_secrets": ["s"], "connection": {}, "published": True, "secret_shown": True, "disconnected_at": None}
    )
    publish_all(stack, views.name)
    path = f"/v1/brands/{brand}/accounts/a-{brand}/rotate-secret"
    assert cut_off.client.post(path, json={}).status_code == 503
    stored = views["accounts"].find_one({"_id": f"a-{brand}"})
    assert stored is not None
    assert cut_off.client.post(path, json={}).status_code == 503
    again = views["accounts"].find_one({"_id": f"a-{brand}"})
    assert again is not None
    assert again["pending"]["door_secrets"] == stored["pending"]["door_secrets"], "it is that request, not another one"
    publish_all(stack, views.name)
    assert _accounts(stack, brand)[0].door_secrets == tuple(stored["pending"]["door_secrets"])


def test_an_account_that_was_connected_again_still_says_when_that_was_the_first_time(api: Served, brand: str) -> None:
    api.brand(brand)
    first = _connect(api, brand, connected_at="2026-01-01T00:00:00Z")
    path = f"/v1/brands/{brand}/accounts"
    assert api.client.delete(f"{path}/{first['id']}").status_code == 200
    again = _connect(api, brand)
    assert again["connected_at"] > first["connected_at"]
    assert again["first_connected_at"] == first["connected_at"] == first["first_connected_at"]


def test_a_client_has_no_more_than_its_record_can_hold(api: Served, stack: Running, brand: str) -> None:
    api.brand(brand)
    staff = [f"{number:0256d}" for number in range(MOST_STAFF)]
    path = f"/v1/brands/{brand}/accounts"
    for number in range(40):
        body = {"id": f"{number}-{brand}", "platform": "bluesky", "handle": "shop.example", "staff": staff}
        answer = api.client.post(path, json=body)
        if answer.status_code != 201:
            break
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == "staff"
    assert "name fewer" in answer.json()["detail"]
    taken = [f"{each}-{brand}" for each in range(number)]
    assert sorted(each.id for each in _accounts(stack, brand)) == sorted(taken), "what was taken is in force"
    # What makes it smaller, and what leaves it as it is, is taken.
    assert api.client.patch(f"{path}/{taken[0]}", json={"staff": staff}).status_code == 200
    assert api.client.patch(f"{path}/{taken[0]}", json={"staff": staff[1:]}).status_code == 200
    assert api.client.patch(f"{path}/{taken[0]}", json={"handle": "other.example"}).status_code == 200
    assert api.client.post(path, json={**body, "staff": []}).status_code == 201
    assert len(_accounts(stack, brand)) == number + 1
