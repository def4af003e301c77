import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from rapport.kit.mongo import Document
from services.api.keys import service as auth
from tests.services.api.conftest import ADMIN_KEY, Served

pytestmark = pytest.mark.stack

ONLY_READ = (
    ("post", "/v1/brands/{brand}/communities/check"),
    ("post", "/v1/brands/{brand}/policy/holidays"),
    ("post", "/v1/brands/{brand}/policy/preview"),
)
"""What is asked with a body and changes nothing."""


def test_a_key_says_its_id_and_nothing_else_is_taken_for_a_key() -> None:
    key_id, key = auth.new_key("live")
    assert auth.id_of(key) == key_id
    for wrong in ("", "rp_live", key + " ", key.replace("rp_", "rq_"), "rp_live_id_short", f"{key}\n"):
        assert auth.id_of(wrong) is None


def test_no_byte_of_a_keys_secret_is_stored(api: Served, views: Database[Document]) -> None:
    api.brand("aurora")
    key = api.key(["aurora"], "read")
    stored = views["keys"].find_one({"_id": auth.id_of(key)})
    assert stored is not None
    assert stored["hash"] == auth.hash_of(key)
    assert key.rsplit("_", 1)[1] not in str(stored)
    listed = api.client.get("/v1/keys").text
    assert key.rsplit("_", 1)[1] not in listed
    assert "hash" not in listed


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Bearer",
        "Bearer rp_test_nobody_" + "0" * 64,
        "Bearer " + ADMIN_KEY[:-1] + "0",
        "Basic " + ADMIN_KEY,
        "Bearer {'$ne': null}",
    ],
)
def test_without_a_valid_key_every_route_answers_401(api: Served, header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    with api.with_key(None) as client:
        for path in ("/v1/brands", "/v1/overview", "/v1/exchanges", "/v1/keys", "/v1/brands/x/overview"):
            answer = client.get(path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"] == "Bearer"


def test_an_expired_and_a_revoked_key_answer_401(api: Served, views: Database[Document]) -> None:
    api.brand("aurora")
    expiring, revoked = api.key(["aurora"], "read"), api.key(["aurora"], "read")
    views["keys"].update_one(
        {"_id": auth.id_of(expiring)}, {"$set": {"expires_at": datetime.now(UTC) - timedelta(seconds=1)}}
    )
    assert api.client.delete(f"/v1/keys/{auth.id_of(revoked)}").status_code == 204
    for key in (expiring, revoked):
        with api.with_key(key) as client:
            assert client.get("/v1/brands").status_code == 401
    assert api.client.delete(f"/v1/keys/{auth.id_of(revoked)}").status_code == 404


def test_a_missing_scope_answers_403_and_a_higher_one_includes_the_lower(api: Served) -> None:
    api.brand("aurora")
    with api.with_key(api.key(["aurora"], "read")) as client:
        assert client.get("/v1/brands/aurora/policy").status_code == 200
        answer = client.put("/v1/brands/aurora/policy", json={"rules": []})
        assert answer.status_code == 403
        assert "'write'" in answer.json()["detail"]
        assert client.get("/v1/keys").status_code == 403
    with api.with_key(api.key(["aurora"], "write")) as client:
        assert client.get("/v1/brands/aurora/policy").status_code == 200
        assert client.put("/v1/brands/aurora/channels", json={"channels": []}).status_code == 200


def test_a_key_that_only_reads_changes_nothing(api: Served) -> None:
    api.brand("aurora")
    asked = 0
    with api.with_key(api.key(["aurora"], "read")) as client:
        for path, methods in api.client.get("/v1/openapi.json").json()["paths"].items():
            for method in methods.keys() & {"post", "put", "patch", "delete"}:
                if (method, path) in ONLY_READ:
                    continue
                filled = re.sub(r"\{\w+\}", "any", path.replace("{brand}", "aurora"))
                body: dict[str, Any] = {} if method == "delete" else {"json": {}}
                answer = client.request(method, filled, **body)
                assert answer.status_code == 403, (method, path, answer.text)
                asked += 1
    assert asked > 40


def test_a_key_can_only_make_keys_that_reach_no_further_than_itself(api: Served) -> None:
    api.brand("aurora")
    api.brand("harbour")
    foreign = api.key(["harbour"], "read")
    everywhere = api.key(None, "read")
    with api.with_key(api.key(["aurora"], "admin")) as client:
        assert client.post("/v1/keys", json={"name": "a", "brands": ["aurora"]}).status_code == 201
        assert client.post("/v1/keys", json={"name": "b", "brands": ["harbour"]}).status_code == 422
        assert client.post("/v1/keys", json={"name": "c"}).status_code == 403
        assert client.post("/v1/brands", json={"id": "new", "name": "New"}).status_code == 403
        listed = {key["id"] for key in client.get("/v1/keys").json()["items"]}
        for key in (foreign, everywhere):
            assert auth.id_of(key) not in listed
            assert client.delete(f"/v1/keys/{auth.id_of(key)}").status_code == 404


def test_a_key_that_would_have_expired_already_is_refused(api: Served) -> None:
    answer = api.client.post("/v1/keys", json={"name": "a", "expires_at": "2020-01-01T00:00:00Z"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "expires_at"
