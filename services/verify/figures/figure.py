"""What a figure is, and the facts that it is recomputed from."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo.database import Database

from rapport.kit.mongo import Document
from rapport.kit.parts import parts

AT_ONCE = 200
"""Ids per query, as the upkeep takes them."""

Stored = Mapping[str, Any]
Made = Mapping[str, Mapping[str, Any] | None]
"""By id; None where nothing has to be there."""


@dataclass(frozen=True)
class Facts:
    """One brand's views, and the time."""

    database: Database[Any]
    brand: str
    now: datetime

    def ids(self, collection: str, query: Document | None = None, hint: str | None = None) -> Iterator[str]:
        """The ids of this brand's documents."""
        found = self.database[collection].find({"brand": self.brand, **(query or {})}, {"_id": 1}, hint=hint)
        return (each["_id"] for each in found)

    def found(self, collection: str, ids: Iterable[str], fields: Document | None = None) -> dict[str, Any]:
        """Documents by id."""
        return {each["_id"]: each for each in self.database[collection].find({"_id": {"$in": list(ids)}}, fields)}


@dataclass(frozen=True)
class Figure:
    """Something that is kept up to date in a collection.

    `due` gives the ids that the facts speak of. `made` recomputes some of them, given what is stored, and leaves out
    what must not be compared. `fields` limits what of a document is compared.
    """

    what: str
    collection: str
    due: Callable[[Facts], Iterable[str]]
    made: Callable[[Facts, Sequence[str], Stored], Made]
    fields: tuple[str, ...] = ()

    def ids(self, facts: Facts) -> Iterator[list[str]]:
        """What is stored, and what should be, in parts; nothing twice."""
        for some in parts(facts.ids(self.collection), AT_ONCE):
            yield some
        for some in parts(self.due(facts), AT_ONCE):
            there = facts.found(self.collection, some, {"_id": 1})
            yield [one for one in some if one not in there]

    def both(self, facts: Facts, ids: Sequence[str]) -> dict[str, tuple[Document | None, Document | None]]:
        """For each of these: what is stored, and what should be."""
        stored = facts.found(self.collection, ids)
        wanted = self.made(facts, ids, stored)
        return {one: (self._shown(stored.get(one)), self._shown(each)) for one, each in wanted.items()}

    def _shown(self, document: Mapping[str, Any] | None) -> Document | None:
        if document is None:
            return None
        kept = {name: document.get(name) for name in self.fields} if self.fields else document
        return _without_zeros(kept) or None


def _without_zeros(counts: Mapping[str, Any]) -> Document:
    """A document without counts of zero: `$inc` leaves them where something was taken back."""
    found: Document = {}
    for name, value in counts.items():
        kept = _without_zeros(value) if isinstance(value, dict) else value
        if kept is False or (kept != 0 and kept != {}):
            found[name] = kept
    return found
