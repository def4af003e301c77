"""Imports one file: reads, checks, sends in batches, and notes what was taken."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from services.imports.checking import Checked, Checker
from services.imports.entries import Entry, LeftOut, Source, UnreadableFileError
from services.imports.ledger import Ledger
from services.imports.report import MOST_SHOWN, Report, Shown
from services.imports.sending import Door, NotSentError

MOST_ITEMS = 250
MOST_BYTES = 262_144
"""Of one request: small beside what the door takes, so that others do not wait for it."""
REFUSED = "refused by the door"


@dataclass
class _Batch:
    items: list[Checked] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    size: int = 0

    def add(self, checked: Checked) -> None:
        self.items.append(checked)
        self.ids.add(checked.interaction.id)
        self.size += len(checked.raw) + 1

    def takes(self, checked: Checked) -> bool:
        """Whether there is room for it. An empty batch takes anything."""
        return not self.items or (len(self.items) < MOST_ITEMS and self.size + len(checked.raw) < MOST_BYTES)


class Import:
    """One run. Without a door it is a trial: all is read and checked, nothing sent or noted."""

    def __init__(
        self,
        source: Source,
        checker: Checker,
        ledger: Ledger,
        door: Door | None,
        report: Report,
        *,
        per_second: float,
        wait: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._checker = checker
        self._ledger = ledger
        self._door = door
        self._report = report
        self._per_second = per_second
        self._wait = wait
        self._clock = clock
        self._batch = _Batch()

    def run(self, advance: Callable[[int], object]) -> None:
        """Imports the file. `advance` hears how much more of it was read.

        Where it cannot go on, the report says why. What was sent by then is noted.
        """
        done = 0
        try:
            for entry in self._source.entries():
                self._take(entry)
                advance(entry.done - done)
                done = entry.done
            self._flush()
        except NotSentError as error:
            self._report.stopped = str(error)
        except UnreadableFileError:
            # What was good before the damage is taken; every run would stop at the same place.
            try:
                self._flush()
            except NotSentError as error:
                self._report.stopped = str(error)
            raise

    def _take(self, entry: Entry) -> None:
        self._report.read += 1
        checked = self._checker.check(entry)
        if isinstance(checked, LeftOut):
            self._report.leave_out(entry.at, checked)
        elif checked.interaction.id in self._batch.ids or self._ledger.knows(checked.interaction.id):
            self._report.known += 1
        else:
            if not self._batch.takes(checked):
                self._flush()
            self._batch.add(checked)
            self._show(checked)

    def _flush(self) -> None:
        batch, self._batch = self._batch, _Batch()
        if not batch.items:
            return
        began = self._clock()
        refused = self._door.send([each.raw for each in batch.items]) if self._door is not None else {}
        taken = [each.interaction.id for place, each in enumerate(batch.items) if place not in refused]
        self._ledger.note(taken)
        self._report.taken += len(taken)
        for place, why in refused.items():
            self._report.leave_out(batch.items[place].entry.at, LeftOut(REFUSED, why))
        if self._door is not None:
            pause = len(batch.items) / self._per_second - (self._clock() - began)
            if pause > 0:
                self._wait(pause)

    def _show(self, checked: Checked) -> None:
        if self._report.dry_run and len(self._report.preview) < MOST_SHOWN:
            its = checked.interaction
            who = its.actor.name or its.actor.handle or its.actor.id
            at = its.occurred_at.isoformat(timespec="seconds")
            self._report.preview.append(Shown(checked.entry.at, its.kind, who, at, checked.entry.written))
