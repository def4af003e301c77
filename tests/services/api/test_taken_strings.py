"""Every string in what the API takes has a bound that fits its use."""

from typing import Annotated, Any

from pydantic import StringConstraints, TypeAdapter, ValidationError

from tests.services.api.taken import everything, leaves

ANCHORED = ("^", "$")


def bounded(limit: Any) -> bool:
    if getattr(limit, "max_length", None) is not None or any(map(bounded, getattr(limit, "metadata", ()))):
        return True
    pattern = getattr(limit, "pattern", None) or ""
    # A pattern counts as a bound where it repeats nothing without an end.
    return (
        pattern.startswith(ANCHORED[0]) and pattern.endswith(ANCHORED[1]) and "+" not in pattern and "*" not in pattern
    )


def test_every_string_of_a_request_has_a_bound() -> None:
    strings = [
        (where, limits)
        for where, its in everything()
        # What a path names is looked up and never kept; what the portal's forms send goes into these same models.
        if ".schemas." in where or (" /v1/" in where and " path " not in where)
        for leaf, limits in leaves(its)
        if leaf is str
    ]
    assert len(strings) > 50
    assert any(isinstance(limit, StringConstraints) for _, limits in strings for limit in limits)
    assert [where for where, limits in strings if not any(map(bounded, limits))] == []


UNSEEN = ("\u2800", "\u200b\u3164", "\u200d\ufe0f", "\u0301", "\u202e\u2066")
"""What is written and shows nothing."""
NOT_READ = {"word", "words", "keywords", "object", "posts", "post", "beacon"}
"""Fields that are compared and not read by people: what nobody sees finds nothing."""


def test_every_text_that_people_read_shows_something() -> None:
    texts = []
    for where, its in everything():
        for leaf, limits in leaves(its):
            flat = [one for limit in limits for one in (limit, *getattr(limit, "metadata", ()))]
            read = [one for one in flat if isinstance(one, StringConstraints) and one.min_length and not one.pattern]
            name = where.rpartition(".")[2]
            words = any(one.strip_whitespace for one in read) or name in ("handle", "text")
            if leaf is str and read and words and name not in NOT_READ:
                texts.append((where, TypeAdapter(Annotated[(str, *limits)])))
    assert len(texts) > 10
    taken = [(where, text) for where, adapter in texts for text in UNSEEN if _takes(adapter, text)]
    assert taken == []


def _takes(adapter: TypeAdapter[str], text: str) -> bool:
    try:
        adapter.validate_python(text)
    except ValidationError:
        return False
    return True
