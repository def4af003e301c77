"""What belongs to a campaign, and what still stands of it. Facts may come late, twice and in any order.

Of several facts about one thing the latest wins, by time and id. Undoing, deleting or hiding a thing takes it back,
whenever that happens. An edited text counts as it reads.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from rapport.domain import words

SAID = frozenset({"comment", "mention", "message"})
CHANGES = frozenset({"edit", "delete", "hide", "unhide"})


class Scope(Struct, frozen=True, kw_only=True):
    """What a campaign is about: its posts (object ids) and its hashtag on some accounts (all where none is named)."""

    id: str
    starts_at: datetime
    until: datetime
    """When it ends, or was ended before that."""
    accounts: tuple[str, ...] = ()
    posts: tuple[str, ...] = ()
    hashtag: str | None = None
    """Without its `#`."""


class CampaignFact(NamedTuple):
    """The parts of an interaction that campaigns need. `object` is the thing itself."""

    at: datetime
    id: str
    kind: str
    object: str
    platform: str
    follower: str
    account: str = ""
    post: str | None = None
    text: str | None = None
    reaction: str | None = None
    campaign: str | None = None
    undo: bool = False
    bot: bool = False
    staff: bool = False


class Change(NamedTuple):
    """What happened to a thing: it was edited (and reads `text` since), deleted, hidden or shown again."""

    at: datetime
    id: str
    kind: str
    object: str
    platform: str
    text: str | None = None


class Standing(NamedTuple):
    """A fact and what became of it."""

    fact: CampaignFact
    taken_back: bool
    text: str | None
    """As it read when the campaign ended."""
    newest: str | None
    """As it reads now."""


def concerns(scope: Scope, fact: CampaignFact, text: str | None) -> bool:
    """Whether a fact, reading `text`, is about the campaign: by its id, on one of its posts, or with its hashtag."""
    if scope.accounts and fact.account not in scope.accounts:
        return False
    if fact.campaign == scope.id or (fact.post is not None and fact.post in scope.posts):
        return True
    return fact.kind in ("comment", "mention", "share") and tagged(scope.hashtag, text)


def within(scope: Scope, at: datetime) -> bool:
    """Whether a time lies in the campaign, its first and its last moment included."""
    return scope.starts_at <= at <= scope.until


def standings(scope: Scope, facts: Iterable[CampaignFact], changes: Iterable[Change]) -> list[Standing]:
    """What became of each thing that was done, the earliest first."""
    latest: dict[bool, dict[tuple[str, str, str, str], CampaignFact]] = {False: {}, True: {}}
    for each in facts:
        of_its_sort, key = latest[each.undo], (each.platform, each.follower, each.kind, each.object)
        if key not in of_its_sort or _when(of_its_sort[key]) < _when(each):
            of_its_sort[key] = each
    about: dict[tuple[str, str], list[Change]] = {}
    for change in set(changes):
        about.setdefault((change.platform, change.object), []).append(change)
    found = []
    for key, fact in latest[False].items():
        undone = latest[True].get(key)
        its = sorted(about.get((fact.platform, fact.object), ()), key=_when)
        found.append(_standing(scope, fact, undone is not None and _when(undone) > _when(fact), its))
    return sorted(found, key=lambda each: (_when(each.fact), each.fact.object))


def _standing(scope: Scope, fact: CampaignFact, undone: bool, changes: Sequence[Change]) -> Standing:
    shown = [each.kind for each in changes if each.kind in ("hide", "unhide")]
    gone = any(each.kind == "delete" for each in changes) or (bool(shown) and shown[-1] == "hide")
    text = newest = fact.text
    for each in changes:
        if each.kind == "edit" and each.text is not None:
            newest = each.text
            if each.at <= scope.until:
                text = each.text
    return Standing(fact, undone or gone, text, newest)


def tagged(hashtag: str | None, text: str | None) -> bool:
    """Whether a text has the hashtag, in any case."""
    return hashtag is not None and words.is_tagged(text or "", hashtag)


def has_word(word: str, text: str | None) -> bool:
    """Whether a text has a word or phrase, whole and in any case; an emoji, which is no word, anywhere."""
    return words.has(text or "", word)


def _when(fact: CampaignFact | Change) -> tuple[datetime, str]:
    return fact.at, fact.id
