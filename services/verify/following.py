"""Figures that differ, compared again until they agree or will certainly stay different."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from pymongo.database import Database
from pymongo.errors import ConnectionFailure

from rapport.kit.mongo import Document
from rapport.kit.parts import halves
from services.api.projector.upkeep.change_feed import TWICE_WITHIN
from services.verify.compare import Difference, fields_between
from services.verify.figures import FIGURES
from services.verify.figures.figure import AT_ONCE, Facts, Figure
from services.verify.settle import MOVING_FACTOR

log = logging.getLogger("rapport.verify")

WAITED = TWICE_WITHIN.total_seconds()
"""Seconds after which the upkeep has looked a second time at what it may have read too early."""

Both = tuple[Document | None, Document | None]
"""What is stored, and what should be."""
Subject = tuple[str, str, str]
"""The figure, the brand, the id."""


class _Open:
    """One subject that differs."""

    def __init__(self, stored: Document | None, wanted: Document | None, now: float) -> None:
        self.stored, self.wanted = stored, wanted
        self.before = [wanted]
        """What it should have been at some time since it was first compared: it may be that late."""
        self.changed = self.began = now


class Following:
    """All figures of some brands, and those of them that differ."""

    def __init__(
        self,
        database: Database[Document],
        brands: list[str],
        settle: float,
        figures: tuple[Figure, ...] = FIGURES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`settle`: seconds for which a difference must not change, beyond what the upkeep itself waits."""
        self._database = database
        self._brands = brands
        self._settle = settle + WAITED
        self._figures = {figure.what: figure for figure in figures}
        self._clock = clock
        self._open: dict[Subject, _Open] = {}
        self._failed: dict[tuple[str, str], Difference] = {}
        """Brands for which a figure cannot be recomputed, by figure."""

    def __len__(self) -> int:
        return len(self._open)

    def size(self, what: str) -> int:
        """How many documents of a figure MongoDB has."""
        return self._database[self._figures[what].collection].count_documents({"brand": {"$in": self._brands}})

    def whole(self, what: str) -> Iterator[int]:
        """Compares everything of a figure; gives how many were compared, part by part."""
        figure = self._figures[what]
        for brand in self._brands:
            for ids in self._ids(figure, brand):
                both = self._both(figure, brand, ids)
                now = self._clock()
                for one, (stored, wanted) in both.items():
                    if stored != wanted:
                        self._open[what, brand, one] = _Open(stored, wanted, now)
                yield len(both)

    def _ids(self, figure: Figure, brand: str) -> Iterator[list[str]]:
        """What has to be compared of a brand. Where that cannot be recomputed, the other brands go on."""
        try:
            yield from figure.ids(self._facts(brand))
        except ConnectionFailure:
            raise
        except Exception as error:
            log.exception("%s of %s cannot be recomputed", figure.what, brand)
            why = f"cannot be recomputed: {type(error).__name__}"
            self._failed[figure.what, brand] = Difference(figure.what, brand, None, None, why)

    def _both(self, figure: Figure, brand: str, ids: Sequence[str]) -> dict[str, Both]:
        """What is stored and what should be; what cannot be recomputed counts as a difference."""
        found: dict[str, Both] = {}

        def compare(some: Sequence[str]) -> None:
            found.update(figure.both(self._facts(brand), some))

        def fail(one: str, error: Exception) -> None:
            log.error("%s %s cannot be recomputed", figure.what, one, exc_info=error)
            found[one] = None, {"cannot be recomputed": type(error).__name__}

        halves(ids, compare, fail, fatal=(ConnectionFailure,))
        return found

    def look_again(self) -> None:
        """Compares again what differs, and drops what agrees or shows what was right a moment before."""
        parts: dict[tuple[str, str], list[str]] = {}
        for what, brand, one in self._open:
            parts.setdefault((what, brand), []).append(one)
        for (what, brand), ids in parts.items():
            for start in range(0, len(ids), AT_ONCE):
                self._compare_again(what, brand, ids[start : start + AT_ONCE])

    def _compare_again(self, what: str, brand: str, ids: list[str]) -> None:
        both = self._both(self._figures[what], brand, ids)
        now = self._clock()
        for one in ids:
            stored, wanted = both.get(one, (None, None))
            each = self._open[what, brand, one]
            if stored == wanted or (stored != each.stored and stored in each.before):
                del self._open[what, brand, one]
            elif (stored, wanted) != (each.stored, each.wanted):
                each.stored, each.wanted, each.changed = stored, wanted, now
                each.before.append(wanted)

    def decided(self) -> bool:
        """Whether nothing that is left will change by itself, or has been changing for too long."""
        now = self._clock()
        return all(self._stays(each, now) or self._moves(each, now) for each in self._open.values())

    def outcome(self) -> tuple[list[Difference], list[tuple[str, str]]]:
        """The differences that stay, and what is undecided: kind and id."""
        now = self._clock()
        differences = list(self._failed.values())
        undecided: list[tuple[str, str]] = []
        for (what, _, one), each in self._open.items():
            if not self._stays(each, now):
                undecided.append((what, one))
            elif each.stored is None or each.wanted is None:
                differences.append(Difference(what, one, None, each.stored, each.wanted))
            else:
                differences += fields_between(what, one, each.stored, each.wanted)
        return differences, undecided

    def _stays(self, each: _Open, now: float) -> bool:
        return now - each.changed >= self._settle

    def _moves(self, each: _Open, now: float) -> bool:
        return not self._stays(each, now) and now - each.began >= MOVING_FACTOR * self._settle

    def _facts(self, brand: str) -> Facts:
        return Facts(self._database, brand, datetime.now(UTC))
