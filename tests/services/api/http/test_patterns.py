"""No message shows a regular expression: each pattern of the document has words of its own."""

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError

from services.api.app import _routes
from services.api.brands.schemas import BrandInput
from services.api.calendar.documents import Medium
from services.api.consistency.schemas import PostsPerWeek
from services.api.http.patterns import WORDS, said
from services.api.http.schemas import AccountId, Day, Id, Utc
from services.api.new_relationships.schemas import Goal
from services.api.openapi import document


def _patterns(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str):
            yield node["pattern"]
        for each in node.values():
            yield from _patterns(each)
    elif isinstance(node, list):
        for each in node:
            yield from _patterns(each)


def test_every_pattern_of_the_document_is_said_in_words() -> None:
    found = set(_patterns(json.loads(document())))
    assert found
    assert found - WORDS.keys() == set()


@pytest.mark.parametrize(("kind", "value"), [(Id, "UPPER"), (AccountId, "a/b"), (BrandInput, {"id": "A", "name": "n"})])
def test_what_does_not_match_is_refused_in_words(kind: Any, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(kind).validate_python(value)
    why = said(refused.value.errors()[0])
    assert "beginning with a letter or digit" in why
    assert "pattern" not in why
    assert "^" not in why


def test_no_field_of_a_json_body_takes_true_for_a_number() -> None:
    def numbers(kind: Any) -> Iterator[Any]:
        """The schemas of numbers, without the query strings, which hold no booleans."""
        if isinstance(kind, dict):
            if kind.get("type") in ("int", "float"):
                yield kind
            for name, each in kind.items():
                # What a function checks before it is a number.
                yield from () if name == "schema" and kind.get("type") == "function-before" else numbers(each)
        elif isinstance(kind, list):
            for each in kind:
                yield from numbers(each)

    bodies = [
        field.field_info.annotation
        for route in _routes()
        if isinstance(route, APIRoute)
        for field in route.dependant.body_params
    ]
    assert len(bodies) > 20
    found = {body.__name__: [*numbers(TypeAdapter(body).core_schema)] for body in bodies if isinstance(body, type)}
    assert {name: each for name, each in found.items() if each} == {}


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        (Day, "0000-00-00", "use a day such as 2026-12-31"),
        (Day, "2026-02-30", "use a day such as 2026-12-31"),
        (Day, "2026-02-03T10:00:00Z", "use a day such as 2026-12-31"),
        (Day, date(1, 1, 1), "it should be greater than or equal to 1971-01-01"),
        (Utc, "soon", "use a time such as 2026-12-31T09:00:00+01:00"),
        (Utc, "2026-12-31T09:00:00", "a time needs a zone, as in 2026-12-31T09:00:00+01:00"),
        (Medium, "image|link", "use image, video, audio or link"),
        (int, "٣x", "use a whole number"),
        (int, 1.5, "use a whole number"),
        (float, "x", "use a number"),
        (bool, "perhaps", "use true or false"),
        (Goal, True, "true and false are no numbers"),
        (PostsPerWeek, False, "true and false are no numbers"),
    ],
)
def test_what_is_of_another_kind_is_refused_in_words(kind: Any, value: Any, why: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(kind).validate_python(value)
    assert said(refused.value.errors()[0]) == why
