"""Drops texts and names that the platform's terms no longer let be kept. Clocks and outcomes do not change by it."""

from typing import TypeVar

from msgspec import structs

from rapport.contracts.events import Alert, ExchangeSnapshot, FollowerRef
from rapport.domain.exchanges.exchange import Comment, Rules
from rapport.domain.retention import is_over, stand_in
from rapport.domain.times import ms, utc

Told = TypeVar("Told", ExchangeSnapshot, Alert)


def forget_text(comment: Comment, rules: Rules, clock: int) -> None:
    """Drops the text of a comment whose time is over at `clock` (ms); what the policy's rules found in it is kept."""
    if comment.text is None or comment.kept_until is None or comment.kept_until > clock:
        return
    words = tuple(rules.words_of(comment))
    comment.heard = stand_in(comment.text, words) if words else None
    comment.text = None


def still_named(who: FollowerRef, clock: int) -> FollowerRef:
    """A follower, without handle and name once their time is over."""
    if not is_over(who.kept_until, utc(clock)) or (who.handle is None and who.name is None):
        return who
    return structs.replace(who, handle=None, name=None)


def still_said(told: Told, clock: int) -> Told:
    """A snapshot or an alert as it may be kept at `clock`."""
    first = told.first
    if first.text is not None and is_over(first.kept_until, utc(clock)):
        first = structs.replace(first, text=None)
    return structs.replace(told, first=first, follower=still_named(told.follower, clock))


def said_until(told: ExchangeSnapshot | Alert) -> int | None:
    """When (ms) the next of text and names has to be dropped; None if nothing has."""
    first = told.first
    text = ms(first.kept_until) if first.kept_until is not None and first.text is not None else None
    return min((at for at in (text, names_until(told.follower)) if at is not None), default=None)


def text_until(comment: Comment) -> int | None:
    """Until when (ms) a comment's text may be kept; None for good, or if there is none any more."""
    return comment.kept_until if comment.text is not None else None


def names_until(who: FollowerRef) -> int | None:
    """Until when (ms) a follower's names may be kept; None for good, or if there are none any more."""
    if who.kept_until is None or (who.handle is None and who.name is None):
        return None
    return ms(who.kept_until)
