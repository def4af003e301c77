"""Posts and people as the X Activity API writes them, and what can be told from them.

Source: https://docs.x.com/x-api/activity/event-payloads and https://docs.x.com/x-api/fundamentals/data-dictionary
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypeVar

from msgspec import Raw, Struct

from rapport.contracts.events import Actor, Medium, UtcTime
from services.ingest.hooks.delivery import Id, UnreadableError, Watched, decode, id_of, time_of

MEDIA: dict[str, Medium] = {"photo": "image", "animated_gif": "video", "video": "video"}
_OF_X = re.compile(r"https://(?:twitter|x)\.com/\w+/status/\d+(?:/(photo|video)/\d+)?")
"""An address that X itself adds to a text: of what is attached to a post, or of a quoted one."""

_ESCAPED = re.compile("&(?:amp|lt|gt);")
_WRITTEN = {"&amp;": "&", "&lt;": "<", "&gt;": ">"}

T = TypeVar("T")
_NULL = Raw(b"null")


class Person(Struct, kw_only=True):
    """A profile; in some events it stands one level deeper, under `data`."""

    id: Id | None = None
    username: str | None = None
    name: str | None = None
    profile_image_url: str | None = None
    data: "Person | None" = None

    @property
    def itself(self) -> "Person":
        """The profile, wherever it stands."""
        return self.data or self


class _Mention(Struct):
    id: Id | None = None


class _Link(Struct):
    expanded_url: str | None = None


class _Entities(Struct):
    mentions: list[_Mention] | None = None
    urls: list[_Link] | None = None


class _Attachments(Struct):
    media_keys: list[str] | None = None


class _Reference(Struct):
    type: str | None = None
    id: Id | None = None


class _Note(Struct):
    text: str | None = None
    entities: _Entities | None = None


class Post(Struct, kw_only=True):
    """A post. `created_at` is ISO 8601. An edit is a post of its own, which lists the ones before."""

    id: Id
    author_id: Id | None = None
    text: str | None = None
    note_tweet: _Note | None = None
    """The whole text where it is too long for `text`."""
    created_at: UtcTime | None = None
    conversation_id: Id | None = None
    in_reply_to_tweet_id: Id | None = None
    in_reply_to_user_id: Id | None = None
    referenced_tweets: list[_Reference] | None = None
    edit_history_tweet_ids: list[Id] | None = None
    entities: _Entities | None = None
    attachments: _Attachments | None = None
    lang: str | None = None

    @property
    def author(self) -> str:
        """Who wrote it. Raises UnreadableError where X does not say."""
        return id_of(self.author_id, "author_id")

    @property
    def original(self) -> str:
        """The id under which it was first published."""
        return str((self.edit_history_tweet_ids or [self.id])[0])

    @property
    def is_edit(self) -> bool:
        """Whether it takes the place of an earlier version."""
        return self.original != str(self.id)

    @property
    def thread(self) -> str | None:
        """The post that the conversation began with."""
        return str(self.conversation_id) if self.conversation_id else None

    @property
    def answered(self) -> str | None:
        """The post that it answers."""
        return str(self.in_reply_to_tweet_id) if self.in_reply_to_tweet_id else self.reference("replied_to")

    @property
    def whole_text(self) -> str | None:
        """What it says."""
        return plain((self.note_tweet.text if self.note_tweet else None) or self.text)

    @property
    def language(self) -> str | None:
        """Its language as X guesses it."""
        return self.lang if self.lang != "und" else None

    def reference(self, type: str) -> str | None:
        """The post that it refers to in this way: `replied_to`, `quoted`, `retweeted`."""
        return next((str(each.id) for each in self.referenced_tweets or () if each.type == type and each.id), None)

    def mentions(self, person: str) -> bool:
        """Whether it names somebody."""
        return any(str(each.id) == person for entities in self._entities for each in entities.mentions or ())

    def concerns(self, person: str) -> bool:
        """Whether it is by somebody, answers or names them."""
        return person in (str(self.author_id), str(self.in_reply_to_user_id)) or self.mentions(person)

    def media(self, included: Mapping[str, "Media"]) -> tuple[Medium, ...]:
        """What it shows beside its text."""
        keys = (self.attachments.media_keys if self.attachments else None) or []
        media = [MEDIA[included[key].type] for key in keys if key in included and included[key].type in MEDIA]
        attached: list[Medium] = []
        links: set[str] = set()
        for url in (each.expanded_url for entities in self._entities for each in entities.urls or ()):
            its = _OF_X.fullmatch(url) if url else None
            if its is not None and its[1]:
                attached.append(MEDIA[its[1]])
            elif its is None and url:
                links.add(url)
        return (*(media or attached), *(("link",) if links else ()))

    @property
    def _entities(self) -> Iterable["_Entities"]:
        found = (self.entities, self.note_tweet.entities if self.note_tweet else None)
        return [each for each in found if each is not None]


class Media(Struct):
    """Something attached."""

    media_key: str
    type: str = ""


class _Includes(Struct):
    users: Raw = _NULL
    tweets: Raw = _NULL
    media: Raw = _NULL


class Included:
    """What comes with an event: people, posts, media. It helps and is not needed, so what is damaged is left out."""

    def __init__(self, raw: Raw) -> None:
        found = readable(raw, _Includes) or _Includes()
        self.people = people_of(_each(found.users))
        posts = (readable(each, Post) for each in _each(found.tweets))
        self.posts = {str(each.id): each for each in posts if each is not None}
        media = (readable(each, Media) for each in _each(found.media))
        self.media = {each.media_key: each for each in media if each is not None}

    def author(self, post: str | None) -> str | None:
        """Who wrote a post, where that comes with the event."""
        known = self.posts.get(post) if post else None
        return str(known.author_id) if known is not None and known.author_id else None

    def root_author(self, post: Post) -> str | None:
        """Who began the conversation of a post, as far as that is said."""
        root = post.thread
        if root is None:
            return None
        if root in (str(post.id), post.original):
            return post.author
        if root == post.answered and post.in_reply_to_user_id:
            return str(post.in_reply_to_user_id)
        return self.author(root)


def readable(raw: Raw, shape: type[T]) -> T | None:
    """JSON as `shape`; None where it is not that."""
    try:
        return decode(raw, shape)
    except UnreadableError:
        return None


def _each(raw: Raw) -> list[Raw]:
    return readable(raw, list[Raw]) or []


def people_of(profiles: Iterable[Raw]) -> dict[str, Person]:
    """Profiles by the person's id."""
    found = (readable(each, Person) for each in profiles)
    return {str(each.itself.id): each.itself for each in found if each is not None and each.itself.id}


def actor(id: str, people: Mapping[str, Person], watched: Watched) -> Actor:
    """Somebody, with what comes with the event about them."""
    known = people.get(id) or Person()
    handle = known.username or (watched.account.handle if id == watched.id else None)
    return Actor(
        id, handle=handle, name=known.name or None, avatar_url=known.profile_image_url or None,
        url=f"https://x.com/{known.username}" if known.username else None,
    )  # fmt: skip


def plain(text: str | None) -> str | None:
    """A text as somebody wrote it: X writes `&`, `<` and `>` as HTML does."""
    return text and _ESCAPED.sub(lambda found: _WRITTEN[found[0]], text)


def milliseconds(time: float | None) -> datetime | None:
    """A time in milliseconds since 1970, which X writes as a number or as a string."""
    return time_of(time / 1000 if time is not None else None)


def url_of(post: str) -> str:
    """Where a post is to be seen."""
    return f"https://x.com/i/status/{post}"
