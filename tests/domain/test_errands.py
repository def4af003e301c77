"""What can be done on each platform from here."""

import pytest

from rapport.domain.errands import ABLE, HIDINGS, MESSAGED, able, answer_problem, answerable, longest_answer, unable
from rapport.domain.platforms import platform_name

OWN = "did:plc:roastery"
THREAD = f"at://{OWN}/app.bsky.feed.post/3kpost"


@pytest.mark.parametrize(
    ("thread", "own", "hides"),
    [
        (THREAD, OWN, True),
        ("at://did:plc:ada/app.bsky.feed.post/3kpost", OWN, False),
        (f"at://{OWN}2/app.bsky.feed.post/3kpost", OWN, False),
        (OWN, OWN, False),
        ("", OWN, False),
        (THREAD, None, False),
    ],
    ids=["own post", "of somebody else", "of one whose id begins alike", "no address", "none", "nobody's account"],
)
def test_on_bluesky_only_whoever_began_a_thread_hides_in_it(thread: str, own: str | None, hides: bool) -> None:
    found = able("bluesky", thread, own)
    assert {"answer", "like"} <= found
    assert found & HIDINGS == (HIDINGS if hides else frozenset())
    assert "only what stands below its own posts" in unable("bluesky", "hide")


@pytest.mark.parametrize("platform", sorted({*ABLE, "x"} - {"bluesky"}))
def test_elsewhere_the_thread_makes_no_difference(platform: str) -> None:
    assert able(platform, "anything", None) == ABLE.get(platform, frozenset())
    assert unable(platform, "hide") == f"{platform_name(platform)} has no way to hide a comment from here"


@pytest.mark.parametrize("platform", sorted({*ABLE, "x"}))
def test_a_private_message_can_only_be_answered_and_not_everywhere(platform: str) -> None:
    there = platform in MESSAGED
    assert able(platform, THREAD, OWN, private=True) == (frozenset({"answer"}) if there else frozenset())
    assert ("message" in answerable(platform)) == there
    assert (longest_answer(platform, private=True) > 0) == there
    assert "answered from here, and nothing else" in unable(platform, "like", private=True)


def test_how_long_an_answer_may_be_is_counted_as_the_platform_counts() -> None:
    assert answer_problem("facebook", "x" * 2_001) is None
    assert answer_problem("facebook", "x" * 2_001, private=True) == (
        "This has 2,001 characters; the platform takes 2,000."
    )
    assert answer_problem("instagram", "é" * 501) is None
    assert answer_problem("instagram", "é" * 500, private=True) is None
    assert "This has 1,002 bytes" in (answer_problem("instagram", "é" * 501, private=True) or "")
