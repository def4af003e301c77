"""Shows progress on stderr: a live table on a terminal, else a line per step."""

import threading
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

_READY = ("ready", "uses")


class ProgressDisplay:
    """Use as a context manager; `tell` is a `Progress`. After the block `tell` prints lines."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._lock = threading.Lock()
        self._steps: dict[str, str] = {}
        self._spinner = Spinner("dots")
        self._live: Live | None = None

    def __enter__(self) -> "ProgressDisplay":
        if self._console.is_terminal:
            self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=10)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def tell(self, what: str, how_far: str) -> None:
        """Shows how far something is."""
        with self._lock:
            before = self._steps.get(what)
            self._steps[what] = how_far
        # Without a terminal, each megabyte of a download would be a line.
        if self._live is None and (before is None or _step(before) != _step(how_far)):
            self._console.print(Text(f"{what}: {how_far}"), soft_wrap=True)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1))
        with self._lock:
            steps = dict(self._steps)
        for what, how_far in steps.items():
            sign = Text("✓", "green") if how_far.startswith(_READY) else self._spinner
            table.add_row(sign, Text(what, "bold"), Text(how_far))
        return table


def _step(how_far: str) -> str:
    return how_far.partition(": ")[0]
