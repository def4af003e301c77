"""Progress on stderr: bars on a terminal, otherwise a plain line now and then."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

EVERY_SECONDS = 10.0
"""Between two lines of the same step, where a log and not a person reads."""


class Step:
    """One thing that is being done. `total` is None where nobody knows how much it is."""

    def __init__(self, steps: "Steps", what: str, total: int | None) -> None:
        self._steps = steps
        self._what = what
        self._total = total
        self._done = 0
        self._said = steps.clock()
        self._task: TaskID | None = steps.bars.add_task(what, total=total) if steps.bars else None
        if self._task is None:
            steps.say(what if total is None else f"{what}: {total:,} in all")

    def advance(self, more: int) -> None:
        """That many more are done."""
        self._done += more
        if self._steps.bars is not None and self._task is not None:
            self._steps.bars.advance(self._task, more)
        elif self._total is not None and self._due():
            self._steps.say(f"{self._what}: {self._done:,} of {max(self._total, self._done):,}")

    def now(self, what: str) -> None:
        """Renames the step."""
        self._what = what
        if self._steps.bars is not None and self._task is not None:
            self._steps.bars.update(self._task, description=what)
        elif self._due():
            self._steps.say(what)

    def _due(self) -> bool:
        now = self._steps.clock()
        if now - self._said < EVERY_SECONDS:
            return False
        self._said = now
        return True

    def end(self) -> None:
        """It is done."""
        if self._steps.bars is not None and self._task is not None:
            self._steps.bars.remove_task(self._task)


class Steps:
    """Made by `steps()`. Safe to use from several threads, if each step is used by one."""

    def __init__(self, bars: Progress | None, console: Console, clock: Callable[[], float]) -> None:
        self.bars = bars
        self.clock = clock
        self._console = console

    def say(self, line: str) -> None:
        """A line for a log."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def step(self, what: str, total: int | None = None) -> Iterator[Step]:
        """Shows a step for as long as the block takes."""
        step = Step(self, what, total)
        try:
            yield step
        finally:
            step.end()


@contextlib.contextmanager
def steps(console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> Iterator[Steps]:
    """What shows the steps within the block."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield Steps(None, console, clock)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        yield Steps(bars, console, clock)
