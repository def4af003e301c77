"""Turns Instagram's deliveries into interactions. Pure.

- What somebody writes under a post of the account is a `comment`; what the account writes there in answer to somebody
  is a `reply`. A comment of the account that answers nobody says nothing.
- With Instagram Login a mention in a comment comes as a comment, and nothing says whose post it is under: it is a
  `comment`. With Facebook Login it is a `mention`, of which Instagram gives the ids and neither author nor text.
- The conversation is the medium, because a reply names the comment that it answers and not who wrote that. Instagram
  has one level of replies: an answer to a reply names the comment above both.
- On an ad `media.id` is the ad's medium, and the `post` is the one that was promoted, where Instagram names it.
- No comment says when it was written. `occurred_at` is when Meta sent it (`entry.time`; seconds or milliseconds), the
  last moment at which it can have happened, and `occurred_at_source` is `receipt`.
- Edited and deleted comments, likes, shares and follows are not pushed.

Source: https://developers.facebook.com/docs/instagram-platform/webhooks/examples and
https://developers.facebook.com/docs/graph-api/webhooks/reference/instagram
"""

from datetime import datetime

from msgspec import Raw, Struct, field

from rapport.contracts.events import Actor, Interaction, Object, Parent
from services.ingest.hooks import meta
from services.ingest.hooks.delivery import About, Delivery, Id, Lookup, Watched, decode, id_of, interaction
from services.ingest.hooks.meta_messages import messaging

_COMMENTS = frozenset({"comments", "live_comments"})
_MESSAGES = frozenset({"messages", "message_edit", "message_reactions", "standby"})
"""Of these, `value` is what otherwise stands in `entry[].messaging[]`."""


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


def read(body: bytes, lookup: Lookup, observed_at: datetime) -> Delivery:
    """What a delivery says, change by change. Raises UnreadableError where the whole is not one of Instagram."""
    return meta.read(body, "instagram", lookup, observed_at, _change, messaging)


def _change(raw: Raw, watched: Watched, observed_at: datetime, delivery: Delivery, sent: float | None) -> None:
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


def _comment(found: _Comment, watched: Watched, observed_at: datetime, sent: datetime | None) -> Interaction | None:
    comment = id_of(found.id or found.comment_id, "id")
    media = found.media or _Media()
    answers = str(found.parent_id) if found.parent_id else None
    # Without a medium, what answers a comment still meets it.
    conversation = str(media.id or answers or comment)
    post = str(media.original_media_id or media.id or "") or None
    actor, by_brand = _author(found.by or _From(), comment, watched)
    if by_brand and answers is None:
        return None
    return interaction(
        watched, observed_at, About(Object(comment), conversation, conversation, sent, post, "receipt"),
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
        return Actor(who, handle=by.username), watched.is_brand(who) or watched.is_staff(who)
    if by.username:
        return Actor(f"@{by.username}", handle=by.username), False
    return _unknown(comment), False


def _unknown(thing: str) -> Actor:
    """A person whom Instagram does not name waits for an answer like any other."""
    return Actor(f"unknown:{thing}")
