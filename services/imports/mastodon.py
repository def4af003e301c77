"""Reads an archive as Mastodon gives it to an account: the brand's own posts and answers. Pure apart from reading.

The archive (a zip, a tar.gz from older servers) holds `outbox.json`, an ActivityStreams collection of what the account
did. The account's own posts get the ids that the connector gives them. Other posts, and people, get those of
ActivityPub, which are addresses: an archive does not say what the account's server calls them.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from rapport.contracts.events import Medium
from rapport.domain.exchanges.fitting import LONGEST_TEXT, MOST_MEDIA, cut
from services.imports import archives
from services.imports.entries import LONGEST, Entry, LeftOut, Source, UnreadableFileError
from services.ingest.connectors.mastodon.text import plain

OUTBOX = "outbox.json"
PUBLIC = frozenset({"https://www.w3.org/ns/activitystreams#Public", "as:Public", "Public"})
NOT_AN_ACTIVITY = "not an activity of a Mastodon archive"
BOOST = LeftOut("the brand's own boosts", "a boost of somebody else's post tells nothing of a follower", wrong=False)
OTHER = "other activities than posts"
PRIVATE = LeftOut(
    "private messages that answer nothing", "it is addressed to named people and answers no post", wrong=False
)
NOBODY = LeftOut("answers that do not say to whom", "it names no author of the post that it answers", wrong=False)
_POSTS = frozenset({"Note", "Question", "Article"})
_MEDIA: dict[str, Medium] = {"image": "image", "video": "video", "audio": "audio"}


class _Collection(Struct):
    orderedItems: list[msgspec.Raw]  # noqa: N815 - the format's own name


class _Activity(Struct):
    type: str
    actor: str
    object: Any = None


class _Tag(Struct):
    type: str = ""
    href: str | None = None


class _Attachment(Struct):
    media_type: str | None = msgspec.field(default=None, name="mediaType")


class _Note(Struct, rename="camel"):
    id: str
    published: str
    type: str = "Note"
    in_reply_to: str | None = None
    url: str | None = None
    summary: str | None = None
    content: str | None = None
    content_map: dict[str, Any] | None = None
    tag: list[_Tag] = []
    attachment: list[_Attachment] = []
    to: list[str] = []
    cc: list[str] = []


class Answered(NamedTuple):
    """What an answer answers: a post, and its author."""

    post: str
    author: str


def open_archive(file: BinaryIO, size: int) -> Source:
    """An archive, or the `outbox.json` of one. Raises UnreadableFileError."""
    file.seek(0)
    if file.read(64).lstrip()[:1] == b"{":
        if size > archives.LARGEST_FOUND:
            raise UnreadableFileError(f"it has more than {archives.LARGEST_FOUND >> 20} MiB")
        file.seek(0)
        outbox = file.read(archives.LARGEST_FOUND)
    else:
        outbox = archives.find(file, size, OUTBOX)
    activities = _activities(outbox)
    owner = next((its.actor for its in map(_activity, activities) if its is not None), None)
    if owner is None:
        raise UnreadableFileError(f"{OUTBOX} has no activity")
    return Source("mastodon", len(activities), lambda: _Reader(owner).entries(activities), of=handle_of(owner))


def _activities(outbox: bytes) -> list[msgspec.Raw]:
    try:
        return msgspec.json.decode(outbox, type=_Collection).orderedItems
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableFileError(f"{OUTBOX} is not an outbox: {error}") from None


def _activity(raw: bytes | msgspec.Raw) -> _Activity | None:
    try:
        return msgspec.json.decode(raw, type=_Activity)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class _Reader:
    """Reads the activities of one person, oldest first as in the archive, and remembers what was answered."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._host = _server(owner)
        self._answered: dict[str, Answered] = {}

    def entries(self, activities: list[msgspec.Raw]) -> Iterator[Entry]:
        for number, raw in enumerate(activities, 1):
            at = f"activity {number}"
            found = self._read(raw)
            if isinstance(found, LeftOut):
                yield Entry(at, number, left_out=found)
                continue
            encoded = msgspec.json.encode(found)
            if len(encoded) > LONGEST:
                yield Entry(at, number, left_out=LeftOut("too long", f"it has more than {LONGEST:,} bytes"))
            else:
                yield Entry(at, number, encoded)

    def _read(self, raw: msgspec.Raw) -> dict[str, Any] | LeftOut:
        activity = _activity(raw)
        if activity is None:
            return LeftOut(NOT_AN_ACTIVITY, "type or actor is missing")
        if activity.actor != self._owner:
            return LeftOut(NOT_AN_ACTIVITY, "it is by somebody else than the activities before it")
        if activity.type == "Announce":
            return BOOST
        if activity.type != "Create":
            return LeftOut(OTHER, f"{activity.type[:60]} is no post", wrong=False)
        try:
            note = msgspec.convert(activity.object, _Note)
        except (msgspec.ValidationError, RecursionError) as error:
            return LeftOut(NOT_AN_ACTIVITY, f"its object: {error}")
        if note.type not in _POSTS:
            return LeftOut(OTHER, f"{note.type[:60]} is no post", wrong=False)
        return self._interaction(note)

    def _interaction(self, note: _Note) -> dict[str, Any] | LeftOut:
        text, links = plain(note.content or "")
        found: dict[str, Any] = {
            "id": self._id(note.id),
            "kind": "post",
            "actor": {"id": self._owner, "handle": handle_of(self._owner)},
            "object": {"id": self._id(note.id), "url": note.url},
            "text": cut(f"{note.summary}\n\n{text}" if note.summary else text, LONGEST_TEXT) or None,
            "media": _media(note, links),
            "language": next(iter(note.content_map), None) if note.content_map else None,
            "occurred_at": note.published,
        }
        if note.in_reply_to is None:
            return PRIVATE if _is_private(note) else found
        answered = self._what_it_answers(note, note.in_reply_to)
        if answered is None:
            # The next part of a thread of the brand's own.
            return PRIVATE if _is_private(note) else {**found, "parent": {"id": self._id(note.in_reply_to)}}
        if not answered.author:
            return NOBODY
        self._answered[note.id] = answered
        return {**found, "kind": "reply", "parent": {"id": self._id(answered.post), "actor": answered.author}}

    def _id(self, address: str) -> str:
        """The id of a post: of the account's own as the connector has it, else its address."""
        own = address.removeprefix(f"{self._owner}/statuses/")
        return f"{own}@{self._host}" if self._host and own != address and own.isalnum() else address

    def _what_it_answers(self, note: _Note, parent: str) -> Answered | None:
        """None where it continues a post of the brand. The author is empty where nothing names one."""
        if parent in self._answered:
            return self._answered[parent]  # the second part of a long answer answers what the first part did
        if parent.startswith(f"{self._owner}/"):
            return None
        mentioned = list(dict.fromkeys(tag.href for tag in note.tag if tag.type == "Mention" and tag.href))
        others = [each for each in mentioned if each != self._owner]
        by_address = [each for each in others if parent.startswith(f"{each}/")]
        if by_address:
            return Answered(parent, max(by_address, key=len))
        return Answered(parent, others[0] if len(others) == 1 else "")


def _server(actor: str) -> str:
    try:
        return urlsplit(actor).netloc.lower()
    except ValueError:
        return ""


def handle_of(actor: str) -> str | None:
    """`@name@server` of a person's address. None if the address is not Mastodon's, or has a number for a name."""
    try:
        parts = urlsplit(actor)
        server = parts.hostname
    except ValueError:
        return None
    name = parts.path.rstrip("/").rpartition("/")[2].removeprefix("@")
    numbered = parts.path.startswith("/ap/users/")
    return f"@{name}@{server}"[:256] if name and server and not numbered else None


def _is_private(note: _Note) -> bool:
    return not any(each in PUBLIC or each.endswith("/followers") for each in (*note.to, *note.cc))


def _media(note: _Note, links: list[str]) -> list[Medium]:
    kinds = [(each.media_type or "").partition("/")[0] for each in note.attachment[:MOST_MEDIA]]
    media = [_MEDIA[kind] for kind in kinds if kind in _MEDIA]
    return list(dict.fromkeys([*media, "link"] if links else media))
