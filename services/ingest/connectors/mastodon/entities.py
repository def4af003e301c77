"""Statuses, accounts and notifications as Mastodon writes them, and what can be told from them.

Servers with the same interface differ in what they leave out, and in what they add. Some had quotes before Mastodon:
there the quoted status stands in the place of Mastodon's Quote.

Source: https://docs.joinmastodon.org/entities/Status/, https://docs.joinmastodon.org/entities/Account/,
https://docs.joinmastodon.org/entities/Quote/ and https://docs.joinmastodon.org/entities/Notification/
"""

from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

from msgspec import Raw, Struct

from rapport.contracts.events import Actor, Medium, UtcTime
from rapport.domain.exchanges.fitting import MOST_LINKS
from rapport.domain.times import in_range
from rapport.kit.text import web_address
from services.ingest.connectors.mastodon.text import plain
from services.ingest.hooks.delivery import Id, UnreadableError, bare_handle, decode, id_of

LONGEST_ID = 128
"""Characters. A ULID has 26."""
MEDIA: dict[str, Medium] = {"image": "image", "gifv": "video", "video": "video", "audio": "audio"}

T = TypeVar("T")
_NULL = Raw(b"null")


class _Field(Struct):
    value: str | None = None
    verified_at: str | None = None


class Account(Struct, kw_only=True):
    """Somebody. `acct` has no domain where the account is on the server that was asked."""

    id: Id | None = None
    acct: str | None = None
    display_name: str | None = None
    url: str | None = None
    avatar: str | None = None
    bot: bool | None = None
    fields: Raw = _NULL

    @property
    def links(self) -> Iterable[str]:
        """Addresses on the profile that the server has verified."""
        for field in readable(self.fields, list[_Field]) or ():
            if field.verified_at and field.value:
                yield from plain(field.value)[1]


class _Attachment(Struct):
    type: str | None = None


class _Mention(Struct):
    id: Id | None = None
    acct: str | None = None
    url: str | None = None


class _Quoted(Struct):
    id: Id | None = None
    account: Account | None = None


class _Quote(_Quoted):
    """Mastodon's, or the quoted status itself."""

    quoted_status: _Quoted | None = None
    quoted_status_id: Id | None = None


class _Source(Struct, frozen=True):
    content: str | None = None


class _Akkoma(Struct, frozen=True):
    source: str | _Source | None = None


class _Emoji(Struct, frozen=True):
    name: str | None = None


class Status(Struct, kw_only=True):
    """A status. `reblog` is there where it only passes on another one."""

    id: Id | None = None
    account: Account | None = None
    created_at: UtcTime | None = None
    edited_at: Raw = _NULL
    in_reply_to_id: Id | None = None
    in_reply_to_account_id: Id | None = None
    visibility: str | None = None
    content: str | None = None
    text: str | None = None
    """What was typed, as servers of Misskey's family and GoToSocial add it."""
    akkoma: Raw = _NULL
    spoiler_text: str | None = None
    language: str | None = None
    url: str | None = None
    media_attachments: list[_Attachment] | None = None
    mentions: list[_Mention] | None = None
    card: Raw = _NULL
    quote: Raw = _NULL
    reblog: Raw = _NULL

    @property
    def edited(self) -> datetime | None:
        """When it was edited; None also for a time that nobody can mean: what was written counts all the same."""
        at = readable(self.edited_at, datetime)
        return at if at is not None and at.tzinfo is not None and in_range(at) else None

    @property
    def private(self) -> bool:
        """Whether only those whom it mentions can see it."""
        return self.visibility == "direct"

    @property
    def quotes(self) -> bool:
        """Whether it quotes another status."""
        return bytes(self.quote) not in {b"null", b"false"}

    @property
    def quoted(self) -> tuple[str | None, str | None]:
        """The ids of the quoted status and of its author, as far as they are told."""
        quote = readable(self.quote, _Quote) or _Quote()
        whole = quote.quoted_status or quote
        thing, author = whole.id or quote.quoted_status_id, whole.account.id if whole.account else None
        return short(thing), short(author)

    @property
    def shown(self) -> tuple[str | None, tuple[Medium, ...]]:
        """The text that a reader sees, the content warning in front of it; and what is shown beside it."""
        people = frozenset(each.url for each in self.mentions or () if each.url)
        text, links = plain(self.content or "", quotes=self.quotes, people=people)
        if not (self.content or "").strip():
            text = self._typed
        words = "\n\n".join(part for part in ((self.spoiler_text or "").strip(), text) if part)
        media = [MEDIA[each.type] for each in self.media_attachments or () if each.type in MEDIA]
        if links or bytes(self.card) != b"null":
            media.append("link")
        return words or None, tuple(dict.fromkeys(media))

    @property
    def _typed(self) -> str:
        """What was typed, for a status without the HTML of it."""
        source = (readable(self.akkoma, _Akkoma) or _Akkoma()).source
        content = source.content if isinstance(source, _Source) else source
        return next(filter(None, ((each or "").strip() for each in (self.text, content))), "")


class Notification(Struct, kw_only=True):
    """A notification. `emoji` is Pleroma's and Iceshrimp's, `emoji_reaction` Fedibird's."""

    type: str
    created_at: UtcTime | None = None
    account: Account | None = None
    status: Raw = _NULL
    emoji: str | None = None
    emoji_reaction: Raw = _NULL

    @property
    def reacted(self) -> str | None:
        """The emoji that somebody reacted with; None where the server does not say which."""
        found = self.emoji or (readable(self.emoji_reaction, _Emoji) or _Emoji()).name
        return found or None


def readable(raw: Raw, shape: type[T]) -> T | None:
    """JSON as `shape`; None where it is not that."""
    try:
        return decode(raw, shape)
    except UnreadableError:
        return None


def short(found: Id | None) -> str | None:
    """An id; None where there is none, or none that can be: what somebody says beside it counts all the same."""
    return str(found) if found and len(str(found)) <= LONGEST_ID else None


def bare_id(found: Id | None, what: str) -> str:
    """An id as the server knows it; `what` names it. Raises UnreadableError where there is none that can be."""
    bare = id_of(found, what)
    if len(bare) > LONGEST_ID:
        raise UnreadableError(f"{what} has {len(bare)} characters")
    return bare


def actor_of(account: Account | None, host: str) -> Actor:
    """Somebody, as the server at `host` knows them. Raises UnreadableError where it does not say who."""
    known = account or Account()
    handle = known.acct or None
    return Actor(
        f"{bare_id(known.id, 'account.id')}@{host}",
        handle=f"{handle}@{host}" if handle and "@" not in handle else handle,
        name=(known.display_name or "").strip() or None, avatar_url=web_address(known.avatar),
        bot=known.bot or False, url=web_address(known.url),
        links=tuple(dict.fromkeys(known.links))[:MOST_LINKS],
    )  # fmt: skip


def address(handle: str, host: str) -> str:
    """Somebody's address, by which every server knows them; `host` is of the server where `handle` has no other.

    No id begins as it does.
    """
    bare = bare_handle(handle)
    return f"@{bare}" if "@" in bare else f"@{bare}@{host}"
