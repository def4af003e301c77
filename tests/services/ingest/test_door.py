"""The generic door over HTTP, with what it puts into a real Kafka."""

import http.client
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from rapport.contracts.events import Account, Brand
from rapport.contracts.topics import CONVERSATIONS, ENGAGEMENTS, key_of, partition_of
from rapport.kit.http.asgi import DISCARDED
from services.ingest.door import LARGEST_BODY
from services.ingest.submission import MOST_ITEMS, MOST_REJECTED
from tests.services.ingest.service import Ingest, Log, brand_with, helpdesk, publish, signature
from tests.waiting import until

pytestmark = pytest.mark.stack

COMMENT = {
    "id": "comment-1",
    "kind": "comment",
    "actor": {"id": "fan", "handle": "@fan"},
    "post": "post-1",
    "text": "When do you open?",
    "occurred_at": "2026-11-23T10:00:00+01:00",
}


@pytest.fixture(scope="module")
def brand() -> Brand:
    return brand_with(helpdesk("new", "old"))


@pytest.fixture(scope="module")
def account(stack: Any, ingest: Ingest, brand: Brand) -> Account:
    publish(stack.kafka, brand)
    ingest.knows(brand.accounts[0])
    return brand.accounts[0]


@pytest.fixture
def nothing_else(ingest: Ingest, account: Account, brand: Brand, log: Log) -> Iterator[None]:
    """After the test, one good interaction goes through, and it is all that the log has."""
    yield
    assert ingest.post(account, {**COMMENT, "id": "the-only-one"}).status_code == 202
    assert [one.id for one in log.wait_for(brand.id, "the-only-one")] == ["the-only-one"]


def problem(answer: httpx.Response, status: int) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    return document


def test_an_accepted_comment_is_in_its_partition_when_the_answer_arrives(
    ingest: Ingest, account: Account, brand: Brand, log: Log
) -> None:
    answer = ingest.post(account, COMMENT)
    assert (answer.status_code, answer.json()) == (202, {"accepted": ["comment-1"]})
    log.wait_for(brand.id, "comment-1")
    [(record, interaction)] = log.decoded(brand.id)
    key = key_of(brand.id, "helpdesk", "post-1")
    assert (record.topic, record.key) == (CONVERSATIONS.name, key)
    assert record.partition == partition_of(key, CONVERSATIONS.partitions)
    assert dict(record.headers)["ce_id"] == b"comment-1"
    assert interaction.account == account.id
    assert (interaction.conversation, interaction.thread, interaction.object.id) == ("post-1", "post-1", "comment-1")
    assert interaction.occurred_at.isoformat() == "2026-11-23T09:00:00+00:00"
    assert interaction.observed_at.utcoffset() == timedelta(0)


def test_a_batch_is_accepted_in_its_order_and_goes_to_both_topics(
    ingest: Ingest, account: Account, brand: Brand, log: Log
) -> None:
    batch = [{**COMMENT, "id": f"b{n}", "kind": "reaction" if n % 2 else "comment"} for n in range(50)]
    assert ingest.post(account, batch).json() == {"accepted": [one["id"] for one in batch]}
    log.wait_for(brand.id, *(f"b{n}" for n in range(50)))
    for record, interaction in log.decoded(brand.id):
        assert record.topic == (ENGAGEMENTS if interaction.kind == "reaction" else CONVERSATIONS).name


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "application/json"])
def test_one_object_per_line_is_a_batch_said_or_not(
    ingest: Ingest, account: Account, brand: Brand, log: Log, content_type: str
) -> None:
    lines = b"\n".join(json.dumps({**COMMENT, "id": f"line-{n}"}).encode() for n in range(3)) + b"\n"
    answer = ingest.post(account, lines, content_type=content_type)
    assert answer.json() == {"accepted": ["line-0", "line-1", "line-2"]}
    log.wait_for(brand.id, "line-0", "line-1", "line-2")


def test_either_secret_of_a_rotation_opens_the_door(ingest: Ingest, account: Account) -> None:
    assert ingest.post(account, [], secret="new").status_code == 202
    assert ingest.post(account, [], secret="old").status_code == 202
    raw = json.dumps([COMMENT]).encode()
    for secret in ("new", "old"):
        for place in (0, len(raw) // 2, len(raw) - 1):
            flipped = bytearray(raw)
            flipped[place] ^= 1
            given = {"X-Rapport-Account": account.id, "X-Rapport-Signature-256": signature(raw, secret)}
            refused = httpx.post(f"{ingest.url}/v1/interactions", content=bytes(flipped), headers=given, timeout=60)
            problem(refused, 401)


def test_the_old_secret_of_a_rotation_ends_with_the_overlap(ingest: Ingest, stack: Any, account: Account) -> None:
    end = datetime.now(UTC) + timedelta(seconds=3)
    rotated = msgspec.structs.replace(account, id=f"{account.id}-rotated", old_secrets_until=end)
    publish(stack.kafka, brand_with(rotated))
    ingest.knows(rotated)
    until(lambda: ingest.post(rotated, [], secret="old").status_code == 401, "the end of the old secret")
    assert datetime.now(UTC) >= end
    assert ingest.post(rotated, [], secret="new").status_code == 202


@pytest.mark.usefixtures("nothing_else")
def test_a_wrong_signature_is_refused(ingest: Ingest, account: Account) -> None:
    problem(ingest.post(account, COMMENT, secret="other"), 401)


@pytest.mark.usefixtures("nothing_else")
def test_one_flipped_byte_of_the_body_is_refused(ingest: Ingest, account: Account) -> None:
    raw = json.dumps(COMMENT).encode()
    flipped = raw.replace(b"open?", b"close")
    problem(ingest.post(account, flipped, X_Rapport_Signature_256=signature(raw, "new")), 401)


@pytest.mark.usefixtures("nothing_else")
@pytest.mark.parametrize("given", ["", "sha256=", "sha256=zz", "md5=00", "0" * 64])
def test_a_signature_that_is_none_is_refused(ingest: Ingest, account: Account, given: str) -> None:
    problem(ingest.post(account, COMMENT, X_Rapport_Signature_256=given), 401)


def test_an_unknown_account_looks_like_a_wrong_signature(ingest: Ingest, account: Account) -> None:
    unknown = problem(ingest.post(helpdesk("new"), COMMENT), 401)
    wrong = problem(ingest.post(account, COMMENT, secret="other"), 401)
    assert (unknown["type"], unknown["title"]) == (wrong["type"], wrong["title"])


def test_missing_headers_are_named(ingest: Ingest) -> None:
    bare = httpx.post(f"{ingest.url}/v1/interactions", content=b"{}")
    assert "X-Rapport-Account" in problem(bare, 401)["detail"]
    unsigned = httpx.post(f"{ingest.url}/v1/interactions", content=b"{}", headers={"X-Rapport-Account": "a"})
    assert "X-Rapport-Signature-256" in problem(unsigned, 401)["detail"]


@pytest.mark.usefixtures("nothing_else")
@pytest.mark.parametrize(
    "body", [b"", b" ", b"not json", b'"text"', b"12", b"null", b"\xff\xfe", b'{"id": "x"', b"[" * 100_000, b"[{},"]
)
def test_a_body_that_is_not_json_is_refused(ingest: Ingest, account: Account, body: bytes) -> None:
    assert "JSON" in problem(ingest.post(account, body), 400)["title"]


@pytest.mark.usefixtures("nothing_else")
def test_a_broken_line_is_named_by_its_number(ingest: Ingest, account: Account) -> None:
    body = json.dumps(COMMENT).encode() + b"\n{oops}\n"
    assert "line 2" in problem(ingest.post(account, body, content_type="application/x-ndjson"), 400)["detail"]


@pytest.mark.usefixtures("nothing_else")
def test_one_wrong_item_refuses_the_whole_batch_and_each_is_named(ingest: Ingest, account: Account) -> None:
    batch = [COMMENT, {**COMMENT, "id": "c2", "kind": "shout"}, {**COMMENT, "id": "c3", "actor": {}}, COMMENT, 7]
    document = problem(ingest.post(account, batch), 422)
    named = [(one["index"], one.get("id"), one["where"]) for one in document["rejected"]]
    assert named == [(1, "c2", "kind"), (2, "c3", "actor.id"), (4, None, "")]
    assert [(one["index"], one.get("id"), one["field"]) for one in document["errors"]] == named
    assert "shout" in document["rejected"][0]["why"]
    assert "3 of 5" in document["detail"]
    assert "none was taken" in document["detail"]


def test_another_brand_platform_or_account_in_the_body_is_refused(ingest: Ingest, account: Account) -> None:
    for where in ("brand", "platform", "account"):
        [rejected] = problem(ingest.post(account, {**COMMENT, where: "someone-else"}), 422)["rejected"]
        assert rejected["where"] == where


def test_fields_that_we_do_not_know_are_refused_by_name(ingest: Ingest, account: Account) -> None:
    [rejected] = problem(ingest.post(account, {**COMMENT, "sentiment": {"score": 1}}), 422)["rejected"]
    assert rejected["where"] == "sentiment"


@pytest.mark.usefixtures("nothing_else")
def test_a_body_over_a_mebibyte_is_refused(ingest: Ingest, account: Account) -> None:
    problem(ingest.post(account, b" " * (LARGEST_BODY + 1)), 413)


@pytest.mark.usefixtures("nothing_else")
def test_a_body_of_unsaid_length_is_counted_as_it_comes(ingest: Ingest, account: Account) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * (LARGEST_BODY // 10)

    headers = {"X-Rapport-Account": account.id, "X-Rapport-Signature-256": "sha256=00"}
    problem(httpx.post(f"{ingest.url}/v1/interactions", content=parts(), headers=headers, timeout=60), 413)


def test_a_huge_body_is_refused_before_it_is_sent(ingest: Ingest) -> None:
    place = urlsplit(ingest.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    connection.putrequest("POST", "/v1/interactions")
    connection.putheader("Content-Length", str(DISCARDED + 1))
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    connection.close()


@pytest.mark.usefixtures("nothing_else")
def test_more_items_than_are_taken_at_once_are_refused_whatever_they_are(ingest: Ingest, account: Account) -> None:
    for body in (
        b"[" + b"0," * (LARGEST_BODY // 2 - 2) + b"0]",
        b"[" + b"{}," * MOST_ITEMS + b"{}]",
        b"\n".join([b"{}"] * (MOST_ITEMS + 1)),
        b"[" * LARGEST_BODY,
    ):
        answer = ingest.post(account, body)
        assert answer.status_code in (400, 413)
        assert len(answer.content) < 1_000
    document = problem(ingest.post(account, [0] * MOST_ITEMS), 422)
    assert len(document["rejected"]) == MOST_REJECTED
    assert f"{MOST_ITEMS} of {MOST_ITEMS}" in document["detail"]


def test_a_body_that_never_ends_is_ended_and_so_is_its_connection(ingest: Ingest) -> None:
    place = urlsplit(ingest.url)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=60) as connection:
        connection.sendall(b"POST /v1/interactions HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n[")
        said = b""
        while part := connection.recv(65536):
            said += part
    assert said.startswith(b"HTTP/1.1 408 ")


def test_probes_and_metrics_are_not_for_strangers(ingest: Ingest) -> None:
    assert httpx.get(f"{ingest.url}/healthz").text == "ok\n"
    for internal in ("/readyz", "/metrics"):
        problem(httpx.get(f"{ingest.url}{internal}"), 404)
        assert httpx.get(f"{ingest.internal_url}{internal}").status_code == 200


def test_a_compressed_body_is_refused(ingest: Ingest, account: Account) -> None:
    problem(ingest.post(account, b"\x1f\x8b", content_encoding="gzip"), 415)


def test_other_routes_and_methods_are_problems_too(ingest: Ingest) -> None:
    problem(httpx.get(f"{ingest.url}/v1/interactions"), 405)
    problem(httpx.get(f"{ingest.url}/v1/nothing"), 404)


def test_a_time_in_the_future_is_set_back_and_flagged(ingest: Ingest, account: Account, brand: Brand, log: Log) -> None:
    ingest.post(account, {**COMMENT, "id": "tomorrow", "occurred_at": "2199-01-01T00:00:00Z"})
    [found] = log.wait_for(brand.id, "tomorrow")
    assert found.clamped
    assert found.occurred_at == found.observed_at


def test_a_new_account_and_a_removed_one_take_effect_while_running(stack: Any, ingest: Ingest) -> None:
    late = brand_with(helpdesk())
    publish(stack.kafka, late)
    ingest.knows(late.accounts[0])
    publish(stack.kafka, brand_with(id=late.id))
    until(lambda: ingest.post(late.accounts[0], []).status_code == 401, "the account to be gone")


def test_metrics_count_what_was_taken_and_refused_and_name_nobody(ingest: Ingest, account: Account) -> None:
    accepted = 'rapport_ingest_interactions_accepted_total{kind="comment",platform="helpdesk"}'
    before = ingest.metric(accepted)
    ingest.post(account, COMMENT)
    ingest.post(account, {})
    assert ingest.metric(accepted) == before + 1
    assert ingest.metric('rapport_ingest_interactions_rejected_total{platform="helpdesk",reason="invalid"}') >= 1
    assert "fan" not in httpx.get(f"{ingest.internal_url}/metrics").text
