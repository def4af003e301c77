"""Turns TikTok's deliveries for business accounts into interactions. Pure.

- A delivery is one event. Its `content` is JSON in a string, with ids as bare numbers of 19 digits. The event's
  `create_time` is in seconds, `timestamp` in the content in milliseconds.
- What somebody writes under a post of the account is a `comment`; what the account writes there in answer to somebody
  is a `reply`. A comment of the account that answers nobody says nothing. `parent_comment_id` is 0 where a comment
  answers none. The text is missing from many comments, and TikTok does not say that one is a picture.
- TikTok names who wrote a comment by a `unique_identifier`, also where it was the account itself, without saying so.
  The connection has the account's own as `identifier`, beside `business`, which names the account everywhere else.
  Of the brand's other accounts both are known too.
- A comment that only friends can see is hidden until it is public again. TikTok does not say who did that: it is put
  down to the account.
- Where somebody names the account in a caption, or in a comment elsewhere, is a `mention`. It comes up to three hours
  later. Under a post of the account the same comment is told as `comment.update` too: both get the same id.
- The conversation is the post, because a comment names the one that it answers and not who wrote that. Messages have
  one with each person.
- Of the account's own posts, only those are pushed that were published through the API, without their caption. The
  list of its videos has all of them: both get the same id.
- Messages from the EEA, Switzerland and the United Kingdom are announced without sender, id or text: they are counted.

Source: https://business-api.tiktok.com/portal/docs?id=1759978319341570 (comments, posts),
https://business-api.tiktok.com/portal/docs?id=1832190670631937 (messages) and
https://business-api.tiktok.com/portal/docs?id=1825113658431489 (mentions)
"""

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias, TypeVar

from msgspec import Raw, Struct, field

from rapport.contracts.events import Actor, Interaction, Kind, Medium, Object, Parent
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
    time_of,
)

T = TypeVar("T")
IDENTIFIER = "identifier"
LONGEST_CONTENT = 2**16
"""Characters of an event's content. The longest text in one, a message, has 6,000."""
_WHILE_SECONDS = 60
_MILLISECONDS_FROM = 1e11
"""From here on a time is in milliseconds: as such it is one of 1973, as seconds one of the year 5138."""
_HIDING: dict[str, Kind] = {"set_to_hidden": "hide", "set_to_friends_only": "hide", "set_to_public": "unhide"}
_ATTACHED: dict[str, tuple[Medium, ...]] = {
    "image": ("image",), "sticker": ("image",), "emoji": ("image",), "video": ("video",), "share_post": ("link",),
}  # fmt: skip
_PUBLISHED: dict[str, tuple[Medium, ...]] = {"v": ("video",), "p": ("image",)}
"""By how a `publish_id` begins: `v_pub_url~…` and `p_pub_url~…`."""


class _Event(Struct):
    event: str | None = None
    subscribe_entity: str | None = None
    """What news about the API itself and about advertising are subscribed by; TikTok does not document their shape."""
    create_time: float | None = None
    user_openid: Id | None = None
    content: str = ""

    @property
    def name(self) -> str:
        """What it is."""
        return id_of(self.event or self.subscribe_entity, "event")


class Comment(Struct, kw_only=True):
    """A comment as a delivery has it. TikTok writes 0 for the parent of one that answers none."""

    comment_id: Id | None = None
    video_id: Id | None = None
    parent_comment_id: Id | None = None
    comment_action: str = ""
    unique_identifier: Id | None = None
    timestamp: float | None = None
    text: str | None = None


class _Mention(Struct, kw_only=True):
    type_of_event: str = ""
    video_id: Id | None = None
    comment_id: Id | None = None
    unique_identifier: Id | None = None
    share_url: str | None = None
    video_caption: str | None = None


class _Post(Struct):
    post_id: Id | None = None
    publish_id: Id | None = None


class _User(Struct):
    id: Id | None = None


class _Text(Struct):
    body: str | None = None


class _Message(Struct, kw_only=True):
    conversation_id: Id | None = None
    message_id: Id | None = None
    unique_identifier: Id | None = None
    from_user: _User | None = None
    handle: str | None = field(default=None, name="from")
    type: str = ""
    timestamp: float | None = None
    text: _Text | None = None
    reaction: list[Raw] | None = None
    auto_message_type: str | None = None


class _Reaction(Struct, kw_only=True):
    operation: str = ""
    type: str = ""
    emoji: str | None = None
    unique_identifier: Id | None = None
    original_msg_id: Id | None = None
    timestamp: float | None = None


def read(body: bytes, lookup: Lookup, observed_at: datetime) -> Delivery:
    """What a delivery says. Raises UnreadableError where the whole is no event."""
    event = decode(body, _Event)
    name, delivery = event.name, Delivery()
    read_one = _READERS.get(name)
    if read_one is None:
        delivery.ignored[name[:64]] += 1
        return delivery
    watched = lookup(id_of(event.user_openid, "user_openid"))
    if not watched:
        delivery.ignored["of an account that nobody connected"] += 1
    for one in watched:
        try:
            read_one(event, one, observed_at, delivery)
        except Exception as error:  # sent again, it would be no better
            delivery.failed(f"content of {name}", error)
    return delivery


def _comment(event: _Event, watched: Watched, observed_at: datetime, delivery: Delivery) -> None:
    found = _content(event, Comment)
    comment, post = id_of(found.comment_id, "comment_id"), id_of(found.video_id, "video_id")
    author, action = author_of(found.unique_identifier, watched), found.comment_action
    times = found.timestamp, event.create_time
    if action != "insert":
        times = _changed_at(*times)
    about = About(Object(comment), post, post, time_in(*times), post)
    one: Interaction | None = None
    if action == "insert":
        one = written(found, comment, author, watched, observed_at, about)
    elif action == "delete":
        # The comment is gone, whoever took it away.
        actor = author or business(watched)
        one = interaction(watched, observed_at, about, id=f"{comment}#delete", kind="delete", actor=actor)
    elif action in _HIDING:
        kind = _HIDING[action]
        name = f"{comment}#{kind}-{_stamp(*times)}"
        one = interaction(watched, observed_at, about, id=name, kind=kind, actor=business(watched))
    _note(one, f"comment {action}", delivery)


def written(
    found: Comment, comment: str, author: Actor | None, watched: Watched, observed_at: datetime, about: About
) -> Interaction | None:
    """A comment that was written; None for one of the account that answers nobody. `comment` is its id."""
    # A person whom TikTok does not name waits for an answer like any other.
    actor = author or Actor(f"unknown:{comment}")
    by_brand, answers = _is_ours(actor, watched), _named(found.parent_comment_id)
    if by_brand and answers is None:
        return None
    return interaction(
        watched, observed_at, about, id=comment, kind="reply" if by_brand else "comment", actor=actor,
        parent=Parent(answers) if answers else None,
        text=found.text or None,  # an empty text says that the comment is something else, and not that it is nothing
    )  # fmt: skip


def _mention(event: _Event, watched: Watched, observed_at: datetime, delivery: Delivery) -> None:
    found = _content(event, _Mention)
    post, comment = id_of(found.video_id, "video_id"), _named(found.comment_id)
    thing = comment or post
    actor = author_of(found.unique_identifier, watched) or Actor(f"unknown:{thing}")
    about = About(Object(thing, found.share_url), post, post, time_in(event.create_time))
    one: Interaction | None = None
    if _is_ours(actor, watched):
        pass
    elif found.type_of_event == "CREATE":
        text = None if comment else found.video_caption
        one = interaction(watched, observed_at, about, id=thing, kind="mention", actor=actor, text=text)
    elif found.type_of_event == "EDIT" and comment is None:
        one = interaction(
            watched, observed_at, about, id=f"{post}#edit-{_stamp(event.create_time)}", kind="edit", actor=actor,
            text=found.video_caption,
        )  # fmt: skip
    _note(one, f"mention {found.type_of_event}", delivery)


def _post(event: _Event, watched: Watched, observed_at: datetime, delivery: Delivery) -> None:
    found = _content(event, _Post)
    its = Object(id_of(found.post_id, "post_id"))
    media: tuple[Medium, ...] = _PUBLISHED.get(str(found.publish_id)[:1], ())
    delivery.interactions.append(posted(its, time_in(event.create_time), watched, observed_at, media=media))


def posted(
    post: Object, at: datetime | None, watched: Watched, observed_at: datetime, *,
    text: str | None = None, media: tuple[Medium, ...] = (),
) -> Interaction:  # fmt: skip
    """A post of the account."""
    return interaction(
        watched, observed_at, About(post, post.id, post.id, at), id=post.id, kind="post", actor=business(watched),
        text=text, media=media,
    )  # fmt: skip


def _message(event: _Event, watched: Watched, observed_at: datetime, delivery: Delivery) -> None:
    """A private message, or the account's answer to one, by whatever program it was written."""
    found = _content(event, _Message)
    sent = event.name == _SENT
    thread = f"{watched.id}:{id_of(found.conversation_id, 'conversation_id')}"
    if found.type == "reaction" and sent:
        delivery.ignored["reaction by the account"] += 1
        return
    if found.type == "reaction":
        _reactions(found, thread, watched, observed_at, delivery)
        return
    message = id_of(found.message_id, "message_id")
    actor = business(watched) if sent else _sender(found, watched) or Actor(f"unknown:{message}")
    if not sent and _is_ours(actor, watched):
        delivery.ignored["message of the brand's own people"] += 1
        return
    about = About(Object(message), thread, thread, time_in(found.timestamp, event.create_time))
    one = interaction(
        watched, observed_at, about, id=message, kind="reply" if sent else "message", actor=actor,
        text=found.text.body if found.text else None, media=_ATTACHED.get(found.type, ()),
        automatic=bool(found.auto_message_type),
    )  # fmt: skip
    delivery.interactions.append(one)


def _reactions(message: _Message, thread: str, watched: Watched, observed_at: datetime, delivery: Delivery) -> None:
    """Reactions to messages: one event may have several."""
    reactions = message.reaction or []
    if len(reactions) > MOST_CHANGES:
        raise UnreadableError(f"more than {MOST_CHANGES} reactions at once")
    for place, raw in enumerate(reactions):
        try:
            found = decode(raw, _Reaction)
            one = _reaction(found, message, thread, watched, observed_at)
        except Exception as error:  # what nobody foresaw must not hold up what comes with it
            delivery.failed(f"content.reaction[{place}]", error)
        else:
            _note(one, f"reaction {found.operation}", delivery)


def _reaction(
    found: _Reaction, message: _Message, thread: str, watched: Watched, observed_at: datetime
) -> Interaction | None:
    actor = author_of(found.unique_identifier, watched) or _sender(message, watched)
    if actor is None or _is_ours(actor, watched) or found.operation not in ("ADD", "REMOVE"):
        return None
    thing, word = id_of(found.original_msg_id, "original_msg_id"), id_of(found.emoji or found.type.lower(), "emoji")
    undo = found.operation == "REMOVE"
    # Of one moment the one that is added counts, by the order of ids: who changes a reaction takes the other back.
    what, when = "1-undo" if undo else "2-do", _stamp(found.timestamp, message.timestamp)
    return interaction(
        watched, observed_at, About(Object(thing), thread, thread, time_in(found.timestamp, message.timestamp)),
        id=f"{thing}#{actor.id}#{what}-{word}-{when}", kind="reaction", actor=actor, reaction=word, undo=undo,
    )  # fmt: skip


_SENT = "im_send_msg"
_Reader: TypeAlias = Callable[[_Event, Watched, datetime, Delivery], None]
_READERS: dict[str, _Reader] = {
    "comment.update": _comment,
    "brand.mention.event": _mention,
    "post.publish.publicly_available": _post,
    "im_receive_msg": _message,
    _SENT: _message,
}
"""All others are ignored under their own names. `im_receive_high_intent_comment` repeats a comment without its post."""


def _content(event: _Event, shape: type[T]) -> T:
    if len(event.content) > LONGEST_CONTENT:
        raise UnreadableError(f"content has {len(event.content)} characters; at most {LONGEST_CONTENT} are read")
    return decode(event.content.encode(), shape)


def _note(one: Interaction | None, what: str, delivery: Delivery) -> None:
    if one is None:
        delivery.ignored[what[:64]] += 1
    else:
        delivery.interactions.append(one)


def author_of(identifier: Id | None, watched: Watched) -> Actor | None:
    """Who wrote something; None where TikTok does not say."""
    name = _named(identifier)
    if name is not None and name == watched.account.connection.get(IDENTIFIER, "").strip():
        return business(watched)
    return Actor(name) if name else None


def _sender(message: _Message, watched: Watched) -> Actor | None:
    """Who wrote a message. The identifier is the one of the person's comments, so it comes first."""
    author = author_of(message.unique_identifier or (message.from_user.id if message.from_user else None), watched)
    return Actor(author.id, handle=message.handle) if author else None


def _is_ours(actor: Actor, watched: Watched) -> bool:
    return watched.is_brand(actor.id) or watched.is_staff(actor.id)


def business(watched: Watched) -> Actor:
    """The account itself."""
    return Actor(watched.id, name=watched.account.handle)


def _named(id: Id | None) -> str | None:
    """An id as a string. TikTok writes 0 for none."""
    return None if id is None or str(id) in ("", "0") else str(id)


def time_in(*times: float | None) -> datetime | None:
    """The first time that there is, in seconds or milliseconds."""
    found = next((each for each in times if each is not None), None)
    return time_of(found / 1000 if found is not None and found >= _MILLISECONDS_FROM else found)


def _changed_at(timestamp: float | None, create_time: float | None) -> tuple[float | None, float | None]:
    """The times of a change of a comment, the better one first.

    `timestamp` is exact, but may be the comment's own: then it is older than the event by more than a while.
    """
    if timestamp is None or create_time is None:
        return timestamp, create_time
    exact = timestamp / 1000 if timestamp >= _MILLISECONDS_FROM else timestamp
    return (create_time, timestamp) if create_time - exact > _WHILE_SECONDS else (timestamp, create_time)


def _stamp(*times: float | None) -> int:
    """What tells one change of a thing from the next, and is the same where TikTok sends it again."""
    return int(next((each for each in times if each is not None), 0))
