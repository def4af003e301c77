"""Compares what MongoDB shows with what the log says, and names each difference by its subject and field.

No topic tells in which order engagements and exchanges reached the row of a follower. The row ends the same in any
order, and so does its `version`: that counts news of facts, and all news of one fact comes from one partition. So does
a whole exchange, with its revision. Not compared is what the projector adds for itself:

- `written_at` and `arrived`, when it wrote a document; `stage_noted` of a follower, and its `stage` and `stage_until`,
  which are among the figures (`services.verify.figures`).
- What it notes about the platforms' terms: until when texts and names are kept, and what stands in for a text. Around
  the time when one has to be dropped, a document may have it or not.
- `received_at` of an exchange or an alert whose comment was scored by a version that did not note it.
- `drawn` and `summed` of an hour. They number the recounts. An hour without counts is as good as none.

An interaction whose id is in several partitions may have the shape of any of them, because partitions have no common
order. Its hour counts it in the shape that MongoDB has. How many interactions a brand has of each kind is not compared
separately: it follows once each interaction is right.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from pymongo.database import Database

from rapport.contracts.topics import ALERTS
from rapport.kit.mongo import Document
from services.api.interactions.documents import hour_id
from services.verify.expected import Expected, alerts_partitions, comparable
from services.verify.rows import Said

log = logging.getLogger("rapport.verify")

COLLECTIONS: Mapping[str, str] = {
    "interaction": "interactions",
    "exchange": "exchanges",
    "follower": "followers",
    "alert": "alerts",
    "hour": "hourly",
}
KINDS = (*COLLECTIONS, "alert record", "dead letter", "put aside")
"""What is compared: documents, the records of `alerts`, and the dead letters of the scorer and of the projector."""
AT_ONCE = 1_000
"""Ids per query."""
_OF_THE_PROJECTOR = dict.fromkeys(("written_at", "arrived", "summed", "stage", "stage_until", "stage_noted"), 0)
_NOTED_LATER = ("received_at",)
"""Fields that the rows of earlier versions do not have: what was scored by one of them goes on without."""

Found = Mapping[str, Document]


class Difference(Struct, frozen=True):
    """One field of one subject. `field` is None where one side has nothing of it at all.

    `log`: what the log gives, or of a figure what follows from the facts that the log gave.
    """

    what: str
    id: str
    field: str | None
    mongodb: Any
    log: Any


class Comparison:
    """Queries MongoDB and compares."""

    def __init__(
        self,
        expected: Expected,
        database: Database[Document],
        brand: str | None,
        cut: frozenset[str],
        before: Sequence[int] = (),
    ) -> None:
        """`brand` limits it; `cut`: the partitions (by name) whose beginning retention removed; `before`: how many
        partitions there were at times.
        """
        self._before = before
        self._expected = expected
        self._database = database
        self._brand = brand
        self._cut = cut
        self._kept_from: dict[tuple[int, int], int] = {}
        """By partition of `alerts` and of `conversations`: the place of the first alert that is still there."""

    def size(self, what: str) -> int | None:
        """How many documents of a kind MongoDB has; None where they are records of topics."""
        if what not in COLLECTIONS:
            return None
        collection = self._database[COLLECTIONS[what]]
        return (
            collection.count_documents({"brand": self._brand}) if self._brand else collection.estimated_document_count()
        )

    def whole(self, what: str) -> Iterator[tuple[int, dict[str, list[Difference]]]]:
        """Compares everything of a kind; gives how many were compared, and those that differ, part by part."""
        if what == "alert record":
            self._find_first_kept_alerts()
        for ids in self._expected.ids(what, self._brand):
            for start in range(0, len(ids), AT_ONCE):
                some = ids[start : start + AT_ONCE]
                yield len(some), self.some(what, some)
        if what in COLLECTIONS:
            for ids in self._there(what):
                unknown = [one for one in ids if not self._gives(what, one)]
                yield 0, self.some(what, unknown)

    def some(self, what: str, ids: Sequence[str], found: Found | None = None) -> dict[str, list[Difference]]:
        """Compares some of a kind and gives those that differ. `found`: the documents, where they were read before."""
        if what not in COLLECTIONS:
            compared = {one: list(self._records(what, one)) for one in ids}
        else:
            documents = self.found(what, ids) if found is None else found
            compared = {one: self._document(what, one, documents.get(one)) for one in ids}
        return {one: differences for one, differences in compared.items() if differences}

    def hour(self, id: str) -> dict[str, int]:
        """The counts by kind that an hour should have."""
        counts, shared = self._expected.hour(id), self._expected.shared(id)
        if not shared:
            return counts
        shown = self._database["interactions"].find({"_id": {"$in": list(shared)}}, {"brand": 1, "hour": 1, "kind": 1})
        kept = {each["_id"]: each["kind"] for each in shown if hour_id(each["brand"], each["hour"]) == id}
        for name, counted_as in shared.items():
            for kind, many in ((counted_as, -1), (kept.get(name), 1)):
                if kind is not None:
                    counts[kind] = counts.get(kind, 0) + many
        return {kind: many for kind, many in counts.items() if many}

    def found(self, what: str, ids: Sequence[str]) -> Found:
        """MongoDB's documents by id."""
        found = self._database[COLLECTIONS[what]].find({"_id": {"$in": list(ids)}}, _OF_THE_PROJECTOR)
        return {each["_id"]: comparable(each) for each in found}

    def _there(self, what: str) -> Iterator[list[str]]:
        mine = {} if self._brand is None else {"brand": self._brand}
        ids: list[str] = []
        for each in self._database[COLLECTIONS[what]].find(mine, {"_id": 1}):
            ids.append(each["_id"])
            if len(ids) == AT_ONCE:
                yield ids
                ids = []
        yield ids

    def _document(self, what: str, id: str, document: Document | None) -> list[Difference]:
        try:
            wanted = self._hour(id) if what == "hour" else self._expected.documents(what, id)
        except Exception as error:  # one subject that cannot be recomputed does not stop the others
            log.exception("%s %s cannot be recomputed", what, id)
            return [Difference(what, str(id), None, document, f"cannot be recomputed: {type(error).__name__}")]
        if what == "hour":
            document = _counted(document)
        wanted = [_as_noted(document, each) for each in wanted]
        if document is None and self._expected.may_be_missing(what, id):
            return []
        if document is None or not wanted:
            return [] if document is None and not wanted else [
                Difference(what, str(id), None, document, wanted[0] if wanted else None)
            ]  # fmt: skip
        if any(document == each for each in wanted):
            return []
        return fields_between(what, id, document, wanted[0])

    def _hour(self, id: str) -> list[Document]:
        counts = self.hour(id)
        brand, _, hour = id.partition("/")
        return [{"_id": id, "brand": brand, "hour": _hour_at(hour), "counts": counts}] if counts else []

    def _gives(self, what: str, id: str) -> bool:
        try:
            return self._expected.gives(what, id)
        except Exception:
            return False  # compared below, which reports it

    def _find_first_kept_alerts(self) -> None:
        """Alerts of one partition of `conversations` are in order, so what is missing below the first is cut off."""
        self._kept_from.clear()
        if not self._cut:
            return
        for ids in self._expected.ids("alert", None):
            for said in map(self._expected.said, ids):
                if said is not None and said.times and said.place >= 0:
                    key = alerts_partitions(said.brand, self._before)[-1], said.lane
                    self._kept_from[key] = min(said.place, self._kept_from.get(key, said.place))

    def _records(self, what: str, id: str) -> Iterator[Difference]:
        """How often a topic has an alert, or a dead letter, and how often it should."""
        if what == "alert record":
            said = self._expected.said(id)
            times, wanted = (said.times, int(said.place >= 0)) if said is not None else (0, 0)
            gone = said is not None and self._is_gone(said)
        else:
            letter = self._expected.letter(what, id)
            times, wanted = letter.times, int(letter.because is not None)
            gone = any(each.startswith(f"{id.partition(':')[0]}.") for each in self._cut)
            if what == "put aside":  # the projector repeats what it did not commit
                times = min(times, 1)
        if times != wanted and not (gone and not times):
            yield Difference(what, id, "times", times, wanted)

    def _is_gone(self, said: Said) -> bool:
        there = alerts_partitions(said.brand, self._before)
        if self._cut.isdisjoint(f"{ALERTS.name}:{number}" for number in there):
            return False
        first = self._kept_from.get((there[-1], said.lane))
        return first is None or said.place < first


def _as_noted(document: Document | None, wanted: Document) -> Document:
    """What the log gives, without when a comment was received where that was not noted yet when it was scored."""
    if document is None or any(name in document for name in _NOTED_LATER):
        return wanted
    return {name: value for name, value in wanted.items() if name not in _NOTED_LATER}


def _hour_at(hour: str) -> datetime:
    return datetime.fromisoformat(hour).replace(tzinfo=UTC)


def _counted(document: Document | None) -> Document | None:
    """The counts of an hour, if it has any."""
    if document is None or not document.get("counts"):
        return None
    return {name: value for name, value in document.items() if name != "drawn"}


def fields_between(what: str, id: str, mongodb: Document, log: Document) -> list[Difference]:
    """The fields in which two documents differ, those of documents in them by their path."""
    return list(_fields(what, id, "", mongodb, log))


def _fields(what: str, id: str, path: str, mongodb: Document, log: Document) -> Iterator[Difference]:
    for name in sorted(mongodb.keys() | log.keys()):
        left, right = mongodb.get(name), log.get(name)
        if isinstance(left, dict) and isinstance(right, dict):
            yield from _fields(what, id, f"{path}{name}.", left, right)
        elif left != right or (name in mongodb) != (name in log):
            yield Difference(what, id, f"{path}{name}", left, right)
