"""What Facebook, Instagram and Threads have in common: how Meta makes sure of an address, how it signs, its envelope.

Source: https://developers.facebook.com/docs/graph-api/webhooks/getting-started and, for the envelopes,
https://developers.facebook.com/docs/instagram-platform/webhooks/examples
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

from msgspec import Raw, Struct
from pydantic import SecretStr

from rapport.kit.config import listed
from services.ingest.hooks.delivery import (
    MOST_CHANGES,
    Delivery,
    Id,
    Lookup,
    UnreadableError,
    Watched,
    decode,
    id_of,
    iso_time_of,
    time_of,
)
from services.ingest.hooks.hook import Answer, UnsignedError, fits, hexdigest

LARGEST_BODY = 2 * 2**20
"""Bytes. A delivery has up to 1,000 changes, nearly all of them short."""
_SIGNATURE = "x-hub-signature-256"
_FIRST_MILLISECONDS = 10**11
"""From here on a time is in milliseconds: as seconds it would lie in the year 5138, as milliseconds it is 1973."""


Sent: TypeAlias = float | str | None
"""A time as Meta writes it: in seconds or milliseconds, as a number or in a string, or in ISO 8601."""


class Change(Struct):
    """What happened, and the name of what the app subscribed to."""

    field: str
    value: Raw


class ReadOne(Protocol):
    """Adds to the delivery what one change says to one account. Whatever it raises is a problem of this change."""

    def __call__(self, raw: Raw, watched: Watched, observed_at: datetime, delivery: Delivery, sent: Sent) -> None:
        """`sent` is the time of its entry: when Meta sent it, and not when it happened."""


class _Envelope(Struct):
    object: str
    entry: list[Raw]


class _Entry(Struct, kw_only=True):
    id: Id
    time: Sent = None
    field: str | None = None
    """Only in the flat envelope, in which an entry is a change by itself, with a `value`."""
    changes: list[Raw] | None = None
    messaging: list[Raw] | None = None
    standby: list[Raw] | None = None
    """Messages as well, while another program of the account has the conversation."""


class _TooManyError(Exception):
    """An entry has more changes than a delivery may have."""


def challenge(query: Mapping[str, str], token: str) -> Answer:
    """Echoes `hub.challenge` to whoever knows the token. Raises UnsignedError."""
    if query.get("hub.mode") != "subscribe":
        raise UnsignedError("hub.mode is not subscribe")
    if not token or not fits(query.get("hub.verify_token", ""), [token]):
        raise UnsignedError("hub.verify_token is not the one that is set here")
    return Answer(query.get("hub.challenge", "").encode(), "text/plain; charset=utf-8")


def check(headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> None:
    """Raises UnsignedError unless the body is signed with one of the app's secrets."""
    given = headers.get(_SIGNATURE, "")
    if not given:
        raise UnsignedError("X-Hub-Signature-256 is missing")
    if not fits(given, [f"sha256={hexdigest(secret, body)}" for secret in secrets]):
        raise UnsignedError("X-Hub-Signature-256 is not the body's, with none of the app's secrets")


def read(
    body: bytes, what: str, lookup: Lookup, observed_at: datetime, change: ReadOne, messaging: ReadOne
) -> Delivery:
    """What a delivery says, change by change. Raises UnreadableError where the whole is not one about `what`.

    `entry[]` has `changes[]{field,value}`, or `field` and `value` itself, and `messaging[]` or `standby[]`. Meta's
    documents show the envelope also as the only item of a list.
    """
    listed = body.lstrip().startswith(b"[")
    entries: list[Raw] = []
    for envelope in decode(body, list[_Envelope]) if listed else [decode(body, _Envelope)]:
        if envelope.object != what:
            raise UnreadableError(f"object is {envelope.object[:60]!r}, not {what}")
        entries += envelope.entry
    delivery = Delivery()
    left = MOST_CHANGES
    for number, raw in enumerate(entries):
        where = f"entry[{number}]"
        try:
            entry = decode(raw, _Entry)
            many = sum(len(each or ()) for each in (entry.changes, entry.messaging, entry.standby))
            if many > left:
                raise _TooManyError
            watched, sent = lookup(id_of(entry.id, "id")), entry.time
            found = _parts(where, raw, entry, change, messaging)
        except _TooManyError:
            raise UnreadableError(f"more than {MOST_CHANGES} changes at once") from None
        except UnreadableError as error:
            delivery.failed(where, error)
            watched, sent, found = (), None, []
        left -= max(1, len(found))
        if left < 0:
            raise UnreadableError(f"more than {MOST_CHANGES} changes at once")
        if found and not watched:
            delivery.ignored["of an account that nobody connected"] += len(found)
        for place, one, read_one in found:
            for account in watched:
                try:
                    read_one(one, account, observed_at, delivery, sent)
                except Exception as error:  # what nobody foresaw must not hold up what comes with it
                    delivery.failed(place, error)
    return delivery


def _parts(where: str, raw: Raw, entry: _Entry, change: ReadOne, messaging: ReadOne) -> list[tuple[str, Raw, ReadOne]]:
    """The changes of an entry: where each is, itself, and what reads it."""
    return [
        *([(where, raw, change)] if entry.field is not None else []),
        *((f"{where}.changes[{place}]", one, change) for place, one in enumerate(entry.changes or ())),
        *((f"{where}.messaging[{place}]", one, messaging) for place, one in enumerate(entry.messaging or ())),
        *((f"{where}.standby[{place}]", one, messaging) for place, one in enumerate(entry.standby or ())),
    ]


def moment(number: float | None) -> datetime | None:
    """A time that Meta writes in seconds at times and in milliseconds at others. Raises UnreadableError."""
    if number is not None and number >= _FIRST_MILLISECONDS:
        number /= 1000
    return time_of(number)


def sent_at(when: Sent) -> datetime | None:
    """When Meta sent something, None where that cannot be read: nothing depends on it but a better guess."""
    try:
        if isinstance(when, str):
            return moment(float(when)) if when.replace(".", "", 1).isdecimal() else iso_time_of(when)
        return moment(when)
    except (UnreadableError, ValueError):
        return None


class MetaHook:
    """A Hook but for `platform`, `id_field` and `read`, which each of Meta's platforms has of its own."""

    also_named: Sequence[str] = ()

    largest_body = LARGEST_BODY

    def __init__(self, secrets: SecretStr, token: SecretStr) -> None:
        """`secrets` are listed, the newest first."""
        self._secrets = listed(secrets.get_secret_value())
        self._token = token.get_secret_value()
        self.set_up = bool(self._secrets)

    def challenge(self, query: Mapping[str, str]) -> Answer:
        """See Hook."""
        return challenge(query, self._token)

    def check(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:  # noqa: ARG002
        """See Hook."""
        check(headers, body, self._secrets)
