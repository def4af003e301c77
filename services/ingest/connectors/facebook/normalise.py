"""Turns Facebook's deliveries for Pages, and what a Page is asked for, into interactions. Pure.

- What somebody writes under a post of the Page is a `comment`; what the Page writes there in answer to somebody is a
  `reply`. Right below a post it answers the post: a visitor's on the wall, or nobody's where the post is its own.
- What somebody posts on the Page's wall, and where somebody names the Page, is a `mention`. Facebook tells of a mention
  and not by whom it is, mostly: they wait for an answer like any other.
- A link that the Page posts is told as `share`, and is a `post`. One that somebody else posts on the wall is a
  `mention`, like what else is posted there.
- The conversation is the post, because a reply names the comment that it answers and not who wrote that.
- Private messages are read as Instagram's are, by `meta_messages`.
- Facebook tells a like twice at times, as `like` and as `reaction`: both get the same id.
- What asking finds becomes what a delivery would have made of it, with the same id. If a comment is hidden by then,
  nobody says since when: it counts as hidden from the beginning, so whatever was pushed about that is newer. So does
  what is pushed as hidden when it is new.
- Facebook's documents call `created_time` the time of the thing, but in what others have recorded it is the time of the
  change. So a change is as old as its notification, which is right or a little late whichever it is. Where several come
  in one delivery, `created_time` says which was first.

Source: https://developers.facebook.com/docs/graph-api/webhooks/reference/page and, for what is asked,
https://developers.facebook.com/docs/graph-api/reference/page-post and …/reference/comment
"""

import hashlib
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from rapport.contracts.events import SPOKEN, Actor, Interaction, Kind, Medium, Object, OccurredAtSource, Parent
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
from services.ingest.hooks.meta import Sent, sent_at
from services.ingest.hooks.meta_messages import messaging
from services.ingest.hooks.meta_pages import Page, Post, path_id, written_at

_POSTS = frozenset({
    "status", "post", "photo", "video", "album", "link", "event", "note", "reel", "story", "poll", "question",
    "milestone", "coupon", "picture", "photo-album",
})  # fmt: skip
_MEDIA: dict[str, tuple[Medium, ...]] = {
    "photo": ("image",), "album": ("image",), "picture": ("image",), "photo-album": ("image",), "video": ("video",),
    "reel": ("video",), "link": ("link",), "share": ("link",),
}  # fmt: skip
_ADDED = frozenset({"add", "edit", "edited"})
_EDITED = frozenset({"edit", "edited"})
_REMOVED = frozenset({"remove", "delete"})
_HIDDEN = frozenset({"hide", "unhide"})
_MESSAGES = frozenset({
    "messages", "message_echoes", "message_edits", "message_reactions", "messaging_postbacks", "standby",
})  # fmt: skip
"""Of these, `value` is what otherwise stands in `entry[].messaging[]`."""
_VERBS = _ADDED | _REMOVED | _HIDDEN
_SOON = timedelta(minutes=10)
"""What comes within this time of its `created_time` happened then, whatever Facebook means by it."""

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


class _Above(Struct):
    id: Id | None = None


class _Feed(Struct, kw_only=True):
    item: str
    verb: str = "add"
    by: _Person | None = field(default=None, name="from")
    sender_id: Id | None = None
    sender_name: str | None = None
    post_id: Id | None = None
    post: _Above | None = None
    comment_id: Id | None = None
    parent_id: Id | None = None
    share_id: Id | None = None
    created_time: Sent = None
    message: str | None = None
    reaction_type: str | None = None
    is_hidden: bool | None = None
    published: Any = 1
    photo: Any = None
    photos: Any = None
    video: Any = None
    sent: Sent = None
    """The time of its entry."""

    @property
    def when(self) -> tuple[datetime | None, OccurredAtSource]:
        """When it happened. A change is as old as its notification; so is what says no time that can be read.

        Then a comment counts late rather than not at all.
        """
        created, sent = sent_at(self.created_time), sent_at(self.sent)
        if self.verb == "add":
            return (created, "platform") if created is not None else (sent, "receipt")
        return sent or created, "platform"

    @property
    def reacted(self) -> tuple[datetime | None, OccurredAtSource]:
        """When a reaction was given, changed or taken back. All of that may come in one delivery."""
        created, sent = sent_at(self.created_time), sent_at(self.sent)
        soon = created is not None and sent is not None and timedelta(0) <= sent - created <= _SOON
        return (created, "platform") if soon else self.when

    @property
    def is_published(self) -> bool:
        """Whether others see it."""
        return str(self.published).casefold() not in ("0", "false")

    def is_on_wall_of(self, watched: Watched) -> bool:
        """Whether what is called a share is a post on the Page, by itself or by a visitor."""
        by_page = self.actor is not None and self.actor.id == watched.id
        return by_page or str(self.post_id) == f"{watched.id}_{self.share_id}"

    def post_of(self, watched: Watched) -> str:
        """The post that it is about. Raises UnreadableError where nothing says which that is.

        A comment's id begins with that of its post.
        """
        above, _, below = str(self.comment_id or "").partition("_")
        found = self.post_id or (self.post.id if self.post else None) or (f"{watched.id}_{above}" if below else None)
        return id_of(found, "post_id")

    @property
    def actor(self) -> Actor | None:
        """Who did it; None where Facebook does not say, as for people who did not allow it."""
        if self.by is not None and self.by.id:
            return Actor(str(self.by.id), name=self.by.name)
        return Actor(str(self.sender_id), name=self.sender_name) if self.sender_id else None

    @property
    def media(self) -> tuple[Medium, ...]:
        """What it shows beside its text."""
        shown: tuple[Medium, ...] = (
            *(("image",) if self.photo or self.photos else ()), *(("video",) if self.video else ()),
        )  # fmt: skip
        return shown or _MEDIA.get(self.item, ())


class _Shown(Struct):
    media_type: str | None = None
    type: str | None = None


class _AllShown(Struct):
    data: list[_Shown] = []


class _Summary(Struct):
    total_count: int | None = None


class _Counted(Struct):
    summary: _Summary | None = None


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
        found.interactions.append(_post(_asked_post(item), watched, observed_at))

    return meta_pages.page(body, _Asked, one)


def tagged(body: bytes, watched: Watched, observed_at: datetime) -> Page:
    """A page of the posts of others that name a Page. Raises UnreadableError where it is no list."""

    def one(item: _Asked, found: Page) -> None:
        found.saw(written_at(item.created_time))
        said = _mention(_asked_post(item), watched, observed_at)
        found.interactions += said
        if not said:
            found.ignored["a post of the brand's own"] += 1

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
        found.interactions.append(said)
        if item.is_hidden:
            found.interactions.append(_hidden_from_the_beginning(said, watched, observed_at))

    return meta_pages.page(body, _Asked, one)


def messages(body: bytes, watched: Watched, observed_at: datetime) -> Page:
    """A page of conversations with their newest messages. Raises UnreadableError where it is no list."""
    return meta_messages.conversations(body, watched, observed_at)


def _asked_post(item: _Asked) -> _Feed:
    shown = item.attachments.data[0].media_type if item.attachments and item.attachments.data else None
    # The Page is named as the author of what it posts; whoever is not named is somebody else.
    nobody = item.by is None or not item.by.id
    return _Feed(
        item="post" if nobody else _ITEMS.get(shown or "", "status"), by=item.by, post_id=item.id,
        created_time=item.created_time, message=item.message, photo=shown in ("photo", "album") or None,
        video=shown == "video" or None,
    )  # fmt: skip


def _change(raw: Raw, watched: Watched, observed_at: datetime, delivery: Delivery, sent: Sent) -> None:
    change = decode(raw, meta.Change)
    if change.field in _MESSAGES:
        messaging(change.value, watched, observed_at, delivery, sent)
        return
    if change.field not in ("feed", "mention"):
        delivery.ignored[change.field[:64]] += 1
        return
    feed = decode(change.value, _Feed)
    feed.sent = sent
    found = _mention(feed, watched, observed_at) if change.field == "mention" else _feed(feed, watched, observed_at)
    if not found:
        delivery.ignored[f"{feed.item} {feed.verb}"[:64]] += 1
    delivery.interactions += found


def _feed(feed: _Feed, watched: Watched, observed_at: datetime) -> list[Interaction]:
    found: Interaction | None = None
    if feed.verb not in _VERBS:
        return []
    if feed.item == "comment":
        found = _comment(feed, watched, observed_at)
    elif feed.item in ("reaction", "like"):
        found = _reaction(feed, watched, observed_at)
    elif feed.item == "share" and not feed.is_on_wall_of(watched):
        found = _share(feed, watched, observed_at)
    elif (feed.item in _POSTS or feed.item == "share") and feed.is_published:
        found = _post(feed, watched, observed_at)
    if found is None:
        return []
    if feed.is_hidden and feed.verb == "add" and found.kind in SPOKEN:
        return [found, _hidden_from_the_beginning(found, watched, observed_at)]
    return [found]


def _comment(feed: _Feed, watched: Watched, observed_at: datetime) -> Interaction:
    comment, post = id_of(feed.comment_id, "comment_id"), feed.post_of(watched)
    about = _about(Object(comment, _url(comment)), post, feed, post)
    actor = feed.actor
    if feed.verb in _REMOVED:
        # The comment is gone, whoever took it away.
        return interaction(
            watched, observed_at, about, id=f"{comment}#delete", kind="delete", actor=actor or _page(watched)
        )
    if feed.verb in _HIDDEN:
        return _hiding(comment, feed, watched, observed_at, about)
    # A person whom Facebook does not name waits for an answer like any other.
    actor = actor or Actor(f"unknown:{comment}")
    by_brand = _is_by_brand(actor, watched)
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
    actor, undo = feed.actor, feed.verb in _REMOVED
    # What the Page itself likes of others does not say whose it is.
    if actor is None or _is_by_brand(actor, watched) or feed.verb in _HIDDEN:
        return None
    if not (feed.post_id or feed.post or feed.comment_id):
        return None  # the Page itself is liked
    post = feed.post_of(watched)
    thing, reaction = str(feed.comment_id or post), feed.reaction_type or "like"
    at, source = feed.reacted
    # Of two in the same second the undoing is the later one, whichever reaction it names.
    what = f"{'undo' if undo else 'do'}-{_seconds(at)}-{reaction}"
    return interaction(
        watched, observed_at, About(Object(thing), post, post, at, post, source), id=f"{thing}#{actor.id}#{what}",
        kind="reaction", actor=actor, reaction=reaction, undo=undo,
    )  # fmt: skip


def _share(feed: _Feed, watched: Watched, observed_at: datetime) -> Interaction | None:
    actor = feed.actor
    if actor is None or _is_by_brand(actor, watched) or feed.verb in _HIDDEN | _EDITED:
        return None
    thing = id_of(feed.share_id or feed.post_id, "share_id or post_id")
    undo = feed.verb in _REMOVED
    at, source = feed.when
    about = About(Object(thing), thing, None, at, str(feed.parent_id or feed.post_id or "") or None, source)
    return interaction(
        watched, observed_at, about, id=f"{thing}#share{'-undo' if undo else ''}", kind="share", actor=actor,
        text=feed.message, undo=undo,
    )  # fmt: skip


def _post(feed: _Feed, watched: Watched, observed_at: datetime) -> Interaction:
    post = id_of(feed.post_id, "post_id")
    about = _about(Object(post, _url(post)), post, feed)
    if feed.verb in _REMOVED:
        actor = feed.actor or _page(watched)
        return interaction(watched, observed_at, about, id=f"{post}#delete", kind="delete", actor=actor)
    if feed.verb in _HIDDEN:
        return _hiding(post, feed, watched, observed_at, about)
    # What visitors post is called `post`, or `share` where it is a link, and Facebook does not name each of them. What
    # else has no author, such as an event, is the Page's.
    actor = feed.actor or (Actor(f"unknown:{post}") if feed.item in ("post", "share") else _page(watched))
    edited = feed.verb in _EDITED
    kind: Kind = "post" if _is_by_brand(actor, watched) else "mention"
    return interaction(
        watched, observed_at, about, id=f"{post}#edit-{_stamp(feed)}" if edited else post,
        kind="edit" if edited else kind, actor=actor, text=feed.message, media=feed.media,
    )  # fmt: skip


def _mention(feed: _Feed, watched: Watched, observed_at: datetime) -> list[Interaction]:
    thing = id_of(feed.comment_id or feed.post_id, "comment_id or post_id")
    thread = str(feed.post_id or thing)
    if _is_by_brand(feed.actor, watched) or feed.verb in _HIDDEN or feed.verb not in _VERBS:
        return []
    if feed.actor is None and watched.is_brand(thread.partition("_")[0]):
        return []  # it stands on the brand's own page, whose `feed` says more of it
    about = _about(Object(thing, _url(thing)), thread, feed)
    if feed.verb in _REMOVED:
        gone = feed.actor or _page(watched)
        return [interaction(watched, observed_at, about, id=f"{thing}#delete", kind="delete", actor=gone)]
    actor = feed.actor or Actor(f"unknown:{thing}")
    said = interaction(
        watched, observed_at, about, id=thing, kind="mention", actor=actor, text=feed.message, media=feed.media
    )
    if feed.verb not in _EDITED:
        return [said]
    # The Page may be named only since then. Where it was before, the first mention counts.
    edit = interaction(
        watched, observed_at, about, id=f"{thing}#edit-{_stamp(feed)}", kind="edit", actor=actor, text=feed.message,
        media=feed.media,
    )  # fmt: skip
    return [said, edit]


def _hiding(thing: str, feed: _Feed, watched: Watched, observed_at: datetime, about: About) -> Interaction:
    """Only the Page hides what stands on it."""
    kind: Kind = "hide" if feed.verb == "hide" else "unhide"
    id = f"{thing}#visibility-{_order(feed)}-{kind}"  # noqa: A001
    return interaction(watched, observed_at, about, id=id, kind=kind, actor=_page(watched))


def _hidden_from_the_beginning(said: Interaction, watched: Watched, observed_at: datetime) -> Interaction:
    about = About(said.object, said.conversation, said.thread, said.occurred_at, said.post, said.occurred_at_source)
    return interaction(
        watched, observed_at, about, id=f"{said.id}#hide-asked", kind="hide", actor=_page(watched)
    )  # fmt: skip


def _about(thing: Object, conversation: str, feed: _Feed, post: str | None = None) -> About:
    at, source = feed.when
    return About(thing, conversation, conversation, at, post, source)


def _is_by_brand(actor: Actor | None, watched: Watched) -> bool:
    return actor is not None and (watched.is_brand(actor.id) or watched.is_staff(actor.id))


def _page(watched: Watched) -> Actor:
    return Actor(watched.id, name=watched.account.handle)


def _url(thing: str) -> str:
    return f"https://www.facebook.com/{thing}"


def _stamp(feed: _Feed) -> str:
    """What tells one change of a thing from the next, and is the same where Facebook sends it again."""
    published = 1 if feed.published is None else feed.published
    words = msgspec.json.encode([feed.message, feed.photo, feed.video, published])
    return f"{_order(feed)}-{hashlib.sha256(words).hexdigest()[:12]}"


def _order(feed: _Feed) -> str:
    """Of changes that come at once the id decides which is the latest."""
    created, sent = sent_at(feed.created_time), sent_at(feed.sent)
    return f"{_seconds(sent or created)}-{_seconds(created)}"


def _seconds(at: datetime | None) -> int:
    return int(at.timestamp()) if at is not None else 0
