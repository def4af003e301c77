"""Bodies of the generic door, read without a network."""

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.contracts import codec
from rapport.contracts.events import Account, Interaction
from services.ingest.broker import LARGEST_VALUE
from services.ingest.submission import NotJsonError, Received, RejectedError, Rejection, read

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ACCOUNT = Account(
    id="acme-shop", platform="shop", handle="acme", connected_at=NOW, door_secrets=("s",), staff=("grace",)
)
PURCHASE: dict[str, Any] = {"id": "order-1", "kind": "purchase", "actor": {"id": "fan"}}


def taken(body: Any, *, lines: bool = False) -> list[Interaction]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return [one for one, _ in read(raw, lines=lines, brand="acme", account=ACCOUNT, observed_at=NOW)]


def refused(body: Any) -> Rejection:
    with pytest.raises(RejectedError) as found:
        taken(body)
    return found.value.rejected[0]


def test_what_the_account_tells_is_filled_in() -> None:
    [one] = taken(PURCHASE)
    assert (one.brand, one.platform, one.account) == ("acme", "shop", "acme-shop")
    assert (one.object.id, one.observed_at, one.occurred_at_source) == ("order-1", NOW, "receipt")


def test_what_somebody_of_the_staff_writes_to_a_follower_is_a_reply_and_the_rest_is_marked() -> None:
    said: dict[str, Any] = {"id": "c1", "kind": "comment", "actor": {"id": "grace"}, "post": "p1"}
    to_a_follower = {**said, "parent": {"id": "c0", "actor": "fan"}}
    assert [(one.kind, one.staff, one.actor.id) for one in taken(to_a_follower)] == [("reply", True, "grace")]
    among_themselves = {**said, "parent": {"id": "c0", "actor": "grace"}}
    for body in (said, among_themselves, {**said, "kind": "reaction"}):
        assert [(one.kind, one.staff) for one in taken(body)] == [(body["kind"], True)]
    assert [one.staff for one in taken(PURCHASE)] == [False]


def test_amounts_keep_their_decimals() -> None:
    assert taken({**PURCHASE, "amount": 19.90, "currency": "EUR"})[0].amount == Decimal("19.9")
    assert taken({**PURCHASE, "amount": "19.90"})[0].amount == Decimal("19.90")


@pytest.mark.parametrize(
    "amount",
    ["NaN", "-Infinity", "1e999999", f"1e{10**17}", f"-1e{10**17}", f"0e{10**17}", 10**15, "0.0000000001", True, "ten"],
)
def test_amounts_that_no_sum_could_take_are_refused(amount: Any) -> None:
    assert refused({**PURCHASE, "amount": amount}).where == "amount"


@pytest.mark.parametrize("amount", [-49.9, "-0.01"])
def test_a_purchase_is_taken_back_by_undo_and_not_by_a_negative_amount(amount: Any) -> None:
    rejected = refused({**PURCHASE, "amount": amount})
    assert (rejected.where, "`undo`" in rejected.why) == ("amount", True)
    assert taken({**PURCHASE, "amount": amount, "undo": True, "object": {"id": "order"}})[0].undo
    assert taken({**PURCHASE, "amount": 0})[0].amount == 0


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("id", ""),
        ("id", "x" * 513),
        ("id", 7),
        ("kind", "purchased"),
        ("kind", None),
        ("actor", "fan"),
        ("actor.id", {"id": ""}),
        ("actor.id", {"name": "nobody"}),
        ("object.id", {"url": "https://example.com"}),
        ("media[1]", ["image", "hologram"]),
        ("occurred_at", "yesterday"),
        ("occurred_at", "2026-11-23T10:00:00"),
        ("occurred_at", "0001-01-01T00:00:00+14:00"),
        ("occurred_at", "0001-01-01T00:00:00Z"),
        ("occurred_at", "1500-01-01T00:00:00Z"),
        ("occurred_at", "1970-12-31T23:59:59.999Z"),
        ("occurred_at", "9999-01-01T00:00:00Z"),
        ("occurred_at", "9999-12-31T23:59:59-14:00"),
        ("occurred_at", 1_795_000_000),
        ("undo", "yes"),
        ("text", ["a"]),
        ("thread", ""),
    ],
)
def test_a_wrong_field_is_named_with_the_reason(where: str, value: Any) -> None:
    rejected = refused({**PURCHASE, where.partition(".")[0].partition("[")[0]: value})
    assert rejected.where == where
    assert rejected.why


def test_a_missing_field_is_named() -> None:
    assert refused({"id": "1", "kind": "follow"}).where == "actor"


def test_an_unknown_kind_is_told_the_known_ones() -> None:
    assert "comment" in refused({**PURCHASE, "kind": "purchased"}).why


@pytest.mark.parametrize(
    ("where", "more", "near"),
    [
        ("txt", {"txt": "hello"}, "text"),
        ("Text", {"Text": "hello"}, "text"),
        ("occured_at", {"occured_at": "2026-11-23T10:00:00Z"}, "occurred_at"),
        ("zzzz", {"zzzz": 1}, None),
        ("actor.nmae", {"actor": {"id": "fan", "nmae": "Ann"}}, "name"),
        ("object.urls", {"object": {"id": "o", "urls": "https://example.com"}}, "url"),
        ("parent.actr", {"parent": {"id": "p", "actr": "fan"}}, "actor"),
    ],
)
def test_an_unknown_field_is_refused_by_name_with_the_nearest_known_one(
    where: str, more: dict[str, Any], near: str | None
) -> None:
    rejected = refused([PURCHASE, {**PURCHASE, **more}])
    assert (rejected.index, rejected.where, rejected.id) == (1, where, "order-1")
    name = where.rpartition(".")[2]
    assert rejected.why == f"unknown field {name}" + (f"; did you mean {near}?" if near else "")


def test_every_object_of_a_submission_refuses_fields_that_it_does_not_know() -> None:
    def structs(of: Any) -> Iterator[type[msgspec.Struct]]:
        if isinstance(of, type) and issubclass(of, msgspec.Struct):
            yield of
            for each in msgspec.structs.fields(of):
                yield from structs(each.type)
        for each in get_args(of):
            yield from structs(each)

    found = set(structs(Received))
    assert len(found) >= 4
    assert [each.__name__ for each in found if not each.__struct_config__.forbid_unknown_fields] == []


def test_what_reads_the_log_tolerates_fields_that_it_does_not_know() -> None:
    [(interaction, record)] = read(
        json.dumps({**PURCHASE, "observed_at": "2026-11-23T10:00:00Z"}).encode(),
        lines=False,
        brand="acme",
        account=ACCOUNT,
        observed_at=NOW,
    )
    later = json.loads(record.value)
    later |= {"of_a_later_version": 1, "actor": {**later["actor"], "of_a_later_version": 1}}
    assert codec.decode("rapport.interaction.v1", json.dumps(later).encode()) == interaction


def test_an_interaction_too_large_for_the_log_is_refused_and_one_just_below_is_not() -> None:
    whale = "\U0001f433"  # four bytes
    assert str(LARGEST_VALUE) in refused({**PURCHASE, "text": whale * (LARGEST_VALUE // 4)}).why
    assert taken({**PURCHASE, "text": whale * (LARGEST_VALUE // 4 - 250)})


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("actor.handle", "x" * 257),
        ("actor.name", "x" * 641),
        ("actor.avatar_url", "x" * 2_049),
        ("actor.url", "x" * 2_049),
        ("object.url", "x" * 2_049),
        ("parent.actor", "x" * 513),
        ("text", "x" * 100_001),
        ("language", "x" * 65),
        ("reaction", "x" * 129),
        ("currency", "x" * 129),
        ("campaign", "x" * 129),
        ("media", ["image"] * 101),
        ("platform", "x" * 513),
    ],
)
def test_a_string_that_is_too_long_is_refused_by_name(where: str, value: Any) -> None:
    top, _, part = where.partition(".")
    assert refused({**PURCHASE, top: {"id": "a", part: value} if part else value}).where == where


def test_every_wrong_item_is_named_in_order() -> None:
    with pytest.raises(RejectedError) as found:
        taken([{**PURCHASE, "kind": "reply"}, PURCHASE, {}, {**PURCHASE, "amount": "NaN"}])
    assert [one.index for one in found.value.rejected] == [0, 2, 3]


def test_one_pretty_printed_object_is_not_taken_for_lines() -> None:
    assert len(taken(json.dumps(PURCHASE, indent=2).encode())) == 1
    with pytest.raises(NotJsonError):
        taken(json.dumps(PURCHASE, indent=2).encode()[:-1])


def test_empty_lines_between_objects_are_nothing() -> None:
    line = json.dumps(PURCHASE).encode()
    assert len(taken(b"\n" + line + b"\r\n\n" + line + b"\n\n", lines=True)) == 2


def test_an_array_declared_as_lines_is_one_item_that_is_none() -> None:
    with pytest.raises(RejectedError):
        taken([PURCHASE], lines=True)


def test_an_item_whose_unknown_field_is_no_text_is_refused_by_its_name() -> None:
    wrong = b'{"id": "1", "kind": "comment", "actor": {"id": "ada"}, "unknown": "\xc7("}'
    with pytest.raises(RejectedError) as refused:
        read(b"[" + wrong + b"]", lines=False, brand="b", account=ACCOUNT, observed_at=NOW)
    assert [(one.index, one.where) for one in refused.value.rejected] == [(0, "unknown")]
    for body in (wrong, b"\n".join([wrong, wrong])):
        with pytest.raises(NotJsonError):
            read(body, lines=False, brand="b", account=ACCOUNT, observed_at=NOW)


@given(st.binary(max_size=200), st.booleans())
def test_no_body_does_anything_but_be_taken_or_refused(body: bytes, lines: bool) -> None:
    with contextlib.suppress(NotJsonError, RejectedError):
        taken(body, lines=lines)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_fields = st.sampled_from(
    ["id", "kind", "actor", "object", "parent", "post", "thread", "amount", "media", "occurred_at", "undo", "text"]
)


@given(st.dictionaries(_fields, _json, max_size=4))
def test_whatever_is_taken_can_be_read_back_by_every_consumer(more: dict[str, Any]) -> None:
    raw = json.dumps({**PURCHASE, **more}).encode()
    try:
        found = read(raw, lines=False, brand="acme", account=ACCOUNT, observed_at=NOW)
    except (NotJsonError, RejectedError):
        return
    for interaction, record in found:
        assert codec.decode("rapport.interaction.v1", record.value) == interaction
