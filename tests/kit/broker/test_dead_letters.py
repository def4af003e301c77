"""Letters that can always be written."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from rapport.kit.broker.dead_letters import LARGEST, LEFT_OUT, PLACE, REASON, letter

MOST_THE_LOG_TAKES = 1_048_576 - 200
SIZES = st.sampled_from([0, 1, 500_000, MOST_THE_LOG_TAKES - 2_000, MOST_THE_LOG_TAKES])


@dataclass(frozen=True)
class Came:
    """A record as it was read."""

    key: bytes | None = b"key"
    value: bytes | None = b"value"
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)
    topic: str = "topic"
    partition: int = 2
    offset: int = 17


def test_a_letter_holds_the_record_as_it_came_with_the_reason_and_the_place() -> None:
    written = letter(Came(headers=[("ce_type", b"x")]), "why")

    assert (written.key, written.value) == (b"key", b"value")
    assert written.headers == [("ce_type", b"x"), (REASON, b"why"), (PLACE, b"topic:2:17")]


def test_what_is_null_becomes_empty_where_the_library_takes_no_null() -> None:
    written = letter(Came(key=None, value=None, headers=[("ce_type", None)]), "why")

    assert (written.key, written.value, written.headers[0]) == (b"", None, ("ce_type", b""))


def test_what_does_not_fit_is_left_out_and_named() -> None:
    big = b"x" * MOST_THE_LOG_TAKES

    value = letter(Came(value=big, headers=[("ce_type", b"x")]), "why")
    assert (value.key, value.value, value.headers[0]) == (b"key", None, ("ce_type", b"x"))
    assert dict(value.headers)[LEFT_OUT] == b"value of 1048376 bytes"
    headers = letter(Came(headers=[("x", big)]), "why")
    assert (headers.key, headers.value) == (b"key", None)
    assert dict(headers.headers)[LEFT_OUT] == b"value of 5 bytes, 1 headers"
    key = letter(Came(key=big), "why")
    assert (key.key, key.value) == (b"", None)
    assert dict(key.headers)[PLACE] == b"topic:2:17"


def test_for_a_topic_that_takes_less_nothing_of_the_record_is_kept() -> None:
    written = letter(Came(headers=[("ce_type", b"x")]), "why", whole=False)

    assert (written.key, written.value) == (b"", None)
    assert [name for name, _ in written.headers] == [REASON, PLACE, LEFT_OUT]


def test_a_reason_with_any_text_is_written() -> None:
    assert dict(letter(Came(), "\ud800" + "x" * 5_000).headers)[REASON].startswith(b"?xxx")


@given(SIZES, SIZES, st.lists(SIZES, max_size=3))
def test_no_letter_is_larger_than_the_log_takes(key: int, value: int, headers: list[int]) -> None:
    came = Came(b"k" * key, b"v" * value, [("name", b"h" * each) for each in headers])
    written = letter(came, "y" * 10_000)
    told = sum(len(name) + len(content) for name, content in written.headers)

    assert len(written.key) + len(written.value or b"") + told <= LARGEST + 2_000
