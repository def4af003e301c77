"""What a record on Bluesky says: who wrote it, whom it names, what it quotes and shows. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from rapport.contracts.events import Medium
from rapport.domain.times import in_range
from services.ingest.connectors.bluesky_frames import FOLLOW, POST, Change

MENTION = "app.bsky.richtext.facet#mention"
LINK = "app.bsky.richtext.facet#link"
_MEDIA: dict[str, Medium] = {
    "app.bsky.embed.images": "image",
    "app.bsky.embed.video": "video",
    "app.bsky.embed.external": "link",
}
_AT_URI = re.compile(r"at://(did:[a-z]+:[A-Za-z0-9._:%-]+)/([A-Za-z0-9.-]+)/([A-Za-z0-9._:~-]+)")


class Ref(Struct):
    """A reference to a record by its at-uri."""

    uri: str


class ReplyRef(Struct):
    """What a post answers: the root of its thread, and its parent."""

    root: Ref
    parent: Ref


class _Facet(Struct):
    features: list[dict[str, Any]] = []


class PostRecord(Struct):
    """A post, as far as it matters here."""

    text: str = ""
    reply: ReplyRef | None = None
    facets: list[_Facet] | None = None
    embed: dict[str, Any] | None = None
    langs: list[str] | None = None


class _Subject(Struct):
    subject: Ref


class _Follow(Struct):
    subject: str


@dataclass(frozen=True)
class Meaning:
    """A change with its record read: whom it refers to."""

    change: Change
    concerns: frozenset[str]
    """The DIDs of its author, of whom it names, and of whose records it names."""
    post: PostRecord | None = None
    subject: str | None = None


def read(change: Change) -> Meaning | None:
    """What a created or updated record says. None where its shape is not the one its collection has."""
    try:
        if change.collection == POST:
            post = msgspec.convert(change.record, PostRecord)
            named = [*mentioned(post), author_of(quoted(post))]
            if post.reply:
                named += [author_of(post.reply.parent.uri), author_of(post.reply.root.uri)]
            return Meaning(change, _dids(change.did, *named), post=post)
        if change.collection == FOLLOW:
            subject = msgspec.convert(change.record, _Follow).subject
            return Meaning(change, _dids(change.did, subject), subject=subject)
        subject = msgspec.convert(change.record, _Subject).subject.uri
        return Meaning(change, _dids(change.did, author_of(subject)), subject=subject)
    except msgspec.ValidationError:
        return None


def author_of(uri: str | None) -> str | None:
    """The DID of a record's author, from its at-uri. None for anything else."""
    match = _AT_URI.fullmatch(uri or "")
    return match[1] if match else None


def url_of(uri: str) -> str | None:
    """Where people see it: a post's page. Other records have none."""
    match = _AT_URI.fullmatch(uri)
    return f"https://bsky.app/profile/{match[1]}/post/{match[3]}" if match and match[2] == POST else None


def mentioned(post: PostRecord) -> list[str]:
    """The DIDs that its facets mention."""
    features = [feature for facet in post.facets or () for feature in facet.features]
    return [did for one in features if one.get("$type") == MENTION and isinstance(did := one.get("did"), str)]


def quoted(post: PostRecord) -> str | None:
    """The at-uri of the post that this one quotes."""
    record = (post.embed or {}).get("record")
    if isinstance(record, dict) and isinstance(record.get("record"), dict):
        record = record["record"]  # app.bsky.embed.recordWithMedia holds an app.bsky.embed.record
    uri = record.get("uri") if isinstance(record, dict) else None
    return uri if isinstance(uri, str) else None


def media(post: PostRecord) -> tuple[Medium, ...]:
    """The kinds of media that it shows or links to, each once."""
    embed = post.embed or {}
    inner = embed.get("media")
    types: list[Any] = [embed.get("$type"), inner.get("$type") if isinstance(inner, dict) else None]
    found = [_MEDIA[name] for name in types if isinstance(name, str) and name in _MEDIA]
    if any(feature.get("$type") == LINK for facet in post.facets or () for feature in facet.features):
        found.append("link")
    return tuple(dict.fromkeys(found))


def claimed_time(record: dict[str, Any] | None) -> datetime | None:
    """When its author says that it was made. None where that is no time with a zone, or one that nobody can mean."""
    try:
        at = msgspec.convert((record or {}).get("createdAt"), datetime)
        return at if at.tzinfo and in_range(at) else None
    except msgspec.ValidationError:
        return None


def _dids(*found: str | None) -> frozenset[str]:
    return frozenset(did for did in found if did)
