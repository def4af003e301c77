"""Traces that every process knows without being told, and headers of strangers."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.kit import tracing
from rapport.kit.tracing import Place

TEXT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def on() -> Iterator[None]:
    """Half of all traces are sent, to nobody."""
    tracing.set_up("test", "http://127.0.0.1:1", 0.5)
    yield
    tracing.end()


def test_nothing_is_traced_where_no_collector_is_set() -> None:
    tracing.set_up("test", "", 1.0)
    assert tracing.origin("acme", "helpdesk", "1") is None
    assert tracing.begin_origin("receive", "acme", "helpdesk", "1") is None
    assert tracing.of_record([("traceparent", TEXT.encode())]) is None
    assert tracing.named(TEXT) is None
    assert tracing.begin("score", Place(1, 1)) is None


@pytest.mark.usefixtures("on")
def test_every_process_knows_the_trace_of_an_interaction_and_whether_it_is_sent() -> None:
    found = [tracing.origin("acme", "helpdesk", str(number)) for number in range(1_000)]
    assert found == [tracing.origin("acme", "helpdesk", str(number)) for number in range(1_000)]
    sent = [each for each in found if each is not None]
    assert 400 < len(sent) < 600
    assert len({each.trace for each in sent}) == len({each.span for each in sent}) == len(sent)
    # Where one id ends and the next begins makes a difference.
    assert tracing.origin("a", "bc", "1") != tracing.origin("ab", "c", "1") or found[0] is None


@pytest.mark.usefixtures("on")
def test_a_record_names_the_span_that_it_comes_from() -> None:
    place = tracing.named(TEXT)
    assert place == Place(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331)
    assert place.text == TEXT
    assert tracing.of_record([("ce_type", b"x"), place.header]) == place
    span = tracing.begin("score", place, step="breach")
    assert span is not None
    assert (span.here.trace, span.parent, span.attributes) == (place.trace, place, {"rapport.step": "breach"})
    assert span.here.span != place.span


@pytest.mark.usefixtures("on")
@pytest.mark.parametrize(
    "header",
    [
        TEXT[:-2] + "00",  # not sampled
        TEXT.replace("00-", "ff-", 1),
        TEXT.upper(),
        TEXT + "-more" * 100,
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        TEXT + "\n",
        "",
    ],
)
def test_what_names_no_span_is_passed_over(header: str) -> None:
    assert tracing.named(header) is None
    assert tracing.of_record([("traceparent", header.encode())]) is None


@given(st.binary() | st.none(), st.text())
def test_headers_of_strangers_are_taken_as_they_come(value: bytes | None, text: str) -> None:
    tracing.set_up("test", "http://127.0.0.1:1", 0.5)
    try:
        tracing.of_record([("traceparent", value)])
        tracing.named(text)
        tracing.origin(text, text, text)
    finally:
        tracing.end()
