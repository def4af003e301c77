"""How long platforms let be kept what people wrote, and what stands in for a text afterwards."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from rapport.domain import words as matching
from rapport.domain.platforms import NAMES
from rapport.domain.retention import GAP, LIMITS, NO_LIMITS, is_over, kept_until, shown_text, stand_in, text_over
from services.ingest.connectors.platforms import CAPABILITIES

HOUR = timedelta(hours=1)
SEEN = datetime(2026, 11, 27, 12, tzinfo=UTC)
WORDS = ("coffee", "cold coffee", "yes", "yes please", "コーヒー", "☕", "🎉", "C#")
TAGS = ("win", "#Coffee")


def test_every_connector_declares_the_limits_that_everybody_else_goes_by() -> None:
    declared = {platform: each.keeps for platform, each in CAPABILITIES.items() if each.keeps != NO_LIMITS}
    assert declared == dict(LIMITS)
    assert LIMITS.keys() <= NAMES.keys()


def test_the_docs_tell_them() -> None:
    def shown(limit: timedelta | None) -> str:
        assert limit is not None
        return f"{limit // HOUR} hours" if limit < timedelta(days=3) else f"{limit.days} days"

    docs = (Path(__file__).parents[2] / "docs" / "platforms.md").read_text()
    told = {
        f"| {NAMES[platform]} | {shown(each.texts)} | {shown(each.profiles)} |" for platform, each in LIMITS.items()
    }
    assert {line for line in told if line in docs} == told


def test_a_time_counts_from_when_something_was_observed() -> None:
    assert kept_until("linkedin", "texts", SEEN) == SEEN + timedelta(hours=48)
    assert kept_until("linkedin", "profiles", SEEN) == SEEN + timedelta(hours=24)
    assert kept_until("youtube", "texts", SEEN) == kept_until("youtube", "profiles", SEEN) == SEEN + timedelta(days=30)
    assert kept_until("bluesky", "texts", SEEN) is None
    assert not is_over(SEEN, SEEN - timedelta(microseconds=1))
    assert is_over(SEEN, SEEN)
    assert not is_over(None, SEEN)


@given(
    st.lists(
        st.sampled_from([*WORDS, "#win", "#COFFEE", "yesterday", "please", "winner", "Coffee!", "and", "、", "\n"]),
        min_size=1,
        max_size=6,
    ).map(" ".join)
)
def test_what_stands_in_answers_every_question_that_the_text_answered(text: str) -> None:
    left = stand_in(text, WORDS, TAGS)
    assert {word for word in WORDS if matching.has(left, word)} == {word for word in WORDS if matching.has(text, word)}
    assert {tag for tag in TAGS if matching.is_tagged(left, tag)} == {
        tag for tag in TAGS if matching.is_tagged(text, tag)
    }
    for word in WORDS:
        assert (matching.key(word) == matching.key(left)) == (matching.key(word) == matching.key(text)), word


def test_what_stands_in_says_nothing_that_the_brand_does_not_say_itself() -> None:
    left = stand_in("My address is Elm Street 5, the coffee was cold", WORDS, TAGS)
    assert left == f"{GAP} {GAP} coffee"
    assert stand_in("nothing of it", (), ()) == GAP


def test_it_is_shown_in_plain_words_that_a_text_is_no_longer_kept() -> None:
    assert text_over("linkedin") == "Text no longer kept (LinkedIn's terms)"
    assert shown_text(stand_in("so good", ("coffee",)), "youtube") == "Text no longer kept (YouTube's terms)"
    assert shown_text("so good", "youtube") == "so good"
    assert shown_text("on the form", None) == "on the form"
