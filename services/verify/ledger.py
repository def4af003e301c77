"""The ledger: what the views should show after what was replayed, as the records that say so, by MongoDB's `_id`s."""

from collections.abc import Sequence
from typing import Any

import msgspec
from aiokafka import TopicPartition
from msgspec import Raw, Struct

from rapport.contracts import codec
from rapport.contracts.events import Alert, Interaction
from rapport.contracts.rows import parts_of, row_key
from rapport.domain.erasing import erased_name
from services.api.interactions.documents import InteractionDocument, hour_id, interaction_document
from services.api.projector import batch as projection
from services.api.projector import erasing
from services.scorer.fenced.batch import Batch, Output, decoder
from services.verify.rows import Erased, HourCounts, KindCounts, Letter, Newest, Part, Said, Shared, Shown


class _Head(Struct):
    """What tells a snapshot from the rest of `exchanges`: comments and replies, and control records passed on."""

    fact: str = ""
    brand: str = ""
    revision: int = 0
    id: str = ""


_head = msgspec.json.Decoder(_Head).decode


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

    def _count(self, document: InteractionDocument) -> None:
        """Counts an interaction in its hour, unless it is of somebody who was erased; and notes whose it is."""
        name = erasing.key_of_interaction(document)
        if name is not None and self.batch.row(row_key("erased", name), Erased) is not None:
            return
        hour, kind = hour_id(document["brand"], document["hour"]), document["kind"]
        self._add(hour, kind, 1)
        if name is not None:
            key = row_key("did", name)
            did = self.batch.row(key, HourCounts) or {}
            kinds = did.setdefault(hour, {})
            kinds[kind] = kinds.get(kind, 0) + 1
            self.batch.keep(key, did)

    def _share(self, document: InteractionDocument) -> None:
        """Notes in which hour an interaction may be whose id is in several partitions."""
        hour = hour_id(document["brand"], document["hour"])
        self.batch.keep(row_key("shared", hour, document["_id"]), Shared())
        self._add(hour, document["kind"], 0)  # so that the hour is compared

    def _erase(self, name: str) -> None:
        """Takes what somebody did off the hours."""
        if self.batch.row(row_key("erased", name), Erased) is not None:
            return
        self.batch.keep(row_key("erased", name), Erased())
        for hour, kinds in (self.batch.row(row_key("did", name), HourCounts) or {}).items():
            for kind, many in kinds.items():
                self._add(hour, kind, -many)
        self.batch.drop(row_key("did", name))

    def _add(self, hour: str, kind: str, many: int) -> None:
        key = row_key("hour", hour)
        counts = self.batch.row(key, KindCounts) or {}
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


def _brand_of(key: bytes | None) -> str | None:
    """The brand that a record's key begins with, where it is such a key."""
    try:
        return parts_of(key or b"")[0]
    except (msgspec.DecodeError, UnicodeDecodeError, IndexError):
        return None
