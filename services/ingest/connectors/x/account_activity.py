"""Deliveries of X's older Account Activity API, as the events that the X Activity API would have sent of them. Pure.

X ends it on 1 January 2027. One delivery has lists of things that happened to one account, in the shapes of X's first
interface: posts come with their authors inside, and do not name their conversation. So a thread is what links between
posts connect. X charges by package for it, not by event.

Source: https://docs.x.com/x-api/account-activity/introduction
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct

from services.ingest.connectors.x.event import NULL, Data, Filter
from services.ingest.hooks.delivery import MOST_CHANGES, Delivery, Id, UnreadableError, decode, id_of

_WRITTEN = "%a %b %d %H:%M:%S %z %Y"
"""How it writes times: `Mon May 19 14:01:46 +0000 2025`."""


class Envelope(Struct, kw_only=True):
    """What a delivery has."""

    for_user_id: Id | None = None
    tweet_create_events: list[Raw] | None = None
    tweet_delete_events: list[Raw] | None = None
    favorite_events: list[Raw] | None = None
    follow_events: list[Raw] | None = None
    unfollow_events: list[Raw] | None = None
    block_events: list[Raw] | None = None
    unblock_events: list[Raw] | None = None
    direct_message_events: list[Raw] | None = None
    users: dict[str, Raw] | None = None
    user_event: Raw = NULL
    """That somebody took the application's access back."""


class _User(Struct, kw_only=True):
    id_str: Id | None = None
    id: Id | None = None
    screen_name: str | None = None
    name: str | None = None
    profile_image_url_https: str | None = None

    @property
    def itself(self) -> str | None:
        """Its id. As a number it may be rounded."""
        found = self.id_str or self.id
        return str(found) if found else None

    def now(self) -> dict[str, Any]:
        """As the X Activity API has it."""
        return {
            "id": self.itself, "username": self.screen_name, "name": self.name,
            "profile_image_url": self.profile_image_url_https,
        }  # fmt: skip


class _Named(Struct):
    id_str: Id | None = None
    id: Id | None = None


class _Link(Struct):
    expanded_url: str | None = None


class _Shown(Struct):
    type: str | None = None


class _Entities(Struct):
    user_mentions: list[_Named] | None = None
    urls: list[_Link] | None = None
    media: list[_Shown] | None = None


class _Whole(Struct):
    full_text: str | None = None
    entities: _Entities | None = None
    extended_entities: _Entities | None = None


class _Edits(Struct):
    edit_tweet_ids: list[Id] | None = None
    """All versions, the oldest first."""


class _Tweet(Struct, kw_only=True):
    id_str: Id | None = None
    id: Id | None = None
    text: str | None = None
    extended_tweet: _Whole | None = None
    """The whole of it where `text` is cut off."""
    entities: _Entities | None = None
    extended_entities: _Entities | None = None
    created_at: str | None = None
    timestamp_ms: float | None = None
    user: _User | None = None
    in_reply_to_status_id_str: Id | None = None
    in_reply_to_user_id_str: Id | None = None
    quoted_status: "_Tweet | None" = None
    retweeted_status: "_Tweet | None" = None
    lang: str | None = None
    edit_history: _Edits | None = None

    @property
    def itself(self) -> str:
        """Its id. Raises UnreadableError where there is none."""
        return id_of(self.id_str or self.id, "id_str")

    @property
    def author(self) -> str | None:
        """Who wrote it."""
        return self.user.itself if self.user is not None else None

    @property
    def named(self) -> list[str]:
        """Whom it names."""
        found = (self.extended_tweet.entities if self.extended_tweet else None) or self.entities or _Entities()
        return [str(each.id_str or each.id) for each in found.user_mentions or ()]

    def now(self) -> dict[str, Any]:
        """As the X Activity API has it."""
        whole = self.extended_tweet or _Whole(self.text, self.entities, self.extended_entities)
        entities, media = whole.entities or _Entities(), (whole.extended_entities or self.extended_entities)
        shown = (media or entities).media or ()
        references = {
            "replied_to": self.in_reply_to_status_id_str,
            "quoted": self.quoted_status.itself if self.quoted_status else None,
            "retweeted": self.retweeted_status.itself if self.retweeted_status else None,
        }
        versions = [str(each) for each in (self.edit_history and self.edit_history.edit_tweet_ids) or ()]
        return {
            "id": self.itself, "edit_history_tweet_ids": versions,
            "author_id": self.author, "text": whole.full_text, "lang": self.lang,
            "created_at": self._written_at(),
            "conversation_id": None if self.in_reply_to_status_id_str else next(iter(versions), self.itself),
            "in_reply_to_tweet_id": self.in_reply_to_status_id_str, "in_reply_to_user_id": self.in_reply_to_user_id_str,
            "referenced_tweets": [{"type": how, "id": its} for how, its in references.items() if its],
            "entities": {
                "mentions": [{"id": each} for each in self.named],
                "urls": [{"expanded_url": each.expanded_url} for each in entities.urls or ()],
            },
            "attachments": {"media_keys": [str(place) for place in range(len(shown))]},
            "media": [{"media_key": str(place), "type": each.type or ""} for place, each in enumerate(shown)],
        }  # fmt: skip

    def _written_at(self) -> str | None:
        if self.created_at is None:
            return None
        try:
            return datetime.strptime(self.created_at, _WRITTEN).isoformat()
        except ValueError as error:
            raise UnreadableError(f"{self.created_at!r:.60} is no time of X") from error


class _Liked(Struct):
    favorited_status: _Tweet
    user: _User
    timestamp_ms: float | None = None


class _Pair(Struct):
    type: str
    source: _User
    target: _User
    created_timestamp: float | None = None


class _Status(Struct):
    id: Id
    user_id: Id | None = None


class _Gone(Struct):
    status: _Status
    timestamp_ms: float | None = None


def events(found: Envelope, delivery: Delivery) -> Iterator[tuple[str, Data]]:
    """What happened, one by one, and where in the delivery each is. What cannot be read is a problem of the delivery.

    Raises UnreadableError for too many.
    """
    user = str(found.for_user_id)
    lists: Mapping[str, tuple[list[Raw] | None, Callable[[Raw, str], Data]]] = {
        "tweet_create_events": (found.tweet_create_events, _post),
        "tweet_delete_events": (found.tweet_delete_events, _deleted),
        "favorite_events": (found.favorite_events, _liked),
        "follow_events": (found.follow_events, _pair("follow")),
        "unfollow_events": (found.unfollow_events, _pair("follow")),
        "block_events": (found.block_events, _pair("block")),
        "unblock_events": (found.unblock_events, _pair("block")),
    }
    if sum(len(items or ()) for items, _ in lists.values()) > MOST_CHANGES:
        raise UnreadableError(f"more than {MOST_CHANGES} events at once")
    for name, (items, read) in lists.items():
        for place, raw in enumerate(items or ()):
            where = f"{name}[{place}]"
            try:
                yield where, read(raw, user)
            except Exception as error:  # what nobody foresaw must not hold up what comes with it
                delivery.failed(where, error)
    if found.direct_message_events:
        people = {name: _User.now(each) for name, each in _people(found.users or {}).items()}
        yield (
            "direct_message_events",
            _data("dm.received", user, {"direct_message_events": found.direct_message_events, "users": people}),
        )


def _people(users: Mapping[str, Raw]) -> dict[str, _User]:
    found: dict[str, _User] = {}
    for name, raw in users.items():
        try:
            found[name] = decode(raw, _User)
        except UnreadableError:
            continue  # a profile helps and is not needed
    return found


def _post(raw: Raw, user: str) -> Data:
    tweet = decode(raw, _Tweet)
    reposted, quoted = tweet.retweeted_status, tweet.quoted_status
    if tweet.author == user:
        type = "post.create"  # noqa: A001 - as X calls it
    elif reposted is not None:
        type = "post.repost.create" if reposted.author == user else "post.mention.create"  # noqa: A001
    elif str(tweet.in_reply_to_user_id_str) == user:
        type = "post.reply.create"  # noqa: A001
    elif user in tweet.named:
        type = "post.mention.create"  # noqa: A001
    else:
        its = quoted is not None and quoted.author == user
        type = "post.quote.create" if its else "post.create"  # noqa: A001
    others = [each for each in (reposted, quoted) if each is not None]
    now = tweet.now()
    includes = {
        "users": [each.user.now() for each in (tweet, *others) if each.user is not None],
        "tweets": [each.now() for each in others],
        "media": now["media"],
    }
    return _data(type, user, now, includes)


def _liked(raw: Raw, user: str) -> Data:
    like = decode(raw, _Liked)
    tweet = like.favorited_status
    people = [each.now() for each in (like.user, tweet.user) if each is not None]
    its = {"liked_tweet_id": tweet.itself, "liked_tweet_author_id": tweet.author, "timestamp_ms": like.timestamp_ms}
    return _data("like.create", user, its, {"users": people})


def _pair(what: str) -> Callable[[Raw, str], Data]:
    def read(raw: Raw, user: str) -> Data:
        pair = decode(raw, _Pair)
        its = {
            "source": pair.source.now(), "target": pair.target.now(), "created_timestamp": pair.created_timestamp,
        }  # fmt: skip
        at = pair.created_timestamp
        return _data(f"{what}.{pair.type}", user, its, uuid=str(int(at)) if at is not None else None)

    return read


def _deleted(raw: Raw, user: str) -> Data:
    gone = decode(raw, _Gone)
    its = {"id": str(gone.status.id), "author_id": gone.status.user_id, "timestamp_ms": gone.timestamp_ms}
    return _data("post.delete", user, its)


def _data(type: str, user: str, payload: Any, includes: Any = None, uuid: str | None = None) -> Data:
    return Data(
        event_type=type, event_uuid=uuid, filter=Filter(user), payload=Raw(msgspec.json.encode(payload)),
        includes=Raw(msgspec.json.encode(includes)),
    )  # fmt: skip
