"""What can be done on each platform from here: to answer, to hide, to like."""

from collections.abc import Mapping
from types import MappingProxyType

from rapport.contracts.errands import Deed
from rapport.domain.figures import number
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
QUIET: frozenset[str] = frozenset({"instagram", "threads", "youtube"})
"""Platforms that push nothing of a comment that is hidden or shown again."""
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
UNSURE = "it is not known whether it was sent"
"""How the reason of an errand begins that has ended, and may have been carried out all the same."""
_COMMENTS_ONLY = frozenset({"instagram", "tiktok", "youtube"})
"""Where a mention stands on somebody else's post, and only those on one's own can be answered from outside."""
MESSAGED: Mapping[str, int] = MappingProxyType({"facebook": 2_000, "instagram": 1_000})
"""Where private messages can be answered from here, and how long an answer may be: in characters, on Instagram in
bytes. TikTok documents it only for those whom it lets in, and X charges for each.
"""


def able(platform: str, thread: str, own: str | None, *, private: bool = False) -> frozenset[Deed]:
    """What can be done from here with what stands in a thread, by the account that the platform calls `own`.

    A private message can only be answered. On Bluesky whoever began a thread says what is hidden in it, and nobody
    else.
    """
    deeds = ABLE.get(platform, frozenset())
    if private:
        return deeds & {"answer"} if platform in MESSAGED else frozenset()
    if platform == "bluesky" and (own is None or not thread.startswith(f"at://{own}/")):
        return deeds - HIDINGS
    return deeds


def unable(platform: str, deed: Deed, *, private: bool = False) -> str:
    """Why `able` does not have a deed, in words for people."""
    if private:
        return f"a private message can be answered from here, and nothing else: there is no way to {deed} it"
    if platform == "bluesky" and deed in HIDINGS:
        return "on Bluesky an account can hide only what stands below its own posts"
    return f"{platform_name(platform)} has no way to {deed} a comment from here"


def answerable(platform: str) -> frozenset[str]:
    """The kinds of what people say that can be answered from here."""
    public = frozenset({"comment"}) if platform in _COMMENTS_ONLY else frozenset({"comment", "mention"})
    return public | {"message"} if platform in MESSAGED else public


def longest_answer(platform: str, *, private: bool = False) -> int:
    """How many characters an answer may have, at most."""
    return (MESSAGED if private else LONGEST).get(platform, 0)


def answer_problem(platform: str, text: str, *, private: bool = False) -> str | None:
    """What is wrong with the text of an answer, in words for people; None if nothing is."""
    if is_blank(text):
        return "An answer needs a text."
    most = longest_answer(platform, private=private)
    if len(text) > most:
        return f"This has {number(len(text))} characters; the platform takes {number(most)}."
    if private and platform == "instagram" and (size := len(text.encode())) > most:
        said = f"This has {number(size)} bytes, for emoji and letters with accents have several"
        return f"{said}; Instagram takes {number(most)}."
    return None
