"""Explains an unknown field, with the most similar known one."""

import difflib
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

LONGEST_NAME = 100


def why(name: str, known: Collection[str], what: str = "field") -> str:
    """Why a field of this name is refused where only the `known` ones exist."""
    shown = name[:LONGEST_NAME]
    near = difflib.get_close_matches(shown.lower(), known, 1)
    return f"unknown {what} {shown}" + (f"; did you mean {near[0]}?" if near else "")


def known_at(request: Request, loc: Sequence[str | int]) -> list[str]:
    """The known fields where an unknown one was found. `loc` is pydantic's: `body` or `query`, then the path."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return []
    if loc[0] != "body" or route.body_field is None:
        fields: list[Any] = [each.field_info.annotation for each in route.dependant.query_params]
        return sorted({name for each in fields for name in _schema(each).get("properties", {})})
    body: Any = route.body_field.field_info.annotation
    whole = _schema(body)
    nodes = list(_options(whole, whole))
    for part in loc[1:-1]:
        inner = [found for node in nodes for found in _inside(node, part, whole)]
        # A part that is not a field names one of several models; consider all of them.
        nodes = inner or nodes
    return sorted({name for node in nodes for name in node.get("properties", {})})


@cache
def _schema(annotation: Any) -> dict[str, Any]:
    return TypeAdapter(annotation).json_schema()


def _inside(node: dict[str, Any], part: str | int, whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if isinstance(part, int):
        found = node.get("items")
    else:
        more = node.get("additionalProperties")
        found = node.get("properties", {}).get(part, more if isinstance(more, dict) else None)
    if found is not None:
        yield from _options(found, whole)


def _options(node: dict[str, Any], whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "$ref" in node:
        yield from _options(whole["$defs"][node["$ref"].rpartition("/")[2]], whole)
        return
    yield node
    for each in (*node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("allOf", ())):
        yield from _options(each, whole)
