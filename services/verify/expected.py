"""What MongoDB should show: the ledger and the rows of the relationships agent, read as documents."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
from bson import decode, encode
from bson.codec_options import CodecOptions
from msgspec import Struct

from rapport.contracts.events import Alert, ExchangeSnapshot, Interaction
from rapport.contracts.rows import EPOCH, FOLLOWER, FollowerRow, parts_of, row_key, row_prefix
from rapport.contracts.topics import ALERTS, key_of, partition_of
from rapport.kit.mongo import Document
from services.api.alerts.documents import AlertDocument, alert_document
from services.api.exchanges.documents import ExchangeDocument, exchange_document
from services.api.followers.documents import NewFollower, follower_document
from services.api.interactions.documents import InteractionDocument, follower_id, hour_id, interaction_document
from services.api.projector import erasing, forgetting
from services.scorer.fenced.batch import decoder
from services.verify.rows import KindCounts, Letter, Newest, Part, Said, Shown

FORGET_SLACK = timedelta(minutes=10)
"""By how much the upkeep may be late in dropping what a platform's terms no longer let be kept, and how far the clocks
of machines may differ."""
_OF_THE_UPKEEP = ("text_until", "profile_until", "forget_at", "heard", "names_until", "person_revision")

_STORED: CodecOptions[Document] = CodecOptions(tz_aware=True)


class _Owned(Struct):
    """The part of a row that says whose it is; None where a dead letter's key names no brand."""

    brand: str | None = None


class _Met(Struct):
    """The part of a follower's row that says whether there is something to show."""

    met: bool = False


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
                prefix = row_prefix(FOLLOWER) if brand is None else row_prefix(FOLLOWER, brand)
                for chunk in part.chunks(prefix):
                    yield [follower_id(*parts_of(key)[1:]) for key, value in chunk if decoder(_Met).decode(value).met]
            return
        by_id = what in ("interaction", "hour")  # these ids begin with the brand
        kind = "alert" if what == "alert record" else what
        prefix = row_prefix(kind)
        if by_id and brand is not None:
            prefix = row_key(kind, f"{brand}/").removesuffix(b'"]')
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
            return []  # we never write such ids
        now = datetime.now(UTC)
        found: list[Document] = []
        for document in self._documents(what, id):
            before, after = (_kept(what, document, at) for at in (now - FORGET_SLACK, now + FORGET_SLACK))
            for each in (before,) if before is after else (before, after):
                found.append(comparable(decode(encode(each), _STORED)))
        return found

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

    def _documents(self, what: str, id: str) -> Iterable[Mapping[str, Any]]:
        if what == "follower":
            row = self._follower(id)
            return [follower_document(row, EPOCH)] if row is not None and row.met else []
        value = self._ledger.get(row_key(what, id))
        if value is None:
            return []
        if what == "interaction":
            found = _shapes(decoder(Shown).decode(value))
            return [each for each in found if not self._is_erased(erasing.key_of_interaction(each))]
        if what == "exchange":
            newest = decoder(Newest).decode(value)
            snapshot = msgspec.json.decode(newest.value, type=ExchangeSnapshot)
            return [self._blank(exchange_document(snapshot, EPOCH), erasing.BLANK_EXCHANGE)]
        if what == "alert":
            said = decoder(Said).decode(value)
            if said.place < 0:
                return []
            return [self._blank(alert_document(decoder(Alert).decode(said.value)), erasing.BLANK)]
        raise ValueError(f"{what} is not a kind of document")

    def _is_erased(self, name: str | None) -> bool:
        return name is not None and self._ledger.get(row_key("erased", name)) is not None

    def _blank(self, document: ExchangeDocument | AlertDocument, blank: Document) -> Mapping[str, Any]:
        """An exchange or an alert as it is shown where its follower was erased."""
        return {**document, **blank} if self._is_erased(erasing.key_of_exchange(document)) else document

    def may_be_missing(self, what: str, id: str) -> bool:
        """Whether MongoDB may, but need not, have a document that the log gives.

        Of an interaction in several partitions it has the one that it read first. If that one's follower was erased
        later, it has none.
        """
        value = self._ledger.get(row_key(what, id)) if what == "interaction" else None
        if value is None:
            return False
        return any(self._is_erased(erasing.key_of_interaction(each)) for each in _shapes(decoder(Shown).decode(value)))

    def shared(self, hour: str) -> dict[str, str | None]:
        """The interactions that are in several partitions and in this hour in one of them: the kind under which
        `hour` counts each, None where it counts it elsewhere or not at all."""
        prefix = row_prefix("shared", hour)
        names = [parts_of(key)[2] for chunk in self._ledger.chunks(prefix) for key, _ in chunk]
        return {name: self._counted_as(name, hour) for name in names}

    def _counted_as(self, name: str, hour: str) -> str | None:
        value = self._ledger.get(row_key("interaction", name))
        assert value is not None, "what is shared is known"
        first = _shapes(decoder(Shown).decode(value))[0]
        if hour_id(first["brand"], first["hour"]) != hour or self._is_erased(erasing.key_of_interaction(first)):
            return None
        kind: str = first["kind"]
        return kind

    def hour(self, id: str) -> dict[str, int]:
        """The counts by kind of an hour; what is in several partitions counts as in the one that was read first."""
        value = self._ledger.get(row_key("hour", id))
        return decoder(KindCounts).decode(value) if value is not None else {}

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


def _kept(what: str, document: Mapping[str, Any], at: datetime) -> Mapping[str, Any]:
    """A document as a platform's terms let it be kept at a time."""
    if what == "interaction":
        return forgetting.interaction(cast(InteractionDocument, document), at, lambda _: "")
    if what == "follower":
        return forgetting.follower(cast(NewFollower, document), at)
    return forgetting.told(cast(ExchangeDocument, document), at)


def comparable(document: Document) -> Document:
    """A document without the notes about what has to be dropped from it, and what stands in for its text."""
    found = {name: value for name, value in document.items() if name not in _OF_THE_UPKEEP}
    for part in ("first", "follower"):
        if isinstance(found.get(part), dict):
            found[part] = {name: value for name, value in found[part].items() if name != "kept_until"}
    return found


def _shapes(shown: Shown) -> list[InteractionDocument]:
    """An interaction as each partition has it, as documents."""
    values = (shown.value, *(other for _, other in shown.others))
    return [interaction_document(decoder(Interaction).decode(each)) for each in values]


def alerts_partitions(brand: str, before: Iterable[int]) -> list[int]:
    """The partitions of `alerts` that a brand's may be in, today's last; `before`: how many there were at times."""
    return [partition_of(key_of(brand), count) for count in (*before, ALERTS.partitions)]
