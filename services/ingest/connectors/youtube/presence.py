"""Asks YouTube which of a channel's comments are still there, and how far the answer can be believed.

By its documents YouTube refuses a request with an id that it does not know; by what others see it leaves the comment
out of the answer. Both are understood. An answer in which nothing is there may be a fault of YouTube's, so it counts
only where something else says so too.

Source: https://developers.google.com/youtube/v3/docs/comments/list and …/docs/videos/list
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from services.ingest.connectors.youtube.normalise import comment_counts, ids
from services.ingest.connectors.youtube.waiting import Waiting
from services.ingest.hooks.delivery import UnreadableError
from services.ingest.polling.api import AttentionError, AwayError, RefusedError

COMMENTS = "/youtube/v3/comments"
VIDEOS = "/youtube/v3/videos"
MOST_REQUESTS = 16
"""In one look: finding one comment among 50 takes 13 where YouTube refuses the whole because of it."""
MOST_VIDEOS = 50

Ask = Callable[[str, Mapping[str, str]], Awaitable[bytes]]
T = TypeVar("T")


class NotThereError(RefusedError):
    """YouTube does not know one of the comments that were asked for."""


class NotAllowedError(AttentionError):
    """YouTube does not show one of them, or nothing at all, to this key."""


class Look(NamedTuple):
    """The comments for which the answer can be believed, and those of them that are there."""

    asked: Sequence[str]
    there: frozenset[str]


async def look(ask: Ask, wanted: Sequence[Waiting], beside: str | None) -> Look:
    """Asks for comments. `beside` is one that a list has just had.

    Raises AwayError where the answer is no whole list, and what `ask` raises.
    """
    names = [each.id for each in wanted]
    there, missing = await _asked_for(ask, [*names, *([beside] if beside else [])])
    if not there:
        missing = set() if beside else await _without_comments(ask, [each for each in wanted if each.id in missing])
    return Look([each for each in names if each in there or each in missing], frozenset(there))


async def _asked_for(ask: Ask, names: Sequence[str]) -> tuple[set[str], set[str]]:
    """Those that are there, and those that are not. Of the others it is not known."""
    there: set[str] = set()
    missing: set[str] = set()
    parts = [names]
    for _ in range(MOST_REQUESTS):
        if not parts:
            break
        part = parts.pop()
        try:
            body = await ask(COMMENTS, {"part": "id", "id": ",".join(part)})
        except (NotThereError, NotAllowedError):
            if len(part) == 1:
                missing.update(part)
            else:
                parts += [part[len(part) // 2 :], part[: len(part) // 2]]
            continue
        found = readable(partial(ids, body), COMMENTS)
        there |= found & set(part)
        missing |= set(part) - found
    return there, missing


async def _without_comments(ask: Ask, missing: Sequence[Waiting]) -> set[str]:
    """Those below videos that are gone or have no comments. The channel's list has no comment either."""
    videos = sorted({each.video for each in missing if each.video is not None})[:MOST_VIDEOS]
    if not videos:
        return set()
    body = await ask(VIDEOS, {"part": "statistics", "id": ",".join(videos)})
    counts = readable(partial(comment_counts, body), VIDEOS)
    return {each.id for each in missing if each.video in videos and not counts.get(each.video)}


def readable(read: Callable[[], T], path: str) -> T:
    """What is read of an answer. Raises AwayError where it cannot be."""
    try:
        return read()
    except UnreadableError as error:
        raise AwayError(f"{path} was answered with what cannot be read: {error}") from None
