"""Turns Facebook's deliveries for Pages, and what a Page is asked for, into interactions. Pure.

- What somebody writes under a post of the Page is a `comment`; what the Page writes there in answer to somebody is a
  `reply`. Right below a post it answers the post: a visitor's on the wall, or nobody's where the post is its own.
- What somebody posts on the Page's wall, and where somebody names the Page, is a `mention`.
- The conversation is the post, because a reply names the comment that it answers and not who wrote that.
- Private messages are read as Instagram's are, by `meta_messages`.
- Facebook tells a like twice at times, as `like` and as `reaction`: both get the same id.
- What asking finds becomes what a delivery would have made of it, with the same id. If a comment is hidden by then,
  nobody says since when: it counts as hidden from the beginning, so whatever was pushed about that is newer.

Source: https://developers.facebook.com/docs/graph-api/webhooks/reference/page and, for what is asked,
https://developers.facebook.com/docs/graph-api/reference/page-post and …/reference/comment
"""

import hashlib
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from rapport.contracts.events import Actor, Interaction, Kind, Medium, Object, Parent
from services.ingest.hooks import meta, meta_messages, meta_pages
from services.ingest.hooks.delivery import (
    About,
    Delivery,
    Id,
    Lookup,
    Watched,
    decode,
    id_of,
    interaction,
)
from services.ingest.hooks.meta import sent_at
from services.ingest.hooks.meta_messages import messaging
from services.ingest.hooks.meta_pages import Page, Post, path_id, written_at

_POSTS = frozenset({"status", "post", "photo", "video", "album", "link", "event", "note", "reel", "story"})
_MEDIA: dict[str, tuple[Medium, ...]] = {
    "photo": ("image",), "album": ("image",), "video": ("video",), "reel": ("video",), "link": ("link",),
}  # fmt: skip
_ADDED = frozenset({"add", "edit", "edited"})
_EDITED = frozenset({"edit", "edited"})
_REMOVED = frozenset({"remove", "delete"})


POST_FIELDS = "id,created_time,from,message,attachments{media_type}"
COUNTED_FIELDS = f"{POST_FIELDS},updated_time,comments.filter(stream).limit(0).summary(true)"
COMMENT_FIELDS = "id,created_time,from,message,parent{id},attachment{type},is_hidden"
"""What `posts`, `tagged` and `comments` read of each item."""
_ITEMS = {"photo": "photo", "album": "album", "video": "video", "link": "link", "share": "link", "event": "event"}
"""What webhooks call a post, by what it shows."""
_VIDEOS = frozenset({"video_inline", "video", "video_autoplay", "video_share_youtube"})
_PICTURES = frozenset({"photo", "sticker", "animated_image_share", "animated_image_video"})


class _Person(Struct):
    id: Id | None = None
    name: str | None = None


class _Feed(Struct, kw_only=True):
    item: str
    verb: str = "add"
    by: _Person | None = field(default=None, name="from")
    sender_id: Id | None = None
    sender_name: str | None = None
    post_id: Id | None = None
    comment_id: Id | None = None
    parent_id: Id | None = None
    share_id: Id | None = None
    created_time: float | str | None = None
    message: str | None = None
    reaction_type: str | None = None
    published: Any = 1
    photo: Any = None
    photos: Any = None
    video: Any = None
    sent: float | None = None
    """The time of its entry."""

    @property
    def at(self) -> datetime | None:
        """When it happened. `created_time` is that of the thing, so a change of it is as old as its notification.

        None where Facebook's time cannot be read: a comment counts from when it came rather than not at all.
        """
        return sent_at(self.created_time if self.verb == "add" or self.sent is None else self.sent)

    @property
    def actor(self) -> Actor | None:
        """Who did it; None where Facebook does not say, as for people who did not allow it."""
        if self.by is not None and self.by.id:
            return Actor(str(self.by.id), name=self.by.name)
        return Actor(str(self.sender_id), name=self.sender_name) if self.sender_id else None

    @property
    def media(self) -> tuple[Medium, ...]:
        """What it shows beside its text."""
        if self.item == "comment":
            return (*(("image",) if self.photo or self.photos else ()), *(("video",) if self.video else ()))
        return _MEDIA.get(self.item, ())


class _Shown(Struct):
    media_type: str | None = None
    type: str | None = None


class _AllShown(Struct):
    data: list[_Shown] = []


class _Summary(Struct):
    total_count: int | None = None


class _Counted(Struct):
    summary: _Summary | None = None


class _Above(Struct):
    id: Id | None = None


class _Asked(Struct, kw_only=True):
    """A post or a comment, as the interface has it."""

    id: Id
    created_time: str | None = None
    updated_time: str | None = None
    by: _Person | None = field(default=None, name="from")
    message: str | None = None
    attachments: _AllShown | None = None
    attachment: _Shown | None = None
    comments: _Counted | None = None
    parent: _Above | None = None
    is_hidden: bool | None = None


def read(body: bytes, lookup: Lookup, observed_at: datetime) -> Delivery:
    """What a delivery says, change by change. Raises UnreadableError where the whole is not one of a Page."""
    return meta.read(body, "page", lookup, observed_at, _change, messaging)


def posts(body: bytes, watched: Watched, observed_at: datetime) -> Page:
    """A page of the posts on a Page, its own and visitors'. Raises UnreadableError where it is no list."""

    def one(item: _Asked, found: Page) -> None:
        post, created, updated = path_id(item.id), written_at(item.created_time), sent_at(item.updated_time)
        summary = item.comments.summary if item.comments else None
        found.posts.append(Post(post, updated, summary.total_count if summary else None, created))
        found.saw(created)
        said = _post(_asked_post(item), watched, observed_at)
        if said is not None:
            found.interactions.append(said)

    return meta_pages.page(body, _Asked, one)


def tagged(body: bytes, watched: Watched, observed_at: datetime) -> Page:
    """A page of the posts of others that name a Page. Raises UnreadableError where it is no list."""

    def one(item: _Asked, found: Page) -> None:
        found.saw(written_at(item.created_time))
        said = _mention(_asked_post(item), watched, observed_at)
        if said is None:
            found.ignored["a post that names nobody"] += 1
        else:
            found.interactions.append(said)

    return meta_pages.page(body, _Asked, one)


def comments(body: bytes, post: str, watched: Watched, observed_at: datetime) -> Page:
    """A page of the comments below a post, with their answers. Raises UnreadableError where it is no list."""

    def one(item: _Asked, found: Page) -> None:
        created, shown = written_at(item.created_time), item.attachment.type if item.attachment else None
        found.saw(created)
        feed = _Feed(
            item="comment", by=item.by, post_id=post, comment_id=item.id, created_time=item.created_time,
            parent_id=item.parent.id if item.parent else post, message=item.message,
            photo=shown in _PICTURES or None, video=shown in _VIDEOS or None,
        )  # fmt: skip
        said = _comment(feed, watched, observed_at)
        if said is None:
            return
        found.interactions.append(said)
        if item.is_hidden:
            about = About(said.object, post, post, created, post)
            hidden = f"{said.id}#hide-asked"
            found.interactions.append(
                interaction(watched, observed_at, about, id=hidden, kind="hide", actor=_page(watched))
            )

    return meta_pages.page(body, _Asked, one)


def messages(body: bytes, watched: Watched, observed_at: datetime) -> Page:
    """A page of conversations with their newest messages. Raises UnreadableError where it is no list."""
    return meta_messages.conversations(body, watched, observed_at)


def _asked_post(item: _Asked) -> _Feed:
    shown = item.attachments.data[0].media_type if item.attachments and item.attachments.data else None
    return _Feed(
        item=_ITEMS.get(shown or "", "status"), by=item.by, post_id=item.id, created_time=item.created_time,
        message=item.message,
    )  # fmt: skip


def _change(raw: Raw, watched: Watched, observed_at: datetime, delivery: Delivery, sent: float | None) -> None:
    change = decode(raw, meta.Change)
    if change.field not in ("feed", "mention"):
        delivery.ignored[change.field[:64]] += 1
        return
    feed = decode(change.value, _Feed)
    feed.sent = sent
    found = _mention(feed, watched, observed_at) if change.field == "mention" else _feed(feed, watched, observed_at)
    if found is None:
        delivery.ignored[f"{feed.item} {feed.verb}"[:64]] += 1
    else:
        delivery.interactions.append(found)


def _feed(feed: _Feed, watched: Watched, observed_at: datetime) -> Interaction | None:
    if feed.item == "comment":
        return _comment(feed, watched, observed_at)
    if feed.item in ("reaction", "like"):
        return _reaction(feed, watched, observed_at)
    if feed.item == "share":
        return _share(feed, watched, observed_at)
    if feed.item in _POSTS and feed.published:
        return _post(feed, watched, observed_at)
    return None


def _comment(feed: _Feed, watched: Watched, observed_at: datetime) -> Interaction | None:
    comment, post = id_of(feed.comment_id, "comment_id"), id_of(feed.post_id, "post_id")
    about = About(Object(comment, _url(comment)), post, post, feed.at, post)
    actor = feed.actor
    if feed.verb in _REMOVED:
        # The comment is gone, whoever took it away.
        return interaction(
            watched, observed_at, about, id=f"{comment}#delete", kind="delete", actor=actor or _page(watched)
        )
    if feed.verb in ("hide", "unhide"):
        return _hiding(comment, feed, watched, observed_at, about)
    if feed.verb not in _ADDED:
        return None
    # A person whom Facebook does not name waits for an answer like any other.
    actor = actor or Actor(f"unknown:{comment}")
    by_brand = watched.is_brand(actor.id) or watched.is_staff(actor.id)
    answers = str(feed.parent_id) if feed.parent_id and str(feed.parent_id) != post else None
    if by_brand and answers is None:
        # What a visitor posted on the wall is answered right below it. Below a post of its own it answers nobody, and
        # the scorer finds nobody.
        answers = post
    edited = feed.verb in _EDITED
    return interaction(
        watched, observed_at, about,
        id=f"{comment}#edit-{_stamp(feed)}" if edited else comment,
        kind="edit" if edited else "reply" if by_brand else "comment",
        actor=actor, parent=Parent(answers) if answers else None, text=feed.message, media=feed.media,
    )  # fmt: skip


def _reaction(feed: _Feed, watched: Watched, observed_at: datetime) -> Interaction | None:
    actor, post = feed.actor, id_of(feed.post_id, "post_id")
    undo = feed.verb in _REMOVED
    # What the Page itself likes of others does not say whose it is.
    if actor is None or watched.is_brand(actor.id) or watched.is_staff(actor.id) or not (undo or feed.verb in _ADDED):
        return None
    thing = str(feed.comment_id or post)
    reaction = feed.reaction_type or "like"
    what, when = ("undo", feed.sent) if undo else ("do", feed.created_time)
    return interaction(
        watched, observed_at, About(Object(thing), post, post, feed.at, post),
        id=f"{thing}#{actor.id}#{reaction}-{what}-{_seconds(when)}",
        kind="reaction", actor=actor, reaction=reaction, undo=undo,
    )  # fmt: skip


def _share(feed: _Feed, watched: Watched, observed_at: datetime) -> Interaction | None:
    actor = feed.actor
    if actor is None or watched.is_brand(actor.id) or watched.is_staff(actor.id):
        return None
    thing = id_of(feed.share_id or feed.post_id, "share_id or post_id")
    undo = feed.verb in _REMOVED
    about = About(Object(thing), thing, None, feed.at, str(feed.parent_id or feed.post_id or "") or None)
    return interaction(
        watched, observed_at, about, id=f"{thing}#share{'-undo' if undo else ''}", kind="share", actor=actor,
        text=feed.message, undo=undo,
    )  # fmt: skip


def _post(feed: _Feed, watched: Watched, observed_at: datetime) -> Interaction | None:
    post = id_of(feed.post_id, "post_id")
    actor = feed.actor or _page(watched)
    about = About(Object(post, _url(post)), post, post, feed.at)
    if feed.verb in _REMOVED:
        return interaction(watched, observed_at, about, id=f"{post}#delete", kind="delete", actor=actor)
    if feed.verb in ("hide", "unhide"):
        return _hiding(post, feed, watched, observed_at, about)
    if feed.verb not in _ADDED:
        return None
    edited = feed.verb in _EDITED
    kind: Kind = "post" if watched.is_brand(actor.id) or watched.is_staff(actor.id) else "mention"
    return interaction(
        watched, observed_at, about, id=f"{post}#edit-{_stamp(feed)}" if edited else post,
        kind="edit" if edited else kind, actor=actor, text=feed.message, media=feed.media,
    )  # fmt: skip


def _mention(feed: _Feed, watched: Watched, observed_at: datetime) -> Interaction | None:
    actor = feed.actor
    thing = id_of(feed.comment_id or feed.post_id, "comment_id or post_id")
    if actor is None or watched.is_brand(actor.id) or watched.is_staff(actor.id) or feed.verb not in _ADDED:
        return None
    thread = str(feed.post_id or thing)
    return interaction(
        watched, observed_at, About(Object(thing, _url(thing)), thread, thread, feed.at),
        id=thing, kind="mention", actor=actor, text=feed.message, media=feed.media,
    )  # fmt: skip


def _hiding(thing: str, feed: _Feed, watched: Watched, observed_at: datetime, about: About) -> Interaction:
    """Only the Page hides what stands on it."""
    kind: Kind = "hide" if feed.verb == "hide" else "unhide"
    return interaction(
        watched, observed_at, about, id=f"{thing}#{kind}-{_stamp(feed)}", kind=kind, actor=_page(watched)
    )


def _page(watched: Watched) -> Actor:
    return Actor(watched.id, name=watched.account.handle)


def _url(thing: str) -> str:
    return f"https://www.facebook.com/{thing}"


def _stamp(feed: _Feed) -> str:
    """What tells one change of a thing from the next, and is the same where Facebook sends it again."""
    words = msgspec.json.encode([feed.message, feed.photo, feed.video, feed.published])
    return f"{_seconds(feed.sent or feed.created_time)}-{hashlib.sha256(words).hexdigest()[:12]}"


def _seconds(when: float | str | None) -> int:
    at = sent_at(when)
    return int(at.timestamp()) if at is not None else 0
