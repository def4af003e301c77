"""`rapport demo`: runs the whole product on this machine with a recorded fortnight, until Ctrl-C or as a check."""

import contextlib
import functools
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from rapport.demo import check as checks
from rapport.demo.campaigns import campaigns
from rapport.demo.client import Api, ApiError
from rapport.demo.closing import NOT_AS_IN_LIFE, soon, to_connect, what_happens_next, where_to_look
from rapport.demo.inbox import Inbox
from rapport.demo.plans import plans, unfound
from rapport.demo.play import RefusedError, play
from rapport.demo.recording.generator import Recording, record
from rapport.demo.vendors.platforms import Platforms
from rapport.local.errors import StackError
from rapport.local.installation import Installation
from rapport.local.running_installation import RunningInstallation

CHECK_SECONDS = 240.0
"""From the start. A quiet machine with two cores needs about a third of this."""
GRACE_SECONDS = "4"
"""The scorer waits for an answer that was polled together with its comment. Here everything comes from a recording."""
REFRESH_SECONDS = 0.5
COMPARE_SECONDS = 3.0
SHOWN_SECONDS = 60.0
"""Until everything that was played is shown. A quiet machine needs a few seconds."""


class CheckError(Exception):
    """The demonstration did not do what it should. The text says what is missing."""


def demo(data: Path | None, check: bool) -> int:
    """Runs the demonstration in `data` (else in a folder that is removed afterwards), and returns the exit code.

    With `check` it ends by itself: 0 once what the API shows equals the generator's ledger and the breaches that were
    due have arrived by mail and webhook; 1 with the reason otherwise.
    """
    console = Console(highlight=False)
    try:
        with (
            _ended_by_signals(),
            _folder(data) as folder,
            contextlib.closing(Inbox()) as inbox,
            Platforms() as platforms,
        ):
            _run(console, folder, inbox, platforms, check)
    except KeyboardInterrupt:
        console.print("\nStopped. Nothing is running any more.")
        return 130 if check else 0
    except (StackError, ApiError, RefusedError, CheckError, httpx.TransportError, OSError) as error:
        sys.stderr.write(f"rapport: {error}\n")
        return 1
    return 0


def _run(console: Console, folder: Path, inbox: Inbox, platforms: Platforms, check: bool) -> None:
    began = time.monotonic()
    deadline = began + CHECK_SECONDS
    environment = {
        **platforms.settings,
        "RAPPORT_SMTP": inbox.smtp,
        "RAPPORT_ALLOW_PRIVATE": "true",
        "RAPPORT_BREACH_GRACE_SECONDS": GRACE_SECONDS,
    }
    installation = Installation()
    try:
        with console.status("starting Kafka, MongoDB and five services …") as status:
            running = installation.start(
                folder,
                lambda what, how: status.update(escape(f"{what}: {how}")),
                environment,
                any_port=check,  # a check must not get in the way of others; people like the usual ports
            )
        reachable = time.monotonic() - began
        with contextlib.closing(Api(running.api, running.admin_key)) as api:
            recording = record(datetime.now(UTC), host=platforms.host)
            platforms.take(recording)
            door_secrets: dict[str, str] = {}
            for brand in recording.brands:
                door_secrets.update(api.connect(brand, recording.connected_at, inbox, platforms.connection))
                campaigns(api, brand, recording.now)
                plans(api, brand, recording)
            key = api.key_for_people()
            _introduce(console, running, key, inbox)
            _play(console, recording, running, door_secrets, platforms)
            ended_at = datetime.now(UTC)
            played = time.monotonic() - began
            if check:
                first, all_there = _until_right(console, api, recording, inbox, ended_at, began, deadline)
                _summarise(console, recording, inbox, reachable, played, first, all_there)
            else:
                _conclude(console, api, recording, running, key, inbox)
                _watch(console, api, recording, inbox)
    finally:
        with console.status("ending …"):
            installation.stop()


def _introduce(console: Console, running: RunningInstallation, key: str, inbox: Inbox) -> None:
    console.rule("[bold]Rapport is running[/]; Ctrl-C stops everything")
    for said in where_to_look(running, key, inbox.page):
        console.print(escape(said), soft_wrap=True)
    console.rule()


def _play(
    console: Console,
    recording: Recording,
    running: RunningInstallation,
    door_secrets: dict[str, str],
    platforms: Platforms,
) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("a fortnight of three brands", total=recording.size)
        sent = functools.partial(progress.advance, task)
        play(recording, running.ingest, door_secrets, platforms.app_secret, sent)


def _conclude(
    console: Console, api: Api, recording: Recording, running: RunningInstallation, key: str, inbox: Inbox
) -> None:
    """Says what to look at: last, because that is where people look."""
    names = {brand.id: brand.name for brand in recording.brands}
    waiting: list[dict[str, Any]] = []
    deadline = time.monotonic() + SHOWN_SECONDS
    with console.status("waiting until everything is shown …"):
        # The last answers are shown a moment after they are sent, and then it is clear which clocks are left.
        while not soon(waiting, datetime.now(UTC)) and time.monotonic() < deadline:
            with contextlib.suppress(ApiError, httpx.TransportError):
                waiting = checks.waiting(api)
            time.sleep(REFRESH_SECONDS)
    console.rule("[bold]What to look at[/]")
    for said in where_to_look(running, key, inbox.page):
        console.print(escape(said), soft_wrap=True)
    console.print()
    for said in what_happens_next(waiting, names, recording.now, datetime.now(UTC)):
        console.print(escape(f"• {said}"), soft_wrap=True)
    console.print(escape(f"• {NOT_AS_IN_LIFE}"), soft_wrap=True)
    console.print()
    for said in to_connect(running):
        console.print(escape(said), soft_wrap=True)
    console.rule("Ctrl-C stops everything")


def _until_right(
    console: Console,
    api: Api,
    recording: Recording,
    inbox: Inbox,
    ended_at: datetime,
    began: float,
    deadline: float,
) -> tuple[float, float]:
    """Returns when the first breach was delivered and when everything was right, in seconds since the start."""
    first: float | None = None
    compare_at = 0.0
    wrong = ["nothing has been compared yet"]
    with console.status("comparing with the ledger …") as status:
        while True:
            arrived = {brand.id: checks.told(api, brand.id, inbox) for brand in recording.brands}
            if first is None and any(arrived.values()):
                first = time.monotonic() - began
            if time.monotonic() >= compare_at:
                wrong = list(_wrong(api, recording, arrived, ended_at))
                if inbox.refused:
                    wrong.append(f"{inbox.refused} webhooks had a wrong signature")
                compare_at = time.monotonic() + COMPARE_SECONDS
            if first is not None and not wrong:
                return first, time.monotonic() - began
            if time.monotonic() > deadline:
                raise CheckError("still wrong after {:.0f} s:\n  {}".format(CHECK_SECONDS, "\n  ".join(wrong)))
            status.update(escape(wrong[0]) if wrong else "waiting for the first breach to be delivered")
            time.sleep(REFRESH_SECONDS)


def _wrong(api: Api, recording: Recording, arrived: dict[str, list[checks.Told]], ended_at: datetime) -> Iterator[str]:
    for brand in recording.brands:
        expected = recording.expected[brand.id]
        yield from checks.differences(api, brand.id, expected, ended_at, datetime.now(UTC))
        yield from unfound(api, brand, recording)
        missing = {one.due_at for one in expected.breaches(ended_at)} - {one.due_at for one in arrived[brand.id]}
        if missing:
            yield f"{brand.id}: {len(missing)} breaches have not arrived by mail and webhook, such as {min(missing)}"


def _summarise(
    console: Console,
    recording: Recording,
    inbox: Inbox,
    reachable: float,
    played: float,
    first: float,
    all_there: float,
) -> None:
    for brand in recording.brands:
        expected = recording.expected[brand.id]
        states = ", ".join(f"{count} {state}" for state, count in sorted(expected.states().items()))
        console.print(f"{brand.name}: {len(expected.followers)} followers; exchanges {states}", soft_wrap=True)
    console.print(
        f"{recording.size} interactions sent, {len(inbox.received())} mails and webhooks received, "
        f"{inbox.refused} with a wrong signature",
        soft_wrap=True,
    )
    console.print(
        f"start → portal reachable {reachable:.1f} s → all played {played:.1f} s "
        f"→ first breach delivered {first:.1f} s → everything equals the ledger {all_there:.1f} s",
        soft_wrap=True,
    )
    console.print("[bold green]The check passed.[/]")


def _watch(console: Console, api: Api, recording: Recording, inbox: Inbox) -> None:
    names = {brand.id: brand.name for brand in recording.brands}
    with console.status("") as status:
        while True:
            with contextlib.suppress(ApiError, httpx.TransportError):  # a service may be starting again
                status.update(_what_is_next(api, names, inbox))
            time.sleep(REFRESH_SECONDS)


def _what_is_next(api: Api, names: dict[str, str], inbox: Inbox) -> str:
    came = inbox.received()
    latest = f"latest in the inbox: {came[0].subject}" if came else "the inbox is empty"
    now = datetime.now(UTC)
    due = checks.next_due(api, now)
    if due is None:
        return escape(f"nobody will wait too long · {latest}")
    left = round((datetime.fromisoformat(due["due_at"]) - now).total_seconds())
    minutes, seconds = divmod(left, 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    who = due["follower"]["handle"] or due["follower"]["name"] or due["follower"]["platform_id"]
    return escape(f"next due: @{who} at {names[due['brand']]} in {clock} · {latest}")


@contextlib.contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    if data is None:
        made = Path(tempfile.mkdtemp(prefix="rapport-demo-"))
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)
        return
    if data.exists() and any(data.iterdir()):
        raise CheckError(f"{data} is not empty; the demonstration needs an empty folder")
    data.mkdir(parents=True, exist_ok=True)
    yield data


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM stops the demonstration like Ctrl-C."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
