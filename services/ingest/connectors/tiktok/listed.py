"""Lists that TikTok is asked for: an account's videos, the comments below one, and the answers to a comment. Pure.

- A video becomes the post that the webhook tells of what was published through the API: the id is the same.
- A comment becomes what its webhook would have made of it: the id is the same. Its time is in whole seconds here.
- The webhook names who wrote it by a `unique_identifier`. Where a list leaves that out, no other name may stand for it,
  or one person would become two: then they are unknown, and shown with the name that the list has.
- `owner` says that the account itself wrote it. So what it is named by there is its own `unique_identifier`.
- A comment that is hidden by the time it is told counts as hidden from the beginning, unless it was pushed since when.
  One that is shown may have been hidden before: whoever asks has to know.

Source: https://business-api.tiktok.com/portal/docs?id=1762228496862209
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from msgspec import Raw, Struct

from rapport.contracts.events import Actor, Object
from services.ingest.connectors.tiktok.answers import checked
from services.ingest.connectors.tiktok.normalise import Comment, author_of, business, posted, time_in, written
from services.ingest.hooks.delivery import (
    MOST_CHANGES,
    About,
    Delivery,
    Id,
    UnreadableError,
    Watched,
    decode,
    id_of,
    interaction,
)

HIDDEN, PUBLIC = "HIDDEN", "PUBLIC"


class Video(NamedTuple):
    """A video, and what tells whether anybody commented."""

    id: str
    comments: int | None
    at: datetime | None


class Thread(NamedTuple):
    """A comment, how many answers it has, and when it was written."""

    id: str
    replies: int
    at: datetime | None


@dataclass
class Page(Delivery):
    """A page of a list. `next` is where the next one begins, None where this is the last."""

    videos: list[Video] = field(default_factory=list)
    threads: list[Thread] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)
    """The ids of comments that everybody can see."""
    own: str | None = None
    """The account's own `unique_identifier`, where the page has it."""
    newest: datetime | None = None
    """When the newest comment was written. The oldest tells nothing: one that is pinned comes first, however old."""
    next: str | None = None


class _Video(Struct):
    item_id: Id | None = None
    comments: int | None = None
    create_time: float | None = None
    caption: str | None = None
    share_url: str | None = None


class _Comment(Struct, kw_only=True):
    comment_id: Id | None = None
    parent_comment_id: Id | None = None
    unique_identifier: Id | None = None
    username: str | None = None
    display_name: str | None = None
    create_time: float | None = None
    text: str | None = None
    owner: bool = False
    status: str | None = None
    replies: int = 0
    reply_list: Sequence[Raw] = ()


class _Data(Struct, frozen=True):
    videos: Sequence[Raw] = ()
    comments: Sequence[Raw] = ()
    cursor: Id | None = None
    has_more: bool = False


class _Answer(Struct):
    data: _Data = _Data()


def videos(answer: bytes, watched: Watched, observed_at: datetime) -> Page:
    """A page of an account's videos, and each as the post that it is. Raises as `checked`."""
    data, page = _page(answer)
    for place, raw in enumerate(data.videos):
        try:
            found = decode(raw, _Video)
            video, at = id_of(found.item_id, "item_id"), time_in(found.create_time)
            page.videos.append(Video(video, found.comments, at))
            if at is None:
                raise UnreadableError("it does not say when it was made, so nobody knows whether it is new")
            its = Object(video, found.share_url or None)
            page.interactions.append(
                posted(its, at, watched, observed_at, text=found.caption or None, media=("video",))
            )
        except Exception as error:  # what nobody foresaw must not hold up what comes with it
            page.failed(f"videos[{place}]", error)
    return page


def comments(answer: bytes, video: str, parent: str | None, watched: Watched, observed_at: datetime) -> Page:
    """A page of the comments below a video, or of the answers to the comment `parent`. Raises as `checked`."""
    data, page = _page(answer)
    for place, raw in enumerate(data.comments):
        _take(raw, f"comments[{place}]", video, parent, watched, observed_at, page)
    return page


def _page(answer: bytes) -> tuple[_Data, Page]:
    data = checked(answer, _Answer).data
    if len(data.videos) + len(data.comments) > MOST_CHANGES:
        raise UnreadableError(f"more than {MOST_CHANGES} items at once")
    return data, Page(next=str(data.cursor) if data.has_more and data.cursor is not None else None)


def _take(
    raw: Raw, where: str, video: str, parent: str | None, watched: Watched, observed_at: datetime, page: Page
) -> None:
    try:
        found = decode(raw, _Comment)
        comment = id_of(found.comment_id, "comment_id")
        _tell(found, comment, video, parent, watched, observed_at, page)
    except Exception as error:  # what nobody foresaw must not hold up what comes with it
        page.failed(where, error)
        return
    for place, reply in enumerate(found.reply_list[:MOST_CHANGES]):
        _take(reply, f"{where}.reply_list[{place}]", video, comment, watched, observed_at, page)


def _tell(
    found: _Comment, comment: str, video: str, parent: str | None, watched: Watched, observed_at: datetime, page: Page
) -> None:
    if found.owner and found.unique_identifier:
        page.own = str(found.unique_identifier)
    at = time_in(found.create_time)
    about = About(Object(comment), video, video, at, video)
    its = Comment(comment_id=comment, parent_comment_id=found.parent_comment_id or parent, text=found.text)
    one = written(its, comment, _author(found, comment, watched), watched, observed_at, about)
    if one is not None:
        page.interactions.append(one)
        if found.status == HIDDEN and one.kind == "comment":
            # At the time of the comment: nobody says since when.
            page.interactions.append(
                interaction(
                    watched, observed_at, about, id=f"{comment}#hide-{int(found.create_time or 0)}", kind="hide",
                    actor=business(watched),
                )
            )  # fmt: skip
        elif found.status == PUBLIC and one.kind == "comment":
            page.shown.add(comment)
    if parent is None:
        page.threads.append(Thread(comment, found.replies, at))
    if at is not None and (page.newest is None or at > page.newest):
        page.newest = at


def _author(found: _Comment, comment: str, watched: Watched) -> Actor:
    if found.owner:
        return business(watched)
    return author_of(found.unique_identifier, watched) or Actor(
        f"unknown:{comment}", handle=found.username or None, name=found.display_name or None
    )
