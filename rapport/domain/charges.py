"""What platforms charge for events: prices, what was counted times its price, and what an account may cost. Pure.

Only X charges. Its prices are in one table, with the day on which they were read; a setting replaces any of them.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from rapport.domain.figures import noun

CHARGING = ("x",)
"""The platforms that charge."""
READ_ON = date(2026, 11, 29)
SOURCE = "https://docs.x.com/x-api/activity/event-pricing"
"""Where the prices were read. The console of X has those that count."""

_POST, _PERSON, _LITTLE, _FREE = Decimal("0.005"), Decimal("0.010"), Decimal("0.001"), Decimal(0)
X_PRICES: Mapping[str, Decimal] = MappingProxyType({
    "post.create": _POST, "post.reply.create": _POST, "post.mention.create": _POST, "post.quote.create": _POST,
    "post.repost.create": _POST, "post.delete": _FREE, "like.create": _LITTLE, "follow.follow": _PERSON,
    "follow.unfollow": _PERSON, "block.*": _LITTLE, "mute.*": _LITTLE, "profile.update.*": _POST,
    "dm.received": _PERSON, "dm.sent": _FREE, "dm.read": _FREE, "dm.indicate_typing": _FREE,
    "chat.received": _PERSON, "chat.sent": _FREE, "chat.conversation_join": _FREE,
    "subscriptions.*": _FREE, "news.new": _POST, "spaces.start": _POST, "spaces.end": _POST, "posts.read": _POST,
})  # fmt: skip
"""Dollars for one, by X's name of the event; `posts.read` is a post that was asked for. X names no price for others,
such as `broadcast.start`."""
DEAREST = Decimal(1_000)
"""Dollars for one. More is a mistake in the setting."""
_NAME = re.compile(r"[a-z_]{1,40}(\.[a-z_]{1,40}){0,3}(\.\*)?")
_AMOUNT = re.compile(r"[0-9]{1,4}(\.[0-9]{1,6})?")
MOST_FOLLOWERS = 1_000_000_000


def prices_of(text: str) -> dict[str, Decimal]:
    """Prices as a setting has them: `like.create=0.001,profile.update.*=0.005`. Raises ValueError, which says where."""
    found: dict[str, Decimal] = {}
    for number, entry in enumerate((each.strip() for each in text.split(",")), 1):
        if not entry:
            continue
        name, _, amount = entry.partition("=")
        if not _NAME.fullmatch(name.strip()) or not _AMOUNT.fullmatch(amount.strip()):
            raise ValueError(f"entry {number} is not an event and dollars, such as like.create=0.001")
        dollars = Decimal(amount.strip())
        if dollars > DEAREST:
            raise ValueError(f"entry {number}: more than {DEAREST} dollars for one event")
        found[name.strip()] = dollars
    return found


@dataclass(frozen=True)
class Prices:
    """Of one platform, in dollars. A name that ends with `.*` is for all that begin like it and have no own price."""

    by_name: Mapping[str, Decimal]

    @classmethod
    def x(cls, changed: Mapping[str, Decimal] = MappingProxyType({})) -> "Prices":
        """X's, some of them changed by the agency."""
        return cls({**X_PRICES, **changed})

    def of(self, what: str) -> Decimal | None:
        """The price of one; None where none is known."""
        if what in self.by_name:
            return self.by_name[what]
        head = what
        while "." in head:
            head = head.rpartition(".")[0]
            if f"{head}.*" in self.by_name:
                return self.by_name[f"{head}.*"]
        return None


class Line(NamedTuple):
    """One thing that was charged for, how often, and what that comes to. None where its price is not known."""

    what: str
    many: int
    price: Decimal | None
    dollars: Decimal


def bill(counts: Iterable[tuple[str, int]], prices: Prices) -> list[Line]:
    """What was counted, with prices, the dearest first."""
    sums: dict[str, int] = {}
    for what, count in counts:
        sums[what] = sums.get(what, 0) + count
    lines = [Line(what, count, price := prices.of(what), (price or Decimal(0)) * count) for what, count in sums.items()]
    return sorted(lines, key=lambda line: (-line.dollars, line.what))


class Known(NamedTuple):
    """What is known of an account before it is connected. `history` is what the brand had elsewhere in 30 days."""

    followers: int | None = None
    mentions: int | None = None
    """Replies and mentions in a month, as X's own analytics count them."""
    history: Mapping[str, int] = MappingProxyType({})
    """Interactions by kind."""


class Part(NamedTuple):
    """One part of what an account may cost: how many events in a month, and dollars, from and to."""

    name: str
    fewest: int
    most: int
    low: Decimal
    high: Decimal


class Expected(NamedTuple):
    """What an account may cost in a month, in dollars, and what that assumes, in sentences."""

    low: Decimal
    high: Decimal
    parts: tuple[Part, ...]
    assumes: tuple[str, ...]


# Shares for the range. They are ours, wide on purpose, and said wherever the range is shown.
_MENTIONS_OF_FOLLOWERS = Decimal("0.001"), Decimal("0.02")
_LIKES_OF_MENTIONS = 2, 20
_REPOSTS_OF_MENTIONS = Decimal("0.2"), Decimal(2)
_FOLLOWS_OF_FOLLOWERS = Decimal("0.005"), Decimal("0.03")
_UNFOLLOWS_OF_FOLLOWERS = Decimal("0.002"), Decimal("0.015")
_MESSAGES_OF_MENTIONS = Decimal(0), Decimal("0.1")
_X_OF_HISTORY = Decimal("0.25")
"""A brand is at least a quarter as busy on X as on all its other platforms together, and at most as busy as there."""
_POSTS = 10, 60
"""In a month, where the brand's own history says nothing."""


def expected(known: Known, prices: Prices) -> Expected | None:
    """What an X account may cost in a month; None where nothing is known that it could follow from."""
    history = known.history
    spoken = sum(history.get(kind, 0) for kind in ("comment", "mention"))
    if known.mentions is not None:
        mentions = known.mentions, known.mentions
        assumes = [f"in a month {_many(known.mentions, 'reply or mention', 'replies and mentions')}, as you said"]
    elif known.followers is not None:
        mentions = _times(known.followers, _MENTIONS_OF_FOLLOWERS)
        assumes = [f"{_many(known.followers, 'follower', 'followers')}, of whom 0.1 % to 2 % write in a month"]
    elif spoken:
        mentions = _times(spoken, (_X_OF_HISTORY, Decimal(1)))
        assumes = [
            f"the brand had {_many(spoken, 'comment or mention', 'comments and mentions')} on its other accounts in "
            "the last 30 days; on X it has between a quarter of that and as many"
        ]
    else:
        return None
    if known.followers is not None:
        follows, unfollows = (
            _times(known.followers, each) for each in (_FOLLOWS_OF_FOLLOWERS, _UNFOLLOWS_OF_FOLLOWERS)
        )
        assumes.append("in a month 0.5 to 3 in 100 followers are new, and 0.2 to 1.5 in 100 go")
    else:
        follows = unfollows = 0, max(history.get("follow", 0), mentions[1] // 2)
        assumes.append("without a number of followers, at most half as many follow, or go, as write")
    posts = (history["post"],) * 2 if history.get("post") else _POSTS
    assumes += [
        "X tells most replies twice, as a reply and as a mention",
        "2 to 20 likes, and 0.2 to 2 reposts and quotes, for each reply or mention",
        f"{_span(posts)} of the brand's own, and an answer to at most each reply and mention",
        "every event of the account is subscribed to; each that is not costs nothing",
    ]
    parts = tuple(
        _part(name, range_, prices.of(what) or Decimal(0))
        for name, what, range_ in (
            ("replies and mentions", "post.mention.create", (mentions[0], 2 * mentions[1])),
            ("reposts and quotes", "post.repost.create", _pairwise(mentions, _REPOSTS_OF_MENTIONS)),
            ("likes", "like.create", (mentions[0] * _LIKES_OF_MENTIONS[0], mentions[1] * _LIKES_OF_MENTIONS[1])),
            ("follows", "follow.follow", follows),
            ("people who go", "follow.unfollow", unfollows),
            ("direct messages", "dm.received", _pairwise(mentions, _MESSAGES_OF_MENTIONS)),
            ("the brand's own posts and answers", "post.create", (posts[0], posts[1] + mentions[1])),
        )
    )
    low, high = sum((part.low for part in parts), Decimal(0)), sum((part.high for part in parts), Decimal(0))
    return Expected(low, high, parts, tuple(assumes))


def _many(count: int, one: str, many: str) -> str:
    return f"{count:,} {noun(count, one, many)}"


def _span(posts: tuple[int, int]) -> str:
    least, most = posts
    return _many(most, "post", "posts") if least == most else f"{least:,} to {most:,} posts"


def _times(count: int, shares: tuple[Decimal, Decimal]) -> tuple[int, int]:
    return _pairwise((count, count), shares)


def _pairwise(counts: tuple[int, int], shares: tuple[Decimal, Decimal]) -> tuple[int, int]:
    return int(counts[0] * shares[0]), int(counts[1] * shares[1])


def _part(name: str, range_: tuple[int, int], price: Decimal) -> Part:
    return Part(name, *range_, range_[0] * price, range_[1] * price)


def money(dollars: Decimal) -> str:
    """Dollars as people read them. Less than a cent is not nothing."""
    if Decimal(0) < dollars < Decimal("0.01"):
        return "less than $0.01"
    return f"${dollars:,.2f}"
