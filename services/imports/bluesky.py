"""Reads a repository as Bluesky gives it to an account: the brand's own posts and answers. Pure apart from reading.

Records become what the connector makes of them, ids included. So what was read live as well counts once.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO

import libipld
import msgspec
from msgspec.structs import replace

from rapport.contracts.events import Account, Interaction, Kind
from rapport.domain.exchanges.fitting import UnfitError, fit
from services.imports.car import Car
from services.imports.entries import LONGEST, Entry, LeftOut, Source, UnreadableFileError
from services.ingest.connectors.bluesky import PLATFORM as PLATFORM
from services.ingest.connectors.bluesky import records
from services.ingest.connectors.bluesky.frames import FOLLOW, LIKE, POST, REPOST, Change
from services.ingest.connectors.bluesky.normalise import Watched, written
from services.ingest.connectors.seen import Seen

_OWN = "it says nothing of a follower"
IGNORED = {
    LIKE: LeftOut("the brand's own likes", _OWN, wrong=False),
    REPOST: LeftOut("the brand's own reposts", _OWN, wrong=False),
    FOLLOW: LeftOut("the brand's own follows", _OWN, wrong=False),
}
OTHER = "other records"
NOT_A_POST = "not a post"
NOT_A_RECORD = "not a like, repost or follow"
UNCONCERNED = LeftOut(
    "not about the account", "it is the brand's own, or neither answers, names nor quotes the account", wrong=False
)
DAMAGED = "damaged records"
TOO_LONG = "too long"
BEFORE_ALL = datetime(1971, 1, 1, tzinfo=UTC)
"""Before any connection, so the connector takes the author's time, as it does for all of the past."""
_SENT = (
    "id", "kind", "actor", "object", "parent", "conversation", "thread", "post", "text", "media", "language",
    "reaction", "occurred_at", "occurred_at_source",
)  # fmt: skip
"""The fields of an interaction that the generic door takes and that these records have."""


def open_repository(file: BinaryIO, size: int, brand: str, account: Account, now: datetime) -> Source:
    """A repository in a CAR file. Raises UnreadableFileError."""
    car = Car(file, size)
    if not car.did.startswith("did:"):
        raise UnreadableFileError("it is a CAR file, but holds no repository of an account")
    watched = Watched(brand, account, car.did, frozenset({car.did}))
    return Source("bluesky", car.count, lambda: _entries(car, Maker(watched, now)), of=car.did)


class Maker:
    """Makes entries of records, and remembers what was answered."""

    def __init__(self, watched: Watched, now: datetime, *, wrong: bool = True) -> None:
        """`wrong`: whoever imports can correct a record that is not as it should be."""
        self._watched = watched
        self._now = now
        self._wrong = wrong
        self._answers: dict[str, tuple[str, str | None]] = {}
        """By at-uri of an answer, whom and what it answers."""

    def entry(self, at: str, done: int, change: Change, handle: str | None = None) -> Entry:
        """What is imported of a record. `handle` is its author's, where that is known."""
        try:
            record = records.read(change)
            made = written(record, self._watched, self._find, self._now) if record else None
        except RecursionError:
            record = made = None
        what = NOT_A_POST if change.collection == POST else NOT_A_RECORD
        if record is None:
            return self._left_out(at, done, what, "it does not have the fields of one")
        if made is None:
            return Entry(at, done, left_out=UNCONCERNED)
        if record.claimed_at is None:
            return self._left_out(at, done, what, "createdAt is missing or no time")
        interaction, seen = made
        if interaction.kind == "reply":
            self._answers[interaction.object.id] = (seen.follower, seen.parent)
        if handle is not None and interaction.actor.handle is None:
            interaction = replace(interaction, actor=replace(interaction.actor, handle=handle))
        try:
            raw = msgspec.json.encode(_as_sent(fit(interaction)))
        except UnfitError as error:
            return self._left_out(at, done, TOO_LONG, str(error))
        except UnicodeEncodeError:
            return self._left_out(at, done, what, "its text is not text")
        if len(raw) > LONGEST:
            return self._left_out(at, done, TOO_LONG, f"it has more than {LONGEST:,} bytes")
        return Entry(at, done, raw)

    def _left_out(self, at: str, done: int, reason: str, why: str) -> Entry:
        return Entry(at, done, left_out=LeftOut(reason, why, self._wrong))

    def _find(self, uri: str) -> Seen | None:
        if uri not in self._answers:
            return None
        follower, parent = self._answers[uri]
        kind: Kind = "reply"
        conversation = self._watched.pair(follower)
        return Seen(uri, self._watched.account.id, kind, conversation, None, None, follower, parent, "")


def _entries(car: Car, maker: Maker) -> Iterator[Entry]:
    for number, place in enumerate(car.records(), 1):
        at, done = f"{place.collection}/{place.rkey}"[:100], min(number + place.block, car.count)
        if place.collection != POST:
            other = LeftOut(OTHER, f"{place.collection[:60]} is no post", wrong=False)
            yield Entry(at, done, left_out=IGNORED.get(place.collection, other))
            continue
        try:
            content = car.block(place.cid)
        except UnreadableFileError as error:
            yield Entry(at, done, left_out=LeftOut(DAMAGED, str(error)))
            continue
        if not isinstance(content, dict):
            yield Entry(at, done, left_out=LeftOut(NOT_A_POST, "it has no fields"))
            continue
        cid = libipld.encode_cid(place.cid)
        yield maker.entry(at, done, Change(car.did, "create", POST, place.rkey, car.rev, BEFORE_ALL, cid, content))


def _as_sent(interaction: Interaction) -> dict[str, Any]:
    fields = {name: getattr(interaction, name) for name in _SENT}
    return {name: value for name, value in fields.items() if value not in (None, ())}
