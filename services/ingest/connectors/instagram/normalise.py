"""Turns Instagram's deliveries, and what an account is asked for, into interactions. Pure.

- What somebody writes under a post of the account is a `comment`; what the account writes there in answer to somebody
  is a `reply`. A comment of the account that answers nobody says nothing.
- With Instagram Login a mention in a comment comes as a comment, and nothing says whose post it is under: it is a
  `comment`. With Facebook Login it is a `mention`, of which Instagram gives the ids and neither author nor text.
- The conversation is the medium, because a reply names the comment that it answers and not who wrote that. Instagram
  has one level of replies: an answer to a reply names the comment above both.
- On an ad `media.id` is the ad's medium. Where Instagram names the post that was promoted, that is the medium: it may
  push the same comment with either, and the post is what is asked for comments.
- What is pushed of a comment on an album does not name the album. `albums` knows it by what it names instead.
- No comment that is pushed says when it was written. `occurred_at` is when Meta sent it (`entry.time`; seconds or
  milliseconds), the last moment at which it can have happened, and `occurred_at_source` is `receipt`.
- Edited and deleted comments, likes, shares and follows are not pushed, nor is what the account posts. That is asked
  for: a `post`, whose conversation is the medium, as that of its comments. Advertisements and stories are none.
- What asking finds becomes what a delivery would have made of it, with the same id, and says when it was written. If a
  comment is hidden by then, nobody says since when: it counts as hidden from the beginning.

Source: https://developers.facebook.com/docs/instagram-platform/webhooks/examples and
https://developers.facebook.com/docs/graph-api/webhooks/reference/instagram; for what is asked,
https://developers.facebook.com/docs/instagram-platform/reference/instagram-media and
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-media/comments
"""

from datetime import datetime

from msgspec import Raw, Struct, field

from rapport.contracts.events import Actor, Interaction, Medium, Object, OccurredAtSource, Parent
from rapport.kit.text import web_address
from services.ingest.hooks import meta, meta_messages, meta_pages
from services.ingest.hooks.delivery import About, Delivery, Id, Lookup, Watched, decode, id_of, interaction
from services.ingest.hooks.meta import Sent
from services.ingest.hooks.meta_messages import messaging
from services.ingest.hooks.meta_pages import LONGEST_ID, MOST_PARTS, Page, Paging, Post, each_of, path_id, written_at

_COMMENTS = frozenset({"comments", "live_comments"})
_MESSAGES = frozenset({"messages", "message_edit", "message_reactions", "messaging_postbacks", "standby"})
"""Of these, `value` is what otherwise stands in `entry[].messaging[]`."""

REPLIES = 50
"""Of a comment, at once; the most that Instagram gives."""
MEDIA_FIELDS = f"id,timestamp,comments_count,children.limit({MOST_PARTS}){{id}}"
REPLY_FIELDS = "id,text,timestamp,username,from,user,parent_id,hidden"
COMMENT_FIELDS = f"{REPLY_FIELDS},replies.limit({REPLIES}){{{REPLY_FIELDS}}}"
POST_FIELDS = f"id,timestamp,caption,media_type,media_product_type,permalink,children.limit({MOST_PARTS}){{media_type}}"
"""What `media`, `replies`, `comments` and `posts` read of each item."""
_MEDIA: dict[str | None, Medium] = {"IMAGE": "image", "VIDEO": "video", "CAROUSEL_ALBUM": "image"}
"""An album is an image where its parts are not known."""
_NO_POSTS = frozenset({"AD", "STORY"})
"""Where a medium is shown that nobody planned as a post: an advertisement shows a post once more, and a story is gone
after a day."""


class _From(Struct, kw_only=True):
    id: Id | None = None
    username: str | None = None
    self_ig_scoped_id: Id | None = None
    """Only where the account itself wrote it."""


class _Media(Struct, kw_only=True):
    id: Id | None = None
    original_media_id: Id | None = None


class _Comment(Struct, kw_only=True):
    id: Id | None = None
    comment_id: Id | None = None
    """The same, as the documents of Facebook Login call it."""
    by: _From | None = field(default=None, name="from")
    media: _Media | None = None
    parent_id: Id | None = None
    text: str | None = None


class _Mention(Struct, kw_only=True):
    media_id: Id | None = None
    comment_id: Id | None = None
    """None where the caption of the medium names the account."""


class _Itself(Struct):
    id: Id | None = None


class _Children(Struct):
    data: list[_Itself] = []


class _AskedMedium(Struct, kw_only=True):
    id: Id
    timestamp: str | None = None
    comments_count: int | None = None
    children: _Children | None = None
    """Of an album."""


class _Part(Struct):
    media_type: str | None = None


class _Parts(Struct):
    data: list[_Part] = []


class _Posted(Struct, kw_only=True):
    id: Id
    timestamp: str | None = None
    caption: str | None = None
    media_type: str | None = None
    media_product_type: str | None = None
    permalink: str | None = None
    """None where the medium was reported for a violation of copyright."""
    children: _Parts | None = None
    """Of an album."""

    @property
    def media(self) -> tuple[Medium, ...]:
        """What it shows beside its text."""
        parts = [part.media_type for part in self.children.data[:MOST_PARTS]] if self.children else []
        return tuple(_MEDIA[each] for each in parts or [self.media_type] if each in _MEDIA)


class _Replies(Struct):
    data: list[Raw] = []
    paging: Paging | None = None


class _Asked(Struct, kw_only=True):
    """A comment or a reply, as the interface has it."""

    id: Id
    text: str | None = None
    timestamp: str | None = None
    username: str | None = None
    by: _From | None = field(default=None, name="from")
    user: _Itself | None = None
    """The account itself, where it wrote it."""
    parent_id: Id | None = None
    hidden: bool | None = None
    replies: _Replies | None = None


def read(body: bytes, lookup: Lookup, observed_at: datetime) -> Delivery:
    """What a delivery says, change by change. Raises UnreadableError where the whole is not one of Instagram."""
    return meta.read(body, "instagram", lookup, observed_at, _change, messaging)


def media(body: bytes, watched: Watched, observed_at: datetime) -> Page:  # noqa: ARG001 - as all of them
    """A page of an account's posts, to find what is below them; `posts` tells them.

    Raises UnreadableError where it is no list.
    """

    def one(item: _AskedMedium, found: Page) -> None:
        at = meta.sent_at(item.timestamp)
        found.saw(at)
        children = item.children.data[:MOST_PARTS] if item.children else ()
        parts = tuple(str(each.id) for each in children if each.id and len(str(each.id)) <= LONGEST_ID)
        found.posts.append(Post(path_id(item.id), None, item.comments_count, at, parts))

    return meta_pages.page(body, _AskedMedium, one)


def posts(body: bytes, watched: Watched, observed_at: datetime) -> Page:
    """A page of what an account posted. Raises UnreadableError where it is no list."""

    def one(item: _Posted, found: Page) -> None:
        at = written_at(item.timestamp)
        found.saw(at)
        if item.media_product_type and item.media_product_type in _NO_POSTS:
            found.ignored[item.media_product_type] += 1
            return
        medium = path_id(item.id)
        about = About(Object(medium, web_address(item.permalink)), medium, medium, at, medium)
        said = interaction(
            watched, observed_at, about, id=medium, kind="post",
            actor=Actor(watched.id, handle=watched.account.handle), text=item.caption, media=item.media,
        )  # fmt: skip
        found.interactions.append(said)

    return meta_pages.page(body, _Posted, one)


def comments(body: bytes, medium: str, watched: Watched, observed_at: datetime) -> Page:
    """A page of the comments under a post, the newest first, each with its first replies; `partly` has those with more.

    Raises UnreadableError where it is no list.
    """

    def one(item: _Asked, found: Page) -> None:
        found.saw(written_at(item.timestamp))
        _add(item, medium, None, watched, observed_at, found)
        if item.replies is not None:
            top = path_id(item.id)
            where = f"comment {top}: replies"
            each_of(
                item.replies.data, where, _Asked, found,
                lambda reply: _add(reply, medium, top, watched, observed_at, found),
            )  # fmt: skip
            if item.replies.paging is not None and item.replies.paging.next:
                found.partly.append(top)

    return meta_pages.page(body, _Asked, one)


def replies(body: bytes, medium: str, top: str, watched: Watched, observed_at: datetime) -> Page:
    """A page of the replies to a comment under a post. Raises UnreadableError where it is no list."""

    def one(item: _Asked, found: Page) -> None:
        found.saw(written_at(item.timestamp))
        _add(item, medium, top, watched, observed_at, found)

    return meta_pages.page(body, _Asked, one)


def messages(body: bytes, watched: Watched, observed_at: datetime) -> Page:
    """A page of conversations with their newest messages. Raises UnreadableError where it is no list."""
    return meta_messages.conversations(body, watched, observed_at)


def _add(
    item: _Asked, medium: str, top: str | None, watched: Watched, observed_at: datetime, found: Page
) -> None:  # fmt: skip
    by = item.by or _From(username=item.username)
    if item.user is not None and item.user.id:
        by = _From(id=watched.id, username=by.username or item.username)
    comment = _Comment(id=item.id, by=by, media=_Media(id=medium), parent_id=item.parent_id or top, text=item.text)
    at = written_at(item.timestamp)
    said = _comment(comment, watched, observed_at, at, "platform")
    if said is None:
        return
    found.interactions.append(said)
    if item.hidden:
        about = About(said.object, said.conversation, said.thread, at, said.post)
        hidden, account = f"{said.id}#hide-asked", Actor(watched.id, handle=watched.account.handle)
        found.interactions.append(interaction(watched, observed_at, about, id=hidden, kind="hide", actor=account))


def _change(raw: Raw, watched: Watched, observed_at: datetime, delivery: Delivery, sent: Sent) -> None:
    change = decode(raw, meta.Change)
    if change.field in _MESSAGES:
        messaging(change.value, watched, observed_at, delivery, sent)
        return
    found: Interaction | None = None
    if change.field in _COMMENTS:
        found = _comment(decode(change.value, _Comment), watched, observed_at, meta.sent_at(sent))
    elif change.field == "mentions":
        found = _mention(decode(change.value, _Mention), watched, observed_at, meta.sent_at(sent))
    if found is None:
        delivery.ignored[change.field[:64]] += 1
    else:
        delivery.interactions.append(found)


def _comment(
    found: _Comment,
    watched: Watched,
    observed_at: datetime,
    at: datetime | None,
    source: OccurredAtSource = "receipt",
) -> Interaction | None:
    comment = id_of(found.id or found.comment_id, "id")
    media = found.media or _Media()
    answers = str(found.parent_id) if found.parent_id else None
    post = str(media.original_media_id or media.id or "") or None
    # Without a medium, what answers a comment still meets it.
    conversation = post or answers or comment
    actor, by_brand = _author(found.by or _From(), comment, watched)
    if by_brand and answers is None:
        return None
    return interaction(
        watched, observed_at, About(Object(comment), conversation, conversation, at, post, source),
        id=comment, kind="reply" if by_brand else "comment", actor=actor, parent=Parent(answers) if answers else None,
        text=found.text,
    )  # fmt: skip


def _mention(found: _Mention, watched: Watched, observed_at: datetime, sent: datetime | None) -> Interaction:
    thing = id_of(found.comment_id or found.media_id, "comment_id or media_id")
    thread = str(found.media_id or thing)
    return interaction(
        watched, observed_at, About(Object(thing), thread, thread, sent, source="receipt"),
        id=thing, kind="mention", actor=_unknown(thing),
    )  # fmt: skip


def _author(by: _From, comment: str, watched: Watched) -> tuple[Actor, bool]:
    """Who wrote a comment, and whether that is the brand or its staff."""
    who = str(by.id or "")
    if by.self_ig_scoped_id or who == watched.id or (not who and watched.is_named(by.username)):
        return Actor(watched.id, handle=by.username), True
    if who:
        # Instagram names another account of the brand by an id that is for this one alone.
        brand = watched.is_brand(who) or watched.is_staff(who) or watched.is_another(by.username)
        return Actor(who, handle=by.username), brand
    if by.username:
        return Actor(f"@{by.username}", handle=by.username), watched.is_another(by.username)
    return _unknown(comment), False


def _unknown(thing: str) -> Actor:
    """A person whom Instagram does not name waits for an answer like any other."""
    return Actor(f"unknown:{thing}")
