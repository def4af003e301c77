"""What a handler works on: rows held for one transaction, and the records it will put out."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from rapport.contracts.codec import NewerError
from rapport.kit import tracing
from rapport.kit.tracing import Place, Span

T = TypeVar("T")

Headers = tuple[tuple[str, bytes], ...]


class Output(NamedTuple):
    """A record to be produced in the transaction."""

    topic: str
    partition: int
    key: bytes
    value: bytes | None
    headers: Headers


class Reader(Protocol):
    """Where rows come from that the batch does not hold yet."""

    def get(self, key: bytes) -> bytes | None:
        """The stored value of a row, or None."""

    def chunks(self, prefix: bytes) -> Iterable[list[tuple[bytes, bytes]]]:
        """The stored rows whose key begins with `prefix`, in lists."""


_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def decoder(shape: type[T]) -> msgspec.json.Decoder[T]:
    """The decoder of a row's shape; one per shape, because making one costs more than using it."""
    found = _decoders.get(shape)
    if found is None:
        found = _decoders[shape] = msgspec.json.Decoder(shape)
    return found


class Batch:
    """Rows, decoded once and changed in place, and outputs in order. Thrown away whole if anything fails."""

    def __init__(self, stored: Reader) -> None:
        """Reads what it does not hold from `stored`."""
        self._stored = stored
        self._rows: dict[bytes, Any] = {}
        self._changed: dict[bytes, None] = {}
        self.outputs: list[Output] = []
        self.spans: list[Span] = []
        """They end once the batch is in the log."""
        self.repaired: Counter[str] = Counter()
        """By platform: interactions that asking found and nothing had told before."""
        self._cause: Span | None = None

    def row(self, key: bytes, shape: type[T]) -> T | None:
        """The row of `key`: the same object for the whole batch. Say `keep` after changing it.

        Raises NewerError where this version cannot read it. Rows are nobody's but ours.
        """
        if key in self._rows:
            found: T | None = self._rows[key]
            return found
        value = self._stored.get(key)
        try:
            row = None if value is None else decoder(shape).decode(value)
        except msgspec.DecodeError as error:
            raise NewerError(f"the row {key.decode('utf-8', 'replace')} cannot be read: {error}") from error
        self._rows[key] = row
        return row

    def keys(self, prefix: bytes) -> list[bytes]:
        """The keys that begin with `prefix`, in order, of rows that are there."""
        found = {key for chunk in self._stored.chunks(prefix) for key, _ in chunk}
        for key in self._changed:
            if key.startswith(prefix):
                (found.discard if self._rows[key] is None else found.add)(key)
        return sorted(found)

    def keep(self, key: bytes, row: object) -> None:
        """Makes `row` the row of `key`."""
        self._rows[key] = row
        self._changed[key] = None

    def drop(self, key: bytes) -> None:
        """Deletes the row of `key`."""
        self._rows[key] = None
        self._changed[key] = None

    def emit(self, output: Output, cause: Span | None = None) -> None:
        """Puts a record out, in the trace of its cause, by default that of the record that is being applied."""
        cause = cause or self._cause
        if cause is not None:
            output = output._replace(headers=(*output.headers, cause.here.header))
        self.outputs.append(output)

    def begin(self, name: str, parent: Place | None, **attributes: str | int) -> Span | None:
        """Begins a span that ends once the batch is in the log. None if it is not traced."""
        span = tracing.begin(name, parent, "consumer", **attributes)
        if span is not None:
            self.spans.append(span)
        return span

    def applies(self, headers: Headers) -> None:
        """What is put out from now on comes from a record with these headers."""
        self._cause = self.begin("score", tracing.of_record(headers))

    def applied(self) -> None:
        """What is put out from now on does not come from a record."""
        self._cause = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self._changed and not self.outputs

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """Each changed row once, encoded; None where it is deleted."""
        encode = msgspec.json.encode
        return [(key, None if (row := self._rows[key]) is None else encode(row)) for key in self._changed]
