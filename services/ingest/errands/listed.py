"""Whether an answer is among what a platform lists."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from rapport.contracts.errands import Errand
from services.ingest.errands.speaker import Done, UntoldError
from services.ingest.errands.words import same_text
from services.ingest.hooks.delivery import UnreadableError

EARLIER = timedelta(minutes=5)
"""The platform's clock may be so much behind. What the account wrote before that, it wrote for somebody else."""
MOST_PAGES = 10


class Own(NamedTuple):
    """Something that the account itself wrote."""

    done: Done
    text: str
    at: datetime | None
    """None where the platform does not say."""


class Page(NamedTuple):
    """A part of a list."""

    own: Sequence[Own]
    following: str | None
    """Where the next part begins; None after the last."""


async def look(errand: Errand, page: Callable[[str | None], Awaitable[Page]]) -> Done | None:
    """The answer, if it is in the list. `page` gives a part of the list, from the beginning for None.

    Platforms do not promise an order, so all of it is read. Raises UntoldError where it does not end.
    """
    place: str | None = None
    for _ in range(MOST_PAGES):
        found = await page(place)
        for one in found.own:
            if may_be(one.at, errand) and same_text(one.text, errand.text or ""):
                return one.done
        if found.following is None or found.following == place:
            return None
        place = found.following
    raise UntoldError


def may_be(at: datetime | None, errand: Errand) -> bool:
    """Whether something that was written at this time may be the answer; it may where the platform does not say."""
    return at is None or at > errand.at - EARLIER


def when(read: Callable[[], datetime | None]) -> datetime | None:
    """A platform's time; None where it is none."""
    try:
        return read()
    except UnreadableError:
        return None
