"""Words, phrases and hashtags in every script."""

import sys
import time
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rapport.domain import words
from rapport.domain.campaigns.campaign import has_word, tagged
from rapport.domain.communities.community import condition, holds
from rapport.domain.mix.labels import LabelRule, matches
from rapport.domain.policies.policy import says
from tests.domain.communities.drawn import NOW
from tests.domain.communities.test_community import facts_of

NFD = unicodedata.normalize("NFD", "café")
FOUND = [
    ("café", NFD),
    (NFD, "Café!"),
    ("istanbul", "İSTANBUL"),
    ("İstanbul", "we love istanbul"),
    ("ılık", "ILIK su"),
    ("ILIK", "ılık su"),
    ("straße", "STRASSE"),
    ("ὀδυσσεύς", "ΟΔΥΣΣΕΎΣ".replace("Ο", "Ὀ", 1)),
    ("refund", "Ｒｅｆｕｎｄ now"),
    ("ｶﾌｪ", "このカフェです"),
    ("कमी", "कमी है"),
    ("நன்றி", "மிக்க நன்றி!"),
    ("می‌خواهم", "میخواهم"),
    ("co\u00adoperate", "cooperate"),
    ("กาแฟ", "ชอบกาแฟมาก"),
    ("ກາເຟ", "ມັກກາເຟຫຼາຍ"),
    ("កាហ្វេ", "ចូលចិត្តកាហ្វេណាស់"),
    ("ကော်ဖီ", "ကော်ဖီကြိုက်တယ်"),
    ("返金", "早く返金してください"),
    ("退款", "我要退款。"),
    ("コーヒー", "珈琲とコーヒー"),
    ("iPhone15発売", "新型iPhone15発売開始"),
    ("money back", "I want my\nMONEY, back!"),
    ("커피", "커피 주세요"),
    ("❤️", "I ❤ it"),
    ("❤", "I ❤️ it"),
    ("👍", "ok👍🏽"),
    ("1️⃣", "my answer is 1"),
    ("🇩🇪", "hello 🇩🇪!"),
    ("👩‍🔬", "a 👩‍🔬 at work"),
    ("+", "+ from me"),
]
NOT_FOUND = [
    ("कम", "कमी है"),
    ("cafe", "café"),
    ("coffee", "coffees"),
    ("ก", "กิน"),
    ("売中", "発売。中国"),
    ("커피", "커피숍"),
    ("🇩🇪", "🇦🇩🇪🇦"),
    ("👩", "👩‍🔬"),
    ("❤", "💔"),
    ("\u200d", "anything"),
]


@pytest.mark.parametrize(("word", "text"), FOUND)
def test_a_word_is_found_however_it_is_written_and_in_every_place_that_looks_for_words(word: str, text: str) -> None:
    assert words.has(text, word)
    assert has_word(word, text)
    assert says(text, [word])
    assert matches(LabelRule(label="business", word=word), text)
    if words.flaw(word) is None:
        assert holds(condition("words", "wrote", word), facts_of(texts=(text,)), NOW)


@pytest.mark.parametrize(("word", "text"), NOT_FOUND)
def test_another_word_is_not_found(word: str, text: str) -> None:
    assert not words.has(text, word)
    assert not has_word(word, text)
    assert not says(text, [word])
    assert not matches(LabelRule(label="business", word=word), text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("#हिन्दी और #कमी", {"हिन्दी", "कमी"}),
        ("#สวัสดี", {"สวัสดี"}),
        (f"#{NFD}", {"café"}),
        ("＃コーヒー とても", {"コーヒー"}),
        ("新発売#コーヒー", {"コーヒー"}),
        ("#İstanbul #ISTANBUL", {"istanbul"}),
        ("#Summer_2026!", {"summer_2026"}),
        ("#2026 #٢٠٢٦ #_ # #!", set()),
        ("#2026coffee", {"2026coffee"}),
        ("#coffee☕️ now", {"coffee", "coffee☕"}),
        ("#☕️", {"☕"}),
        ("#one#two", {"one", "two"}),
        ("C#sharp, &#39;amp, a/#b, see https://x.example/#shop and https://x.example/a-#shop", set()),
        ("(#coffee), “#tea”", {"coffee", "tea"}),
        ("#️⃣coffee", set()),
        ("#paral·lel·", {"paral", "paral·lel"}),
        ("#می‌خواهم", {"میخواهم"}),
    ],
)
def test_hashtags_are_read_as_the_platforms_read_them(text: str, found: set[str]) -> None:
    assert words.hashtags(text) == found
    for tag in found:
        assert tagged(tag, text)
        assert tagged(f"#{tag}".upper(), text)
        assert matches(LabelRule(label="business", hashtag=tag), text)


@pytest.mark.parametrize(
    ("tag", "why"),
    [
        ("2026", "platforms do not link digits alone"),
        ("#__", "platforms do not link digits alone"),
        ("two words", "one word"),
        ("half-way", "one word"),
        ("##twice", "one word"),
        ("#", "one word"),
        ("", "one word"),
        ("\u200b", "one word"),
    ],
)
def test_a_hashtag_that_no_text_can_have_is_told(tag: str, why: str) -> None:
    assert why in (words.hashtag_flaw(tag) or "")


_ANY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
_LETTERS = "aßıİçåक़मีกาแฟ発売カﾞコ한글"
_SIGNS = "😀❤️👩\u200d🔬🇩🇪1️⃣#_ -+!·\u0301\u0307\u200b\u200d\ufe0f"
_OF_SCRIPTS = st.text(st.sampled_from(_LETTERS + _SIGNS), min_size=1, max_size=12)
TEXTS = _ANY | _OF_SCRIPTS


@given(TEXTS)
@example("İ")
@example("´")
@example("\u0345")
def test_whatever_word_is_accepted_is_found_in_itself(word: str) -> None:
    if words.flaw(word, signs=True) is None:
        for text in (word, f"so {word}, yes", unicodedata.normalize("NFD", word), unicodedata.normalize("NFC", word)):
            assert words.has(text, word), (word, text)


@given(TEXTS)
def test_whatever_hashtag_is_accepted_is_found_behind_its_sign(tag: str) -> None:
    if words.hashtag_flaw(tag) is None:
        bare = words.bare_hashtag(tag)
        for text in (f"#{bare}", f"look: #{bare}!", f"＃{unicodedata.normalize('NFD', bare)} "):
            assert words.is_tagged(text, tag), (tag, text)


@given(TEXTS, TEXTS, TEXTS)
def test_what_implies_another_word_is_never_found_without_it(one: str, other: str, text: str) -> None:
    if words.implies(one, other) and words.has(text, one):
        assert words.has(text, other)


def test_every_letter_and_digit_of_unicode_can_be_looked_for() -> None:
    for point in range(sys.maxunicode + 1):
        if chr(point).isalnum():
            assert words.flaw(chr(point)) is None, hex(point)
            assert words.has(chr(point), chr(point)), hex(point)


@settings(deadline=None)
@given(st.sampled_from(("a", "\u0301\u0316", "ก", "กิ", "発", "❤\u200d", "🇩", "#a", "#·", "\u200b", "ﷺ", " !", "_")))
def test_the_time_grows_no_faster_than_the_text(part: str) -> None:
    """Each is a thousand times what took 0.6 s where piles of marks are sorted: nothing here comes near a second."""
    text = part * (100_000 // len(part))
    begun = time.process_time()
    words.has(text, "xyz")
    words.has(text, "⚙")
    words.hashtags(text)
    assert time.process_time() - begun < 10
