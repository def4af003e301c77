"""Text from outside: what it may still hold after it was cleaned."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.kit import text

REORDERING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
SEEN_FORMATS = set("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
JOINERS = {"\u200c", "\u200d"}


def unsafe(character: str) -> bool:
    """By Unicode's own tables, not by the ranges in the code."""
    category = unicodedata.category(character)
    noncharacter = ord(character) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(character) <= 0xFDEF
    egyptian = 0x13430 <= ord(character) <= 0x1345F  # joins hieroglyphs, and is part of them
    hidden = category == "Cf" and character not in SEEN_FORMATS | JOINERS and not egyptian
    return hidden or noncharacter or category in ("Cs", "Zl", "Zp") or (category == "Cc" and character not in "\t\n")


def test_no_character_that_steers_hides_or_reorders_gets_through() -> None:
    left = [hex(code) for code in range(0x110000) if unsafe(chr(code)) and chr(code) in text.plain(f"a{chr(code)}b")]
    assert left == []
    for code in range(0x110000):
        if unicodedata.bidirectional(chr(code)) in REORDERING:
            assert chr(code) not in text.plain(chr(code))


def test_every_other_character_stays() -> None:
    kept = "".join(chr(code) for code in range(0x110000) if not unsafe(chr(code)) and code != 0x34F)
    # Invisible letters of flags are format characters, and code points that are not assigned yet may be emoji.
    assert set(kept) - set(text.plain(kept)) <= {chr(code) for code in range(0xFFF0, 0xFFF9)} | {
        chr(code) for code in range(0xE0000, 0xE1000)
    } | {"\u2065"}


@pytest.mark.parametrize(
    "kept", ["👩‍👩‍👧", "❤️", "می‌خواهم", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "नमस्ते"]
)
def test_emoji_and_scripts_that_need_joiners_stay_whole(kept: str) -> None:
    assert text.plain(kept) == kept
    assert text.one_line(kept, 60) == kept


RIGHT_TO_LEFT = (
    "\u200fשלום (Rapport)\u200f! \u2067עברית, \u2066ok\u2069\u2069 \u061c٥% so\u00adft no\u2060break\n\u200e5"
)


def test_what_the_brand_writes_keeps_the_marks_that_scripts_need() -> None:
    assert text.written(RIGHT_TO_LEFT) == RIGHT_TO_LEFT
    assert text.plain(RIGHT_TO_LEFT) == "שלום (Rapport)! עברית, ok ٥% soft nobreak\n5"


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("a\u202eb\u202c", "ab"),
        ("a\u202bb", "ab"),
        ("a\u2067b", "ab"),
        ("a\u2069b\u2067c\u2069", "abc"),
        ("a\u2067b\nc\u2069 \u2068d\u2069", "ab\nc d"),
        ("a\u2067b\n\u2068d\u2069", "ab\n\u2068d\u2069"),
        ("a\u2028b\x00\u200b", "a\nb"),
    ],
)
def test_what_the_brand_writes_reorders_nothing_beyond_its_isolates(given: str, left: str) -> None:
    assert text.written(given) == left


@given(st.text(st.sampled_from("a \n\r\u200f\u2066\u2067\u2069\u202e\u2028\x00")))
def test_what_the_brand_writes_is_cleaned_once_and_for_all(given: str) -> None:
    cleaned = text.written(given)
    assert text.written(cleaned) == cleaned
    assert text.plain(cleaned) == text.plain(given)


@pytest.mark.parametrize(
    "broken", ["a\r\nb", "a\rb", "a\nb", "a\x0bb", "a\x0cb", "a\x85b", "a\u2028b", "a\u2029b", "a\x1cb"]
)
def test_every_kind_of_line_break_is_one(broken: str) -> None:
    assert text.plain(broken) == "a\nb"
    assert text.one_line(broken, 10) == "a b"
    assert text.lines_of(broken) == ["a", "b"]


@given(st.text(st.characters(codec=None), max_size=200), st.integers(2, 80))
def test_cleaning_is_safe_for_any_text_and_changes_nothing_the_second_time(given: str, limit: int) -> None:
    cleaned = text.plain(given)
    cleaned.encode()
    assert text.plain(cleaned) == cleaned
    line = text.one_line(given, limit)
    assert len(line) <= limit
    assert not {"\n", "\t", "\r"} & set(line)
    assert text.escaped(given, 1000).isprintable() or all(
        not unsafe(character) and character not in "\t\n" for character in text.escaped(given, 1000)
    )


@pytest.mark.parametrize(
    "blank",
    [
        None,
        "",
        "   ",
        "\u00a0\u3000",
        "\u200b\u2060\ufeff",
        "\u202e",
        "\u200d",
        "\ufe0f",
        "🏻",
        "🏿\ufe0f",
        "\u0301",
        "\u3164\u2800",
    ],
)
def test_what_shows_nothing_is_blank(blank: str | None) -> None:
    assert text.is_blank(blank)


@pytest.mark.parametrize("seen", ["a", "ا", ".", "👍🏻", "é", "e\u0301", "नि"])
def test_what_shows_something_is_not_blank(seen: str) -> None:
    assert not text.is_blank(seen)


def test_an_id_never_looks_like_another() -> None:
    assert text.marked("did:plc:a\u202eb\nc") == "did:plc:a\ufffdb\ufffdc"
    assert text.short_id("did:plc:ewvi7nxzyoun6zhxrhs64oiz") == "did:plc:ewvi7n…4oiz"
    assert text.short_id("u1") == "u1"


def test_a_log_line_is_one_line_and_bounded() -> None:
    assert text.escaped("a\r\n2026-01-01 ERROR\x1b[2J\u202e", 100) == r"a\r\n2026-01-01 ERROR\x1b[2J\u202e"
    assert text.escaped("é👍", 100) == "é👍"
    long = text.escaped("a" * 5000 + "end", 100)
    assert len(long) < 150
    assert long.endswith("end")
