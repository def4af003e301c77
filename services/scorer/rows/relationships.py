"""Rows of the relationships agent."""

from msgspec import Struct

from rapport.contracts.rows import FOLLOWER, row_key, row_prefix
from rapport.contracts.scoring import Scoring
from rapport.domain.relationships.relationship import DEFAULT
from services.scorer.fenced.batch import Batch

FOLLOWERS = row_prefix(FOLLOWER)
FACTS = row_prefix("fact")
THINGS = row_prefix("thing")
FORGETS = row_prefix("forget")
SCORING_KEY = row_key("scoring")


class OpenExchangeRow(Struct, omit_defaults=True):
    """Where an exchange is that has to be told when its follower is blocked or away."""

    conversation: str
    thread: str
    blocked: bool = False
    """A block cancelled it, so it has to be told when the block ends; otherwise it is open."""
    gone: bool = False
    """It was cancelled because the account is gone, so it has to be told if that comes back."""


class ScoringRow(Struct):
    """The agency's numbers."""

    scoring: Scoring
    unsettled: bool = False
    """Not every relationship has been summed up with them."""


class ForgetRow(Struct):
    """Something that a follower is called has to be dropped at the time in the key."""


class FactGlance(Struct):
    """The part of a fact's row that says whether it may still count."""

    seen: int = 0
    kind: str | None = None


class ThingGlance(Struct):
    """The part of a thing's row that says whether it counts."""

    seen: int = 0
    day: str | None = None


def follower_key(brand: str, platform: str, follower: str) -> bytes:
    """The key of a `FollowerRow`."""
    return row_key(FOLLOWER, brand, platform, follower)


def fact_key(brand: str, platform: str, follower: str, *about: str) -> bytes:
    """The key of a `CountedFact`; `about`: what kind of fact, and its id."""
    return row_key("fact", brand, platform, follower, *about)


def thing_key(brand: str, platform: str, follower: str, kind: str, thing: str) -> bytes:
    """The key of a `Thing`."""
    return row_key("thing", brand, platform, follower, kind, thing)


def open_key(brand: str, platform: str, follower: str, exchange: str) -> bytes:
    """The key of an `OpenExchangeRow`."""
    return row_key("open", brand, platform, follower, exchange)


def open_of(brand: str, platform: str, follower: str) -> bytes:
    """What the keys of a follower's `OpenExchangeRow`s begin with."""
    return row_prefix("open", brand, platform, follower)


def forget_key(at: int, brand: str, platform: str, follower: str) -> bytes:
    """The key of a `ForgetRow`; in the order of the times (ms)."""
    return row_key("forget", f"{at:015d}", brand, platform, follower)


def details_of(brand: str, platform: str, follower: str) -> list[bytes]:
    """What the keys of all rows of a follower begin with, the follower's own row apart."""
    return [row_prefix(kind, brand, platform, follower) for kind in ("fact", "thing", "open")]


def current_scoring(batch: Batch) -> Scoring:
    """The agency's numbers, or the default ones."""
    row = batch.row(SCORING_KEY, ScoringRow)
    return DEFAULT if row is None else row.scoring
