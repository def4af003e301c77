"""Webhooks of platforms over HTTP, into a real Kafka."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from rapport.contracts.events import Account, Brand
from tests.deliveries import FOLDER, SECRET, TOKEN
from tests.deliveries.signing import meta
from tests.services.ingest.service import CONNECTED_AT, Ingest, Log, brand_with, publish

pytestmark = pytest.mark.stack

NOW = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.fixture(scope="module")
def pushed(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingest]:
    """An ingest that Facebook pushes to."""
    folder: Path = tmp_path_factory.mktemp("pushed")
    made = Ingest(stack.kafka, folder, RAPPORT_FACEBOOK_SECRETS=SECRET, RAPPORT_FACEBOOK_VERIFY_TOKEN=TOKEN)
    try:
        yield made.start().ready()
    finally:
        made.close()


@pytest.fixture
def page(stack: Any, pushed: Ingest) -> Brand:
    """A brand with a Page that no other test has."""
    page = str(uuid4().int)[:15]
    account = Account(
        id=f"account-{page}", platform="facebook", handle="Roastery", connected_at=CONNECTED_AT, door_secrets=("s",),
        connection={"page": page},
    )  # fmt: skip
    brand = brand_with(account)
    publish(stack.kafka, brand)
    pushed.knows(account)
    return brand


def page_of(brand: Brand) -> str:
    return brand.accounts[0].connection["page"]


def comment(number: int, page: str, **more: Any) -> dict[str, Any]:
    value = {
        "item": "comment", "verb": "add", "from": {"id": "7001", "name": "Ada"}, "post_id": f"{page}_1",
        "parent_id": f"{page}_1", "comment_id": f"1_{number}", "created_time": 1795953600, "message": "hello", **more,
    }  # fmt: skip
    return {"field": "feed", "value": value}


def delivery(page: str, *changes: dict[str, Any]) -> bytes:
    return json.dumps({"object": "page", "entry": [{"id": page, "time": 1795953605, "changes": changes}]}).encode()


def push(pushed: Ingest, body: bytes, platform: str = "facebook", secret: str = SECRET) -> httpx.Response:
    url = f"{pushed.url}/v1/platforms/{platform}"
    return httpx.post(url, content=body, headers=meta(body, secret, NOW), timeout=60)


def test_a_delivery_is_in_the_log_when_it_is_answered(pushed: Ingest, page: Brand, log: Log) -> None:
    body = delivery(page_of(page), comment(1, page_of(page)), comment(2, page_of(page), comment_id=None))
    assert push(pushed, body).status_code == 200
    assert push(pushed, body).status_code == 200, "sent again"
    log.wait_for(page.id, "1_1")
    assert {one.id for _, one in log.decoded(page.id)} == {"1_1"}
    assert "entry[0].changes[1] is skipped: UnreadableError: comment_id is missing" in pushed.log.read_text()


def test_a_thousand_changes_at_once_are_taken(pushed: Ingest, page: Brand, log: Log) -> None:
    its_id = page_of(page)
    body = delivery(its_id, *(comment(number, its_id, message="x" * 500) for number in range(1_000)))
    assert push(pushed, body).status_code == 200
    log.wait_for(page.id, "1_999")
    assert len({one.id for _, one in log.decoded(page.id)}) == 1_000


def test_the_platform_makes_sure_of_the_address(pushed: Ingest) -> None:
    query = {"hub.mode": "subscribe", "hub.verify_token": TOKEN, "hub.challenge": "<b>1158201444"}
    answer = httpx.get(f"{pushed.url}/v1/platforms/facebook", params=query)
    assert (answer.status_code, answer.text) == (200, "<b>1158201444")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    wrong = httpx.get(f"{pushed.url}/v1/platforms/facebook", params={**query, "hub.verify_token": "guess"})
    assert (wrong.status_code, wrong.headers["content-type"]) == (401, "application/problem+json")


@pytest.mark.parametrize(
    ("platform", "secret", "body", "status"),
    [
        ("facebook", "another", b"{}", 401),
        ("facebook", SECRET, b"not json", 400),
        ("facebook", SECRET, b'{"object":"user","entry":[]}', 400),
        ("facebook", SECRET, b'{"object":"page","entry":[]}' + b" " * 5 * 2**20, 413),
        ("friendster", SECRET, b"{}", 404),
        ("../../etc", SECRET, b"{}", 404),
    ],
)
def test_what_is_no_delivery_is_refused_and_says_why(
    pushed: Ingest, platform: str, secret: str, body: bytes, status: int
) -> None:
    answer = push(pushed, body, platform, secret)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert push(pushed, b'{"object":"page","entry":[]}').status_code == 200, "the next one is taken"


def test_a_recorded_delivery_of_each_name_is_taken(pushed: Ingest, page: Brand) -> None:
    # What was asked for has the shape of an answer, not of a delivery.
    for file in sorted((FOLDER / "facebook").glob("*.json")):
        if file.name.endswith(".expected.json") or file.name.startswith("asked-"):
            continue
        body = file.read_text().replace("44444444", page_of(page))
        assert push(pushed, json.dumps(json.loads(body)["body"]).encode()).status_code == 200, file.name


def test_many_deliveries_at_once_lose_nothing(pushed: Ingest, page: Brand, log: Log) -> None:
    its_id = page_of(page)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: push(pushed, delivery(its_id, comment(n, its_id))), range(200)))
    assert {answer.status_code for answer in answers} == {200}
    log.wait(page.id, "all are there", lambda found: len({one.id for one in found}) == 200)
