"""Reads what comes through the generic door: a body becomes interactions, or the reasons why not. Pure.

All or nothing: one bad item refuses the whole body, so a sender never has to find out which part was taken.
"""

import contextlib
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct

from rapport.contracts.events import (
    Account,
    Interaction,
    Kind,
    Medium,
    Object,
    OccurredAtSource,
    Text,
    UtcTime,
)
from rapport.domain.exchanges.addressing import UnaddressableError, address, occurred
from rapport.domain.exchanges.fitting import MOST_MEDIA, Language, Word, Words
from rapport.kit.broker.producer import Record
from services.ingest.broker import LARGEST_VALUE, record_of
from services.ingest.strict import StrictActor, StrictObject, StrictParent, unknown_field

LARGEST_AMOUNT = Decimal(10) ** 15
"""More than any purchase. Keeps `1e999999` out of sums."""
FINEST_AMOUNT = -9
"""Decimal places of an amount; the smallest unit of any currency has fewer."""
MOST_ZEROS = 15
"""The largest exponent of an amount. Only a zero, such as `0e999999`, can have a larger one and still be in range."""

MOST_ITEMS = 5_000
"""In one body. An item that says something has at least 200 bytes, so a body of a mebibyte is full before that."""
MOST_REJECTED = 100
"""How many wrong items an answer names. Nobody reads more."""


class Received(Struct, kw_only=True, forbid_unknown_fields=True):
    """An interaction as a sender writes it; the rest of `Interaction` is derived or stamped."""

    id: Text
    kind: Kind
    actor: StrictActor
    object: StrictObject | None = None
    parent: StrictParent | None = None
    brand: Text | None = None
    platform: Text | None = None
    account: Text | None = None
    conversation: Text | None = None
    thread: Text | None = None
    post: Text | None = None
    text: Words | None = None
    media: Annotated[tuple[Medium, ...], Meta(max_length=MOST_MEDIA)] = ()
    language: Language | None = None
    reaction: Word | None = None
    amount: Decimal | None = None
    currency: Word | None = None
    campaign: Word | None = None
    automatic: bool = False
    undo: bool = False
    occurred_at: UtcTime | None = None
    occurred_at_source: OccurredAtSource = "platform"
    observed_at: Any = None
    """Part of an interaction, so senders may send it; ours is used."""


class Rejection(Struct, omit_defaults=True):
    """Why one item of a body is refused. `where` is the field; `index` counts from 0."""

    index: int
    where: str
    why: str
    id: str | None = None


class NotJsonError(ValueError):
    """The body is not JSON, or neither an object, an array, nor one object per line."""


class RejectedError(ValueError):
    """Some items of the body are wrong, so none is taken."""

    def __init__(self, rejected: list[Rejection], of: int) -> None:
        shown = f"; the first {MOST_REJECTED} are named" if len(rejected) > MOST_REJECTED else ""
        super().__init__(f"{len(rejected)} of {of} interactions are wrong; none was taken{shown}")
        self.rejected = rejected[:MOST_REJECTED]
        self.count = len(rejected)


class TooManyError(ValueError):
    """A body has too many items."""


T = TypeVar("T")

_ONE = msgspec.json.Decoder(Received)
_MANY = msgspec.json.Decoder(list[Received])
_PARTS = msgspec.json.Decoder(list[msgspec.Raw])
_ANY = msgspec.json.Decoder()


def read(
    body: bytes, *, lines: bool, brand: str, account: Account, observed_at: datetime
) -> list[tuple[Interaction, Record]]:
    """The interactions of a body with their records, in its order. `lines` says that it is NDJSON.

    An object, an array, or one object per line. Raises NotJsonError, RejectedError and TooManyError.
    """
    received, rejected = _decode(body, lines)
    found: list[tuple[Interaction, Record]] = []
    for index, item in enumerate(received):
        if item is None:
            continue
        try:
            interaction = complete(item, brand, account, observed_at)
            record = record_of(interaction)
            if len(record.value) > LARGEST_VALUE:
                raise UnaddressableError("", f"{len(record.value)} bytes; at most {LARGEST_VALUE} can be taken")
        except UnaddressableError as error:
            rejected.append(Rejection(index, error.where, str(error), item.id))
        else:
            found.append((interaction, record))
    if rejected:
        raise RejectedError(sorted(rejected, key=lambda one: one.index), len(received))
    return found


def complete(item: Received, brand: str, account: Account, observed_at: datetime) -> Interaction:
    """The interaction of a received item, for the account it came in for. Raises UnaddressableError."""
    for where, given, own in (
        ("brand", item.brand, brand),
        ("platform", item.platform, account.platform),
        ("account", item.account, account.id),
    ):
        if given is not None and given != own:
            raise UnaddressableError(where, f"is {given!r}, but the account of this request belongs to {own!r}")
    amount = item.amount
    if amount is not None and not _usable(amount):
        raise UnaddressableError("amount", "has to be a finite number below 10^15 with at most 9 decimal places")
    if amount is not None and amount < 0 and item.kind == "purchase" and not item.undo:
        why = "a purchase has none below 0; one that is taken back is sent with `undo` and the `object` of the purchase"
        raise UnaddressableError("amount", why)
    kind = _kind_of(item, account)
    actor = item.actor.plain()
    thing = item.object.plain() if item.object else None
    parent = item.parent.plain() if item.parent else None
    addressed = address(
        kind=kind,
        account=account.id,
        actor=actor,
        object=thing,
        parent=parent,
        conversation=item.conversation,
        thread=item.thread,
        post=item.post,
    )
    time = occurred(item.occurred_at, item.occurred_at_source, observed_at)
    return Interaction(
        id=item.id,
        brand=brand,
        platform=account.platform,
        account=account.id,
        kind=kind,
        actor=actor,
        object=thing or Object(item.id),
        conversation=addressed.conversation,
        thread=addressed.thread,
        occurred_at=time.at,
        occurred_at_source=time.source,
        clamped=time.clamped,
        observed_at=observed_at,
        undo=item.undo,
        parent=parent,
        post=item.post,
        text=item.text,
        media=item.media,
        language=item.language,
        reaction=item.reaction,
        amount=amount,
        currency=item.currency,
        campaign=item.campaign,
        automatic=item.automatic,
        staff=item.actor.id in account.staff,
    )


def _kind_of(item: Received, account: Account) -> Kind:
    """If staff write to a follower's comment from an account of their own, it is the brand's reply."""
    to_a_follower = item.parent is not None and item.parent.actor not in account.staff
    if item.kind in ("comment", "mention") and item.actor.id in account.staff and to_a_follower:
        return "reply"
    return item.kind


def _usable(amount: Decimal) -> bool:
    exponent = amount.as_tuple().exponent
    # Compared, not computed: `abs` raises for an exponent that is beyond what the decimal context allows.
    finite = isinstance(exponent, int) and FINEST_AMOUNT <= exponent <= MOST_ZEROS
    return finite and -LARGEST_AMOUNT < amount < LARGEST_AMOUNT


def _decode(body: bytes, lines: bool) -> tuple[Sequence[Received | None], list[Rejection]]:
    """The items in order, with None for malformed ones, and the reasons."""
    start = body.lstrip()[:1]
    if not start:
        raise NotJsonError("the body is empty")
    try:
        if start == b"[" and not lines:
            return _few(_MANY.decode(body)), []
        if start == b"{" and not lines:
            return [_ONE.decode(body)], []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # read once more, piece by piece, to say which one is wrong
    received: list[Received | None] = []
    rejected: list[Rejection] = []
    for index, part in enumerate(_parts(body, start, lines)):
        try:
            received.append(_ONE.decode(part))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            received.append(None)
            rejected.append(_rejection(index, part, error))
    return received, rejected


def _parts(body: bytes, start: bytes, lines: bool) -> Sequence[bytes | msgspec.Raw]:
    """The items of a body, not decoded yet, each valid JSON. Raises NotJsonError."""
    if not lines and start not in (b"{", b"["):
        _checked(body, "the body")
        raise NotJsonError("the body is neither an object nor an array nor one object per line")
    if not lines and start == b"[":
        try:
            return _few(_PARTS.decode(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise NotJsonError(f"the body is not JSON: {error}") from None
    if not lines and not _is_lines(body):
        _checked(body, "the body")
        return [body]
    parts = [(number, line) for number, line in enumerate(body.split(b"\n"), 1) if line.strip()]
    for number, line in _few(parts):
        _checked(line, f"line {number}")
    return [line for _, line in parts]


def _few(items: list[T]) -> list[T]:
    if len(items) > MOST_ITEMS:
        raise TooManyError(f"{len(items)} interactions; at most {MOST_ITEMS} are taken at once")
    return items


def _is_lines(body: bytes) -> bool:
    """Whether it is NDJSON that is not declared as such: the first of several lines is JSON by itself."""
    first, _, rest = body.strip().partition(b"\n")
    if not rest:
        return False
    try:
        _ANY.decode(first)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _checked(part: bytes, what: str) -> None:
    try:
        _ANY.decode(part)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotJsonError(f"{what} is not JSON: {error}") from None


def _rejection(index: int, part: bytes | msgspec.Raw, error: Exception) -> Rejection:
    """msgspec says: why - at `$.path`. It names a missing field in the why."""
    why, _, path = str(error).partition(" - at `$.")
    path = path.rstrip("`")
    if why.startswith("Object missing required field `"):
        path = f"{path}.{why.split('`')[1]}".lstrip(".")
    path, why = unknown_field(why, path, Received) or (path, why)
    loose: Any = None
    # What is not read of it may be no text at all.
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        loose = _ANY.decode(part)
    if path == "kind" and why.startswith("Invalid enum value"):
        why = f"{why}; it has to be one of {', '.join(get_args(Kind))}"
    named = loose.get("id") if isinstance(loose, dict) else None
    return Rejection(index, path, why, named if isinstance(named, str) else None)
