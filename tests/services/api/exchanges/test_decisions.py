"""That no reply is needed: said to the partition of the conversation, and seen once the scorer said so."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from rapport.contracts.controls import Decided
from rapport.contracts.events import DecisionRef
from rapport.contracts.topics import CONVERSATIONS, key_of, partition_of
from rapport.local.servers.stack import Running
from services.api.exchanges.documents import exchange_document
from tests.services.api import samples
from tests.services.api.conftest import Served, own_brand
from tests.services.api.log import controls
from tests.services.api.publishing.test_publisher import cut_off

pytestmark = pytest.mark.stack
__all__ = ["cut_off"]

NOW = datetime.now(UTC).replace(microsecond=0)
SAID = DecisionRef(by="Mira", at=NOW, why="by phone")


def _path(brand: str, exchange: str) -> str:
    return f"/v1/brands/{brand}/exchanges/{exchange}/no-reply-needed"


def _written(stack: Running, brand: str) -> list[tuple[int, Decided]]:
    return [
        (partition, each)
        for partition, found in controls(stack.kafka, brand).items()
        for each in found
        if isinstance(each, Decided)
    ]


def _add(views: Database[Any], id: str, brand: str, **more: Any) -> None:
    opened = more.pop("opened_at", NOW - timedelta(hours=1))
    views["exchanges"].insert_one(exchange_document(samples.exchange(id, brand, opened, **more), 1))


def test_a_decision_is_in_the_partition_of_its_conversation_before_the_answer(
    api: Served, stack: Running, views: Database[Any]
) -> None:
    brand = own_brand()
    api.brand(brand)
    for number in range(4):
        _add(views, f"x{number}", brand, conversation=f"conversation-{number}", thread=f"thread-{number}")
    with api.with_key(api.key([brand], "write")) as client:
        for number in range(4):
            answer = client.post(_path(brand, f"x{number}"), json={"why": " by phone ", "spam": number == 3})
            assert answer.status_code == 202, answer.text
            taken = answer.json()
            assert (taken["by"], taken["why"], taken["spam"], taken["undone"]) == (
                "test",
                "by phone",
                number == 3,
                False,
            )
    written = sorted(_written(stack, brand), key=lambda each: each[1].exchange)
    assert len({each.id for _, each in written}) == 4
    for number, (partition, decided) in enumerate(written):
        key = key_of(brand, samples.PLATFORM, f"conversation-{number}")
        assert partition == partition_of(key, CONVERSATIONS.partitions)
        assert decided == Decided(
            id=decided.id, brand=brand, platform=samples.PLATFORM, thread=f"thread-{number}", follower="did:plc:ada",
            exchange=f"x{number}", at=decided.at, by="test", why="by phone", spam=number == 3,
        )  # fmt: skip
        assert decided.at.microsecond % 1000 == 0
        assert NOW <= decided.at <= datetime.now(UTC)


def test_what_was_decided_can_be_taken_back_also_by_a_process_whose_clock_is_behind(
    api: Served, stack: Running, views: Database[Any]
) -> None:
    brand = own_brand()
    api.brand(brand)
    ahead = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=3)
    for exchange, because in (("x", "no_reply_needed"), ("y", "spam")):
        said = DecisionRef(by="Mira", at=ahead, why="by phone")
        _add(views, exchange, brand, state="cancelled", cancelled_because=because, decision=said)
        answer = api.client.delete(_path(brand, exchange))
        assert answer.status_code == 202, answer.text
        assert (answer.json()["undone"], answer.json()["by"]) == (True, "administrator")
    for _, decided in _written(stack, brand):
        assert decided.undone
        assert decided.at == ahead + timedelta(milliseconds=1)


def test_a_decision_covers_a_comment_of_an_author_whose_clock_runs_ahead(
    api: Served, stack: Running, views: Database[Any]
) -> None:
    brand = own_brand()
    api.brand(brand)
    ahead = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=4)
    _add(views, "x", brand, opened_at=ahead)
    assert api.client.post(_path(brand, "x"), json={"why": "spam", "spam": True}).status_code == 202
    assert [each.at for _, each in _written(stack, brand)] == [ahead]


@pytest.mark.parametrize(
    ("fields", "method", "why"),
    [
        ({"state": "answered", "answered_at": NOW}, "POST", "was answered"),
        ({"state": "answered_late", "answered_at": NOW}, "POST", "was answered"),
        ({"state": "cancelled", "cancelled_because": "deleted"}, "POST", "was cancelled"),
        ({"state": "cancelled", "cancelled_because": "spam", "decision": SAID}, "POST", "was cancelled"),
        ({"state": "superseded"}, "POST", "was merged"),
        ({}, "DELETE", "nobody decided"),
        ({"state": "answered", "answered_at": NOW}, "DELETE", "nobody decided"),
        ({"state": "cancelled", "cancelled_because": "blocked"}, "DELETE", "nobody decided"),
    ],
)
def test_where_there_is_nothing_to_decide_the_answer_is_409(
    api: Served, stack: Running, views: Database[Any], fields: dict[str, Any], method: str, why: str
) -> None:
    brand = own_brand()
    api.brand(brand)
    _add(views, "x", brand, **fields)
    answer = api.client.request(method, _path(brand, "x"), json={"why": "x"} if method == "POST" else None)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert why in answer.json()["detail"]
    assert _written(stack, brand) == []


def test_a_decision_takes_the_write_scope_and_an_exchange_of_ones_own(api: Served, views: Database[Any]) -> None:
    api.brand("aurora")
    api.brand("harbour")
    _add(views, "x", "aurora")
    with api.with_key(api.key(["aurora"], "read")) as client:
        assert client.post(_path("aurora", "x"), json={"why": "x"}).status_code == 403
        assert client.delete(_path("aurora", "x")).status_code == 403
    with api.with_key(api.key(["harbour"], "admin")) as client:
        assert client.post(_path("harbour", "x"), json={"why": "x"}).status_code == 404
        assert client.delete(_path("harbour", "x")).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "why"),
        ({"why": "  "}, "why"),
        ({"why": "w" * 501}, "why"),
        ({"why": {"$ne": 1}}, "why"),
        ({"why": "x", "spam": "perhaps"}, "spam"),
        ({"why": "x", "by": "somebody else"}, "by"),
    ],
)
def test_a_decision_without_a_reason_is_refused(
    api: Served, views: Database[Any], body: dict[str, Any], field: str
) -> None:
    api.brand("aurora")
    _add(views, "x", "aurora")
    answer = api.client.post(_path("aurora", "x"), json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_without_a_broker_a_decision_answers_503_and_leaves_nothing_behind(
    cut_off: Served, views: Database[Any]
) -> None:
    views["brands"].insert_one(
        {"_id": "aurora", "settings": {"name": "A", "timezone": "UTC", "channels": []}, "pending": None, "revision": 1}
        | {"published_revision": 1, "published_at": NOW, "created_at": NOW}
    )
    _add(views, "x", "aurora")
    before = views["exchanges"].find_one({"_id": "x"})
    answer = cut_off.client.post(_path("aurora", "x"), json={"why": "by phone"})
    assert answer.status_code == 503
    assert "send it again" in answer.json()["detail"]
    assert views["exchanges"].find_one({"_id": "x"}) == before
