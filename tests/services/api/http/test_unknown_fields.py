"""Fields that nobody knows: every body and query refuses them by name."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from services.api import openapi
from tests.services.api.conftest import Served

DOCUMENT = json.loads(openapi.document())
SCHEMAS = DOCUMENT["components"]["schemas"]


def _operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            yield method, path, operation


BODIES = [
    (method, path, operation["requestBody"]["content"]["application/json"]["schema"])
    for method, path, operation in _operations()
    if "application/json" in operation.get("requestBody", {}).get("content", {})
]
QUERIES = [
    path
    for method, path, operation in _operations()
    if method == "get" and any(each["in"] == "query" for each in operation.get("parameters", ()))
]


def _objects(schema: dict[str, Any], seen: set[str], name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name not in seen:
            seen.add(name)
            yield from _objects(SCHEMAS[name], seen, name)
        return
    if "properties" in schema:
        yield name, schema
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ()), *schema.get("oneOf", ())]
    inner += [schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]
    for each in inner:
        yield from _objects(each, seen, name)


def test_every_object_of_every_body_refuses_unknown_fields() -> None:
    found = {name: each for _, _, body in BODIES for name, each in _objects(body, set())}
    assert len(found) > 20
    assert [name for name, each in found.items() if each.get("additionalProperties") is not False] == []


@pytest.mark.stack
def test_every_body_names_the_unknown_field_and_the_nearest_known_one(api: Served) -> None:
    api.brand("acme")
    for method, path, body in BODIES:
        [_, its] = next(_objects(body, set()))
        near = max(its["properties"], key=len)
        address = re.sub(r"\{\w+\}", "some-id", path.replace("{brand}", "acme"))
        answer = api.client.request(method, address, json={f"{near}x": 1, "qqqqqq": 1})
        assert answer.status_code == 422, (path, answer.text)
        said = {each["field"]: each["why"] for each in answer.json()["errors"]}
        assert said[f"{near}x"] == f"unknown field {near}x; did you mean {near}?", path
        assert said["qqqqqq"] == "unknown field qqqqqq", path


@pytest.mark.stack
def test_an_unknown_field_within_another_is_named_with_its_place(api: Served) -> None:
    api.brand("acme")
    rules = {"rules": [{"when": {"platfrom": ["shop"]}, "target_seconds": 60}]}
    answer = api.client.put("/v1/brands/acme/policy", json=rules)
    assert answer.json()["errors"] == [
        {"field": "rules.0.when.platfrom", "why": "unknown field platfrom; did you mean platform?"}
    ]
    channels = {"channels": [{"type": "webhook", "id": "desk", "url": "https://example.com", "secrt": "x"}]}
    answer = api.client.put("/v1/brands/acme/channels", json=channels)
    said = {each["field"].rpartition(".")[2]: each["why"] for each in answer.json()["errors"]}
    assert said["secrt"] == "unknown field secrt; did you mean secret?"


@pytest.mark.stack
def test_every_query_names_the_unknown_parameter(api: Served) -> None:
    api.brand("acme")
    wrong = []
    for path in QUERIES:
        address = re.sub(r"\{\w+\}", "some-id", path.replace("{brand}", "acme"))
        answer = api.client.get(address, params={"limitt": "1"})
        if answer.status_code != 422 or "unknown field limitt" not in answer.text:
            wrong.append((path, answer.status_code, answer.text[:200]))
    assert wrong == []
