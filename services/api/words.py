"""Parts of sentences about clocks: what a rule is about, durations, lists."""

from collections.abc import Sequence

from rapport.contracts.controls import When
from rapport.domain.figures import counted, noun
from rapport.domain.platforms import platform_name

MOST_NAMED = 4
_STAGES = {
    "new": "are new",
    "knows": "know the brand",
    "likes": "like the brand",
    "trusts": "trust the brand",
    "buys": "buy from it",
}
_KINDS = {"comment": "comments", "mention": "mentions", "message": "private messages", None: "everything"}


def applies_to(when: When) -> str:
    """What a rule is about: `comments on Bluesky with the word “refund”`."""
    parts = [_KINDS[when.kind]]
    if when.platform is not None:
        parts.append(f"on {platform_name(when.platform)}")
    if when.account is not None:
        parts.append(f"to the account {when.account}")
    if when.stage:
        parts.append(f"from followers who {listed([_STAGES[stage] for stage in when.stage], 'or')}")
    if when.words:
        parts.append(f"with the {noun(len(when.words), 'word')} {listed([f'“{word}”' for word in when.words], 'or')}")
    if when.bot is not None:
        parts.append("written by bots" if when.bot else "not written by bots")
    if when.empty is not None:
        parts.append("of nothing but a reaction" if when.empty else "of more than a reaction")
    return " ".join(parts)


def listed(items: Sequence[str], last: str = "and") -> str:
    """Some things in a sentence: `a, b and c`, and of many how many more there are."""
    if len(items) > MOST_NAMED + 1:
        items = [*items[:MOST_NAMED], f"{len(items) - MOST_NAMED} more"]
    return f" {last} ".join(part for part in (", ".join(items[:-1]), *items[-1:]) if part)


def length(seconds: float, *, days: bool) -> str:
    """A duration in words, two units at most: `4 hours`, `1 hour and 30 minutes`. Days are of 24 hours."""
    left = round(seconds)
    parts = []
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        # A day as 24 hours is how answers within a day are spoken of.
        if unit == "day" and (not days or left < 2 * size):
            continue
        count, left = divmod(left, size)
        if count:
            parts.append(counted(count, unit))
    return " and ".join(parts[:2]) or "0 seconds"
