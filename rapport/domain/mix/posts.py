"""A published post, and how a relationship began, from the stored facts, in whatever order they came.

Of several facts about one thing the latest wins, by time and id; of two records of one post, the earliest.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from rapport.domain.mix.labels import format_of

BROUGHT = {"comment": "comments", "reaction": "reactions", "share": "shares"}
"""The kinds of interactions that a post brings, and what they are counted as."""
REMOVED = {"delete": True, "hide": True, "unhide": False}
"""Whether a comment is gone after this."""
NO_MEETING = frozenset({"reply", "post", "edit", "delete", "hide", "unhide"})
"""The kinds with which no relationship begins."""
LONGEST_EXCERPT = 280


class PostFact(NamedTuple):
    """The parts of an interaction that matter here. `follower`: who did it, or whom it answers."""

    at: datetime
    id: str
    kind: str
    object: str
    follower: str | None = None
    undo: bool = False
    staff: bool = False
    text: str | None = None
    text_kept: bool = True
    """Whether `text` is what was written, and not what stands in for it."""
    account: str = ""
    post: str | None = None
    media: tuple[str, ...] = ()
    url: str | None = None
    parent: str | None = None
    """What it was done to, where that is not the post itself."""


class Standing(NamedTuple):
    """Something that a follower did with a post and that still counts."""

    kind: str
    follower: str | None
    by: str
    """`record` where each record counts, `thing` where all that was done to one thing counts once."""
    name: str | None
    """Of the record or the thing."""


class Post(Struct, frozen=True):
    """A post as it now reads."""

    id: str
    """Of the interaction that told it."""
    account: str
    published_at: datetime
    text: str | None
    url: str | None
    format: str


def post_of(told: Iterable[PostFact], changes: Iterable[PostFact]) -> Post | None:
    """A post from the facts that tell it and the edits and deletions of it; None once it is deleted."""
    first = min((each for each in told if each.kind == "post"), default=None, key=_when)
    later = sorted(changes, key=_when)
    if first is None or any(each.kind == "delete" for each in later):
        return None
    text = first.text
    for each in later:
        if each.kind == "edit" and each.text is not None:
            text = each.text
    return Post(first.id, first.account, first.at, text, first.url, format_of(first.media))


def standing(facts: Iterable[PostFact], removals: Iterable[PostFact]) -> set[Standing]:
    """What people did with a post and still counts: not taken back, deleted or hidden, and not the staff's.

    A reaction, or a share without words, counts once per person and thing, however many records of it there are. What
    one follower did depends on nothing that another did, but for removals. `facts` are the interactions that belong to
    the post and the undoings of them; `removals` are about those.
    """
    latest: dict[tuple[str, str | None, str], PostFact] = {}
    for each in facts:
        if each.kind in BROUGHT and not each.staff:
            key = (each.kind, each.follower, each.object)
            if key not in latest or _when(latest[key]) < _when(each):
                latest[key] = each
    said: dict[str, list[PostFact]] = {}
    for each in removals:
        if each.kind in REMOVED:
            said.setdefault(each.object, []).append(each)
    gone = {thing for thing, about in said.items() if _gone(about)}
    return {
        Standing(kind, follower, *_once(each))
        for (kind, follower, thing), each in latest.items()
        if not each.undo and thing not in gone
    }


def _once(fact: PostFact) -> tuple[str, str | None]:
    """What identifies a fact among those of its follower."""
    if fact.kind == "reaction":
        return "thing", fact.parent
    return ("thing", None) if fact.kind == "share" and not fact.text else ("record", fact.object)


def _gone(about: list[PostFact]) -> bool:
    return any(each.kind == "delete" for each in about) or REMOVED[max(about, key=_when).kind]


def beginning(facts: Iterable[PostFact]) -> PostFact | None:
    """The interaction with which a relationship began: the earliest that the follower did, whatever became of it."""
    met = (each for each in facts if each.kind not in NO_MEETING and not (each.undo or each.staff))
    return min(met, default=None, key=_when)


def is_new(at: datetime, account: str | None, connected: Mapping[str, datetime]) -> bool:
    """Whether a relationship that began `at` is new, or was there before the brand's account was connected.

    `connected` is when each account of the platform first was; where the account is not known, the earliest counts.
    """
    since = connected.get(account) if account is not None else min(connected.values(), default=None)
    return since is None or at >= since


def excerpt(text: str | None) -> str | None:
    """The beginning of a text."""
    return text if text is None or len(text) <= LONGEST_EXCERPT else f"{text[: LONGEST_EXCERPT - 1].rstrip()}…"


def _when(fact: PostFact) -> tuple[datetime, str]:
    return fact.at, fact.id
