"""Changes with `If-Match`, and requests with an `Idempotency-Key`."""

import asyncio
import json
import re
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from fastapi.routing import APIRoute
from pymongo.database import Database

from rapport.kit.mongo import Document
from services.api.http.conditional import Conditional, resources
from services.api.http.idempotency import WITH_SECRETS
from services.api.new_relationships.schemas import NewGoal
from services.api.openapi import document
from tests.services.api.conftest import Served

DOCUMENT = json.loads(document())["paths"]
SCHEMAS = json.loads(document())["components"]["schemas"]
BRAND = "acme"
PLAN = {"account": "sky", "planned_at": "2031-05-01T10:00:00Z", "text": "x"}
METHODS = ("put", "patch", "delete")
CHANGING = [(method, path) for path, operations in DOCUMENT.items() for method in operations if method in METHODS]
VERSIONED = [path for path, of in DOCUMENT.items() if "get" in of and {"put", "patch"} & of.keys()]
BODIES: dict[str, Any] = {
    "/v1/brands/{brand}/accounts/{account}": {"handle": "other"},
    "/v1/brands/{brand}/calendar/posts/{plan}": {**PLAN, "text": "y"},
    "/v1/brands/{brand}/calendar/settings": {"approval_required": True},
    "/v1/brands/{brand}/campaigns/{campaign}": {"name": "Other"},
    "/v1/brands/{brand}/campaigns/{campaign}/draw": {"show_winners": True},
    "/v1/brands/{brand}/channels": {"channels": [{"type": "mail", "id": "desk", "to": "a@example.com"}]},
    "/v1/brands/{brand}/communities/{community}": {"name": "Other", "rule": "trust > 9"},
    "/v1/brands/{brand}/consistency/rhythm": {"posts_per_week": 3},
    "/v1/brands/{brand}/mix/settings": {"labels": {"business": 0.5}},
    "/v1/brands/{brand}/new/goal": {"goal": 5},
    "/v1/brands/{brand}/policy": {"rules": [{"target_seconds": 60}]},
    "/v1/relationships/scoring": {"half_life_days": 9},
}
NOT_TRIED = {"/v1/brands/{brand}/campaigns/{campaign}/draw", "/v1/relationships/scoring"}
"""A draw takes an end, and the agency's numbers are long; both are paths like the others."""


def test_every_change_is_documented_with_its_condition_and_every_post_with_its_key() -> None:
    for path, operations in DOCUMENT.items():
        for method, operation in operations.items():
            named = {each["name"] for each in operation.get("parameters", ())}
            if path.startswith("/v1/"):
                assert ("If-Match" in named) == (method in METHODS), (method, path)
                assert ("Idempotency-Key" in named) == (method == "post"), (method, path)
    assert set(VERSIONED) == set(BODIES)


@pytest.fixture
def filled(api: Served) -> None:
    """One of everything that can be changed."""
    api.brand(BRAND)

    def send(path: str, **body: Any) -> None:
        answer = api.client.post(f"/v1/brands/{BRAND}{path}", json=body)
        assert answer.status_code == 201, answer.text

    send("/accounts", id="sky", platform="bluesky", handle="acme")
    send("/calendar/posts", id="some-id", **PLAN)
    send("/communities", id="some-id", name="A", rule="trust > 3")
    times = {"starts_at": "2031-05-01T10:00:00Z", "ends_at": "2031-06-01T10:00:00Z"}
    giveaway = {"requirements": [{"kind": "comment"}], "winners": 1}
    send("/campaigns", id="some-id", kind="giveaway", name="A", posts=["p"], giveaway=giveaway, **times)


def address(path: str) -> str:
    named = path.replace("{brand}", BRAND).replace("{account}", "sky")
    return re.sub(r"\{\w+\}", "some-id", named)


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_a_change_of_what_changed_meanwhile_is_refused(api: Served) -> None:
    for path, body in BODIES.items():
        if path in NOT_TRIED:
            continue
        method = "PUT" if "put" in DOCUMENT[path] else "PATCH"
        before = api.client.get(address(path))
        tag = before.headers["etag"]
        assert re.fullmatch(r'"[!#-~]+"', tag), tag  # RFC 9110, 8.8.3: a strong one
        assert api.client.get(address(path)).headers["etag"] == tag
        answer = api.client.request(method, address(path), json=body, headers={"If-Match": '"old"'})
        assert (answer.status_code, answer.json()["type"]) == (412, "urn:rapport:problem:changed"), path
        assert api.client.get(address(path)).headers["etag"] == tag
        answer = api.client.request(method, address(path), json=body, headers={"If-Match": f'"older", {tag}'})
        assert answer.status_code == 200, (path, answer.text)
        assert api.client.get(address(path)).headers["etag"] != tag, path
        answer = api.client.request(method, address(path), json=body, headers={"If-Match": tag})
        assert answer.status_code == 412, path
        answer = api.client.request(method, address(path), json=body, headers={"If-Match": "*"})
        assert answer.status_code == 200, (path, answer.text)


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_every_change_with_a_version_that_is_not_the_one_there_is_refused(api: Served) -> None:
    for method, path in CHANGING:
        answer = api.client.request(method.upper(), address(path), json={}, headers={"If-Match": '"old"'})
        assert answer.status_code in (404, 412), (method, path, answer.text)
    with api.with_key(None) as anybody:
        path = address("/v1/brands/{brand}/new/goal")
        assert anybody.put(path, json={"goal": 1}, headers={"If-Match": "*"}).status_code == 401
    with api.with_key(api.key([BRAND], "read")) as reader:
        tag = reader.get(path).headers["etag"]
        assert reader.put(path, json={"goal": 1}, headers={"If-Match": tag}).status_code == 403


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_what_changes_by_itself_is_no_part_of_the_version(api: Served, views: Database[Document]) -> None:
    paths = [f"/v1/brands/{BRAND}/calendar/posts/some-id", f"/v1/brands/{BRAND}/communities/some-id"]
    before = [api.client.get(path) for path in paths]
    views["planned_posts"].update_one({}, {"$set": {"missing_since": datetime.now(UTC), "revision": 7}})
    views["communities"].update_one({}, {"$set": {"members": 5}})
    after = [api.client.get(path) for path in paths]
    assert [each.json() for each in after] != [each.json() for each in before]
    assert [each.headers["etag"] for each in after] == [each.headers["etag"] for each in before]
    # So it does not say whether all of it is as it was.
    again = [api.client.get(each.url, headers={"If-None-Match": each.headers["etag"]}) for each in before]
    assert [each.json() for each in again] == [each.json() for each in after]


@pytest.mark.stack
def test_what_has_no_version_is_not_changed_under_a_condition(api: Served) -> None:
    key = api.key(None, "read")
    path = f"/v1/keys/{key.split('_')[2]}"
    for condition in ('"old"', "*"):
        answer = api.client.delete(path, headers={"If-Match": condition})
        assert (answer.status_code, "this has no version" in answer.text) == (412, True)
    with api.with_key(key) as holder:
        assert holder.get("/v1/brands").status_code == 200
    assert api.client.delete(path).status_code == 204
    with api.with_key(None) as anybody:
        follower = f"/v1/brands/{BRAND}/followers/some-id"
        assert anybody.delete(follower, headers={"If-Match": "*"}).status_code == 401


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_cannot_be_read_now_is_not_said_to_have_changed(status: int) -> None:
    app = FastAPI()

    @app.get("/v1/thing")
    def read() -> None:
        raise HTTPException(status)

    @app.put("/v1/thing")
    def change(goal: NewGoal) -> NewGoal:
        return goal

    app.add_middleware(Conditional, resources=resources(each for each in app.routes if isinstance(each, APIRoute)))

    async def put() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
            answer = await client.put("/v1/thing", json={"goal": 1}, headers={"If-Match": '"read before"'})
            return answer.status_code

    assert asyncio.run(put()) == status


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_of_two_changes_at_once_one_is_refused(api: Served) -> None:
    path = address("/v1/brands/{brand}/new/goal")
    tag = api.client.get(path).headers["etag"]
    answers: list[httpx.Response] = []

    def change(goal: int) -> None:
        answers.append(api.client.put(path, json={"goal": goal}, headers={"If-Match": tag}))

    threads = [threading.Thread(target=change, args=(goal,)) for goal in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.status_code for each in answers) == [200, 412, 412, 412, 412]


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_a_request_that_is_sent_again_is_carried_out_once(api: Served, views: Database[Document]) -> None:
    path = f"/v1/brands/{BRAND}/calendar/posts"
    key = {"Idempotency-Key": "a-1"}
    answers = [api.client.post(path, json=PLAN, headers=key) for _ in range(3)]
    assert {each.status_code for each in answers} == {201}
    assert len({each.text for each in answers}) == 1
    assert [each.headers.get("idempotent-replayed") for each in answers] == [None, "true", "true"]
    assert views["planned_posts"].count_documents({}) == 2
    answer = api.client.post(path, json={**PLAN, "text": "other"}, headers=key)
    assert (answer.status_code, "another request" in answer.text) == (422, True)
    lower = {**key, "Authorization": api.client.headers["Authorization"].replace("Bearer", "bearer")}
    assert api.client.post(path, json=PLAN, headers=lower).headers["idempotent-replayed"] == "true"
    assert api.client.post(path, json={**PLAN, "text": "other"}, headers=lower).status_code == 422
    # What was refused can be sent again, and another key's requests are its own.
    wrong = {"Idempotency-Key": "a-2"}
    assert api.client.post(path, json={**PLAN, "account": "none"}, headers=wrong).status_code == 422
    assert api.client.post(path, json=PLAN, headers=wrong).status_code == 201
    with api.with_key(api.key([BRAND], "write")) as other:
        assert other.post(path, json=PLAN, headers=key).headers.get("idempotent-replayed") is None
    for bad in ("", "a b", "x" * 256):
        assert api.client.post(path, json=PLAN, headers={"Idempotency-Key": bad}).status_code == 422
    assert views["planned_posts"].count_documents({}) == 4


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_a_request_is_known_by_its_path_and_its_query_too(api: Served) -> None:
    home, key = f"/v1/brands/{BRAND}", {"Idempotency-Key": "one"}
    rows = "planned_at,account,text\n2031-05-01T10:00:00Z,sky,From a file\n"
    assert api.client.post(f"{home}/calendar/posts", json=PLAN, headers=key).status_code == 201
    community = {"name": "B", "rule": "trust > 4"}
    assert api.client.post(f"{home}/communities", json={**community, "id": "b"}, headers=key).status_code == 201
    assert api.client.post(f"{home}/calendar/import", content=rows, headers=key).json()["added"] == 0
    agreed = api.client.post(f"{home}/calendar/import", content=rows, headers=key, params={"agree": True})
    assert (agreed.status_code, "another request" in agreed.text) == (422, True)


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_a_request_that_is_still_carried_out_is_not_carried_out_again_unless_its_process_is_gone(
    api: Served, views: Database[Document]
) -> None:
    path, key = f"/v1/brands/{BRAND}/calendar/posts", {"Idempotency-Key": "b-1"}
    assert api.client.post(path, json=PLAN, headers=key).status_code == 201
    for ago, status, plans in ((timedelta(0), 409, 2), (timedelta(minutes=3), 201, 3)):
        views["request_receipts"].update_many({}, {"$set": {"status": None, "at": datetime.now(UTC) - ago}})
        answer = api.client.post(path, json=PLAN, headers=key)
        assert (answer.status_code, "still being carried out" in answer.text) == (status, status == 409)
        assert views["planned_posts"].count_documents({}) == plans


def test_every_post_that_answers_a_secret_is_known_to() -> None:
    secret = re.compile(r"(^|_)(key|secret|password)$")
    found = []
    for path, operations in DOCUMENT.items():
        for status, answer in operations.get("post", {}).get("responses", {}).items():
            name = answer.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
            fields = SCHEMAS.get(name.rpartition("/")[2], {}).get("properties", {})
            if status.startswith("2") and any(secret.search(each) for each in fields):
                found.append(path)
                assert path.endswith(WITH_SECRETS), path
    assert len(found) >= 3


@pytest.mark.stack
def test_an_answer_with_a_secret_is_not_kept(api: Served, views: Database[Document]) -> None:
    key = {"Idempotency-Key": "k"}
    body = {"name": "n", "brands": None, "scopes": ["read"]}
    made = api.client.post("/v1/keys", json=body, headers=key).json()["key"]
    answer = api.client.post("/v1/keys", json=body, headers=key)
    assert (answer.status_code, "held a secret" in answer.text) == (409, True)
    assert len(api.client.get("/v1/keys").json()["items"]) == 1
    kept = json.dumps([each for name in views.list_collection_names() for each in views[name].find()], default=str)
    assert made.rpartition("_")[2] not in kept


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_a_revoked_key_is_answered_nothing_again(api: Served) -> None:
    key = api.key([BRAND], "write")
    with api.with_key(key) as client:
        path, name = f"/v1/brands/{BRAND}/calendar/posts", {"Idempotency-Key": "z"}
        assert client.post(path, json=PLAN, headers=name).status_code == 201
        assert api.client.delete(f"/v1/keys/{key.split('_')[2]}").status_code in (200, 204)
        assert client.post(path, json=PLAN, headers=name).status_code == 401
