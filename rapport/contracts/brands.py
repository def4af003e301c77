"""Every brand as the brands' topic has it: the newest record of each.

Several API processes may write a brand at the same time, and then the older record can come last. So each record
carries the revision of the brand, and one with a lower revision than the last is ignored.

A later version may write what this one cannot read. Then the brand stays as it was read before, and callers can ask
whether anything is missing.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from msgspec import structs

from rapport.contracts import codec
from rapport.contracts.events import Brand, UnknownChannel, WebhookChannel
from rapport.contracts.sealed import changed_connection, door_place, webhook_place
from rapport.contracts.topics import key_of

log = logging.getLogger("rapport.brands")


class Brands:
    """Every brand as it is now. One thread takes records in; any thread may look a brand up."""

    def __init__(self, unseal: Callable[[str, str], str] = lambda _, secret: secret) -> None:
        """`unseal` gives a secret as it was before it was sealed for a place. Raises ValueError."""
        self._unseal = unseal
        self._brands: dict[bytes, Brand] = {}
        self._revisions: dict[bytes, int] = {}
        self._unknown: dict[bytes, tuple[UnknownChannel, ...]] = {}
        self._unreadable: dict[bytes, str] = {}

    def get(self, id: str) -> Brand | None:
        """A brand by its id."""
        return self._brands.get(key_of(id))

    def unknown_channels(self, id: str) -> tuple[UnknownChannel, ...]:
        """The channels of a brand that this version cannot use."""
        return self._unknown.get(key_of(id), ())

    def unreadable(self, id: str) -> str | None:
        """Why the newest record of a brand cannot be read; None where it was read, or where there is none."""
        return self._unreadable.get(key_of(id))

    def hidden(self) -> list[str]:
        """The ids of brands whose newest record cannot be read, so that they may have more than is known of them."""
        return [msgspec.json.decode(key)[0] for key in list(self._unreadable)]

    def revision(self, id: str) -> int:
        """The highest revision of a brand that was seen; 0 where none said."""
        return self._revisions.get(key_of(id), 0)

    def __iter__(self) -> Iterator[Brand]:
        return iter(list(self._brands.values()))

    def __len__(self) -> int:
        return len(self._brands)

    def take(self, record: Any) -> Brand | None:
        """Takes in a record of the topic, and returns the brand if it is now as the record says.

        One that cannot be read leaves the brand as it was.
        """
        key = record.key or b""
        if record.value is None:
            for known in (self._brands, self._revisions, self._unknown, self._unreadable):
                known.pop(key, None)
            return None
        try:
            sealed, unknown = _read(record)
            brand = self._unsealed(sealed)
        except codec.UndecodableError as error:
            self._note_unreadable(key, record, error)
            return None
        revision = revision_of(brand, record.headers)
        if self._is_older(key, revision, record):
            return None
        if unknown:
            log.warning(
                "brand %s has channels that this version cannot use, and their alerts wait for a later one: %s",
                brand.id, ", ".join(f"{each.id} ({each.type})" for each in unknown),
            )  # fmt: skip
        self._brands[key] = brand
        self._revisions[key] = self._revisions.get(key, 0) if revision is None else revision
        self._unknown[key] = unknown
        self._unreadable.pop(key, None)
        return brand

    def _unsealed(self, brand: Brand) -> Brand:
        try:
            accounts = tuple(
                structs.replace(
                    each,
                    door_secrets=tuple(self._unseal(door_place(each.id), secret) for secret in each.door_secrets),
                    connection=changed_connection(each.id, each.connection, self._unseal),
                )
                for each in brand.accounts
            )
            channels = tuple(
                structs.replace(each, secret=self._unseal(webhook_place(brand.id, each.id), each.secret))
                if isinstance(each, WebhookChannel)
                else each
                for each in brand.channels
            )
        except ValueError as error:
            raise codec.UndecodableError(f"a secret cannot be opened: {error}") from error
        return structs.replace(brand, accounts=accounts, channels=channels)

    def _is_older(self, key: bytes, revision: int | None, record: Any) -> bool:
        known = self._revisions.get(key, 0)
        if revision is None or revision >= known:
            return False
        log.warning(
            "%s offset %d is ignored: it is revision %d of brand %r, and %d was read before",
            record.topic, record.offset, revision, key, known,
        )  # fmt: skip
        return True

    def _note_unreadable(self, key: bytes, record: Any, error: Exception) -> None:
        revision = _revision_in_id(record.headers)
        if not _is_brands(key) or (key in self._brands and not _is_object(record.value)):
            log.error("%s offset %d is skipped: %s", record.topic, record.offset, error)
            return
        if self._is_older(key, revision, record):
            return
        log.error("%s offset %d: brand %r cannot be read: %s", record.topic, record.offset, key, error)
        self._unreadable[key] = str(error)
        if revision is not None:
            self._revisions[key] = revision


def _read(record: Any) -> tuple[Brand, tuple[UnknownChannel, ...]]:
    found = codec.type_of(record.headers)
    if found == "rapport.brand.v1":
        return codec.read_brand(record.value)
    event = codec.decode(found, record.value)
    raise codec.UndecodableError(f"a {type(event).__name__}, where only brands belong")


def _is_brands(key: bytes) -> bool:
    """Whether it is the key of a brand, as `key_of` makes it."""
    try:
        return key_of(*msgspec.json.decode(key, type=tuple[str])) == key
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def _is_object(value: bytes) -> bool:
    """Whether a version of Rapport might have written it; anything else says nothing about the brand."""
    try:
        msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def revision_of(brand: Brand, headers: Iterable[tuple[str, bytes | None]]) -> int | None:
    """The revision that a brand's record was made from; None where it does not say.

    Records from before it was a field have it at the end of their `ce_id`.
    """
    if brand.revision:
        return brand.revision
    return _revision_in_id(headers)


def _revision_in_id(headers: Iterable[tuple[str, bytes | None]]) -> int | None:
    event = next((value for name, value in headers if name == "ce_id" and value), b"")
    _, slash, revision = event.decode("utf-8", "replace").rpartition("/")
    return int(revision) if slash and revision.isascii() and revision.isdecimal() and len(revision) < 19 else None
