"""Turns Threads' deliveries, and what a profile is asked for, into interactions. Pure.

- Threads names people by username and by nothing else, so that is their id here, also in an account's `staff`. The
  account itself is known as the owner of the root post, and by its handle.
- A delivery says whose it is by the root post's owner (`replies`), the owner (`delete`) or `target_id` (`mentions`,
  `publish`). In the documents `target_id` is a medium at times and the user at others.
- `replies`: what somebody writes under a post of the account is a `comment`; what the account writes there in answer
  to somebody is a `reply`.
- `mentions`: a `mention`, or a `comment` where it stands under a post of the account, with the same id as in `replies`.
- `publish`: what the account itself wrote, anywhere: a `reply` where it names what it answers, a `post` where it says
  that it is none. The documented sample says neither, and might be either: then it is ignored.
- `delete`: what the account itself deleted. What others delete or edit is not pushed, nor are likes and follows.
- What asking finds becomes what a delivery would have made of it, with the same id. Asked, Threads does not name the
  owner of a root post: it is the profile where the post is one of its own. If a reply is hidden by then, nobody says
  since when: it counts as hidden from the beginning.
- The conversation is the root post. Where Threads does not name it, it is the thing itself: the app lacks
  `threads_read_replies`, or something was deleted.

Source: https://developers.facebook.com/docs/threads/webhooks and, for what is asked,
https://developers.facebook.com/docs/threads/retrieve-and-manage-replies
"""

from collections.abc import Callable, Container, Mapping, Sequence
from datetime import datetime

from msgspec import Raw, Struct, structs

from rapport.contracts.events import Actor, Interaction, Kind, Medium, Object, OccurredAtSource, Parent
from services.ingest.hooks import meta, meta_pages
from services.ingest.hooks.delivery import (
    MOST_CHANGES,
    About,
    Delivery,
    Id,
    Lookup,
    UnreadableError,
    Watched,
    decode,
    id_of,
    interaction,
)
from services.ingest.hooks.meta import Sent
from services.ingest.hooks.meta_pages import Page, Post, path_id, written_at

POST_FIELDS = "id,username,text,media_type,permalink,timestamp,has_replies"
REPLY_FIELDS = (
    "id,username,text,media_type,permalink,timestamp,root_post,replied_to,is_reply,is_reply_owned_by_me,hide_status"
)
"""What `posts`, and all others, read of each item."""
_MEDIA: dict[str, tuple[Medium, ...]] = {
    "IMAGE": ("image",), "CAROUSEL_ALBUM": ("image",), "VIDEO": ("video",), "AUDIO": ("audio",),
}  # fmt: skip
_REPOST = "REPOST_FACADE"


class _Envelope(Struct, kw_only=True):
    values: Raw
    target_id: Id | None = None
    time: Sent = None
    """When it was sent."""


class _Ref(Struct):
    id: Id | None = None


class _Root(Struct, kw_only=True):
    id: Id | None = None
    owner_id: Id | None = None
    username: str | None = None


class _Owner(Struct):
    owner_id: Id | None = None


class _Post(Struct, kw_only=True):
    id: Id | None = None
    username: str | None = None
    profile_picture_url: str | None = None
    text: str | None = None
    media_type: str | None = None
    gif_url: str | None = None
    permalink: str | None = None
    timestamp: str | None = None
    deleted_at: str | None = None
    is_reply: bool | None = None
    is_reply_owned_by_me: bool | None = None
    hide_status: str | None = None
    has_replies: bool | None = None
    replied_to: _Ref | None = None
    root_post: _Root | None = None
    owner: _Owner | None = None

    @property
    def root(self) -> str | None:
        """The id of the post at the top of its thread."""
        return str(self.root_post.id) if self.root_post and self.root_post.id else None

    @property
    def media(self) -> tuple[Medium, ...]:
        """What it shows beside its text."""
        return _MEDIA.get(self.media_type or "") or (("image",) if self.gif_url else ())

    def is_under(self, watched: Watched) -> bool:
        """Whether it stands in a thread that the brand began."""
        return self.root_post is not None and watched.is_brand(str(self.root_post.owner_id))

    def is_by(self, watched: Watched) -> bool:
        """Whether the account itself wrote it, as far as names can tell."""
        root = self.root_post
        if root is not None and root.username is not None and str(root.owner_id) == watched.id:
            return root.username == self.username
        return watched.is_named(self.username)

    def answers(self, watched: Watched) -> str | None:
        """The id of what it answers. A post of the brand needs no answer: what stands right under it has none."""
        answered = str(self.replied_to.id) if self.replied_to and self.replied_to.id else None
        return None if answered == self.root and self.is_under(watched) else answered


def read(body: bytes, lookup: Lookup, observed_at: datetime) -> Delivery:
    """What a delivery says, change by change. Raises UnreadableError where the whole is not one of Threads.

    `values` is a change `{field, value}`, as documented, or a list of changes, as sent.
    """
    envelope = decode(body, _Envelope)
    listed = bytes(envelope.values).startswith(b"[")
    changes = decode(envelope.values, list[Raw]) if listed else [envelope.values]
    if len(changes) > MOST_CHANGES:
        raise UnreadableError(f"more than {MOST_CHANGES} changes at once")
    delivery = Delivery()
    for place, raw in enumerate(changes):
        where = f"values[{place}]" if listed else "values"
        try:
            change = decode(raw, meta.Change)
            post = decode(change.value, _Post) if change.field in _READ else _Post()
            accounts = _accounts(change.field, post, envelope.target_id, lookup)
        except UnreadableError as error:
            delivery.failed(where, error)
            continue
        if change.field not in _READ:
            delivery.ignored[change.field[:64]] += 1
            continue
        if not accounts:
            delivery.ignored["of an account that nobody connected"] += 1
        for watched in accounts:
            try:
                found = _READ[change.field](post, watched, observed_at, envelope.time)
            except Exception as error:  # what nobody foresaw must not hold up what comes with it
                delivery.failed(where, error)
                continue
            if found is None:
                delivery.ignored[change.field[:64]] += 1
            else:
                delivery.interactions.append(found)
    return delivery


def posts(body: bytes, watched: Watched, observed_at: datetime) -> Page:
    """A page of what a profile posted; a post's `many` is 0 where nobody answered.

    Raises UnreadableError where it is no list.
    """

    def one(item: _Post, found: Page) -> None:
        at = written_at(item.timestamp)
        found.saw(at)
        found.posts.append(Post(path_id(id_of(item.id, "id")), None, 0 if item.has_replies is False else None, at))
        if item.media_type == _REPOST:
            found.ignored[_REPOST] += 1
            return
        said = _publish(structs.replace(item, is_reply=False), watched, observed_at, None)
        if said is not None:
            found.interactions.append(said)

    return meta_pages.page(body, _Post, one)


def replies(body: bytes, root: str, watched: Watched, observed_at: datetime) -> Page:
    """A page of what was answered below a profile's post. Raises UnreadableError where it is no list."""

    def one(item: _Post, found: Page) -> None:
        found.saw(written_at(item.timestamp))
        post = _below(item, root, watched)
        said = _reply(post, watched, observed_at, None)
        if said is None:
            return
        found.interactions.append(said)
        if item.hide_status == "HIDDEN":
            about = About(said.object, said.conversation, said.thread, said.occurred_at, said.post)
            hidden, profile = f"{said.id}#hide-asked", Actor(watched.id, handle=watched.account.handle)
            found.interactions.append(interaction(watched, observed_at, about, id=hidden, kind="hide", actor=profile))

    return meta_pages.page(body, _Post, one)


def mentions(body: bytes, own: Container[str], watched: Watched, observed_at: datetime) -> Page:
    """A page of what names a profile; `own` are ids of posts of its own. Raises UnreadableError where it is no list."""

    def one(item: _Post, found: Page) -> None:
        found.saw(written_at(item.timestamp))
        said = _mention(_rooted(item, own, watched), watched, observed_at, None)
        if said is not None:
            found.interactions.append(said)

    return meta_pages.page(body, _Post, one)


def answers(body: bytes, own: Container[str], watched: Watched, observed_at: datetime) -> Page:
    """A page of what a profile answered, anywhere; `own` as in `mentions`.

    Raises UnreadableError where it is no list.
    """

    def one(item: _Post, found: Page) -> None:
        found.saw(written_at(item.timestamp))
        said = _publish(_rooted(item, own, watched), watched, observed_at, None)
        if said is not None:
            found.interactions.append(said)

    return meta_pages.page(body, _Post, one)


def _rooted(item: _Post, own: Container[str], watched: Watched) -> _Post:
    return _below(item, item.root, watched) if item.root in own else item


def _below(item: _Post, root: str | None, watched: Watched) -> _Post:
    """The same, with a root post of the profile."""
    name = item.username if item.is_reply_owned_by_me else None
    return structs.replace(item, root_post=_Root(id=root, owner_id=watched.id, username=name))


def _accounts(name: str, post: _Post, target: Id | None, lookup: Lookup) -> Sequence[Watched]:
    """The accounts that a change is about. A mention is about whoever is mentioned, in whosever thread it stands."""
    owner = post.root_post.owner_id if name == "replies" and post.root_post else None
    if name in ("delete", "publish") and post.owner:
        owner = post.owner.owner_id
    for its_id in (owner, target):
        found = lookup(str(its_id)) if its_id else ()
        if found:
            return found
    return ()


def _reply(post: _Post, watched: Watched, observed_at: datetime, sent: Sent) -> Interaction | None:
    by_brand = post.is_by(watched) or _by_ours(post, watched)
    if by_brand and post.answers(watched) is None:
        return None
    return _written("reply" if by_brand else "comment", post, watched, observed_at, sent)


def _mention(post: _Post, watched: Watched, observed_at: datetime, sent: Sent) -> Interaction | None:
    if post.media_type == _REPOST:
        return None
    if post.is_under(watched):
        return _reply(post, watched, observed_at, sent)
    if post.is_by(watched) or _by_ours(post, watched):
        return None
    return _written("mention", post, watched, observed_at, sent)


def _publish(post: _Post, watched: Watched, observed_at: datetime, sent: Sent) -> Interaction | None:
    if post.answers(watched) is not None:
        return _written("reply", post, watched, observed_at, sent, Actor(watched.id, handle=post.username))
    if post.is_reply is False:
        return _written("post", post, watched, observed_at, sent, Actor(watched.id, handle=post.username))
    return None


def _delete(post: _Post, watched: Watched, observed_at: datetime, sent: Sent) -> Interaction:
    thing = id_of(post.id, "id")
    conversation = post.root or thing
    at, source = _when(post.deleted_at, sent)
    return interaction(
        watched, observed_at, About(Object(thing), conversation, conversation, at, source=source),
        id=f"{thing}#delete", kind="delete", actor=Actor(watched.id, handle=post.username),
    )  # fmt: skip


_READ: Mapping[str, Callable[[_Post, Watched, datetime, Sent], Interaction | None]] = {
    "replies": _reply, "mentions": _mention, "publish": _publish, "delete": _delete,
}  # fmt: skip


def _written(
    kind: Kind, post: _Post, watched: Watched, observed_at: datetime, sent: Sent, actor: Actor | None = None
) -> Interaction:
    thing, answers = id_of(post.id, "id"), post.answers(watched)
    conversation = post.root or (answers if kind == "reply" else None) or thing
    at, source = _when(post.timestamp, sent)
    under = post.root if post.is_under(watched) else None
    about = About(Object(thing, post.permalink), conversation, conversation, at, under, source)
    return interaction(
        watched, observed_at, about, id=thing, kind=kind, actor=actor or _author(post, thing, watched),
        parent=Parent(answers) if answers else None, text=post.text, media=post.media,
    )  # fmt: skip


def _author(post: _Post, thing: str, watched: Watched) -> Actor:
    if post.is_by(watched):
        return Actor(watched.id, handle=post.username)
    # A person whom Threads does not name waits for an answer like any other.
    return Actor(post.username or f"unknown:{thing}", handle=post.username, avatar_url=post.profile_picture_url)


def _by_ours(post: _Post, watched: Watched) -> bool:
    return post.username is not None and (watched.is_staff(post.username) or watched.is_another(post.username))


def _when(said: str | None, sent: Sent) -> tuple[datetime | None, OccurredAtSource]:
    """When it happened; where Threads does not say what can be read, when it told us, which is a matter of receipt."""
    at = meta.sent_at(said)
    return (at, "platform") if at is not None else (meta.sent_at(sent), "receipt")
