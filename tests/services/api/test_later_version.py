"""What an API of a later version has stored: this one passes it on, or leaves it to the other, and drops nothing."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Decimal128, Int64
from pymongo.database import Database

from rapport.contracts.codec import NewerError
from rapport.contracts.controls import PolicyRule, When
from rapport.contracts.scoring import Scoring
from rapport.contracts.topics import BRANDS, key_of
from rapport.domain.communities import community
from rapport.domain.communities.text import RuleError, from_plain
from rapport.kit import mongo
from rapport.kit.broker import kafka
from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.alerts.documents import alert_document
from services.api.exchanges.documents import exchange_document
from services.api.publishing.broker import Broker
from services.api.publishing.repository import Outgoing
from services.api.publishing.service import Publisher
from services.api.storage.stored import read, read_whole
from tests.services.api import samples
from tests.services.api.conftest import ADMIN_KEY, Served, own_brand
from tests.services.api.log import controls, everything
from tests.services.api.publishing.test_publisher import publish_all

SLACK = {"type": "slack", "id": "room", "room": 7}


def in_the_log(stack: Running, brand: str) -> dict[str, Any]:
    """The newest record of a brand, with all that it holds."""
    records = [each for each in everything(stack.kafka, BRANDS) if each.key == key_of(brand)]
    found: dict[str, Any] = json.loads(records[-1].value)
    return found


@pytest.mark.stack
def test_a_change_by_this_version_keeps_what_a_later_one_stored_of_the_brand(
    api: Served, stack: Running, views: Database[Document]
) -> None:
    brand = own_brand()
    api.brand(brand)
    team = {"type": "mail", "id": "team", "to": "team@acme.example"}
    assert api.client.put(f"/v1/brands/{brand}/channels", json={"channels": [team]}).status_code == 200
    answer = api.client.post(
        f"/v1/brands/{brand}/accounts", json={"id": f"{brand}-desk", "platform": "helpdesk", "handle": "acme"}
    )
    assert answer.status_code == 201, answer.text
    more: Document = {"settings.colour": "red", "settings.channels": [{**team, "digest": True}, SLACK]}
    views["brands"].update_one({"_id": brand}, {"$set": more})
    views["accounts"].update_one({"_id": f"{brand}-desk"}, {"$set": {"further": {"shop": "x"}, "internal": "y"}})

    shown = api.client.get(f"/v1/brands/{brand}/channels").json()
    assert [each["id"] for each in shown["channels"]] == ["team"]
    assert any("room (slack)" in each for each in shown["warnings"])
    moved = {**team, "to": "desk@acme.example"}
    answer = api.client.put(f"/v1/brands/{brand}/channels", json={"channels": [moved]})
    assert answer.status_code == 200
    assert any("room (slack)" in each for each in answer.json()["warnings"])

    record = in_the_log(stack, brand)
    assert record["channels"] == [SLACK, {**moved, "digest": True}]
    assert record["colour"] == "red"
    [account] = record["accounts"]
    assert (account["shop"], "internal" in account) == ("x", False)
    taken = {"type": "mail", "id": "room", "to": "team@acme.example"}
    answer = api.client.put(f"/v1/brands/{brand}/channels", json={"channels": [taken]})
    assert answer.status_code == 422


@pytest.mark.stack
def test_a_policy_that_this_version_cannot_pass_on_whole_is_left_to_the_later_one(
    api: Served, stack: Running, views: Database[Document]
) -> None:
    brand = own_brand()
    api.brand(brand)
    address = f"/v1/brands/{brand}/policy"
    assert api.client.put(address, json={"rules": [{"target_seconds": 60}]}).status_code == 200
    stored = views["policies"].find_one({"brand": brand})
    assert stored is not None
    rule = {**stored["rules"][0], "when": {"language": "de"}}
    later = {
        **stored,
        "_id": f"{stored['_id']}x",
        "version": stored["version"] + 1,
        "rules": [rule],
        "published": False,
    }
    views["policies"].insert_one(later)

    assert publish_all(stack, views.name) == [brand]
    policies = [each for found in controls(stack.kafka, brand).values() for each in found if hasattr(each, "rules")]
    assert {each.version for each in policies} == {stored["version"]}
    assert views["policies"].find_one({"_id": later["_id"]}, {"published": 1})["published"] is False  # type: ignore[index]
    views["policies"].update_one({"_id": later["_id"]}, {"$set": {"published": True}})
    answer = api.client.get(address)
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True), answer.text


def test_what_is_passed_on_is_passed_on_whole_or_not_at_all() -> None:
    rules = tuple[PolicyRule, ...]
    known = [{"target_seconds": 60, "when": {"platform": "bluesky"}, "warn_at": [0.5]}]
    assert read_whole(known, rules) == (PolicyRule(target_seconds=60, when=When(platform="bluesky"), warn_at=(0.5,)),)
    for later in ({"target_seconds": 60, "who": "x"}, {"target_seconds": 60, "when": {"language": "de"}}):
        with pytest.raises(NewerError):
            read_whole([later], rules)
    assert read([{"target_seconds": 60, "who": "x"}], rules) == (PolicyRule(target_seconds=60),)
    with pytest.raises(NewerError):
        read_whole({**json.loads(json.dumps({"version": 1})), "humour": 3}, Scoring)


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "condition", "field": "bot", "comparison": "is", "value": "yes", "within": 3},
        {"kind": "xor", "of": []},
        {"kind": "not", "of": {"kind": "condition", "field": "bot", "comparison": "is", "value": "yes"}, "x": 1},
    ],
)
def test_a_rule_of_a_community_waits_where_it_is_stored_and_is_refused_where_it_is_given(rule: dict[str, Any]) -> None:
    with pytest.raises(NewerError):
        read(rule, community.CommunityRule)  # type: ignore[arg-type]
    with pytest.raises(RuleError):
        from_plain(rule)


@pytest.mark.stack
def test_a_channel_of_a_known_type_and_another_shape_is_named_and_kept(
    api: Served, stack: Running, views: Database[Document]
) -> None:
    brand = own_brand()
    api.brand(brand)
    group = {"type": "mail", "id": "group", "everybody": ["a@acme.example", "b@acme.example"]}
    hook = {"type": "webhook", "id": "hook", "url": "https://acme.example/", "signed_by": "key-7"}
    nameless = {"type": "mail", "to": "c@acme.example"}
    later = [group, hook, nameless, "whatever"]
    views["brands"].update_one({"_id": brand}, {"$set": {"settings.channels": later}})

    shown = api.client.get(f"/v1/brands/{brand}/channels")
    assert shown.status_code == 200, shown.text
    assert shown.json()["channels"] == []
    [warning] = shown.json()["warnings"]
    assert "group (mail)" in warning
    assert "hook (webhook)" in warning
    team = {"type": "mail", "id": "team", "to": "team@acme.example"}
    assert api.client.put(f"/v1/brands/{brand}/channels", json={"channels": [team]}).status_code == 200
    assert in_the_log(stack, brand)["channels"] == [*later, team]
    visitor = api.with_key(None)
    assert visitor.post("/login", data={"key": ADMIN_KEY}).status_code == 303
    assert visitor.get(f"/brands/{brand}").status_code == 200
    taken = {"type": "mail", "id": "group", "to": "team@acme.example"}
    assert api.client.put(f"/v1/brands/{brand}/channels", json={"channels": [taken]}).status_code == 422


@pytest.mark.stack
def test_a_number_too_long_for_32_bits_is_passed_on(api: Served, stack: Running, views: Database[Document]) -> None:
    brand = own_brand()
    api.brand(brand)
    views["brands"].update_one({"_id": brand}, {"$set": {"settings.budget": Int64(5), "settings.more": [2**40]}})
    answer = api.client.put(f"/v1/brands/{brand}/channels", json={"channels": []})
    assert answer.status_code == 200, answer.text
    record = in_the_log(stack, brand)
    assert (record["budget"], record["more"]) == (5, [2**40])


@pytest.mark.stack
def test_a_brand_that_cannot_be_passed_on_keeps_no_other_brand_from_the_log(
    api: Served, stack: Running, views: Database[Document]
) -> None:
    brands = sorted(own_brand() for _ in range(3))
    for brand in brands:
        api.brand(brand)
    stuck = brands[1]
    views["brands"].update_one({"_id": stuck}, {"$set": {"settings.price": Decimal128("1.5")}})
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    views["brands"].update_many({"_id": {"$in": brands}}, {"$set": {"published_at": long_ago}})

    async def run() -> list[str]:
        async with mongo.async_client(stack.mongodb) as client:
            log = Broker(lambda: kafka.producer(stack.kafka, "test"))
            await log.connect()
            await Publisher(client[views.name], log).publish_due(datetime.now(UTC) - timedelta(days=1))
            left = await Outgoing(client[views.name]).due(datetime.now(UTC) - timedelta(days=1))
            log.close()
            return left

    assert asyncio.run(run()) == [stuck]
    answer = api.client.put(f"/v1/brands/{stuck}/channels", json={"channels": []})
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True), answer.text


@pytest.mark.stack
def test_what_only_a_later_version_can_show_is_unavailable_and_nobodys_mistake(
    api: Served, views: Database[Document]
) -> None:
    brand, now = own_brand(), datetime.now(UTC)
    api.brand(brand)
    exchange = exchange_document(samples.exchange("e", brand, now - timedelta(hours=30)), 1)
    views["exchanges"].insert_one({**exchange})
    alert = alert_document(samples.alert("a", brand, "e", "breach", now))
    views["alerts"].insert_one({**alert, "step": "snoozed"})
    answer = api.client.get(f"/v1/brands/{brand}/alerts")
    assert (answer.status_code, "later version" in answer.json()["detail"]) == (503, True)
    assert answer.headers["Retry-After"]


@pytest.mark.stack
def test_a_state_of_an_account_that_only_a_later_version_knows_is_not_live(
    api: Served, views: Database[Document]
) -> None:
    brand, now = own_brand(), datetime.now(UTC)
    api.brand(brand)
    body = {"id": f"{brand}-m", "platform": "mastodon", "handle": "acme@example.org",
            "connection": {"service": "https://example.org", "token": "t"}}  # fmt: skip
    assert api.client.post(f"/v1/brands/{brand}/accounts", json=body).status_code == 201
    views["listening"].insert_one({"_id": "i1", "at": now, "behind": [], "disconnected": [], "version": 1})
    state = dict.fromkeys(("checked_at", "posts_checked_at", "latest_at"))
    views["account_states"].insert_one(
        {**state, "_id": body["id"], "brand": brand, "version": 1, "claim": 1, "offset": 1, "state": "throttled",
         "since": now, "why": "news may be missing"}
    )  # fmt: skip
    (shown,) = api.client.get(f"/v1/brands/{brand}/accounts").json()["items"]
    assert "'attention'" in str(shown)
    assert "news may be missing" in str(shown)
