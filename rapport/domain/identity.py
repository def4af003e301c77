"""Who is the same person: links that somebody made between followers of one brand, and who they add up to.

A person is whatever links connect, and nothing but the current links decides it. So removing a link restores exactly
the persons that were there before it.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

MOST_MEMBERS = 20
"""Followers per person. More than a handful of accounts is a mistake, or a company."""


class Link(NamedTuple):
    """Two followers (`<platform>/<id>`) who are said to be one person; the smaller first."""

    a: str
    b: str

    @classmethod
    def of(cls, one: str, other: str) -> "Link":
        """The link between two, whichever is named first."""
        return cls(*sorted((one, other)))


class SelfError(ValueError):
    """A follower was linked to itself."""


class TooManyError(ValueError):
    """A person would have more followers than is allowed."""


def persons(links: Iterable[Link]) -> list[frozenset[str]]:
    """The followers that links connect, person by person, by their first member."""
    found: dict[str, set[str]] = {}
    for link in links:
        both = found.setdefault(link.a, {link.a}) | found.setdefault(link.b, {link.b})
        for member in both:
            found[member] = both
    unique = {id(members): members for members in found.values()}
    return sorted((frozenset(members) for members in unique.values()), key=min)


class Around:
    """Goes from followers along links to everybody who is connected; whoever has the links answers `asked`."""

    def __init__(self, followers: Collection[str]) -> None:
        """Begins with these."""
        self.links: set[Link] = set()
        self.asked = set(followers)
        """Whose links are to be added next; nobody's once all are known."""
        self._known: set[str] = set()
        self._steps = 0

    def add(self, links: Iterable[Link]) -> None:
        """Takes in the links of those asked about."""
        self.links.update(links)
        self._known |= self.asked
        self._steps += 1
        # A person has so few members that no way from one to another is longer.
        far = self._steps >= MOST_MEMBERS
        self.asked = set() if far else {member for link in self.links for member in link} - self._known


def check(one: str, other: str, links: Collection[Link]) -> None:
    """Whether two may be linked beside the links that touch their persons. Raises SelfError or TooManyError."""
    if one == other:
        raise SelfError("a follower is the same person as itself already")
    (together,) = [each for each in persons([*links, Link.of(one, other)]) if one in each]
    if len(together) > MOST_MEMBERS:
        raise TooManyError(f"{len(together)} followers would be one person; {MOST_MEMBERS} is the most")


def person_id(brand: str, members: Collection[str]) -> str:
    """The id of a person: the same for the same first member."""
    return hashlib.sha256(f"{brand}/{min(members)}".encode()).hexdigest()[:16]


class Standing(Struct, frozen=True):
    """What one follower brings: landmark sums by dimension, and the last purchase."""

    sums: dict[str, float] = {}
    last_purchase_at: datetime | None = None


def brought_by_others(member: str, members: Mapping[str, Standing]) -> Standing:
    """What a person's other followers bring to one of them. Sums of forward decay add up."""
    others = [standing for name, standing in sorted(members.items()) if name != member]
    sums: dict[str, float] = {}
    for standing in others:
        for dimension, total in standing.sums.items():
            sums[dimension] = sums.get(dimension, 0.0) + total
    bought = max((each.last_purchase_at for each in others if each.last_purchase_at is not None), default=None)
    return Standing(sums, bought)


def together(members: Mapping[str, Standing]) -> Standing:
    """What all of a person's followers bring."""
    return brought_by_others("", members)


def stands_for_it(members: Collection[str]) -> str:
    """The follower that a person is shown as in lists."""
    return min(members)


class Profile(NamedTuple):
    """A follower's profile: its address, and those that are verified to be the same person's; `plain_url`s."""

    url: str | None
    links: frozenset[str]


def confirm_each_other(one: Profile, other: Profile) -> bool:
    """Whether each profile has a verified link to the other. A name alone never tells who somebody is."""
    return one.url is not None and other.url is not None and other.url in one.links and one.url in other.links


def plain_url(url: str) -> str:
    """An address without what makes no difference to where it leads."""
    return url.strip().removeprefix("https://").removeprefix("http://").removeprefix("www.").rstrip("/").casefold()
