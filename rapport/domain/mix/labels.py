"""What a brand publishes: the label and the format of each post, their shares, and what each brings.

Small numbers do not speak for themselves, so each figure comes with how many posts it is made of and with an interval
of 95 %, in closed form:

- a share: Wilson's score interval (Wilson, JASA 22, 1927; recommended for small n by Brown, Cai and DasGupta,
  Statistical Science 16, 2001).
- a mean per post: the interval of a Poisson count by Byar's approximation (Breslow and Day, Statistical Methods in
  Cancer Research II, IARC 1987, chapter 2), widened by how much more the posts differ than Poisson counts would: one
  post takes off, another does not. That factor is Pearson's estimate, X² over its degrees of freedom, over all groups
  together (McCullagh and Nelder, Generalized Linear Models, 1989, section 4.5), and never below 1.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from rapport.domain import words

Label: TypeAlias = Literal["business", "personal"]
LABELS: tuple[Label, ...] = ("business", "personal")
UNSORTED = "unsorted"
FORMATS = ("image", "video", "text", "link", "audio")
BRINGS = ("comments", "reactions", "shares", "new_relationships")
"""What is counted per post."""

Z = 1.959963984540054
"""The normal quantile of an interval of 95 %."""


class LabelRule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Gives a label to posts with a hashtag (without its `#`) or with a word or phrase, in any case."""

    label: Label
    hashtag: str | None = None
    word: str | None = None


class Labelled(Struct, frozen=True):
    """A post's label, and where it comes from."""

    label: str
    by: Literal["hand", "plan", "rule"] | None = None


class Interval(Struct, frozen=True):
    """A figure with the bounds of its interval; they are None where nothing can be said about them."""

    value: float
    low: float | None
    high: float | None


class Tally(Struct):
    """How many posts of a group, and of what each brought the sum and the sum of squares."""

    posts: int = 0
    sums: dict[str, int] = {}
    squares: dict[str, int] = {}

    def add(self, other: "Tally") -> None:
        """Adds the posts of another group."""
        self.posts += other.posts
        for mine, theirs in ((self.sums, other.sums), (self.squares, other.squares)):
            for name, value in theirs.items():
                mine[name] = mine.get(name, 0) + value


def format_of(media: Iterable[str]) -> str:
    """What a post is, by the most telling of its media; a text where it has none."""
    held = set(media)
    return next((medium for medium in ("video", "image", "audio", "link") if medium in held), "text")


def label_of(text: str | None, by_hand: str | None, planned: str | None, rules: Sequence[LabelRule]) -> Labelled:
    """The label of a post: by hand, else its plan's, else the first rule's that matches its text, else `unsorted`."""
    if by_hand is not None:
        return Labelled(by_hand, "hand")
    if planned is not None:
        return Labelled(planned, "plan")
    for rule in rules:
        if matches(rule, text or ""):
            return Labelled(rule.label, "rule")
    return Labelled(UNSORTED)


def matches(rule: LabelRule, text: str) -> bool:
    """Whether the text has the rule's hashtag or, whole, its word or phrase."""
    if rule.hashtag is not None:
        return words.is_tagged(text, rule.hashtag)
    return rule.word is not None and words.has(text, rule.word)


def share(part: int, whole: int) -> Interval | None:
    """`part` of `whole` with Wilson's interval; None of nothing."""
    if not whole:
        return None
    value = part / whole
    shrink = 1 + Z * Z / whole
    middle = (value + Z * Z / (2 * whole)) / shrink
    reach = Z * math.sqrt(value * (1 - value) / whole + Z * Z / (4 * whole * whole)) / shrink
    # Rounding must not leave a bound on the wrong side of the value.
    return Interval(value, min(value, max(0.0, middle - reach)), max(value, min(1.0, middle + reach)))


def dispersion(groups: Iterable[Tally], name: str) -> float | None:
    """How much more posts differ within their groups than Poisson counts would; None where no group has two posts."""
    terms: list[float] = []
    freedom = 0
    for group in groups:
        total = group.sums.get(name, 0)
        if group.posts > 1:
            freedom += group.posts - 1
            if total:
                terms.append((group.posts * group.squares.get(name, 0) - total * total) / total)
    # `fsum`, so that the order of the groups makes no difference.
    return max(1.0, math.fsum(terms) / freedom) if freedom else None


def per_post(group: Tally, name: str, spread: float | None) -> Interval | None:
    """What a post of a group brings on average, with its interval by `spread` (`dispersion`); None of no posts."""
    if not group.posts:
        return None
    total = group.sums.get(name, 0)
    mean = total / group.posts
    if spread is None:
        return Interval(mean, None, None)
    low, high = (bound * spread / group.posts for bound in _poisson(total / spread))
    return Interval(mean, min(mean, low), max(mean, high))


def _poisson(count: float) -> tuple[float, float]:
    """Byar's bounds of the mean that a Poisson count comes from."""
    low = 0.0 if count <= 0 else count * max(0.0, 1 - 1 / (9 * count) - Z / (3 * math.sqrt(count))) ** 3
    above = count + 1
    return low, above * (1 - 1 / (9 * above) + Z / (3 * math.sqrt(above))) ** 3


def standing(measured: Interval | None, target: float | None) -> Literal["below", "near", "above"] | None:
    """Whether a share is off its target by more than its interval: `near` where the interval holds the target."""
    if measured is None or target is None or measured.low is None or measured.high is None:
        return None
    if measured.high < target:
        return "below"
    return "above" if measured.low > target else "near"


def folded(groups: Mapping[tuple[str, str], Tally], by: Literal[0, 1]) -> dict[str, Tally]:
    """Groups of (label, format) put together by one of the two."""
    found: dict[str, Tally] = {}
    for key, tally in groups.items():
        found.setdefault(key[by], Tally()).add(tally)
    return found
