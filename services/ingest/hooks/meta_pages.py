"""Lists as Meta's interfaces give them, page by page. Pure.

A page says where the next one begins: by a cursor, or by the address of the next page. Of that address the query alone
is used, so nobody is led elsewhere.

Source: https://developers.facebook.com/docs/graph-api/results
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlsplit

from msgspec import Raw, Struct

from services.ingest.hooks.delivery import MOST_CHANGES, Delivery, Id, UnreadableError, decode
from services.ingest.hooks.meta import sent_at

LONGEST_CURSOR = 2_048
LONGEST_ID = 200
MOST_PARTS = 20
"""Of an album: as many as Instagram takes."""
_PLACES = ("after", "until", "since", "offset", "__paging_token", "pagetoken")
"""What the address of a next page may say of where it begins."""

T = TypeVar("T")


class Post(NamedTuple):
    """What somebody may comment on: its id on the platform, and what tells whether anybody did since."""

    id: str
    updated_at: datetime | None = None
    """When it was last written to or commented on; None where the platform does not say."""
    many: int | None = None
    """How many comments it has, with their answers; None where the platform does not say."""
    at: datetime | None = None
    """When it was written."""
    parts: tuple[str, ...] = ()
    """Of an album, the ids of its pictures and videos."""


@dataclass
class Page(Delivery):
    """What a page of a list says."""

    posts: list[Post] = field(default_factory=list)
    more: Mapping[str, str] = field(default_factory=dict)
    """What to ask for to get the next page; empty where this is the last."""
    many: int = 0
    """How many items it has, also those that could not be read."""
    oldest: datetime | None = None
    """When the oldest of its items was written, or what it is about last changed."""
    sorted: bool = True
    """Whether the newest of its items comes first, and so on."""
    partly: list[str] = field(default_factory=list)
    """The ids of what has more below it than this page shows."""

    def saw(self, at: datetime | None) -> None:
        """Notes when an item was written, one after the other."""
        if at is None:
            return
        if self.oldest is None or at <= self.oldest:
            self.oldest = at
        else:
            self.sorted = False


class _Cursors(Struct):
    after: str | None = None


class Paging(Struct):
    """Where the next page begins."""

    cursors: _Cursors | None = None
    next: str | None = None


class _List(Struct):
    data: list[Raw]
    paging: Paging | None = None


def page(body: bytes, shape: type[T], read: Callable[[T, Page], None]) -> Page:
    """A page whose items `read` takes one by one. Raises UnreadableError where the whole is no list."""
    whole = decode(body, _List)
    if len(whole.data) > MOST_CHANGES:
        raise UnreadableError(f"more than {MOST_CHANGES} items at once")
    found = Page(many=len(whole.data), more=next_page(whole.paging))
    each_of(whole.data, "data", shape, found, lambda item: read(item, found))
    return found


def each_of(items: list[Raw], where: str, shape: type[T], found: Page, read: Callable[[T], Any]) -> None:
    """Gives `read` the items of a list. One that cannot be read is a problem, and stops none beside it."""
    for number, raw in enumerate(items):
        try:
            read(decode(raw, shape))
        except Exception as error:  # what nobody foresaw must not hold up what comes with it
            found.failed(f"{where}[{number}]", error)


def path_id(given: Id) -> str:
    """The id of something that is asked about next, as a part of a path. Raises UnreadableError where it is none."""
    found = str(given)
    if len(found) > LONGEST_ID or not found.isascii() or not found.replace("_", "").isalnum():
        raise UnreadableError(f"{found!r:.60} is no id")
    return found


def whole_of(part: str) -> str:
    """The name under which it is remembered which album something is a part of."""
    return f"{part}/album"


def written_at(when: float | str | None) -> datetime:
    """When an item was written. Raises UnreadableError where it does not say: what is asked for may be years old."""
    at = sent_at(when)
    if at is None:
        raise UnreadableError("it does not say when it was written")
    return at


def next_page(paging: Paging | None) -> Mapping[str, str]:
    """What to ask for to get the page after one; empty where there is none.

    Raises UnreadableError where that is too long: a list must not seem to end there.
    """
    if paging is None or not paging.next:
        return {}
    after = paging.cursors.after if paging.cursors else None
    if after:
        return {"after": _cursor(after)}
    try:
        query = dict(parse_qsl(urlsplit(paging.next).query))
    except ValueError:
        return {}
    return {name: _cursor(query[name]) for name in _PLACES if query.get(name)}


def _cursor(text: str) -> str:
    if len(text) > LONGEST_CURSOR:
        raise UnreadableError(f"the next page begins at a cursor of {len(text)} characters")
    return text
