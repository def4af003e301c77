"""What one version of Rapport writes and another reads: unknown fields are passed over, and what must not be, waits."""

import importlib
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import msgspec
import pytest
from msgspec import Struct, inspect

import rapport
import services
from rapport.contracts import codec
from rapport.contracts.brands import Brands
from rapport.contracts.codec import NewerError, UndecodableError
from rapport.contracts.rows import FollowerRow
from rapport.contracts.topics import key_of
from tests.contracts.shapes import structs

EXAMPLES = sorted((Path(codec.__file__).parent / "examples").glob("*/*.json"))

INPUTS = {"Received", "StrictActor", "StrictObject", "StrictParent"}
"""What strangers send. Their tests are with the door: an unknown field is refused by name."""
CONDITIONS = {"When", "Calendar", "Override", "_Node", "Condition", "All", "Any", "Not"}
"""What a rule holds for. To pass over a further condition would widen the rule, so whoever meets one waits."""


def every_struct() -> set[type[Struct]]:
    """All structs of the product."""
    for package in (rapport, services):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    found: set[type[Struct]] = set()
    left: list[type[Struct]] = [Struct]
    while left:
        new = [each for each in left.pop().__subclasses__() if each not in found]
        found.update(new)
        left += new
    return {each for each in found if each.__module__.startswith(("rapport.", "services."))}


def test_no_struct_but_inputs_and_conditions_refuses_a_field_that_it_does_not_know() -> None:
    every = every_struct()
    assert len(every) > 50
    strict = {each.__name__ for each in every if each.__struct_config__.forbid_unknown_fields}
    assert strict == INPUTS | CONDITIONS


def _objects(value: Any, shape: inspect.Type, path: tuple[str | int, ...] = ()) -> Iterator[tuple[Any, str]]:
    """Where in a value there is a struct, and the name of its class."""
    match shape:
        case inspect.StructType() if isinstance(value, dict):
            yield path, shape.cls.__name__
            for each in shape.fields:
                if each.encode_name in value:
                    yield from _objects(value[each.encode_name], each.type, (*path, each.encode_name))
        case inspect.UnionType():
            for option in shape.types:
                if not isinstance(option, inspect.StructType) or _fits(value, option):
                    yield from _objects(value, option, path)
        case inspect.DictType() if isinstance(value, dict):
            for name, inner in value.items():
                yield from _objects(inner, shape.value_type, (*path, name))
        case inspect.VarTupleType() | inspect.ListType() if isinstance(value, list):
            for place, inner in enumerate(value):
                yield from _objects(inner, shape.item_type, (*path, place))


def _fits(value: Any, shape: inspect.StructType) -> bool:
    return isinstance(value, dict) and (shape.tag_field is None or value.get(shape.tag_field) == shape.tag)


def _shape(example: dict[str, Any]) -> Any:
    return FollowerRow if example["type"] == "rapport.row.v1" else codec.SCHEMA[example["type"]]


def _with_more(value: Any, path: tuple[str | int, ...]) -> Any:
    copy = json.loads(json.dumps(value))
    where = copy
    for part in path:
        where = where[part]
    where["a_field_of_tomorrow"] = [1, {"x": 2}]
    return copy


def _read(example: dict[str, Any], value: Any) -> Any:
    raw = json.dumps(value).encode()
    if example["type"] == "rapport.row.v1":
        return msgspec.json.decode(raw, type=FollowerRow)
    return codec.decode(example["type"], raw)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_field_of_tomorrow_anywhere_in_a_record_is_passed_over_or_waited_for(file: Path) -> None:
    example = json.loads(file.read_text())
    found = list(_objects(example["value"], inspect.type_info(_shape(example))))
    assert found
    for path, name in found:
        changed = _with_more(example["value"], path)
        if name in CONDITIONS:
            with pytest.raises(NewerError):
                _read(example, changed)
        else:
            assert _read(example, changed) == _read(example, example["value"]), (path, name)


def test_the_examples_hold_every_struct_of_the_contracts() -> None:
    shapes = [*codec.SCHEMA.values(), FollowerRow]
    wanted: set[str] = set().union(*(structs(inspect.type_info(each)) for each in shapes))
    found: set[str] = set()
    for file in EXAMPLES:
        example = json.loads(file.read_text())
        found |= {name for _, name in _objects(example["value"], inspect.type_info(_shape(example)))}
    assert wanted - found == set()


@pytest.mark.parametrize("type", [name for name, shape in codec.SCHEMA.items() if get_args(shape)])
def test_a_kind_of_tomorrow_waits_and_what_has_no_kind_does_not(type: str) -> None:
    field = get_args(codec.SCHEMA[type])[0].__struct_config__.tag_field
    with pytest.raises(NewerError):
        codec.decode(type, json.dumps({field: "tomorrow", "brand": "acme"}).encode())
    poisons: tuple[Any, ...] = ({}, {field: 7}, {field: None}, [])
    for poison in poisons:
        with pytest.raises(UndecodableError) as caught:
            codec.decode(type, json.dumps(poison).encode())
        assert not isinstance(caught.value, NewerError)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_word_of_tomorrow_waits(file: Path) -> None:
    example = json.loads(file.read_text())
    shape = inspect.type_info(_shape(example))
    options = shape.types if isinstance(shape, inspect.UnionType) else (shape,)
    for option in options:
        assert isinstance(option, inspect.StructType)
        if option.tag_field is not None and example["value"].get(option.tag_field) != option.tag:
            continue
        for each in option.fields:
            if isinstance(each.type, inspect.LiteralType) and each.encode_name in example["value"]:
                with pytest.raises(msgspec.ValidationError if example["type"] == "rapport.row.v1" else NewerError):
                    _read(example, {**example["value"], each.encode_name: "tomorrow"})


@pytest.mark.parametrize(
    ("type", "waits"), [("rapport.interaction.v2", True), ("rapport.decree.v1", True), ("x", False)]
)
def test_a_type_of_tomorrow_waits_and_one_of_strangers_does_not(type: str, waits: bool) -> None:
    with pytest.raises(UndecodableError) as caught:
        codec.decode(type, b"{}")
    assert isinstance(caught.value, NewerError) == waits


ACME = {"id": "acme", "name": "Acme", "timezone": "UTC"}
MAIL = {"type": "mail", "id": "team", "to": "team@acme.example"}


def record(value: Any, *, type: str = "rapport.brand.v1", key: bytes | None = None, id: str = "x") -> Any:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    headers = codec.headers(type, id=id, source="/rapport/api")
    return SimpleNamespace(
        topic="brands", offset=1, key=key_of("acme") if key is None else key, value=raw, headers=headers
    )


@pytest.mark.parametrize(
    "channel",
    [{"type": "slack", "id": "s", "room": 7}, {"type": "mail", "id": "s", "to": ["a", "b"]}],
    ids=["of an unknown type", "of an unknown shape"],
)
def test_a_channel_of_tomorrow_hides_neither_its_brand_nor_the_other_channels(channel: dict[str, Any]) -> None:
    brands = Brands()
    brands.take(record({**ACME, "channels": [channel, {**MAIL, "digest": True}], "colour": "red", "revision": 2}))
    found = brands.get("acme")
    assert found is not None
    assert [each.id for each in found.channels] == ["team"]
    assert [(each.id, each.type) for each in brands.unknown_channels("acme")] == [("s", channel["type"])]
    assert brands.unreadable("acme") is None
    brands.take(record({**ACME, "channels": [MAIL], "revision": 3}))
    assert brands.unknown_channels("acme") == ()


@pytest.mark.parametrize(
    "newer",
    [
        record({**ACME, "timezone": {"name": "UTC"}}, id="acme/3"),
        record(ACME, type="rapport.brand.v2", id="acme/3"),
        record({**ACME, "channels": [{"type": "slack"}]}, id="acme/3"),
    ],
    ids=["of an unknown shape", "of an unknown type", "with a channel without id"],
)
def test_a_brand_that_cannot_be_read_stays_as_it_was_and_says_so(newer: Any) -> None:
    brands = Brands()
    brands.take(newer)
    assert brands.get("acme") is None
    assert (brands.unreadable("acme") is not None, brands.hidden()) == (True, ["acme"])
    brands.take(record({**ACME, "revision": 2}))
    assert brands.unreadable("acme") is not None, "an older record that comes last says nothing"
    brands = Brands()
    brands.take(record({**ACME, "revision": 2}))
    brands.take(newer)
    assert brands.get("acme") is not None
    assert (brands.unreadable("acme") is not None, brands.hidden()) == (True, ["acme"])
    brands.take(record({**ACME, "revision": 4}))
    assert (brands.unreadable("acme"), brands.hidden()) == (None, [])
    brands.take(newer)
    assert brands.unreadable("acme") is None, "an older one that comes last is passed over"


def test_what_no_version_has_written_says_nothing_of_a_brand() -> None:
    brands = Brands()
    brands.take(record({**ACME, "revision": 2}))
    for value in (b"\xff", b"[]", b"7"):
        brands.take(record(value))
    brands.take(record(b"{}", key=b"no key"))
    brands.take(record(b"{}", key=b'["a","b"]'))
    assert (brands.unreadable("acme"), brands.hidden()) == (None, [])
