"""Events to records and back: CloudEvents 1.0 binary mode, JSON values, type and version in `ce_type`."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from rapport.contracts.controls import Control
from rapport.contracts.events import Alert, Brand, ExchangeEvent, Interaction, MissingPost, Tick

Headers = list[tuple[str, bytes]]

SCHEMA: Mapping[str, Any] = {
    "rapport.interaction.v1": Interaction,
    "rapport.tick.v1": Tick,
    "rapport.control.v1": Control,
    "rapport.exchange.v1": ExchangeEvent,
    "rapport.alert.v1": Alert,
    "rapport.missing-post.v1": MissingPost,
    "rapport.brand.v1": Brand,
}
"""What decodes each type. The names are the public contract; the structs are this version's reading of it."""

_DECODERS = {name: msgspec.json.Decoder(shape) for name, shape in SCHEMA.items()}
_ENCODER = msgspec.json.Encoder()


class UndecodableError(ValueError):
    """A record that no reader of this version understands. The text says which part is wrong and why."""


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
    """The event in a record's value. Raises UndecodableError for an unknown type, no value, or a value out of shape."""
    decoder = _DECODERS.get(type)
    if decoder is None:
        raise UndecodableError(f"unknown type {type!r}; this version reads {', '.join(sorted(_DECODERS))}")
    if value is None:
        raise UndecodableError(f"a {type} without a value")
    try:
        return decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableError(f"not a {type}: {error}") from error
