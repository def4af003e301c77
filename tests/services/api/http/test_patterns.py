"""No message shows a regular expression: each pattern of the document has words of its own."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from services.api.brands.schemas import BrandInput
from services.api.http.patterns import WORDS, said
from services.api.http.schemas import AccountId, Id
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
