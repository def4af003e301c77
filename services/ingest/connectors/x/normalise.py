"""Turns deliveries of the X Activity API, one event each, into interactions; and those of the API before it. Pure.

- A post in answer to the brand's, or that mentions it in a conversation that the brand began, is a `comment`. One that
  mentions it elsewhere is a `mention`. X may tell one post as both, an answer and a mention: it is the same then.
- A repost of the brand's post is a `share`, and so is a quote, unless it mentions the brand.
- The brand's own post is a `reply` where it answers somebody else, or continues such an answer; any other is a `post`.
- What the brand itself likes, reposts or follows of others is recorded as the staff's: it is outreach.
- A conversation is the pair of brand and follower, by whichever of its accounts, because X names the author of what
  is answered; a thread is X's `conversation_id`. Private messages have one thread with each person.
- Of a deletion X says only the post and its author. Only the brand's own are told.
- An edit is a new post that lists the ones before. The first of them stays the id of the thing.
- A like is told without who it was by. They are the one who comes with it and whom no post beside it concerns: authors,
  and people whom the liked post names or quotes, come along too. Where that is not one alone, the like is not told.
- Follows and blocks come without a time and without an id of their own. So they occur when they are received, and the
  delivery's `event_uuid` tells one from the next: it is all there is. The API before it says when they happened.
- XChat's messages are encrypted: somebody wrote, and what they wrote is not known.

Source: https://docs.x.com/x-api/activity/event-payloads
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec import Raw, Struct

from rapport.contracts.events import Interaction, Kind, Object, Parent
from services.ingest.connectors.x import account_activity
from services.ingest.connectors.x.charges import charge, read_charge
from services.ingest.connectors.x.event import NULL, Data, Event, Filter
from services.ingest.connectors.x.messages import chatted, direct_messages
from services.ingest.connectors.x.posts import (
    Included,
    Person,
    Post,
    actor,
    milliseconds,
    url_of,
)
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

_POSTS = frozenset({
    "post.create", "post.mention.create", "post.reply.create", "post.quote.create", "post.repost.create",
})  # fmt: skip
_DIRECT = frozenset({"dm.received", "dm.sent"})


class _Sending(Struct, frozen=True):
    replay: bool = False


class _Envelope(account_activity.Envelope):
    data: Data | None = None
    meta: _Sending | None = None
    replay_job_status: Raw = NULL
    """That everything was sent again which somebody had asked for."""


class _Deleted(Struct):
    id: Id
    author_id: Id | None = None
    timestamp_ms: float | None = None


class _Like(Struct):
    liked_tweet_id: Id | None = None
    liked_tweet_author_id: Id | None = None
    timestamp_ms: float | None = None


class _Pair(Struct):
    source: Person
    target: Person
    created_timestamp: float | None = None


def read(body: bytes, lookup: Lookup, observed_at: datetime) -> Delivery:
    """What a delivery says. Raises UnreadableError where it is no event."""
    envelope, delivery = decode(body, _Envelope), Delivery()
    data = envelope.data
    if data is None:
        _read_lists(envelope, lookup, observed_at, delivery)
        return delivery
    delivery.again = envelope.meta is not None and envelope.meta.replay
    user = data.filter.user_id if data.filter is not None else None
    watched = lookup(str(user)) if user else ()
    delivery.charges.append(charge(data, body, watched, observed_at))
    if data.event_type not in READ_EVENTS:
        delivery.ignored[data.event_type[:64]] += 1
        return delivery
    if not user:
        delivery.failed("data.filter", UnreadableError("user_id is missing"))
        return delivery
    if not watched:
        delivery.ignored["of an account that nobody connected"] += 1
        return delivery
    _tell("data.payload", data, watched, observed_at, delivery)
    return delivery


def _read_lists(envelope: _Envelope, lookup: Lookup, observed_at: datetime, delivery: Delivery) -> None:
    """Adds what a delivery of the Account Activity API says. Raises UnreadableError where it is none."""
    if envelope.for_user_id is None:
        if envelope.replay_job_status == envelope.user_event == NULL:
            raise UnreadableError("data is missing")
        delivery.ignored["replay_job_status" if envelope.user_event == NULL else "user_event"] += 1
        return
    watched = lookup(str(envelope.for_user_id))
    if not watched:
        delivery.ignored["of an account that nobody connected"] += 1
        return
    many = 0
    for where, data in account_activity.events(envelope, delivery):
        many += 1
        _tell(where, data, watched, observed_at, delivery)
    if not many and not delivery.unread:
        delivery.ignored["nothing that anybody said"] += 1


def _tell(where: str, data: Data, watched: Sequence[Watched], observed_at: datetime, delivery: Delivery) -> None:
    """Adds what one event says to each of the accounts that it is about."""
    included = Included(data.includes)
    for one in watched:
        event = Event(data, included, one, observed_at)
        if data.event_type in _DIRECT:
            direct_messages(event, delivery)
            continue
        try:
            found = list(_READERS[data.event_type](event)) if data.event_type in _READERS else []
        except Exception as error:  # what nobody foresaw must not make X send it for ever
            delivery.failed(where, error)
            continue
        delivery.interactions += found
        if not found:
            delivery.ignored[data.event_type[:64]] += 1


class _Meta(Struct, frozen=True):
    next_token: str | None = None


class _Mentions(Struct):
    data: Sequence[Raw] = ()
    includes: Raw = NULL
    meta: _Meta | None = None
    errors: Sequence[Raw] = ()


class Mentions(Delivery):
    """A page of the posts that mention an account. `next` names the page after it, None where this is the last."""

    next: str | None = None


def mentions(body: bytes, watched: Watched, observed_at: datetime) -> Mentions:
    """What a page of mentions says: each post what a delivery of it would have been, and the charge for reading it.

    Raises UnreadableError where the whole is no page.
    """
    found = decode(body, _Mentions)
    if len(found.data) > MOST_CHANGES:
        raise UnreadableError(f"more than {MOST_CHANGES} posts at once")
    if found.errors and not found.data and found.meta is None:
        raise UnreadableError("an error, and no page")
    page, included = Mentions(), Included(found.includes)
    page.next = found.meta.next_token if found.meta is not None else None
    for place, raw in enumerate(found.data):
        its = Data(event_type="post.mention.create", filter=Filter(watched.id), payload=raw)
        page.charges.append(read_charge(raw, watched, observed_at))
        try:
            page.interactions += _post(Event(its, included, watched, observed_at))
        except Exception as error:  # what nobody foresaw must not hold up what comes with it
            page.failed(f"data[{place}]", error)
    return page


def _post(event: Event) -> Iterator[Interaction]:
    post = decode(event.payload, Post)
    if post.author == event.watched.id:
        yield from _by_brand(post, event)
    elif event.watched.is_brand(post.author):
        return  # another account of the brand is not a follower
    elif event.watched.is_staff(post.author):
        yield from _by_staff(post, event)
    else:
        yield from _by_follower(post, event)


def _by_follower(post: Post, event: Event) -> Iterator[Interaction]:
    watched, follower, original = event.watched, post.author, post.original
    reposted, quoted = post.reference("retweeted"), post.reference("quoted")
    if reposted is not None:
        # A repost of what somebody else wrote names the brand as well, where that does.
        if event.type == "post.repost.create" or event.included.author(reposted) == watched.id:
            yield _written(post, event, "share", follower, id=f"{post.id}#share", whose=reposted, words=False)
        return
    to_brand = str(post.in_reply_to_user_id or "") == watched.id or event.type == "post.reply.create"
    named = event.type == "post.mention.create" or post.mentions(watched.id)
    begun_by_brand = event.included.root_author(post) == watched.id
    kind: Kind
    whose: str | None
    if to_brand or (named and begun_by_brand):
        kind, whose, name = "comment", post.thread if begun_by_brand else None, original
    elif named:
        kind, whose, name = "mention", None, original
    elif quoted is not None and event.type == "post.quote.create":
        kind, whose, name = "share", quoted, f"{original}#share"
    else:
        return
    # An edit can be the first that is heard of a post. Where it is not, the first one counts.
    yield _written(post, event, kind, follower, id=name, whose=whose, parent=_parent(post, event.included))
    if post.is_edit:
        yield _written(post, event, "edit", follower, id=f"{original}#edit-{post.id}", whose=whose)


def _by_brand(post: Post, event: Event) -> Iterator[Interaction]:
    watched, included = event.watched, event.included
    reposted = post.reference("retweeted")
    if reposted is not None:
        whose = included.author(reposted)
        if whose is not None and not event.is_of_brand(whose):
            of = Parent(reposted, whose)
            yield _written(post, event, "share", whose, id=f"{post.id}#share", parent=of, words=False, staff=True)
        return
    parent = _answered(post, event)
    if parent is not None and parent.actor is None:
        raise UnreadableError("in_reply_to_user_id is missing")
    follower = parent.actor if parent is not None and parent.actor else watched.id
    begun_by_brand = included.root_author(post) == watched.id
    whose = post.thread if parent is not None and begun_by_brand else None
    # As of a follower's: an edit can be the first that is heard of it.
    kind: Kind = "post" if parent is None else "reply"
    yield _written(post, event, kind, follower, id=post.original, whose=whose, parent=parent)
    if post.is_edit:
        name = f"{post.original}#edit-{post.id}"
        yield _written(post, event, "edit", follower, id=name, whose=whose, parent=parent)


def _by_staff(post: Post, event: Event) -> Iterator[Interaction]:
    """What staff write in answer to somebody is an answer; X tells it where it names the brand."""
    parent = _parent(post, event.included)
    if parent is None or parent.actor is None or event.is_of_brand(parent.actor):
        return
    begun_by_brand = event.included.root_author(post) == event.watched.id
    whose = post.thread if begun_by_brand else None
    yield _written(post, event, "reply", parent.actor, id=post.original, whose=whose, parent=parent)


def _answered(post: Post, event: Event) -> Parent | None:
    """Which post of somebody else the brand answers. The second part of an answer answers what the first part did."""
    parent = _parent(post, event.included)
    if parent is None or parent.actor is None or not event.watched.is_brand(parent.actor):
        return parent
    before = event.included.posts.get(parent.id)
    continued = _parent(before, event.included) if before is not None else None
    if continued is None or continued.actor is None or event.watched.is_brand(continued.actor):
        return None
    return continued


def _parent(post: Post, included: Included) -> Parent | None:
    answered, whose = post.answered, post.in_reply_to_user_id
    return Parent(answered, str(whose) if whose else included.author(answered)) if answered else None


def _written(
    post: Post,
    event: Event,
    kind: Kind,
    follower: str,
    *,
    id: str,
    whose: str | None = None,
    parent: Parent | None = None,
    words: bool = True,
    staff: bool = False,
) -> Interaction:
    """A post as an interaction; a repost has no `words` of its own. `whose` is the brand's post that it belongs to."""
    thing = post.original
    return interaction(
        event.watched, event.observed_at,
        About(
            Object(thing, url_of(thing)), event.conversation(follower),
            None if kind == "share" else post.thread, post.created_at, whose,
        ),
        id=id, kind=kind, actor=actor(post.author, event.included.people, event.watched), parent=parent,
        text=post.whole_text if words else None, media=post.media(event.included.media) if words else (),
        language=post.language if words else None, staff=staff,
    )  # fmt: skip


def _deleted(event: Event) -> Iterator[Interaction]:
    post = decode(event.payload, _Deleted)
    thing, author = str(post.id), id_of(post.author_id, "author_id")
    if author != event.watched.id and event.is_of_brand(author):
        return
    at = milliseconds(post.timestamp_ms)
    about = About(Object(thing, url_of(thing)), event.conversation(author), None, at)
    who = actor(author, event.included.people, event.watched)
    yield interaction(event.watched, event.observed_at, about, id=f"{thing}#delete", kind="delete", actor=who)


def _liked(event: Event) -> Iterator[Interaction]:
    """A like. `created_at` may be that of the liked post, so only `timestamp_ms` says when it was."""
    like, watched = decode(event.payload, _Like), event.watched
    thing = id_of(like.liked_tweet_id, "liked_tweet_id")
    whose = id_of(like.liked_tweet_author_id, "liked_tweet_author_id")
    inbound = whose == watched.id
    posts = event.included.posts.values()
    others = [
        person
        for person in event.included.people
        if person != whose and not any(post.concerns(person) for post in posts)
    ]
    who = (others[0] if len(others) == 1 else None) if inbound else watched.id
    if who is None or (event.is_of_brand(who) if inbound else event.is_of_brand(whose)):
        return
    about = About(
        Object(thing, url_of(thing)), event.conversation(who if inbound else whose), None,
        milliseconds(like.timestamp_ms), thing if inbound else None,
    )  # fmt: skip
    yield interaction(
        watched, event.observed_at, about, id=f"{thing}#{who}#like", kind="reaction",
        actor=actor(who, event.included.people, watched), parent=None if inbound else Parent(thing, whose),
        reaction="like", staff=not inbound,
    )  # fmt: skip


def _followed(event: Event) -> Iterator[Interaction]:
    watched = event.watched
    source, target, people, at = _pair(event)
    inbound = target == watched.id
    if (source != watched.id and not inbound) or event.is_of_brand(source if inbound else target):
        return
    undo = event.type == "follow.unfollow"
    about = About(Object(target), event.conversation(source if inbound else target), None, at)
    yield interaction(
        watched, event.observed_at, about,
        id=f"{source}:{target}#{'unfollow' if undo else 'follow'}-{id_of(event.uuid, 'event_uuid')}",
        kind="follow", actor=actor(source, people, watched), parent=None if inbound else Parent(target, target),
        undo=undo, staff=not inbound,
    )  # fmt: skip


def _blocked(event: Event) -> Iterator[Interaction]:
    """The brand blocks a follower, or lifts that. It is told of the follower, like every block."""
    source, target, people, at = _pair(event)
    if source != event.watched.id or event.is_of_brand(target):
        return
    undo = event.type == "block.unblock"
    about = About(Object(target), event.conversation(target), None, at)
    yield interaction(
        event.watched, event.observed_at, about,
        id=f"{source}:{target}#{'unblock' if undo else 'block'}-{id_of(event.uuid, 'event_uuid')}",
        kind="block", actor=actor(target, people, event.watched), undo=undo,
    )  # fmt: skip


def _pair(event: Event) -> tuple[str, str, dict[str, Person], datetime | None]:
    pair = decode(event.payload, _Pair)
    source, target = pair.source.itself, pair.target.itself
    ids = id_of(source.id, "source.id"), id_of(target.id, "target.id")
    return *ids, {ids[0]: source, ids[1]: target}, milliseconds(pair.created_timestamp)


_READERS = {
    **dict.fromkeys(_POSTS, _post), "post.delete": _deleted, "like.create": _liked,
    "follow.follow": _followed, "follow.unfollow": _followed, "block.block": _blocked, "block.unblock": _blocked,
    "chat.received": chatted, "chat.sent": chatted,
}  # fmt: skip
READ_EVENTS = frozenset({*_READERS, *_DIRECT})
"""What an account has to be subscribed to. Others are ignored."""
