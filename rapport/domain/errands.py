"""What can be done on each platform from here: to answer, to hide, to like."""

from collections.abc import Mapping
from types import MappingProxyType

from rapport.contracts.errands import Deed
from rapport.domain.platforms import platform_name
from rapport.kit.text import is_blank

ABLE: Mapping[str, frozenset[Deed]] = MappingProxyType(
    {
        "bluesky": frozenset({"answer", "hide", "unhide", "like"}),
        "facebook": frozenset({"answer", "hide", "unhide", "like"}),
        "instagram": frozenset({"answer", "hide", "unhide"}),
        "linkedin": frozenset({"answer", "like"}),
        "mastodon": frozenset({"answer", "like"}),
        "threads": frozenset({"answer", "hide", "unhide"}),
        "tiktok": frozenset({"answer", "hide", "unhide", "like"}),
        "youtube": frozenset({"answer", "hide", "unhide"}),
    }
)
"""By platform. X lets only those answer whom a post mentions, so there it is a link."""
HIDINGS: frozenset[Deed] = frozenset({"hide", "unhide"})
LONGEST: Mapping[str, int] = MappingProxyType(
    {
        "bluesky": 300,
        "facebook": 8_000,
        "instagram": 2_200,
        "linkedin": 1_250,
        "mastodon": 5_000,
        "threads": 500,
        "tiktok": 150,
        "youtube": 10_000,
    }
)
"""Characters of an answer. Mastodon's servers each have a limit of their own, usually 500, and say so themselves."""
_COMMENTS_ONLY = frozenset({"instagram", "tiktok", "youtube"})
"""Where a mention stands on somebody else's post, and only those on one's own can be answered from outside."""


def able(platform: str, thread: str, own: str | None) -> frozenset[Deed]:
    """What can be done from here with what stands in a thread, by the account that the platform calls `own`.

    On Bluesky whoever began a thread says what is hidden in it, and nobody else.
    """
    deeds = ABLE.get(platform, frozenset())
    if platform == "bluesky" and (own is None or not thread.startswith(f"at://{own}/")):
        return deeds - HIDINGS
    return deeds


def unable(platform: str, deed: Deed) -> str:
    """Why `able` does not have a deed, in words for people."""
    if platform == "bluesky" and deed in HIDINGS:
        return "on Bluesky an account can hide only what stands below its own posts"
    return f"{platform_name(platform)} has no way to {deed} a comment from here"


def answerable(platform: str) -> frozenset[str]:
    """The kinds of what people say that can be answered from here. Private messages are answered on the platform."""
    return frozenset({"comment"}) if platform in _COMMENTS_ONLY else frozenset({"comment", "mention"})


def answer_problem(platform: str, text: str) -> str | None:
    """What is wrong with the text of an answer, in words for people; None if nothing is."""
    if is_blank(text):
        return "An answer needs a text."
    most = LONGEST.get(platform, 0)
    if len(text) > most:
        return f"This has {len(text)} characters; the platform takes {most}."
    return None
