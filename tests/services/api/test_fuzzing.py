"""Whatever is sent, no route of the API and no page of the portal answers with an error of the server."""

from typing import Any
from urllib.parse import quote

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from pymongo.database import Database
from schemathesis.checks import not_a_server_error

from rapport.kit.mongo import Document
from tests.services.api import hostile
from tests.services.api.conftest import ADMIN_KEY, Served

pytestmark = pytest.mark.stack

EXAMPLES = 10
"""Of each operation: enough to meet each parameter, and `make test` has a time to keep to."""
KNOWN = (
    ("GET", "/login?next=http://["),
    ("GET", "/v1/brands/{brand}/mix?from=9999-12-26"),
    ("GET", "/v1/brands/{brand}/consistency?from=9999-12-26"),
    ("GET", "/brands/{brand}/mix?days=9999-12-26"),
)


@pytest.fixture
def full(api: Served, views: Database[Document]) -> tuple[Served, dict[str, str]]:
    """An API with a brand that has one of everything, and the ids of it."""
    hostile.fill(api, views)
    return api, hostile.ids(views)


@pytest.fixture
def visitor(full: tuple[Served, dict[str, str]]) -> httpx.Client:
    """Somebody who is logged in to the portal."""
    client = full[0].with_key(None)
    client.timeout = httpx.Timeout(60)
    assert client.post("/login", data={"key": ADMIN_KEY}).status_code == 303
    return client


def served(failed: list[str], answer: httpx.Response) -> None:
    """Notes an answer that no request should get."""
    if answer.status_code >= 500:
        failed.append(
            f"{answer.status_code} {answer.request.method} {str(answer.request.url)[:200]} {answer.text[:200]}"
        )


def test_the_api_serves_whatever_its_document_allows_and_what_it_does_not(full: tuple[Served, dict[str, str]]) -> None:
    api, known = full
    document = api.client.get("/v1/openapi.json").json()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    filled = hostile.address(path, known)
                    place = path.split("/").index(f"{{{parameter['name']}}}") if ".ics" not in path else -1
                    parameter["schema"] = {"type": "string", "enum": [filled.split("/")[place]]}
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=api.url)
    count = 0
    for found in schema.get_all_operations():
        its: Any = found.ok()  # type: ignore[union-attr]

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=its.as_strategy())
        def try_one(case: Any) -> None:
            answer = case.call(headers={"Authorization": f"Bearer {ADMIN_KEY}"}, timeout=60)
            case.validate_response(answer, checks=(not_a_server_error,))

        try_one()
        count += 1
    assert count > 60


def test_every_parameter_of_every_page_and_route_takes_anything(
    full: tuple[Served, dict[str, str]], visitor: httpx.Client
) -> None:
    api, known = full
    failed: list[str] = []
    for method, path in KNOWN:
        client = api.client if path.startswith("/v1") else visitor
        served(failed, client.request(method, hostile.address(path, known)))
    for route in hostile.pages("GET"):
        for value in hostile.VALUES:
            sent = {each.alias: value for each in route.dependant.query_params}
            if sent:
                served(failed, visitor.get(hostile.address(route.path, known), params=sent))
            if len(value) < 100:
                for name in route.param_convertors:
                    there = hostile.address(
                        route.path, {**known, name: quote(value, safe="")}, id=quote(value, safe="")
                    )
                    served(failed, visitor.get(there))
    document = api.client.get("/v1/openapi.json").json()
    for path, operations in document["paths"].items():
        names = [each["name"] for each in operations.get("get", {}).get("parameters", ()) if each["in"] == "query"]
        for name in names:
            for value in hostile.VALUES:
                served(failed, api.client.get(hostile.address(path, known), params={name: value}))
    assert failed == []


def test_every_form_takes_anything(full: tuple[Served, dict[str, str]], visitor: httpx.Client) -> None:
    _, known = full
    failed: list[str] = []
    fields = hostile.form_fields()
    assert len(fields) > 30
    for route in hostile.pages("POST"):
        if route.path == "/logout":
            continue
        there = hostile.address(route.path, known)
        for value in hostile.VALUES:
            served(failed, visitor.post(there, data=dict.fromkeys(fields, value)))
        served(failed, visitor.post(there, data={name: ["x"] * 150 for name in fields}))
        served(failed, visitor.post(there, data={f"{name}{number}": "x" for name in fields for number in range(15)}))
        served(failed, visitor.post(there, data={"x" * 5000: "x", "": "", "\0": "\0", **dict.fromkeys(fields, "1")}))
        served(failed, visitor.post(there, files=dict.fromkeys(fields, ("a.csv", b'"'))))
        for raw in (b"", b"\xff\xfe\0", b"--x\r\n\r\n", b"a=%ff%00&b=%", b"&" * 2000, b"a=1&" * 2000):
            for kind in (
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=x",
                "multipart/form-data",
                "x",
            ):
                served(failed, visitor.post(there, content=raw, headers={"Content-Type": kind}))
    assert failed == []


def test_every_body_takes_what_is_no_fitting_json_and_no_fitting_file(full: tuple[Served, dict[str, str]]) -> None:
    api, known = full
    failed: list[str] = []
    bodies = (
        b"", b"\0", b'"', b"'", b"null", b"0", b"[]", b"{}", b'{"a\\u0000b": 1}', b'{"\\ud800": "\\ud800"}', b"\xff",
        b"[" * 5000, b'{"a":' * 5000, b"9" * 5000, b"1e999", b"NaN", b'"a","b\n', b"a,b\n1,2,3\n", b"\xef\xbb\xbf",
        b",,,\n", b"id\n\0\n", b"BEGIN:VCALENDAR",
        b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nRRULE:X\r\nEND:VEVENT\r\nEND:VCALENDAR",
    )  # fmt: skip
    document = api.client.get("/v1/openapi.json").json()
    for path, operations in document["paths"].items():
        for method in {"post", "put", "patch"} & set(operations):
            for raw in bodies:
                for kind in ("application/json", "text/csv", "x"):
                    there = hostile.address(path, known)
                    headers = {"Content-Type": kind}
                    served(failed, api.client.request(method, there, content=raw, headers=headers))
    assert failed == []
