"""Every string that comes in has a bound: refused at the door, cut, left out or refused in a connector."""

import types
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import pytest

from rapport.contracts.events import Actor, Interaction, Object, Parent
from rapport.domain.exchanges.fitting import (
    LONGEST_HANDLE,
    LONGEST_ID,
    LONGEST_NAME,
    LONGEST_TEXT,
    LONGEST_URL,
    MOST_LINKS,
    UnfitError,
    fit,
    shortened,
)
from services.ingest.submission import Received

NOW = datetime(2026, 11, 27, tzinfo=UTC)
LONG = "x" * 200_000
PLAIN: tuple[Any, ...] = (bool, int, float, datetime, Decimal, type(None), Any)
"""What is no string, or is checked as a number."""


def unbounded(type_: Any, where: str) -> Iterator[str]:
    """The strings and lists in a type that nothing limits."""
    if type_ in PLAIN or get_origin(type_) is Literal:
        return
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        for field in msgspec.structs.fields(type_):
            yield from unbounded(field.type, f"{where}.{field.name}".lstrip("."))
        return
    if get_origin(type_) in (Union, types.UnionType):
        for each in get_args(type_):
            yield from unbounded(each, where)
        return
    inner, *more = get_args(type_) if get_origin(type_) is Annotated else (type_,)
    limited = any(isinstance(each, msgspec.Meta) and each.max_length for each in more)
    if inner is not type_ and not limited and inner is not str:
        yield from unbounded(inner, where)
        return
    if not limited:
        yield where
    if get_origin(inner) in (tuple, list):
        for each in get_args(inner):
            if each is not Ellipsis:
                yield from unbounded(each, f"{where}[]")


def test_every_string_and_every_list_that_the_door_takes_has_a_bound() -> None:
    assert list(unbounded(Received, "")) == []
    assert list(unbounded(Interaction, "")), "the log is read as it is"


def interaction(**more: Any) -> Interaction:
    fields: dict[str, Any] = {
        "id": "1", "brand": "acme", "platform": "bluesky", "account": "acme-1", "kind": "comment",
        "actor": Actor("fan"), "object": Object("o"), "conversation": "c", "occurred_at": NOW, "observed_at": NOW,
        **more,
    }  # fmt: skip
    return Interaction(**fields)


def test_what_is_shown_is_cut_and_an_address_that_is_too_long_is_left_out() -> None:
    who = Actor("fan", handle=LONG, name=LONG, avatar_url=LONG, url=LONG, links=("https://a.example", LONG) * 30)
    found = fit(
        interaction(
            actor=who, object=Object("o", LONG), text=LONG, media=("image",) * 1_000, language=LONG, reaction=LONG
        )
    )
    assert (len(found.actor.handle or ""), len(found.actor.name or "")) == (LONGEST_HANDLE, LONGEST_NAME)
    assert (found.actor.avatar_url, found.actor.url, found.object.url, found.language) == (None, None, None, None)
    assert (len(found.text or ""), len(found.actor.links)) == (LONGEST_TEXT, MOST_LINKS)
    assert len(msgspec.json.encode(found)) < LONGEST_TEXT + 50_000


@pytest.mark.parametrize(
    "long",
    [
        {"id": LONG}, {"actor": Actor(LONG)}, {"object": Object(LONG)}, {"parent": Parent(LONG)},
        {"parent": Parent("p", LONG)}, {"conversation": LONG}, {"thread": LONG}, {"post": LONG}, {"campaign": LONG},
    ],
)  # fmt: skip
def test_an_id_that_is_too_long_is_refused(long: dict[str, Any]) -> None:
    with pytest.raises(UnfitError, match=str(LONGEST_ID)):
        fit(interaction(**long))


def test_what_fits_stays_the_same() -> None:
    who = Actor("f" * LONGEST_ID, "h" * LONGEST_HANDLE, "n" * LONGEST_NAME, "u" * LONGEST_URL, url="u" * LONGEST_URL)
    said = interaction(actor=who, text="t" * LONGEST_TEXT, parent=Parent("p", "q" * LONGEST_ID))
    assert fit(said) == said
    assert fit(fit(said)) == said


def test_what_the_log_already_holds_is_shortened_and_never_refused() -> None:
    said = interaction(
        parent=Parent("p", LONG), campaign=LONG, actor=Actor("f", name=LONG), occurred_at=NOW - timedelta(1)
    )
    found = shortened(said)
    assert found.parent == Parent("p")
    assert len(found.actor.name or "") == LONGEST_NAME
