"""Adds the headers that the middleware reads to the OpenAPI document."""

from typing import Any

from services.api.http.conditional import CHANGING

IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The `ETag` of what you read; 412 if it has changed since.",
    "schema": {"type": "string"},
}
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Identifies this request. Sent again within a day with the same key, it is carried out only once.",
    "schema": {"type": "string", "maxLength": 255, "pattern": "^[!-~]+$"},
}


def with_headers(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the headers, in place."""
    for path, operations in document["paths"].items():
        if not path.startswith("/v1/"):
            continue
        changing = [method for method in operations if method.upper() in CHANGING]
        for method in changing:
            _add(operations[method], IF_MATCH)
            operations[method]["responses"].setdefault("412", {"description": "Precondition Failed"})
        if "post" in operations:
            _add(operations["post"], IDEMPOTENCY_KEY)
        if "get" in operations and {"put", "patch"} & operations.keys():
            tag = {"description": "The version of the fields that can be changed.", "schema": {"type": "string"}}
            operations["get"]["responses"]["200"].setdefault("headers", {})["ETag"] = tag
    return document


def _add(operation: dict[str, Any], parameter: dict[str, Any]) -> None:
    parameters = operation.setdefault("parameters", [])
    if all((each["name"], each["in"]) != (parameter["name"], parameter["in"]) for each in parameters):
        parameters.append(parameter)
