"""What the doctor found out about one thing."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

ENOUGH, LITTLE = 0.15, 0.05
"""The free share of a disk below which it is time to act, and below which it fills within a bad night."""
_GIB = 2**30
State = Literal["fine", "doubtful", "wrong"]


@dataclass(frozen=True)
class Finding:
    """One check. `wrong`: something does not work or will be lost; `doubtful`: it may be so, or it may be meant."""

    what: str
    state: State
    detail: str
    """What was found; for what is not fine, with what to do."""


@dataclass
class Findings:
    """What was found so far."""

    each: list[Finding] = field(default_factory=list)

    def fine(self, what: str, detail: str) -> None:
        """Nothing is wrong with it."""
        self.each.append(Finding(what, "fine", detail))

    def doubtful(self, what: str, detail: str) -> None:
        """It may be wrong."""
        self.each.append(Finding(what, "doubtful", detail))

    def wrong(self, what: str, detail: str) -> None:
        """It is wrong."""
        self.each.append(Finding(what, "wrong", detail))

    def check(self, what: str, fine: bool, detail: str) -> None:
        """Fine or wrong."""
        self.each.append(Finding(what, "fine" if fine else "wrong", detail))

    def room(self, what: str, free: float, total: float) -> None:
        """Fine while there is enough room on a disk (bytes)."""
        share = free / total
        state: State = "fine" if share > ENOUGH else "doubtful" if share > LITTLE else "wrong"
        self.each.append(Finding(what, state, f"{free / _GIB:,.1f} GiB free of {total / _GIB:,.1f} GiB"))

    def all_fine(self, what: str, troubles: Iterable[str], otherwise: str) -> None:
        """Wrong for each trouble; fine without any."""
        found = list(troubles)
        for trouble in found:
            self.wrong(what, trouble)
        if not found:
            self.fine(what, otherwise)

    @contextmanager
    def about(self, what: str, *errors: type[Exception]) -> Iterator[None]:
        """Notes one of these errors as wrong, and goes on after the block."""
        try:
            yield
        except errors as error:
            self.wrong(what, f"{type(error).__name__}: {str(error)[:300] or 'no answer'}")
