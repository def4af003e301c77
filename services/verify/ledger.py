"""What the views should show by what was replayed, in the very records that say so, under MongoDB's `_id`s."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from aiokafka import TopicPartition
from bson import decode, encode
from bson.codec_options import CodecOptions
from msgspec import Raw, Struct

from rapport.contracts import codec
from rapport.contracts.events import Alert, ExchangeSnapshot, Interaction
from rapport.contracts.rows import EPOCH, FOLLOWER, FollowerRow, parts_of, row_key
from rapport.contracts.topics import ALERTS, key_of, partition_of
from rapport.domain.erasing import erased_name
from rapport.kit.mongo import Document
from services.api.projection import batch as projection
from services.api.projection import erasing
from services.api.projection.documents import (
    alert_document,
    exchange_document,
    follower_document,
    follower_id,
    hour_id,
    interaction_document,
)
from services.scorer.fenced.batch import Batch, Output, decoder
from services.verify.rows import Part

_NOTHING = Raw(b"null")
_STORED: CodecOptions[Document] = CodecOptions(tz_aware=True)


class Shown(Struct, omit_defaults=True):
    """An interaction: the first record of its id in each partition that has one (nearly always one)."""

    where: str
    value: Raw
    others: list[tuple[str, Raw]] = []


class Newest(Struct):
    """The newest snapshot of an exchange."""

    brand: str
    revision: int
    value: Raw


class Said(Struct, omit_defaults=True):
    """An alert: the `place`-th of a partition of `conversations`, -1 where no record says it; how often it is in
    `alerts`."""

    brand: str
    lane: int = 0
    place: int = -1
    value: Raw = _NOTHING
    times: int = 0


class Letter(Struct, omit_defaults=True):
    """A dead letter: why it has to be there, if it has to; how often it is."""

    brand: str | None = None
    because: str | None = None
    times: int = 0


class Shared(Struct):
    """An interaction whose id is in several partitions may be in an hour."""


class Erased(Struct):
    """Somebody was erased."""


class _Owned(Struct):
    """The part of a row that says whose it is; None where a dead letter's key names no brand."""

    brand: str | None = None


class _Met(Struct):
    """The part of a follower's row that says whether there is something to show."""

    met: bool = False


class _Head(Struct):
    """What tells a snapshot from the rest of `exchanges`, which is what was said, and control records handed on."""

    fact: str = ""
    brand: str = ""
    revision: int = 0
    id: str = ""


_head = msgspec.json.Decoder(_Head).decode
_Hour = dict[str, int]
_Hours = dict[str, dict[str, int]]


class Ledger:
    """Written batch by batch: `batch` holds what is new until it is written, then `begin` is called."""

    def __init__(self, part: Part) -> None:
        """Begins with an empty batch."""
        self.part = part
        self.begin()

    def begin(self) -> None:
        """Starts a batch."""
        self.batch = Batch(self.part)

    def interactions(self, records: Sequence[Any]) -> None:
        """Takes in records of one partition of a source, as the projector reads them."""
        where = f"{records[0].topic}:{records[0].partition}"
        seen = projection.read({TopicPartition(records[0].topic, records[0].partition): records})
        for name, document in seen.interactions.items():
            value = Raw(seen.sources[name].value)
            key = row_key("interaction", name)
            known = self.batch.row(key, Shown)
            if known is None:
                self.batch.keep(key, Shown(where, value))
                self._count(document)
            elif where not in (known.where, *(place for place, _ in known.others)):
                if not known.others:
                    self._share(interaction_document(decoder(Interaction).decode(known.value)))
                known.others = [*known.others, (where, value)]
                self.batch.keep(key, known)
                self._share(document)
        for erased in seen.erased:
            self._erase(f"{erased.brand}/{erased_name(erased.brand, erased.platform, erased.follower)}")
        for unreadable in seen.unreadable:
            record = unreadable.record
            self._letter("put aside", f"{where}:{record.offset}", record.key).because = unreadable.why

    def _count(self, document: Document) -> None:
        """Counts an interaction in its hour, unless it is of somebody who was erased; and notes what is of whom."""
        name = erasing.of_interaction(document)
        if name is not None and self.batch.row(row_key("erased", name), Erased) is not None:
            return
        hour, kind = hour_id(document["brand"], document["hour"]), document["kind"]
        self._add(hour, kind, 1)
        if name is not None:
            key = row_key("did", name)
            did = self.batch.row(key, _Hours) or {}
            kinds = did.setdefault(hour, {})
            kinds[kind] = kinds.get(kind, 0) + 1
            self.batch.keep(key, did)

    def _share(self, document: Document) -> None:
        """Notes in which hour an interaction may be whose id is in several partitions."""
        hour = hour_id(document["brand"], document["hour"])
        self.batch.keep(row_key("shared", hour, document["_id"]), Shared())
        self._add(hour, document["kind"], 0)  # so that the hour is compared

    def _erase(self, name: str) -> None:
        """Takes what somebody did off the hours."""
        if self.batch.row(row_key("erased", name), Erased) is not None:
            return
        self.batch.keep(row_key("erased", name), Erased())
        for hour, kinds in (self.batch.row(row_key("did", name), _Hours) or {}).items():
            for kind, many in kinds.items():
                self._add(hour, kind, -many)
        self.batch.drop(row_key("did", name))

    def _add(self, hour: str, kind: str, many: int) -> None:
        key = row_key("hour", hour)
        counts = self.batch.row(key, _Hour) or {}
        counts[kind] = counts.get(kind, 0) + many
        self.batch.keep(key, {name: value for name, value in counts.items() if value})

    def exchange(self, output: Output) -> None:
        """Takes in what the exchanges agent put out, where it is a newer snapshot."""
        assert output.value is not None, "the exchanges agent deletes nothing"
        head = _head(output.value)
        if head.fact != "exchange":
            return
        key = row_key("exchange", head.id)
        known = self.batch.row(key, Newest)
        if known is None or known.revision < head.revision:
            self.batch.keep(key, Newest(head.brand, head.revision, Raw(output.value)))

    def alert(self, output: Output, lane: int, place: int) -> None:
        """Takes in the `place`-th alert of a partition of `conversations`."""
        alert: Alert = codec.decode("rapport.alert.v1", output.value)
        key = row_key("alert", alert.id)
        known = self.batch.row(key, Said) or Said(alert.brand)
        known.brand, known.lane, known.place, known.value = alert.brand, lane, place, Raw(output.value or b"")
        self.batch.keep(key, known)

    def alert_record(self, record: Any) -> None:
        """Counts a record of `alerts`. Raises UndecodableError where it is none."""
        alert: Alert = codec.decode(codec.type_of(record.headers), record.value)
        key = row_key("alert", alert.id)
        known = self.batch.row(key, Said) or Said(alert.brand)
        known.times += 1
        self.batch.keep(key, known)

    def dead(self, where: str, key: bytes | None, because: str) -> None:
        """Notes that the scorer has to put a record aside."""
        self._letter("dead letter", where, key).because = because

    def letter(self, what: str, where: str, key: bytes | None) -> None:
        """Counts a record of a dead-letter topic; `what` is `dead letter` (of the scorer) or `put aside`."""
        self._letter(what, where, key).times += 1

    def _letter(self, what: str, where: str, key: bytes | None) -> Letter:
        row = row_key(what, where)
        found = self.batch.row(row, Letter) or Letter(brand=_brand_of(key))
        self.batch.keep(row, found)
        return found


class Expected:
    """The ledger and the relationships, read as documents. What is in a batch and not yet written is not seen."""

    def __init__(self, ledger: Part, relationships: Sequence[Part]) -> None:
        """`relationships`: the rows of each partition of that agent."""
        self._ledger = ledger
        self._relationships = relationships

    def ids(self, what: str, brand: str | None) -> Iterator[list[str]]:
        """The ids of all documents of a kind, in lists, of one brand or of all."""
        if what == "follower":
            for part in self._relationships:
                prefix = row_key(FOLLOWER) if brand is None else row_key(FOLLOWER, brand)
                for chunk in part.chunks(prefix[:-1] + b","):
                    yield [follower_id(*parts_of(key)[1:]) for key, value in chunk if decoder(_Met).decode(value).met]
            return
        by_id = what in ("interaction", "hour")  # these ids begin with the brand
        kind = "alert" if what == "alert record" else what
        prefix = row_key(kind, f"{brand}/")[:-2] if by_id and brand is not None else row_key(kind)[:-1] + b","
        for chunk in self._ledger.chunks(prefix):
            yield [
                parts_of(key)[1]
                for key, value in chunk
                if by_id or brand is None or decoder(_Owned).decode(value).brand in (brand, None)
            ]

    def documents(self, what: str, id: str) -> list[Document]:
        """The documents that MongoDB may have under an id, as it would give them back; none where it must have none.

        Not of hours: what they count depends on the interactions that MongoDB has (`Comparison.hour`).
        """
        if not isinstance(id, str):
            return []  # nobody of ours wrote that
        return [decode(encode(document), _STORED) for document in self._documents(what, id)]

    def gives(self, what: str, id: str) -> bool:
        """Whether MongoDB has to have a document under an id."""
        if what == "follower" or not isinstance(id, str):
            return bool(self.documents(what, id))
        if what == "alert":
            said = self.said(id)
            return said is not None and said.place >= 0
        if what == "interaction":
            return bool(self.documents(what, id))
        if what == "hour":
            return bool(self.hour(id))
        return self._ledger.get(row_key(what, id)) is not None

    def _documents(self, what: str, id: str) -> Iterable[Document]:
        if what == "follower":
            row = self._follower(id)
            return [follower_document(row, EPOCH)] if row is not None and row.met else []
        value = self._ledger.get(row_key(what, id))
        if value is None:
            return []
        if what == "interaction":
            found = _shapes(decoder(Shown).decode(value))
            return [each for each in found if not self._is_erased(erasing.of_interaction(each))]
        if what == "exchange":
            newest = decoder(Newest).decode(value)
            snapshot = msgspec.json.decode(newest.value, type=ExchangeSnapshot)
            return [self._blank(exchange_document(snapshot, EPOCH), erasing.BLANK_EXCHANGE)]
        if what == "alert":
            said = decoder(Said).decode(value)
            if said.place < 0:
                return []
            return [self._blank(alert_document(decoder(Alert).decode(said.value)), erasing.BLANK)]
        raise ValueError(f"{what} is no kind of document of its own")

    def _is_erased(self, name: str | None) -> bool:
        return name is not None and self._ledger.get(row_key("erased", name)) is not None

    def _blank(self, document: Document, blank: Document) -> Document:
        """An exchange or an alert as it is shown where its follower was erased."""
        return {**document, **blank} if self._is_erased(erasing.of_exchange(document)) else document

    def may_be_missing(self, what: str, id: str) -> bool:
        """Whether MongoDB may, but need not, have a document that the log gives.

        Of an interaction in several partitions it has the first that it was told. Was that of somebody who was erased
        later, it has none.
        """
        value = self._ledger.get(row_key(what, id)) if what == "interaction" else None
        if value is None:
            return False
        return any(self._is_erased(erasing.of_interaction(each)) for each in _shapes(decoder(Shown).decode(value)))

    def shared(self, hour: str) -> dict[str, str | None]:
        """The interactions that are in several partitions and in this hour in one of them: the kind under which
        `hour` counts each, None where it counts it elsewhere or not at all."""
        prefix = row_key("shared", hour)[:-1] + b","
        names = [parts_of(key)[2] for chunk in self._ledger.chunks(prefix) for key, _ in chunk]
        return {name: self._counted_as(name, hour) for name in names}

    def _counted_as(self, name: str, hour: str) -> str | None:
        value = self._ledger.get(row_key("interaction", name))
        assert value is not None, "what is shared is known"
        first = _shapes(decoder(Shown).decode(value))[0]
        if hour_id(first["brand"], first["hour"]) != hour or self._is_erased(erasing.of_interaction(first)):
            return None
        kind: str = first["kind"]
        return kind

    def hour(self, id: str) -> dict[str, int]:
        """The counts by kind of an hour; what is in several partitions counts as in the one that was read first."""
        value = self._ledger.get(row_key("hour", id))
        return decoder(_Hour).decode(value) if value is not None else {}

    def said(self, id: str) -> Said | None:
        """What is known of an alert."""
        value = self._ledger.get(row_key("alert", id))
        return decoder(Said).decode(value) if value is not None else None

    def letter(self, what: str, where: str) -> Letter:
        """What is known of a dead letter."""
        value = self._ledger.get(row_key(what, where))
        return decoder(Letter).decode(value) if value is not None else Letter()

    def _follower(self, id: str) -> FollowerRow | None:
        parts = id.split("/", 2)
        if len(parts) != 3:
            return None
        part = self._relationships[partition_of(key_of(*parts), len(self._relationships))]
        value = part.get(row_key(FOLLOWER, *parts))
        return decoder(FollowerRow).decode(value) if value is not None else None


def _shapes(shown: Shown) -> list[Document]:
    """An interaction as each partition has it, as documents."""
    values = (shown.value, *(other for _, other in shown.others))
    return [interaction_document(decoder(Interaction).decode(each)) for each in values]


def alerts_partition(brand: str) -> int:
    """The partition of `alerts` that a brand's are in."""
    return partition_of(key_of(brand), ALERTS.partitions)


def _brand_of(key: bytes | None) -> str | None:
    """The brand that a record's key begins with, where it is such a key."""
    try:
        return parts_of(key or b"")[0]
    except (msgspec.DecodeError, UnicodeDecodeError, IndexError):
        return None
