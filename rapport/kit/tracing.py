"""Traces: one per interaction, from its arrival to the delivery of the last alert about it, sent by OTLP over HTTP.

The id of a trace is made from what it is about, so a process that comes to it hours later knows it, and nothing has to
be kept for it. Records name the span that they come from in the header `traceparent` (W3C Trace Context).

Nothing happens here until `set_up`; then `begin` and its like give spans, and None before.
"""

import atexit
import hashlib
import logging
import random
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import SpanContext

HEADER = "traceparent"
WAITING_SPANS = 20_000
"""How many may wait to be sent. More are dropped: what is traced comes first, and its traces after it."""
SENT_AT_ONCE = 1_000
SENT_EVERY_MS = 1_000
ANSWER_SECONDS = 5
"""How long the collector may take for an answer."""
_TRACEPARENT = re.compile("(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1

Kind = Literal["producer", "consumer", "client", "internal"]

log = logging.getLogger("rapport.tracing")


class Place(NamedTuple):
    """A span, as others refer to it."""

    trace: int
    span: int

    @property
    def header(self) -> tuple[str, bytes]:
        """What a record carries that comes from it."""
        return HEADER, self.text.encode()

    @property
    def text(self) -> str:
        """The value of `traceparent`."""
        return f"00-{self.trace:032x}-{self.span:016x}-01"


@dataclass(eq=False)
class Span:
    """Something that is being done. It is sent when it ends, and not at all if that is never said."""

    name: str
    kind: Kind
    here: Place
    parent: Place | None
    attributes: dict[str, str | int]
    began: int
    """Nanoseconds since 1970."""
    link: Place | None = None
    """A trace of others that led to it."""

    def end(self, error: str | None = None, **attributes: str | int) -> None:
        """It is done; `error` says why it failed."""
        if _sending is not None:
            self.attributes |= {f"rapport.{name}": value for name, value in attributes.items()}
            _sending.send(self, error)


@dataclass
class _Sending:
    share: float
    resource: "Resource"
    processor: "SpanProcessor"

    def send(self, span: Span, error: str | None) -> None:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import Link, SpanKind, Status, StatusCode

        self.processor.on_end(
            ReadableSpan(
                name=span.name,
                context=_context(span.here),
                parent=None if span.parent is None else _context(span.parent, remote=True),
                resource=self.resource,
                attributes=span.attributes,
                links=() if span.link is None else (Link(_context(span.link, remote=True)),),
                kind=SpanKind[span.kind.upper()],
                status=Status(StatusCode.UNSET) if error is None else Status(StatusCode.ERROR, error),
                start_time=span.began,
                end_time=max(span.began, time.time_ns()),
            )
        )


_sending: _Sending | None = None


def set_up(service: str, collector: str, share: float) -> None:
    """Sends spans to `collector` (`http://host:4318`) from now on, of this share of traces. Nothing if it is empty.

    A collector that is away costs the spans, and nothing else; it is logged.
    """
    global _sending
    if not collector:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    processor = BatchSpanProcessor(
        OTLPSpanExporter(endpoint=f"{collector.rstrip('/')}/v1/traces", timeout=ANSWER_SECONDS),
        max_queue_size=WAITING_SPANS,
        max_export_batch_size=SENT_AT_ONCE,
        schedule_delay_millis=SENT_EVERY_MS,
    )
    atexit.register(end)
    resource = Resource.create({"service.name": f"rapport-{service}", "service.version": version("rapport")})
    _sending = _Sending(share, resource, processor)
    log.info("traces go to %s, of %g of all interactions", collector, share)


def end() -> None:
    """Sends what waits, and no more after it. Happens by itself where a process ends as usual."""
    global _sending
    if _sending is not None:
        _sending.processor.shutdown()
        _sending = None


def origin(brand: str, platform: str, id: str) -> Place | None:
    """The first span of the trace of an interaction. None if it is not traced."""
    if _sending is None:
        return None
    digest = hashlib.sha256(f"{brand}\0{platform}\0{id}".encode(errors="surrogatepass")).digest()
    if int.from_bytes(digest[8:16]) >= _sending.share * 2**64:
        return None
    # Zero stands for no id.
    return Place(int.from_bytes(digest[:16]) or 1, int.from_bytes(digest[16:24]) or 1)


def begin_origin(name: str, brand: str, platform: str, id: str, **attributes: str | int) -> Span | None:
    """Begins the trace of an interaction. None if it is not traced."""
    here = origin(brand, platform, id)
    if here is None:
        return None
    told = {"brand": brand, "platform": platform, "interaction": id, **attributes}
    return Span(name, "producer", here, None, _named(told), time.time_ns())


def begin(name: str, parent: Place | None, kind: Kind = "consumer", **attributes: str | int) -> Span | None:
    """Begins a span in the trace of its parent. None without one."""
    if parent is None or _sending is None:
        return None
    here = Place(parent.trace, random.getrandbits(64) or 1)
    return Span(name, kind, here, parent, _named(attributes), time.time_ns())


def of_record(headers: Iterable[tuple[str, bytes | None]]) -> Place | None:
    """The span that a record comes from. None if it is not traced, or its header is not as it should be."""
    if _sending is None:
        return None
    for name, value in headers:
        if name == HEADER and value is not None:
            return named(value.decode("ascii", "replace"))
    return None


def named(traceparent: str) -> Place | None:
    """The span that a `traceparent` names. None if it names none, or one that is not traced."""
    found = _TRACEPARENT.fullmatch(traceparent) if len(traceparent) < 256 else None
    if found is None or _sending is None or not int(found[3], 16) & _SAMPLED:
        return None
    return Place(int(found[1], 16), int(found[2], 16))


def _named(attributes: dict[str, str | int]) -> dict[str, str | int]:
    return {f"rapport.{name}": value for name, value in attributes.items()}


def _context(place: Place, *, remote: bool = False) -> "SpanContext":
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(place.trace, place.span, is_remote=remote, trace_flags=TraceFlags(TraceFlags.SAMPLED))
