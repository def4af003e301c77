"""A vendor's own words, before they are stored, logged and shown."""

from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from services.api.connecting.vendors.asking import LONGEST_SAID, problem, scrubbed

SECRET = "Abcd/efgh+ijkl=mnop.qrst~uvwx"
FORMS = (SECRET, quote(SECRET, safe=""), quote_plus(SECRET))
words = st.sampled_from(["bad token ", *FORMS, "\u200b", "\u202e", "x" * 90])


@given(st.lists(words, max_size=40).map("".join))
def test_no_part_of_a_secret_is_repeated(said: str) -> None:
    _, found = problem({"error": "invalid_grant", "error_description": said})
    shown = scrubbed(found, [SECRET])
    assert len(shown) <= LONGEST_SAID
    for start in range(len(SECRET) - 8):
        assert SECRET[start : start + 8] not in shown


def test_a_secret_taken_apart_by_what_nobody_sees_is_left_out() -> None:
    apart = "\u200b".join(SECRET)
    assert scrubbed(f"no such token: {apart}", [SECRET]) == "no such token: …"


def test_a_secret_is_not_cut_in_two_before_it_is_left_out() -> None:
    said = "-" * 15 + f"{SECRET} " * 60  # a cut after 512 characters would be in the midst of one
    _, found = problem({"error_description": said})
    assert SECRET[:6] not in scrubbed(found, [SECRET])
