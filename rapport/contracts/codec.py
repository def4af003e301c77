"""Events to records and back: CloudEvents 1.0 binary mode, JSON values, type and version in `ce_type`.

During an upgrade several versions of Rapport read the same log. A reader ignores fields that it does not know. What it
must not ignore is a `NewerError`: it waits there for a process that can read the record.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import msgspec

from rapport.contracts.charges import Charge
from rapport.contracts.controls import Control
from rapport.contracts.cursors import Cursor
from rapport.contracts.errands import Errand
from rapport.contracts.events import (
    Alert,
    Brand,
    Channel,
    ExchangeEvent,
    Interaction,
    MissingPost,
    Text,
    Tick,
    UnknownChannel,
)

Headers = list[tuple[str, bytes]]

ASKED_HEADER = ("rapport_came", b"asked")
"""On an interaction of an account whose platform pushes: nobody pushed it in time, and asking found it."""

SCHEMA: Mapping[str, Any] = {
    "rapport.interaction.v1": Interaction,
    "rapport.tick.v1": Tick,
    "rapport.control.v1": Control,
    "rapport.exchange.v1": ExchangeEvent,
    "rapport.alert.v1": Alert,
    "rapport.missing-post.v1": MissingPost,
    "rapport.brand.v1": Brand,
    "rapport.cursor.v1": Cursor,
    "rapport.errand.v1": Errand,
    "rapport.charge.v1": Charge,
}
"""What decodes each type. The names are the public contract; the structs are this version's reading of it."""

_DECODERS = {name: msgspec.json.Decoder(shape) for name, shape in SCHEMA.items()}
_ENCODER = msgspec.json.Encoder()
_CHANNEL: Any = msgspec.json.Decoder(Channel)

_OURS = re.compile(r"rapport(\.[a-z-]+)+\.v[0-9]+")


def _tags(shape: Any) -> tuple[str, frozenset[str]]:
    configs = [each.__struct_config__ for each in get_args(shape)]
    return configs[0].tag_field, frozenset(config.tag for config in configs)


_TAGS = {name: _tags(shape) for name, shape in SCHEMA.items() if get_args(shape)}
"""The field that tells a type's kinds apart, and the kinds that this version knows."""
_NEWER = ("Object contains unknown field", "Invalid enum value")
"""How msgspec begins to say that a condition has a field, or a list of words has one, that this version lacks."""


class UndecodableError(ValueError):
    """A record that this version cannot read. The text says which part is wrong, and why."""


class NewerError(UndecodableError):
    """A record that a later version of Rapport wrote, and that must not be ignored.

    It has a type, a kind or an enum value that this version does not know, or another condition in a rule. A process of
    the later version can read it, so it waits instead of being put aside.
    """


def encode(event: object) -> bytes:
    """The JSON value of an event."""
    return _ENCODER.encode(event)


def headers(type: str, *, id: str, source: str, time: str | None = None) -> Headers:
    """The CloudEvents headers of a record. `source` is `/rapport/<service>`; `time` is RFC 3339."""
    found: Headers = [
        ("ce_specversion", b"1.0"),
        ("ce_type", type.encode()),
        ("ce_id", id.encode()),
        ("ce_source", source.encode()),
        ("content-type", b"application/json"),
    ]
    if time is not None:
        found.append(("ce_time", time.encode()))
    return found


def type_of(record_headers: Iterable[tuple[str, bytes | None]]) -> str:
    """The CloudEvents type of a record. Raises UndecodableError where there is none."""
    for name, value in record_headers:
        if name == "ce_type" and value:
            return value.decode("utf-8", "replace")
    raise UndecodableError("the record has no ce_type header")


def decode(type: str, value: bytes | None) -> Any:
    """The event in a record's value. Raises UndecodableError for an unknown type, no value, or a value out of shape.

    Leaves out channels of a brand that this version does not know; `read_brand` has them.
    """
    decoder = _DECODERS.get(type)
    if decoder is None:
        kind = NewerError if _OURS.fullmatch(type) else UndecodableError
        raise kind(f"unknown type {type!r}; this version reads {', '.join(sorted(_DECODERS))}")
    if value is None:
        raise UndecodableError(f"a {type} without a value")
    if type == _BRAND:
        return read_brand(value)[0]
    try:
        return decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(type, value, error) from error


_BRAND = "rapport.brand.v1"


class _AnyChannel(msgspec.Struct):
    id: Text
    type: str


def read_brand(value: bytes) -> tuple[Brand, tuple[UnknownChannel, ...]]:
    """A brand, and those of its channels that this version cannot use. Raises UndecodableError.

    A channel of a later version must not hide the brand's accounts and its other channels.
    """
    decoder = _DECODERS[_BRAND]
    try:
        try:
            return decoder.decode(value), ()
        except msgspec.ValidationError:
            fields = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
            known: list[msgspec.Raw] = []
            unknown: list[UnknownChannel] = []
            for each in msgspec.json.decode(fields.get("channels", b"[]"), type=list[msgspec.Raw]):
                try:
                    _CHANNEL.decode(each)
                    known.append(each)
                except msgspec.ValidationError:
                    channel = msgspec.json.decode(each, type=_AnyChannel)
                    unknown.append(UnknownChannel(id=channel.id, type=channel.type))
            return decoder.decode(encode({**fields, "channels": known})), tuple(unknown)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(_BRAND, value, error) from error


def _unreadable(type: str, value: bytes, error: Exception) -> UndecodableError:
    """An error for a value of a known type, by whether a later version wrote it."""
    newer = isinstance(error, msgspec.ValidationError) and (str(error).startswith(_NEWER) or _is_new_kind(type, value))
    return (NewerError if newer else UndecodableError)(f"not a {type}: {error}")


def _is_new_kind(type: str, value: bytes) -> bool:
    if type not in _TAGS:
        return False
    field, known = _TAGS[type]
    try:
        kind = msgspec.json.decode(value, type=dict[str, Any]).get(field)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(kind, str) and kind not in known
