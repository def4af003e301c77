"""Bluesky's records, parsed: who wrote one, whom and what it refers to, what it shows. Pure."""

from datetime import datetime
from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta, Struct

from rapport.contracts.events import Medium
from rapport.domain.times import in_range
from services.ingest.connectors.bluesky.frames import AT_URI, BLOCK, FOLLOW, POST, THREADGATE, Change

MENTION = "app.bsky.richtext.facet#mention"
LINK = "app.bsky.richtext.facet#link"
_MEDIA: dict[str, Medium] = {
    "app.bsky.embed.images": "image",
    "app.bsky.embed.gallery": "image",
    "app.bsky.embed.video": "video",
    "app.bsky.embed.external": "link",
}


class Reference(Struct, frozen=True):
    """What a record refers to. `author` is None where `uri` is not an at-uri."""

    uri: str
    author: str | None

    @classmethod
    def to(cls, uri: str) -> Self:
        """The record at an at-uri."""
        match = AT_URI.fullmatch(uri)
        return cls(uri, match[1] if match else None)

    @classmethod
    def to_person(cls, did: str) -> Self:
        """A person, as a follow names one."""
        return cls(did, did)

    @property
    def url(self) -> str | None:
        """Where people see it: a post's page. Other records have none."""
        match = AT_URI.fullmatch(self.uri)
        return f"https://bsky.app/profile/{match[1]}/post/{match[3]}" if match and match[2] == POST else None


class Post(Struct, frozen=True):
    """A post. `root` and `parent` are of the thread that it answers in; `mentions` are DIDs."""

    text: str
    language: str | None
    root: Reference | None
    parent: Reference | None
    quote: Reference | None
    mentions: tuple[str, ...]
    embed: dict[str, Any]
    links: bool
    """Whether its text has links."""

    @property
    def media(self) -> tuple[Medium, ...]:
        """The kinds of media that it shows or links to, each once."""
        inner = self.embed.get("media")
        types: list[Any] = [self.embed.get("$type"), inner.get("$type") if isinstance(inner, dict) else None]
        media = [_MEDIA[name] for name in types if isinstance(name, str) and name in _MEDIA]
        if self.links:
            media.append("link")
        return tuple(dict.fromkeys(media))


class Record(Struct, frozen=True):
    """A created or updated record: a post, what is liked, reposted, followed or blocked (`subject`), or what a thread's
    gate hides (`hidden`).

    Most records of a network concern nobody here. So what only an interaction needs is read when it is asked for.
    """

    change: Change
    concerns: tuple[str, ...]
    """The DIDs of its author, of the authors of the records it names, beginning with the thread's, and of the people it
    names. If it concerns several accounts of a brand, it is what it is to the first."""
    post: Post | None = None
    subject: Reference | None = None
    hidden: tuple[Reference, ...] | None = None

    @property
    def claimed_at(self) -> datetime | None:
        """When its author says that it was made.

        None where that is no time with a zone, or one that nobody can mean.
        """
        try:
            at = msgspec.convert((self.change.record or {}).get("createdAt"), datetime)
            return at if at.tzinfo and in_range(at) else None
        except msgspec.ValidationError:
            return None


class _Uri(Struct):
    uri: str


class _Reply(Struct):
    root: _Uri
    parent: _Uri


class _Facet(Struct):
    features: list[dict[str, Any]] = []


class _Post(Struct):
    text: str = ""
    reply: _Reply | None = None
    facets: list[_Facet] | None = None
    embed: dict[str, Any] | None = None
    langs: list[str] | None = None


class _Subject(Struct):
    subject: _Uri


class _Person(Struct):
    subject: str


MOST_HIDDEN = 300
"""Replies that one gate hides: what the network allows."""


class _Gate(Struct):
    post: str
    hiddenReplies: Annotated[list[str], Meta(max_length=MOST_HIDDEN)] = []  # noqa: N815 - the network's name


def read(change: Change) -> Record | None:
    """The record of a change. None where its shape is not the one its collection has."""
    try:
        if change.collection == POST:
            return _with_post(change, _post(msgspec.convert(change.record, _Post)))
        if change.collection in (FOLLOW, BLOCK):
            return _with_subject(change, Reference.to_person(msgspec.convert(change.record, _Person).subject))
        if change.collection == THREADGATE:
            return _with_gate(change, msgspec.convert(change.record, _Gate))
        return _with_subject(change, Reference.to(msgspec.convert(change.record, _Subject).subject.uri))
    except msgspec.ValidationError:
        return None


def _with_post(change: Change, post: Post) -> Record:
    named = [reference.author for reference in (post.root, post.parent, post.quote) if reference]
    return Record(change, _dids(change.did, *named, *post.mentions), post=post)


def _with_subject(change: Change, subject: Reference) -> Record:
    return Record(change, _dids(change.did, subject.author), subject=subject)


def _with_gate(change: Change, gate: _Gate) -> Record | None:
    """None where the gate is not that of the post which it names: the network pays no attention to such a one."""
    if gate.post != gated_post(change):
        return None
    return Record(change, _dids(change.did), hidden=tuple(map(Reference.to, gate.hiddenReplies)))


def gated_post(change: Change) -> str:
    """The post whose thread a gate is for: of the same person, with the same key."""
    return f"at://{change.did}/{POST}/{change.rkey}"


def _post(raw: _Post) -> Post:
    features = [feature for facet in raw.facets or () for feature in facet.features]
    embed = raw.embed or {}
    return Post(
        text=raw.text,
        language=raw.langs[0] if raw.langs else None,
        root=Reference.to(raw.reply.root.uri) if raw.reply else None,
        parent=Reference.to(raw.reply.parent.uri) if raw.reply else None,
        quote=_quote(embed),
        mentions=tuple(
            did
            for feature in features
            if feature.get("$type") == MENTION and isinstance(did := feature.get("did"), str)
        ),
        embed=embed,
        links=any(feature.get("$type") == LINK for feature in features),
    )


def _quote(embed: dict[str, Any]) -> Reference | None:
    record = embed.get("record")
    if isinstance(record, dict) and isinstance(record.get("record"), dict):
        record = record["record"]  # app.bsky.embed.recordWithMedia holds an app.bsky.embed.record
    uri = record.get("uri") if isinstance(record, dict) else None
    return Reference.to(uri) if isinstance(uri, str) else None


def _dids(*dids: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(did for did in dids if did))
