"""The rows of the relationships agent's changelog that the projector reads: a declared contract, like a topic.

A changelog record's key is a JSON array whose first part names the kind of row, `["follower", brand, platform,
follower]` for a relationship, `["erased", brand, name]` for somebody who was erased (the name by
`rapport.domain.erasing`). Rows of any other kind, and the exchanges agent's changelog, are the scorer's own. The value
is JSON; the header `rapport_epoch` carries the epoch of the application id: a view keeps what has the highest (epoch,
revision).
"""

from typing import Literal

import msgspec
from msgspec import Struct

from rapport.contracts.events import UtcTime

EPOCH = 1
"""Goes up when the scorer starts over with empty state, so that its low revisions replace the old high ones."""
EPOCH_HEADER = "rapport_epoch"

MOVED = ("rapport_moved", b"1")
"""Header of a row's deletion where the row has only moved to another partition."""

FOLLOWER = "follower"
ERASED = "erased"


class BlockState(Struct, omit_defaults=True, frozen=True):
    """Whether the brand blocks the follower; the newest, by `at` and `id`, holds."""

    at: UtcTime
    id: str
    lifted: bool = False


class AwayState(Struct, frozen=True):
    """What the platform says became of the follower's account; the newest, by `at` and `id`, holds."""

    at: UtcTime
    id: str
    how: Literal["deleted", "suspended", "back"]


class PersonState(Struct, omit_defaults=True, frozen=True):
    """Who the follower is on other platforms: what the person's other followers bring to the person's stage."""

    revision: int
    person: str | None
    """None where the follower is linked to nobody any more."""
    sums: dict[str, float] = {}
    """Landmark sums by dimension, of the others."""
    last_purchase_at: UtcTime | None = None
    shadow: bool = False
    """Another of the person's followers stands for the person in lists."""


class FollowerRow(Struct, omit_defaults=True, kw_only=True):
    """One relationship. Sums fade by forward decay; see `rapport.domain.relationships.decay`."""

    brand: str
    platform: str
    follower: str
    revision: int
    first_seen: UtcTime
    last_seen: UtcTime
    handle: str | None = None
    name: str | None = None
    avatar_url: str | None = None
    bot: bool = False
    met: bool = False
    """Whether the follower did anything yet; a row can begin with the brand's reply, where that arrives first."""
    counts: dict[str, int] = {}
    """Interactions by kind, less what was undone or deleted; `reply` counts the brand's replies to the follower."""
    contributions: dict[str, dict[str, float]] = {}
    """Per dimension (`know`, `like`, `trust`) the landmark sum that each kind brought; a dimension is their total."""
    last_purchase_at: UtcTime | None = None
    block: BlockState | None = None
    aways: list[AwayState] = []
    """What the platform said of the follower's account, in order of time, the newest few."""
    days: dict[str, dict[str, int]] = {}
    """Per event day (`2026-11-23`, UTC) how many of each kind count; the source of the capped sums."""
    newest_day: str = ""
    """The latest event day of any fact, also of one that was taken back."""
    momentum: float = 0.0
    """The landmark sum of what was brought lately, in all dimensions."""
    scoring: int = 0
    """The version of the agency's numbers that the sums are made with."""
    named: dict[str, tuple[int, str]] = {}
    """When (ms), and by which interaction, the follower was last called what `handle`, `name`, `avatar_url` say."""
    person: PersonState | None = None
    kept_until: dict[str, int] = {}
    """Until when (ms) the platform's terms let `handle`, `name` or `avatar_url` be kept, of those that they limit."""
    forget_at: int = 0
    """The earliest of these, under which the row is found when its time has come; 0 if there is none."""


def row_key(*parts: str) -> bytes:
    """The key of a row: a compact JSON array, its kind first."""
    return msgspec.json.encode(parts)


def row_prefix(*parts: str) -> bytes:
    """What the keys begin with that have these parts and more."""
    return row_key(*parts)[:-1] + b","


def parts_of(key: bytes) -> list[str]:
    """The parts of a row's key. Raises msgspec.DecodeError where it is none."""
    return msgspec.json.decode(key, type=list[str])
