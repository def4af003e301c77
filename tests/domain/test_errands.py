"""What can be done on each platform from here."""

import pytest

from rapport.domain.errands import ABLE, HIDINGS, able, unable
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
