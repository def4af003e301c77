"""Turns pages of `commentThreads.list`, `comments.list` and `playlistItems.list` into interactions. Pure.

- What somebody writes under a video or post of the channel is a `comment`; what the channel writes there in answer to
  somebody is a `reply`. A comment of the channel that answers nobody says nothing.
- A thread comes with some of its replies; `comments.list` has all of them, without saying which video they are under.
  `parentId` is the comment on top, also where a reply answers another reply: YouTube only begins its text with the
  handle of whom it answers. So what the channel writes answers the last that this person said in the thread before; and
  below a comment of the channel itself, the only person who said anything.
- A page repeats what earlier pages had. A fingerprint of each comment tells what is new and what was edited since:
  `updatedAt`, and whether there is a picture. What was edited before it was first seen is only a comment.
- The conversation is the video or post, because a reply does not name who wrote the comment above it. Comments on the
  channel itself have the channel.
- `textOriginal` is not sent to everybody. `textDisplay` is HTML unless the page was asked for with
  `textFormat=plainText`.
- A comment that is not there any more is a `hide` by the channel: whoever deleted it or holds it back, YouTube does not
  say, and it may come back. Its id names when it was first missing, so that the same hiding has the same id.
- A video that the channel made public is a `post`: its title and its description. It was published when it became
  public, whenever it was uploaded.

Source: https://developers.google.com/youtube/v3/docs/comments,
https://developers.google.com/youtube/v3/docs/commentThreads,
https://developers.google.com/youtube/v3/docs/videos and
https://developers.google.com/youtube/v3/docs/playlistItems
"""

import re
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from msgspec import Raw, Struct

from rapport.contracts.events import Actor, Interaction, Medium, Object, Parent, UtcTime
from rapport.domain.exchanges.fitting import LONGEST_ID
from services.ingest.hooks.delivery import (
    MOST_CHANGES,
    MOST_PROBLEMS,
    About,
    Delivery,
    UnreadableError,
    Watched,
    decode,
    id_of,
    interaction,
)


class Fingerprint(NamedTuple):
    """What was seen of a comment: when it was last changed (UTC; None where YouTube does not say), and a picture."""

    updated_at: datetime | None
    image: bool

    def is_after(self, seen: "Fingerprint") -> bool:
        """Whether the comment was changed since. A page may be older than the one before it."""
        if self.updated_at is None or seen.updated_at is None or self.updated_at == seen.updated_at:
            return self.image != seen.image
        return self.updated_at > seen.updated_at


Find: TypeAlias = Callable[[str], Fingerprint | None]
"""What was last seen of the comment with an id; None where it never was."""


class Thread(NamedTuple):
    """A thread, by the id of the comment on top. `more` says that it has replies that its page does not."""

    id: str
    video: str | None
    conversation: str
    post: str | None
    more: bool
    replies: int = 0
    """How many there are."""
    by_brand: bool = False
    """Whether the brand wrote the comment on top."""
    at: datetime | None = None
    """When that was written."""
    unseen: bool = False
    """Whether its page shows replies that were never seen."""


class Said(NamedTuple):
    """A comment of a thread, as far as a reply may answer it. `handle` is without the @, in small letters."""

    id: str
    author: str
    handle: str | None
    at: datetime


@dataclass
class Page(Delivery):
    """What a page has. `seen` has every comment that could be read, also those that say nothing or nothing new."""

    seen: dict[str, Fingerprint] = field(default_factory=dict)
    threads: list[Thread] = field(default_factory=list)
    apart: list[Thread] = field(default_factory=list)
    """Those whose replies were left out."""
    next: str | None = None
    """The `pageToken` of the next page; None on the last one."""
    said: list[Said] = field(default_factory=list)
    """Of a page of replies: what people other than the brand said."""
    by_brand: dict[str, Raw] = field(default_factory=dict)
    """Of a page of replies: what the brand wrote, by its id. What it answers may be on another page."""

    def add(self, other: "Page") -> None:
        """Takes over what another says of comments."""
        self.interactions += other.interactions
        self.seen |= other.seen
        self.unread += other.unread
        self.problems = [*self.problems, *other.problems][:MOST_PROBLEMS]

    def taken(self, ids: Container[str]) -> "Page":
        """What it says of these comments, which it does not say any more."""
        page = Page(interactions=[one for one in self.interactions if one.object.id in ids])
        page.seen = {each: seen for each, seen in self.seen.items() if each in ids}
        self.interactions = [one for one in self.interactions if one.object.id not in ids]
        self.seen = {each: seen for each, seen in self.seen.items() if each not in ids}
        return page


class _Items(Struct, rename="camel"):
    items: list[Raw]
    next_page_token: str | None = None


class _ChannelId(Struct):
    value: str | None = None


class _CommentSnippet(Struct, kw_only=True, rename="camel"):
    author_channel_id: _ChannelId | None = None
    author_display_name: str | None = None
    author_profile_image_url: str | None = None
    author_channel_url: str | None = None
    text_original: str | None = None
    text_display: str | None = None
    parent_id: str | None = None
    published_at: UtcTime | None = None
    updated_at: UtcTime | None = None
    image_url: str | None = None


class _Comment(Struct):
    snippet: _CommentSnippet
    id: str | None = None


class _ThreadSnippet(Struct, kw_only=True, rename="camel"):
    top_level_comment: Raw
    channel_id: str | None = None
    video_id: str | None = None
    post_id: str | None = None
    total_reply_count: int = 0


class _Replies(Struct):
    comments: list[Raw] = []


class _Thread(Struct):
    id: str
    snippet: _ThreadSnippet
    replies: _Replies | None = None


class _Named(Struct):
    id: str


class _Statistics(Struct, frozen=True, rename="camel"):
    comment_count: int | None = None


class _Counted(Struct):
    id: str
    statistics: _Statistics = _Statistics()


class _Playlists(Struct, frozen=True):
    uploads: str | None = None


class _ChannelDetails(Struct, frozen=True, rename="camel"):
    related_playlists: _Playlists = _Playlists()


class _Channel(Struct, rename="camel"):
    content_details: _ChannelDetails = _ChannelDetails()


class _VideoSnippet(Struct, rename="camel"):
    channel_id: str | None = None
    title: str | None = None
    description: str | None = None


class _VideoDetails(Struct, rename="camel"):
    video_id: str | None = None
    video_published_at: UtcTime | None = None


class _Video(Struct, rename="camel"):
    snippet: _VideoSnippet
    content_details: _VideoDetails


def uploads_of(body: bytes) -> str | None:
    """The id of a channel's list of uploads, from `channels.list` with part `contentDetails`; None where it has none.

    Raises UnreadableError.
    """
    for raw in _page(body)[1]:
        if found := decode(raw, _Channel).content_details.related_playlists.uploads:
            if len(found) > LONGEST_ID:
                raise UnreadableError(f"uploads has {len(found)} characters")
            return found
    return None


def uploads(body: bytes, watched: Watched, since: datetime | None, observed_at: datetime) -> Page:
    """A page of `playlistItems.list` with parts `snippet` and `contentDetails`: what was published after `since`.

    Raises UnreadableError where it is none.
    """
    page, items = _page(body)
    for number, raw in enumerate(items):
        try:
            one = _upload(decode(raw, _Video), watched, observed_at)
        except Exception as error:  # what nobody foresaw must not hold up what comes with it
            page.failed(f"items[{number}]", error)
            continue
        if one is None:
            page.ignored["video that is not public, or of another channel"] += 1
        elif since is None or one.occurred_at > since:
            page.interactions.append(one)
    return page


def _upload(found: _Video, watched: Watched, observed_at: datetime) -> Interaction | None:
    snippet, at = found.snippet, found.content_details.video_published_at
    if at is None or (snippet.channel_id and snippet.channel_id != watched.id):
        return None
    video = id_of(found.content_details.video_id, "contentDetails.videoId")
    said = [each for each in (snippet.title, snippet.description) if each]
    return interaction(
        watched, observed_at, About(Object(video, f"https://www.youtube.com/watch?v={video}"), video, video, at, video),
        id=video, kind="post", actor=Actor(watched.id), text="\n\n".join(said) or None, media=("video",),
    )  # fmt: skip


def threads(
    body: bytes, watched: Watched, find: Find, observed_at: datetime, apart: Callable[[Thread], bool] = lambda _: False
) -> Page:
    """A page of `commentThreads.list` with parts `snippet` and `replies`. Raises UnreadableError where it is none.

    `apart` says of which threads the replies are left out, because `replies` reads all of them.
    """
    page, items = _page(body)
    left = MOST_CHANGES
    for number, raw in enumerate(items):
        where = f"items[{number}]"
        try:
            found = decode(raw, _Thread)
            thread = _thread(found, watched)
        except UnreadableError as error:
            page.failed(where, error)
            continue
        if thread is None:
            page.ignored["thread of another channel"] += 1
            continue
        comments = [found.snippet.top_level_comment, *(found.replies.comments if found.replies else ())]
        left -= len(comments)
        if left < 0:
            raise UnreadableError(f"more than {MOST_CHANGES} comments at once")
        said = _said(comments, watched)
        _read(comments[0], thread, None, f"{where}.topLevelComment", watched, find, observed_at, page)
        shown = Page()
        for place, comment in enumerate(comments[1:]):
            _read(comment, thread, said, f"{where}.replies[{place}]", watched, find, observed_at, shown)
        thread = thread._replace(unseen=any(one.kind != "edit" for one in shown.interactions))
        page.threads.append(thread)
        if apart(thread):
            page.apart.append(thread)
        else:
            page.add(without_unclear(shown) if thread.more else shown)
    return page


def without_unclear(shown: Page) -> Page:
    """Some replies of a thread, without those of the brand that name somebody whom these do not have: once they are
    told, nobody can say any more whom they answer.
    """
    unclear = {
        one.object.id
        for one in shown.interactions
        if one.kind == "reply" and one.parent is not None and one.parent.actor is None and named(one.text or "")
    }
    shown.interactions = [one for one in shown.interactions if one.object.id not in unclear]
    shown.seen = {each: seen for each, seen in shown.seen.items() if each not in unclear}
    return shown


def replies(body: bytes, thread: Thread, watched: Watched, find: Find, observed_at: datetime) -> Page:
    """A page of `comments.list` for the replies to the comment on top of a thread, but for those of the brand.

    Raises UnreadableError.
    """
    page, items = _page(body)
    page.said = _said(items, watched)
    for number, raw in enumerate(items):
        one = _comment_in(raw)
        if one is not None and one.id and _by_brand(_actor(one.id, one.snippet), watched):
            page.by_brand[one.id] = raw.copy()  # without the page around it
        else:
            _read(raw, thread, (), f"items[{number}]", watched, find, observed_at, page)
    return page


def answers(
    by_brand: Iterable[Raw], said: Sequence[Said], thread: Thread, watched: Watched, find: Find, observed_at: datetime
) -> Page:
    """What the brand wrote below the comment on top of a thread, where others said this, as `replies` gives both."""
    page = Page()
    for number, raw in enumerate(by_brand):
        _read(raw, thread, said, f"answers[{number}]", watched, find, observed_at, page)
    return page


def ids(body: bytes) -> set[str]:
    """The comments that an answer of `comments.list` for given ids has. Raises UnreadableError where it is not whole:
    what is missing in it would be taken for deleted.
    """
    page, items = _page(body)
    if page.next is not None:
        raise UnreadableError("more comments than one page has")
    return {decode(raw, _Named).id for raw in items}


def comment_counts(body: bytes) -> dict[str, int]:
    """How many comments each video of `videos.list` with part `statistics` has; 0 where nobody may comment.

    Raises UnreadableError where it is not whole.
    """
    found = [decode(raw, _Counted) for raw in _page(body)[1]]
    return {each.id: each.statistics.comment_count or 0 for each in found}


def hiding(
    kind: Literal["hide", "unhide"],
    comment: str,
    post: str | None,
    conversation: str,
    missed_at: datetime,
    watched: Watched,
    observed_at: datetime,
) -> Interaction:
    """A comment is missing since `missed_at`, or is there again."""
    at = missed_at if kind == "hide" else observed_at
    return interaction(
        watched, observed_at, About(Object(comment), conversation, conversation, at, post, "receipt"),
        id=f"{comment}#{kind}-{missed_at.isoformat()}", kind=kind, actor=Actor(watched.id, name=watched.account.handle),
    )  # fmt: skip


def _page(body: bytes) -> tuple[Page, list[Raw]]:
    found = decode(body, _Items)
    if len(found.items) > MOST_CHANGES:
        raise UnreadableError(f"more than {MOST_CHANGES} items at once")
    return Page(next=found.next_page_token or None), found.items


def _thread(found: _Thread, watched: Watched) -> Thread | None:
    snippet = found.snippet
    if snippet.channel_id and snippet.channel_id != watched.id:
        return None
    post = snippet.video_id or snippet.post_id
    more = snippet.total_reply_count > (len(found.replies.comments) if found.replies else 0)
    top = _comment_in(snippet.top_level_comment)
    by_brand = top is not None and _by_brand(_actor(found.id, top.snippet), watched)
    return Thread(
        id_of(found.id, "id"), snippet.video_id, post or watched.id, post, more, snippet.total_reply_count, by_brand,
        top.snippet.published_at if top is not None else None,
    )  # fmt: skip


def _said(comments: Sequence[Raw], watched: Watched) -> list[Said]:
    """What people other than the brand said in a thread, as far as its page tells."""
    found: list[Said] = []
    for raw in comments:
        one = _comment_in(raw)
        if one is None or not one.id or one.snippet.published_at is None:
            continue
        actor = _actor(one.id, one.snippet)
        if not _by_brand(actor, watched) and max(len(one.id), len(actor.id)) <= LONGEST_ID:
            handle = actor.handle.casefold() if actor.handle else None
            found.append(Said(one.id, actor.id, handle, one.snippet.published_at))
    return found


def _comment_in(raw: Raw) -> "_Comment | None":
    try:
        return decode(raw, _Comment)
    except UnreadableError:
        return None


def _by_brand(actor: Actor, watched: Watched) -> bool:
    return watched.is_brand(actor.id) or watched.is_staff(actor.id)


_HANDLE = re.compile(r"[\s\u200b\u2060]*@([^\s\u200b\u2060,:;!?]+)")
"""How the text of a reply to a reply begins."""


_WHOLE_HANDLE = re.compile(r"@([^\s\u200b\u2060@,:;!?/<>]{1,30})")


def handle_of(shown: str) -> str | None:
    """The handle, without the @, of an author whom YouTube shows by it, as mostly; None if what it shows is a name.

    A name may begin like a handle and go on with whatever its owner likes.
    """
    found = _WHOLE_HANDLE.fullmatch(shown)
    return found[1] if found else None


def named(text: str) -> str | None:
    """The handle that a text begins with: without the @, in small letters."""
    found = _HANDLE.match(text)
    return found[1].rstrip(".").casefold() if found else None


def _answered(snippet: _CommentSnippet, thread: Thread, said: Sequence[Said]) -> Parent:
    """What a reply of the brand answers."""
    at = snippet.published_at
    before = [one for one in said if at is None or one.at <= at]
    handle = named(snippet.text_original or snippet.text_display or "")
    theirs = [one for one in before if one.handle is not None and one.handle == handle]
    if not theirs and thread.by_brand and len({one.author for one in before}) == 1:
        theirs = before
    if not theirs:
        return Parent(snippet.parent_id or thread.id)
    last = max(theirs, key=lambda one: one.at)
    return Parent(last.id, last.author)


def _read(
    raw: Raw,
    thread: Thread,
    said: Sequence[Said] | None,
    where: str,
    watched: Watched,
    find: Find,
    observed_at: datetime,
    page: Page,
) -> None:
    try:
        found = decode(raw, _Comment)
        comment, snippet = id_of(found.id, "id"), found.snippet
        now = Fingerprint(snippet.updated_at or snippet.published_at, bool(snippet.image_url))
        before = find(comment)
        one = None
        if before is None or now.is_after(before):
            one = _comment(comment, snippet, thread, said, watched, observed_at, now if before else None)
    except Exception as error:  # what nobody foresaw must not hold up what comes with it
        page.failed(where, error)
        return
    page.seen[comment] = now if before is None or now.is_after(before) else before
    if one is not None:
        page.interactions.append(one)


def _comment(
    comment: str,
    snippet: _CommentSnippet,
    thread: Thread,
    said: Sequence[Said] | None,
    watched: Watched,
    observed_at: datetime,
    edited: Fingerprint | None,
) -> Interaction | None:
    """A comment; `said` is what there is in its thread, None for the comment on top."""
    actor = _actor(comment, snippet)
    by_brand = _by_brand(actor, watched)
    if by_brand and said is None:
        return None
    media: tuple[Medium, ...] = ("image",) if snippet.image_url else ()
    parent = None
    if said is not None:
        parent = _answered(snippet, thread, said) if by_brand else Parent(snippet.parent_id or thread.id)
    if parent is not None and len(parent.id) > LONGEST_ID:
        raise UnreadableError(f"parentId has {len(parent.id)} characters")
    at = edited.updated_at if edited else snippet.published_at
    return interaction(
        watched, observed_at,
        About(Object(comment, _url(comment, thread)), thread.conversation, thread.conversation, at, thread.post),
        id=f"{comment}#edit-{_version(edited)}" if edited else comment,
        kind="edit" if edited else "reply" if by_brand else "comment",
        actor=actor, parent=parent, media=media,
        text=snippet.text_original or snippet.text_display or None,
    )  # fmt: skip


def _actor(comment: str, snippet: _CommentSnippet) -> Actor:
    """Who wrote a comment. A person whom YouTube does not name waits for an answer like any other."""
    shown = snippet.author_display_name or ""
    handle = handle_of(shown)
    author = snippet.author_channel_id.value if snippet.author_channel_id else None
    return Actor(
        author or f"unknown:{comment}",
        handle=handle, name=shown or None if handle is None else None,
        avatar_url=snippet.author_profile_image_url or None, url=snippet.author_channel_url or None,
    )  # fmt: skip


def _url(comment: str, thread: Thread) -> str | None:
    return f"https://www.youtube.com/watch?v={thread.video}&lc={comment}" if thread.video else None


def _version(edited: Fingerprint) -> str:
    at = edited.updated_at.isoformat() if edited.updated_at else "0"
    return f"{at}-image" if edited.image else at
