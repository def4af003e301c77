"""How alike two texts are."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.domain.calendar.editorial import LIKE
from rapport.domain.calendar.likeness import likeness
from tests.domain.test_words import TEXTS


@given(TEXTS | st.just(""))
def test_equal_texts_are_alike_whatever_they_are_made_of(text: str) -> None:
    assert likeness(text, text) == 1.0
    for form in ("NFC", "NFD"):
        assert likeness(text, unicodedata.normalize(form, text)) == 1.0


@given(TEXTS, TEXTS)
def test_likeness_goes_both_ways_and_from_0_to_1(one: str, other: str) -> None:
    assert 0 <= likeness(one, other) == likeness(other, one) <= 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("", ""),
        (" ", ""),
        ("🎉🎉🎉", "🎉🎉🎉"),
        ("🎉🎉🎉", "🎉 🎉🎉!"),
        ("❤️", "❤"),
        ("https://example.com/new", "http://www.example.com/new/"),
        ("Café crème à gogo", unicodedata.normalize("NFD", "Café crème à gogo")),
        ("秋の新ブレンドが本日より発売中です", "秋の新ブレンドが本日から発売中です"),
        ("新しいコーヒー", "新しいｺｰﾋｰ"),
        ("กาแฟใหม่วันนี้", "กาแฟใหม่ วันนี้ค่ะ"),
        ("我们的新咖啡今天上市", "我们的新咖啡今天上市了！"),
        ("İSTANBUL'DA", "istanbul'da"),
        (
            "Our new blend is out https://short.test/abc123",
            "Our new blend is out https://www.example.com/shop/coffee?utm_source=calendar&utm_medium=post",
        ),
    ],
)
def test_the_same_post_is_alike(one: str, other: str) -> None:
    assert likeness(one, other) >= LIKE


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("", "something"),
        ("🎉", "🔥"),
        ("https://example.com/new", "https://example.com/old"),
        ("本日のおすすめはコーヒーです。ぜひご来店ください", "明日のイベントはお休みです。次回は来週の月曜日です"),
        ("กาแฟใหม่วันนี้", "วันหยุดสุดสัปดาห์"),
        ("本日発売", "売発日本"),
    ],
)
def test_another_post_is_not(one: str, other: str) -> None:
    assert likeness(one, other) < LIKE
