import httpx
import pytest

from services.api.http.files.sizes import LARGEST_BODY
from tests.services.api.conftest import Served

pytestmark = pytest.mark.stack


def _is_problem(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["type"].startswith("urn:rapport:problem:")
    assert document["title"]
    assert document["detail"]


def test_every_error_is_a_problem_document(api: Served) -> None:
    _is_problem(api.client.get("/v1/nothing"), 404)
    _is_problem(api.client.delete("/v1/brands"), 405)
    _is_problem(api.client.post("/v1/brands", content=b"{"), 422)
    _is_problem(api.client.post("/v1/brands", content=b'{"id": "a", "name": "\\ud800"}'), 422)
    _is_problem(api.client.post("/v1/brands", content=b"[" * 100_000), 422)
    _is_problem(api.client.post("/v1/brands", content=b" " * (LARGEST_BODY + 1)), 413)


def test_an_unknown_address_is_said_in_more_words_than_the_title(api: Served) -> None:
    for answer in (api.client.get("/v1/nothing"), api.client.delete("/v1/brands")):
        assert answer.json()["detail"] != answer.json()["title"]
    page = api.client.get("/nothing", headers={"Accept": "text/html"})
    assert "There is nothing at this address." in page.text


def test_a_path_names_all_of_its_methods(api: Served) -> None:
    api.brand("acme")
    assert api.client.delete("/v1/brands").headers["allow"] == "GET, HEAD, POST"
    assert api.client.put("/login").headers["allow"] == "GET, HEAD, POST"
    assert api.client.patch("/v1/brands/acme/exchanges/e1/no-reply-needed").headers["allow"] == "DELETE, POST"


@pytest.mark.parametrize("path", ["/v1/brands", "/login", "/healthz", "/static/portal.css", "/v1/nothing", "/"])
def test_head_is_answered_as_get_without_the_body(api: Served, path: str) -> None:
    asked, said = api.client.get(path), api.client.head(path)
    assert (said.status_code, said.content) == (asked.status_code, b"")
    for name in ("content-type", "content-length", "location", "cache-control"):
        assert said.headers.get(name) == asked.headers.get(name), name


@pytest.mark.parametrize("kind", [None, "application/x-www-form-urlencoded", "text/plain", "application/jsonx"])
def test_who_sends_json_without_saying_so_is_told(api: Served, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = api.client.post("/v1/brands", content=b'{"id": "a", "name": "A", "timezone": "UTC"}', headers=headers)
    _is_problem(answer, 422)
    assert "Content-Type: application/json" in answer.json()["detail"]
    said = api.client.post("/v1/brands", content=b"[]", headers={"Content-Type": "application/json; charset=utf-8"})
    assert "Content-Type" not in said.json()["detail"]


def test_the_api_says_that_it_lives_and_is_ready_and_counts_its_requests(api: Served) -> None:
    with api.with_key(None) as client:
        assert client.get("/healthz").text == "ok\n"
        assert httpx.get(f"{api.internal_url}/readyz").text == "ready\n"
        client.get("/v1/brands/somebody/overview")
        for internal in ("/readyz", "/metrics"):
            assert client.get(internal).status_code == 404
        metrics = httpx.get(f"{api.internal_url}/metrics").text
    assert 'rapport_api_requests_total{method="GET",route="/v1/brands/{brand}/overview",status="401"}' in metrics
    assert "somebody" not in metrics
