from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pymongo.database import Database

from rapport.contracts.controls import AccountConnected, PolicyVersion
from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.notifier import abilities
from tests.services.api.conftest import ADMIN_KEY, Served
from tests.services.api.log import controls, newest

pytestmark = pytest.mark.stack


def test_what_is_set_is_in_the_log_before_the_answer(api: Served, stack: Running, database: str) -> None:
    brand = f"b-{database[5:17]}"
    account = f"account.{database[5:17]}"
    api.brand(brand)
    assert newest(stack.kafka, brand).timezone == "Europe/Berlin"

    answer = api.client.post(
        f"/v1/brands/{brand}/accounts",
        json={"id": account, "platform": "bluesky", "handle": "a", "connected_at": "2026-01-01T02:00:00+02:00"},
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["connected_at"] == "2026-01-01T00:00:00Z"
    written = newest(stack.kafka, brand).accounts[0]
    assert written.door_secrets == (answer.json()["door_secret"],)
    for written_there in controls(stack.kafka, brand).values():
        assert [type(each) for each in written_there] == [AccountConnected]

    rules = [{"when": {"kind": "message"}, "target_seconds": 60, "warn_at": [0.5]}, {"target_seconds": 3600}]
    for version in (1, 2):
        answer = api.client.put(f"/v1/brands/{brand}/policy", json={"rules": rules})
        assert answer.json()["version"] == version
    for written_there in controls(stack.kafka, brand).values():
        versions = [each for each in written_there if isinstance(each, PolicyVersion)]
        assert [each.version for each in versions] == [1, 2]
        assert versions[0].rules[0].when.kind == "message"
        assert versions[0].effective_from < versions[1].effective_from

    channels = [
        {"type": "mail", "id": "team", "to": "team@example.org"},
        {"type": "webhook", "id": "shop", "url": "https://example.org/in"},
    ]
    shown = api.client.put(f"/v1/brands/{brand}/channels", json={"channels": channels}).json()["channels"]
    secret = shown[1]["secret"]
    assert secret.startswith("whsec_")
    assert [channel.id for channel in newest(stack.kafka, brand).channels] == ["team", "shop"]
    again = api.client.put(f"/v1/brands/{brand}/channels", json={"channels": channels}).json()["channels"]
    assert "secret" not in again[1]
    assert getattr(newest(stack.kafka, brand).channels[1], "secret", None) == secret
    assert secret not in api.client.get(f"/v1/brands/{brand}/channels").text


def test_a_channel_is_as_old_as_its_id_whatever_its_address(api: Served, stack: Running, database: str) -> None:
    brand = f"b-{database[5:17]}"
    api.brand(brand)

    def put(*channels: tuple[str, str]) -> dict[str, datetime]:
        mails = [{"type": "mail", "id": name, "to": to} for name, to in channels]
        assert api.client.put(f"/v1/brands/{brand}/channels", json={"channels": mails}).status_code == 200
        return newest(stack.kafka, brand).channels_since

    begun = datetime.now(UTC).replace(microsecond=0)
    first = put(("team", "a@example.org"))
    assert first["team"] >= begun
    second = put(("team", "b@example.org"), ("boss", "c@example.org"))
    assert second["team"] == first["team"]
    assert second["boss"] >= first["team"]
    assert put(("boss", "c@example.org")) == {"boss": second["boss"]}
    third = put(("team", "a@example.org"), ("boss", "c@example.org"))
    assert third["team"] > first["team"]


def test_a_channel_from_before_its_age_was_noted_stays_without_one(
    api: Served, stack: Running, views: Database[Document], database: str
) -> None:
    brand = f"b-{database[5:17]}"
    api.brand(brand)
    mails = [{"type": "mail", "id": name, "to": "a@example.org"} for name in ("old", "new")]
    api.client.put(f"/v1/brands/{brand}/channels", json={"channels": mails[:1]})
    views["brands"].update_one({"_id": brand}, {"$unset": {"settings.channels_since": 1}})
    api.client.put(f"/v1/brands/{brand}/channels", json={"channels": mails})
    assert set(newest(stack.kafka, brand).channels_since) == {"new"}


def test_secrets_are_shown_once(api: Served) -> None:
    api.brand("aurora")
    account = {"id": "secrets-shown-once", "platform": "bluesky", "handle": "a"}
    secret = api.client.post("/v1/brands/aurora/accounts", json=account).json()["door_secret"]
    assert secret not in api.client.get("/v1/brands/aurora/accounts").text


def test_ids_are_taken_once(api: Served) -> None:
    api.brand("aurora")
    api.brand("harbour")
    assert api.client.post("/v1/brands", json={"id": "aurora", "name": "Again"}).status_code == 409
    account = {"id": "taken-once", "platform": "bluesky", "handle": "a"}
    assert api.client.post("/v1/brands/aurora/accounts", json=account).status_code == 201
    assert api.client.post("/v1/brands/aurora/accounts", json=account).status_code == 409
    assert api.client.post("/v1/brands/harbour/accounts", json=account).status_code == 409
    assert api.client.get("/v1/brands/harbour/accounts").json()["items"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"id": "Upper", "name": "a"}, "id"),
        ({"id": "a/b", "name": "a"}, "id"),
        ({"id": "", "name": "a"}, "id"),
        ({"id": "a" * 64, "name": "a"}, "id"),
        ({"id": {"$ne": 1}, "name": "a"}, "id"),
        ({"id": "a", "name": " "}, "name"),
        ({"id": "a", "name": "a", "timezone": "Mars/Olympus"}, "timezone"),
        ({"id": "a", "name": "a", "colour": "red"}, "colour"),
    ],
)
def test_a_wrong_brand_is_refused_by_field(api: Served, body: dict[str, Any], field: str) -> None:
    answer = api.client.post("/v1/brands", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    "channel",
    [
        {"type": "pigeon", "id": "a"},
        {"type": "mail", "id": "a", "to": "nobody"},
        {"type": "mail", "id": "a", "to": "a@b.c\nBcc: d@e.f"},
        {"type": "mail", "id": "a", "to": "jörg@example.com"},
        {"type": "mail", "id": "a", "to": "a..b@example.com"},
        {"type": "mail", "id": "a", "to": "a@[127.0.0.1]"},
        {"type": "mail", "id": "a", "to": "te\u200bam@example.com"},
        {"type": "webhook", "id": "a", "url": "ftp://example.org"},
        {"type": "webhook", "id": "a", "url": "https://"},
        {"type": "webhook", "id": "a", "url": "https://example.org:99999/"},
        {"type": "webhook", "id": "a", "url": "http://example.org/in"},
        {"type": "webhook", "id": "a", "url": "https://localhost/"},
        {"type": "webhook", "id": "a", "url": "https://metadata.google.internal/"},
        {"type": "webhook", "id": "a", "url": "https://2130706433/"},
        {"type": "webhook", "id": "a", "url": "https://[::ffff:127.0.0.1]/"},
        {"type": "webhook", "id": "a", "url": "https://-a.example/"},
        {"type": "webhook", "id": "a", "url": "https://example.org", "secret": "whsec_short"},
        {"type": "webhook", "id": "a/b", "url": "https://example.org"},
    ],
)
def test_a_wrong_channel_is_refused(api: Served, views: Database[Document], channel: dict[str, Any]) -> None:
    api.brand("aurora")
    answer = api.client.put("/v1/brands/aurora/channels", json={"channels": [channel]})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"].startswith("channels.0")
    stored = views["brands"].find_one({"_id": "aurora"})
    assert stored is not None
    assert stored["settings"]["channels"] == []


def test_a_webhook_from_before_addresses_were_checked_stays_until_its_address_changes(
    api: Served, views: Database[Document]
) -> None:
    api.brand("aurora")
    before = {"type": "webhook", "id": "old", "url": "http://10.0.0.1/in", "secret": "whsec_" + "A" * 44}
    views["brands"].update_one({"_id": "aurora"}, {"$set": {"settings.channels": [before]}})
    channels = api.client.get("/v1/brands/aurora/channels").json()["channels"]
    channels.append({"type": "mail", "id": "team", "to": "team@example.org"})
    assert api.client.put("/v1/brands/aurora/channels", json={"channels": channels}).status_code == 200
    channels[0]["url"] = "http://10.0.0.1/out"
    answer = api.client.put("/v1/brands/aurora/channels", json={"channels": channels})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"field": "channels.0.url", "why": "plain text would be unencrypted; TLS is needed"}
    ]


def test_a_mail_channel_may_have_an_international_domain(api: Served) -> None:
    api.brand("aurora")
    channel = {"type": "mail", "id": "a", "to": "team@müller.example"}
    answer = api.client.put("/v1/brands/aurora/channels", json={"channels": [channel]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["channels"] == [channel]


def test_a_key_that_may_only_read_sees_no_credentials_in_the_addresses_of_webhooks(api: Served) -> None:
    api.brand("aurora")
    secret_url = "https://user:hunter2@hooks.example.org:8443/services/T0/B0/t0ken?key=s3cret"
    channel = {"type": "webhook", "id": "shop", "url": secret_url}
    api.client.put("/v1/brands/aurora/channels", json={"channels": [channel]})

    for scope, url in (("read", "https://hooks.example.org:8443/…"), ("write", secret_url), ("admin", secret_url)):
        with api.with_key(api.key(["aurora"], scope)) as client:
            answer = client.get("/v1/brands/aurora/channels")
            assert [each["url"] for each in answer.json()["channels"]] == [url]
            if scope == "read":
                assert not any(secret in answer.text for secret in ("hunter2", "t0ken", "s3cret", "user"))


def test_a_mail_channel_without_a_mail_server_is_warned_about_when_saved_and_on_the_portal(
    api: Served, views: Database[Document]
) -> None:
    api.brand("aurora")
    mail = {"type": "mail", "id": "team", "to": "team@example.org"}
    hook = {"type": "webhook", "id": "shop", "url": "https://example.org/in"}
    now = datetime.now(UTC)

    def warned(*channels: dict[str, Any]) -> bool:
        saved = api.client.put("/v1/brands/aurora/channels", json={"channels": channels}).json()["warnings"]
        assert api.client.get("/v1/brands/aurora/channels").json()["warnings"] == saved
        with httpx.Client(base_url=api.url, follow_redirects=True) as portal:
            assert portal.post("/login", data={"key": ADMIN_KEY}).status_code == 200
            on_page = "has no mail server" in portal.get("/brands/aurora").text
        assert on_page == any("has no mail server" in each for each in saved)
        return on_page

    assert not warned(mail, hook), "nobody knows before the notifier has started"
    abilities.note(views[abilities.NOTIFIER], mail=False, now=now)
    assert warned(mail, hook)
    assert not warned(hook)
    abilities.note(views[abilities.NOTIFIER], mail=True, now=now)
    assert not warned(mail)
