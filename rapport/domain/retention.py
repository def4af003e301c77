"""How long platforms let be kept what their people wrote and who they are, and what is left once that is over.

A limit counts from when it was observed. What is left never includes the text itself: only which of the words that the
brand looks for it had, so that what was decided by them stays decided.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Literal, TypeAlias

from rapport.domain import words as matching
from rapport.domain.platforms import platform_name

What: TypeAlias = Literal["texts", "profiles"]
"""`profiles`: name, handle, picture and addresses of a person."""


@dataclass(frozen=True)
class Limits:
    """How long a platform lets texts and profiles of its people be kept; None where it sets no limit."""

    texts: timedelta | None = None
    profiles: timedelta | None = None


NO_LIMITS = Limits()
LIMITS: Mapping[str, Limits] = MappingProxyType(
    {
        # LinkedIn's "Data storage requirements" of the Marketing API: members' social activity, members' profiles.
        "linkedin": Limits(texts=timedelta(hours=48), profiles=timedelta(hours=24)),
        # YouTube's developer policies, III.E.4: to be refreshed or deleted after 30 days.
        "youtube": Limits(texts=timedelta(days=30), profiles=timedelta(days=30)),
    }
)
"""By platform, of those that set any. The connectors declare the same; a test compares both."""

GAP = "ꙮ"
"""A letter of one medieval manuscript. It stands for the words that are left out, so no phrase reaches across them."""


def kept_until(platform: str, what: What, observed_at: datetime) -> datetime | None:
    """Until when something that was observed then may be kept; None for as long as we like."""
    limit: timedelta | None = getattr(LIMITS.get(platform, NO_LIMITS), what)
    return None if limit is None else observed_at + limit


def is_over(until: datetime | None, now: datetime) -> bool:
    """Whether the time is over until which something may be kept."""
    return until is not None and until <= now


def text_over(platform: str) -> str:
    """What is shown instead of a text that is no longer kept."""
    return f"Text no longer kept ({platform_name(platform)}'s terms)"


def shown_text(text: str, platform: str | None) -> str:
    """An answer in free words as it is shown; `text` may be what stands in for one that is no longer kept."""
    return text_over(platform) if platform is not None and text.startswith(GAP) else text


def stand_in(text: str, words: Iterable[str], hashtags: Iterable[str] = ()) -> str:
    """What is kept of a text: those of these words and hashtags that it has, and GAP for everything else.

    Looking for any of them gives the same as in the text, and so does the question whether the text is one of them.
    Neither the words nor their order come from the text.
    """
    tags = sorted({f"#{matching.bare_hashtag(each)}" for each in hashtags if matching.is_tagged(text, each)})
    found = sorted({each for each in words if matching.has(text, each)})
    whole = matching.key(text)
    same = [each for each in (*tags, *found) if whole and matching.key(each) == whole]
    if same and set(tags) <= {same[0]}:
        # What else it has are emoji, which the question whether it is a word leaves out.
        return " … ".join((same[0], *(each for each in found if not matching.has(same[0], each))))
    return f" {GAP} ".join((GAP, *tags, *found))
