"""Real scorer processes that a test stops, kills, and breaks on purpose."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from tests.services.scorer.worker import Scorer
from tests.waiting import until

SABOTAGE = "RAPPORT_TEST_SABOTAGE"
"""A call of a function of `saboteurs` that breaks every worker, so that the tests fail."""


class Worker(Scorer):
    """One worker. `settings` are the scorer's own, by name."""

    def __init__(
        self,
        kafka_servers: str,
        folder: Path,
        instance: str = "scorer-0",
        *,
        broken: str = "",
        started: bool = True,
        ticks: bool = True,
        **settings: float | str,
    ) -> None:
        """`broken` is a call of a function of `saboteurs`. It is started at once, unless told not to. Without `ticks`
        no clock moves by itself.
        """
        self._at_once = started
        self._settings = {f"RAPPORT_{name.upper()}": str(value) for name, value in settings.items()}
        self.instance = instance
        calls = [call for call in (broken, "" if ticks else "ticks_never()", os.environ.get(SABOTAGE)) if call]
        before = "; ".join(["from tests.faults import saboteurs", *(f"saboteurs.{call}" for call in calls)])
        super().__init__(kafka_servers, folder, instance, before=before if calls else "")

    def start(self) -> None:
        """Starts it, or starts it again."""
        self._environment.update(self._settings)
        if self._at_once:
            super().start()
        self._at_once = True

    @property
    def disk(self) -> Path:
        """Where its rows are."""
        return self.folder / self.instance

    def wipe(self) -> None:
        """It comes back as another machine: with nothing."""
        shutil.rmtree(self.disk)

    def kill(self) -> None:
        """Ends it in the middle of whatever it does."""
        self.signal(signal.SIGKILL)

    def end(self) -> None:
        """Asks it to end, which it does in order."""
        assert self.signal(signal.SIGTERM) == 0, self.said()

    def hold(self) -> None:
        """From here on it does nothing at all, and does not know it."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Lets it go on, whoever held it."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def exit_code(self) -> int | None:
        """None while it runs."""
        assert self.process is not None
        return self.process.poll()

    def said(self) -> str:
        """What it wrote to its log."""
        return self.log.read_text(errors="replace")


class Crew:
    """Several workers, and whoever starts those again that end by themselves, as Kubernetes does."""

    def __init__(self, kafka_servers: str, folder: Path, many: int, **settings: float | str) -> None:
        self.workers = [
            Worker(kafka_servers, folder, f"scorer-{number}", **settings)  # type: ignore[arg-type]
            for number in range(many)
        ]
        self.restarts = 0

    def tend(self) -> bool:
        """Starts those again that ended by themselves. True, so that it goes along with a condition."""
        for worker in self.workers:
            if worker.exit_code() is not None:
                self.restarts += 1
                worker.start()
        return True

    def until(self, condition: Callable[[], bool], what: str, deadline: float = 120.0) -> None:
        """Waits for a condition, and tends meanwhile."""
        until(lambda: self.tend() and condition(), what, deadline)

    def ready(self) -> bool:
        """Whether every worker has its partitions."""
        return all(worker.ready() for worker in self.workers)

    def end(self) -> None:
        """Asks all to end."""
        for worker in self.workers:
            if worker.exit_code() is None:
                worker.end()

    def stop(self) -> None:
        """Ends them, however they are."""
        for worker in self.workers:
            worker.stop()
