"""What a platform's delivery becomes: interactions, and what could not be read of it. Pure."""

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

import msgspec

from rapport.contracts.charges import Charge
from rapport.contracts.controls import FollowerAway
from rapport.contracts.events import (
    Account,
    Actor,
    Interaction,
    Kind,
    Medium,
    Object,
    OccurredAtSource,
    Parent,
)
from rapport.domain.exchanges.addressing import occurred
from rapport.domain.times import in_range

MOST_CHANGES = 5_000
"""In one delivery. Meta, which sends the most, sends 1,000 at once."""
LARGEST_NULLED = 2**18
"""Bytes that are read a second time, without nulls. As a whole in memory they take some hundred times as much."""
MOST_PROBLEMS = 100
"""How many are named; the rest is counted."""

T = TypeVar("T")


class UnreadableError(ValueError):
    """A delivery that is not what the platform sends. The text says why."""


def bare_handle(handle: str) -> str:
    """A handle as it is compared."""
    return handle.removeprefix("@").casefold()


@dataclass(frozen=True)
class Watched:
    """A brand's account. `id` is the platform's; `own` are the platform's ids of all accounts of the brand there, and
    `handles` their handles, by `bare_handle`.
    """

    brand: str
    account: Account
    id: str
    own: frozenset[str]
    handles: frozenset[str] = frozenset()

    def is_brand(self, actor: str) -> bool:
        """Whether somebody is the brand itself, by any of its accounts."""
        return actor == self.id or actor in self.own

    def is_staff(self, actor: str) -> bool:
        """Whether somebody works for the brand, with an account of their own."""
        return actor in self.account.staff

    def is_named(self, username: str | None) -> bool:
        """Whether somebody is the account itself, by its handle. For where a platform gives a name and no id."""
        return username is not None and bare_handle(username) == bare_handle(self.account.handle)

    def is_another(self, username: str | None) -> bool:
        """Whether somebody is another account of the brand that is connected now, by its handle."""
        return username is not None and bare_handle(username) in self.handles and not self.is_named(username)


Id: TypeAlias = str | int
"""Platforms write the same ids as strings or as numbers; here they are strings, always."""
Lookup: TypeAlias = Callable[[str], Sequence[Watched]]
"""The accounts with one of the platform's ids: none where nobody connected it, several where several brands did."""


class Problem(NamedTuple):
    """One change that could not be read: where in the delivery it is, and why."""

    where: str
    why: str


@dataclass
class Delivery:
    """What was found. A change that cannot be read is a problem, and stops none beside it."""

    interactions: list[Interaction] = field(default_factory=list)
    away: list[FollowerAway] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unread: int = 0
    """How many changes could not be read; `problems` names the first."""
    ignored: Counter[str] = field(default_factory=Counter)
    """How many changes say nothing that anybody wants to know, by what they are."""
    again: bool = False
    """Whether the platform sends it again because it was asked to, for what was missed."""
    charges: list[Charge] = field(default_factory=list)
    """What the platform charges for the delivery, whatever became of it here."""

    def failed(self, where: str, error: Exception) -> None:
        """Notes that a change could not be read."""
        self.unread += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(where, f"{type(error).__name__}: {error}"[:300]))


@cache
def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape, strict=False)


def decode(body: bytes | msgspec.Raw, shape: type[T]) -> T:
    """JSON as `shape`; where it wants a number, a string of digits will do. Raises UnreadableError.

    Platforms write null for what is not there, also where they did not before. If that is what cannot be read, it is
    left out.
    """
    decoder: msgspec.json.Decoder[T] = _decoder(cast(Any, shape))
    try:
        return decoder.decode(body)
    except (ValueError, RecursionError) as error:
        # Also for bytes that are no text, and for a number that is a time of the year 10000.
        if isinstance(error, msgspec.ValidationError) and b"null" in bytes(body) and len(bytes(body)) <= LARGEST_NULLED:
            with contextlib.suppress(ValueError, RecursionError, OverflowError):
                return decoder.decode(msgspec.json.encode(_without_nulls(msgspec.json.decode(body))))
        raise UnreadableError(str(error)) from error


def _without_nulls(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: _without_nulls(value) for name, value in found.items() if value is not None}
    return [_without_nulls(each) for each in found] if isinstance(found, list) else found


def id_of(found: Id | None, what: str) -> str:
    """An id as a string. Raises UnreadableError where there is none; `what` names its field."""
    if found is None or found == "":
        raise UnreadableError(f"{what} is missing")
    return str(found)


def time_of(seconds: float | None) -> datetime | None:
    """A platform's time in seconds since 1970. Raises UnreadableError where it is none that can be."""
    if seconds is None:
        return None
    try:
        at = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise UnreadableError(f"{seconds!r} is no time in seconds") from error
    if not in_range(at):
        raise UnreadableError(f"{seconds!r} is no time in seconds between 1971 and 9998")
    return at


def iso_time_of(text: str | None) -> datetime | None:
    """A platform's time in ISO 8601. Raises UnreadableError where it is none, or has no zone."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise UnreadableError(f"{text!r:.60} is no time in ISO 8601") from error
    if at.tzinfo is None or not in_range(at):
        raise UnreadableError(f"{text!r:.60} is no time with a zone between 1971 and 9998")
    return at


@dataclass(frozen=True)
class About:
    """What an interaction is about, and when it occurred as the platform says; None if it does not say."""

    object: Object
    conversation: str
    thread: str | None
    at: datetime | None
    post: str | None = None
    source: OccurredAtSource = "platform"


def interaction(
    watched: Watched,
    observed_at: datetime,
    about: About,
    *,
    id: str,
    kind: Kind,
    actor: Actor,
    parent: Parent | None = None,
    text: str | None = None,
    media: tuple[Medium, ...] = (),
    language: str | None = None,
    reaction: str | None = None,
    undo: bool = False,
    automatic: bool = False,
    staff: bool = False,
) -> Interaction:
    """An interaction of an account."""
    time = occurred(about.at, about.source, observed_at)
    return Interaction(
        id=id, brand=watched.brand, platform=watched.account.platform, account=watched.account.id, kind=kind,
        actor=actor, object=about.object, conversation=about.conversation, thread=about.thread, post=about.post,
        occurred_at=time.at, occurred_at_source=time.source, clamped=time.clamped, observed_at=observed_at,
        parent=parent, text=text, media=media, language=language, reaction=reaction, undo=undo, automatic=automatic,
        staff=staff,
    )  # fmt: skip
