"""Reads a repository as Bluesky gives it to an account: the brand's own posts and answers. Pure apart from reading.

They become what the connector makes of the same records, ids included. So what was read live as well counts once.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO

import libipld
import msgspec

from rapport.contracts.events import Account, Interaction, Kind
from services.imports.car import Car
from services.imports.car import Record as Place
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
DAMAGED = "damaged records"
_BEFORE_ALL = datetime(1971, 1, 1, tzinfo=UTC)
"""Before any connection, so the connector takes the author's time, as it does for all of the past."""
_SENT = (
    "id", "kind", "actor", "object", "parent", "conversation", "thread", "post", "text", "media", "language",
    "occurred_at", "occurred_at_source",
)  # fmt: skip
"""The fields of an interaction that the generic door takes and that these records have."""


def open_repository(file: BinaryIO, size: int, brand: str, account: Account, now: datetime) -> Source:
    """A repository in a CAR file. Raises UnreadableFileError."""
    car = Car(file, size)
    if not car.did.startswith("did:"):
        raise UnreadableFileError("it is a CAR file, but holds no repository of an account")
    watched = Watched(brand, account, car.did, frozenset({car.did}))
    return Source("bluesky", car.count, lambda: _Reader(car, watched, now).entries(), of=car.did)


class _Reader:
    """Reads one repository, and remembers what was answered."""

    def __init__(self, car: Car, watched: Watched, now: datetime) -> None:
        self._car = car
        self._watched = watched
        self._now = now
        self._answers: dict[str, tuple[str, str | None]] = {}
        """By at-uri of an answer, whom and what it answers."""

    def entries(self) -> Iterator[Entry]:
        for number, place in enumerate(self._car.records(), 1):
            at, done = f"{place.collection}/{place.rkey}"[:100], min(number + place.block, self._car.count)
            if place.collection != POST:
                other = LeftOut(OTHER, f"{place.collection[:60]} is no post", wrong=False)
                yield Entry(at, done, left_out=IGNORED.get(place.collection, other))
                continue
            yield self._post(at, done, place)

    def _post(self, at: str, done: int, place: Place) -> Entry:
        try:
            content = self._car.block(place.cid)
        except UnreadableFileError as error:
            return Entry(at, done, left_out=LeftOut(DAMAGED, str(error)))
        if not isinstance(content, dict):
            return Entry(at, done, left_out=LeftOut(NOT_A_POST, "it has no fields"))
        cid = libipld.encode_cid(place.cid)
        change = Change(
            self._car.did, "create", POST, place.rkey, self._car.rev, _BEFORE_ALL, cid, content
        )  # fmt: skip
        try:
            record = records.read(change)
            made = written(record, self._watched, self._find, self._now) if record else None
        except RecursionError:
            made = None
        if made is None or record is None:
            return Entry(at, done, left_out=LeftOut(NOT_A_POST, "it does not have the fields of a post"))
        if record.claimed_at is None:
            return Entry(at, done, left_out=LeftOut(NOT_A_POST, "createdAt is missing or no time"))
        interaction, seen = made
        if interaction.kind == "reply":
            self._answers[interaction.object.id] = (seen.follower, seen.parent)
        try:
            raw = msgspec.json.encode(_as_sent(interaction))
        except UnicodeEncodeError:
            return Entry(at, done, left_out=LeftOut(NOT_A_POST, "its text is not text"))
        if len(raw) > LONGEST:
            return Entry(at, done, left_out=LeftOut("too long", f"it has more than {LONGEST:,} bytes"))
        return Entry(at, done, raw)

    def _find(self, uri: str) -> Seen | None:
        if uri not in self._answers:
            return None
        follower, parent = self._answers[uri]
        kind: Kind = "reply"
        return Seen(uri, self._watched.account.id, kind, "", None, None, follower, parent, self._car.rev)


def _as_sent(interaction: Interaction) -> dict[str, Any]:
    fields = {name: getattr(interaction, name) for name in _SENT}
    return {name: value for name, value in fields.items() if value not in (None, ())}
