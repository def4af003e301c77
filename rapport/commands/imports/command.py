"""`rapport import`: what happened before an account was connected, from a file or from Bluesky itself."""

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from rapport.commands import client
from rapport.commands.imports.asking import history
from rapport.commands.imports.showing import BROKEN_OFF, show, what_is_done
from rapport.commands.options import Json, fail, say, secret

if TYPE_CHECKING:
    from rapport.contracts.events import Account
    from services.imports.checking import Checker
    from services.imports.entries import Source
    from services.imports.report import Report
    from services.imports.sending import Door

SOME_WRONG = 3
"""The exit code where the file has something that should be corrected."""
PER_SECOND = 200
"""A third of what two cores keep up with, so that live interactions do not wait behind a million old ones."""
ADDRESS = "RAPPORT_DOOR_URL"
SECRET = "RAPPORT_DOOR_SECRET"  # noqa: S105 - the variable's name


def import_(
    brand: Annotated[str, typer.Argument(help="The client's id.")],
    account: Annotated[str, typer.Argument(help="The account's id.")],
    file: Annotated[
        Path | None,
        typer.Argument(
            help="A CSV or NDJSON file, a Mastodon archive, or a Bluesky repository. Without one, Bluesky is asked."
        ),
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="csv, ndjson, mastodon or bluesky. Default: what the file looks like.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, but import nothing.")] = False,
    before: Annotated[
        str | None,
        typer.Option(
            help="RFC 3339 or a date (UTC); import only what is older. Default: when the account was connected."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="RFC 3339 or a date (UTC); import only what is from then on. Default: everything."),
    ] = None,
    did: Annotated[
        str | None, typer.Option(help="The account's DID, to ask Bluesky. Default: what its handle leads to.")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Of times in a CSV file without an offset. Default: the client's.")
    ] = None,
    dates: Annotated[
        str | None, typer.Option(help="day-first or month-first, for dates such as 3/4/2026 in a CSV file.")
    ] = None,
    per_second: Annotated[int, typer.Option(min=1, help="How many are sent in a second, at most.")] = PER_SECOND,
    ledger: Annotated[
        Path | None,
        typer.Option(
            help="The file that remembers what was imported. Default: RAPPORT_LEDGER, else "
            "~/.local/state/rapport/imports.sqlite."
        ),
    ] = None,
    door: Annotated[
        str | None,
        typer.Option(help="The generic door's address. Default: that of --data, else RAPPORT_DOOR_URL."),
    ] = None,
    data: client.Place = None,
    as_json: Json = False,
) -> None:
    """Import what happened before an account was connected. It gets clocks and outcomes, and alerts nobody.

    The account's secret is read from RAPPORT_DOOR_SECRET, or asked for. What is imported counts once, however often
    it is imported; an import that was broken off goes on where it stopped.

    Without a file, a Bluesky account's server is asked what the account wrote and what others did, with an app password
    of the account: RAPPORT_BLUESKY_PASSWORD, or asked for.

    Ends with code 0 if everything was taken, was there already, or is of a sort that an import leaves out; 3 if
    something is wrong in the file; 1 if the import could not be finished; 130 after Ctrl-C.
    """
    from services.imports.checking import Checker
    from services.imports.ledger import usual_place
    from services.imports.report import Report

    _check_options(file, format, did)
    known = client.call(data, "GET", client.path("brands", brand, "accounts", account))
    its_brand = next((each for each in client.items(data, "/brands") if each["id"] == brand), None)
    if its_brand is None:
        fail(f"this key does not see the brand {brand!r}")
    now = datetime.now(UTC)
    its_account = _account(known)
    until = _until(before, its_account.connected_at)
    begin = _time(since, "--since") if since is not None else None
    name = f"{brand}/{its_brand['created_at']}/{account}"
    sender = None if dry_run else _door(door, data, account)
    with contextlib.ExitStack() as stack:
        if file is None:
            others = _others(data, brand, its_account)
            source = history(brand, its_account, others, did, begin, now, trial=dry_run)
        else:
            zone = timezone or its_brand["timezone"]
            opened = stack.enter_context(_opened(file))
            source = _source(opened, file, format, brand, its_account, zone, dates, now)
        report = Report(source, dry_run, until.isoformat(timespec="seconds"))
        checker = Checker(source, brand, its_account, until, now, begin)
        code = _run(report, checker, sender, ledger or usual_place(), name, per_second)
    show(report, file, as_json)
    raise typer.Exit(code or (SOME_WRONG if report.wrong else 0))


def _check_options(file: Path | None, format: str | None, did: str | None) -> None:
    if file is None and format is not None:
        raise typer.BadParameter("says what a file is, and there is none", param_hint="--format")
    if file is not None and did is not None:
        raise typer.BadParameter("is for asking Bluesky, and a file says itself whose it is", param_hint="--did")


def _others(data: Path | None, brand: str, account: "Account") -> tuple[str, ...]:
    """The handles of the client's other accounts on Bluesky. Ends the command for an account elsewhere."""
    from services.ingest.connectors.bluesky import PLATFORM

    if account.platform != PLATFORM:
        fail(f"name a file: only accounts on Bluesky can be asked, and {account.id!r} is on {account.platform!r}")
    accounts = client.items(data, client.path("brands", brand, "accounts"))
    return tuple(each["handle"] for each in accounts if each["platform"] == PLATFORM and each["id"] != account.id)


def _account(known: dict[str, Any]) -> "Account":
    from rapport.contracts.events import Account

    return Account(
        id=known["id"],
        platform=known["platform"],
        handle=known["handle"],
        # While it was connected before, everything came in live. An API of a version before this one does not say.
        connected_at=datetime.fromisoformat(known.get("first_connected_at") or known["connected_at"]),
        door_secrets=(),
        staff=tuple(known["staff"]),
    )


def _until(before: str | None, connected_at: datetime) -> datetime:
    """Up to when things are imported: never after the connection."""
    return connected_at if before is None else min(_time(before, "--before"), connected_at)


def _time(given: str, option: str) -> datetime:
    """A time, or the beginning of a day in UTC. Ends the command where it is neither."""
    from rapport.domain.times import in_range

    try:
        at = datetime.fromisoformat(f"{given}T00:00:00Z" if len(given) == len("2026-11-23") else given)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or not in_range(at):
        raise typer.BadParameter(f"{given!r} is not a time such as 2026-11-23T09:15:00Z", param_hint=option)
    return at.astimezone(UTC)


@contextlib.contextmanager
def _opened(path: Path) -> "Iterator[BinaryIO]":
    if path.exists() and not path.is_file():
        fail(f"{path} is not a file")
    with path.open("rb") as file:
        yield file


def _source(
    file: BinaryIO, path: Path, format: str | None, brand: str, account: "Account", zone: str, dates: str | None,
    now: datetime,
) -> "Source":  # fmt: skip
    """The file, with its beginning read. Ends the command if it cannot be."""
    from typing import cast, get_args
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from services.api.calendar.times import Order
    from services.imports import bluesky, lines, mastodon, table
    from services.imports.entries import UnreadableFileError
    from services.imports.formats import FORMATS, format_of, one_of

    if format is not None and format not in FORMATS:
        raise typer.BadParameter(f"{format!r} is not {one_of()}", param_hint="--format")
    if dates is not None and dates not in get_args(Order):
        raise typer.BadParameter(f"{dates!r} is not {' or '.join(get_args(Order))}", param_hint="--dates")
    try:
        its_zone = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise typer.BadParameter(f"{zone!r} is not a time zone", param_hint="--timezone") from None
    size = path.stat().st_size
    try:
        found = format or format_of(path.name, file)
        if found == "csv":
            return table.open_table(file, size, its_zone, cast("Order | None", dates))
        if found == "ndjson":
            return lines.open_lines(file, size)
        if found == "mastodon":
            return mastodon.open_archive(file, size)
        if account.platform != bluesky.PLATFORM:
            fail(f"{path} is a Bluesky repository, and the account {account.id!r} is on {account.platform!r}")
        return bluesky.open_repository(file, size, brand, account, now)
    except UnreadableFileError as error:
        fail(f"{path} cannot be read: {error}")


def _door(url: str | None, data: Path | None, account: str) -> "Door":
    """The door, for one account. Ends the command if its address or the secret is not known."""
    from rapport.local.running_installation import status
    from services.imports.sending import Door

    address = url or (None if data is not None else os.environ.get(ADDRESS))
    if address is None and (running := status(data or Path("data"))) is not None:
        address = running.ingest
    if address is None:
        fail("the generic door's address is not known: set RAPPORT_DOOR_URL, or name the installation with --data")
    unset = (
        f"set {SECRET} to the account's secret, which `rapport accounts add` printed; "
        "`rapport accounts rotate-secret` makes a new one"
    )
    return Door(address, account, secret(SECRET, unset, "The account's secret"), lambda line: say(line, err=True))


def _run(report: "Report", checker: "Checker", door: "Door | None", place: Path, name: str, per_second: int) -> int:
    """Imports, with a progress bar; without a door it is a trial. Gives the exit code, 0 if it got to the end."""
    import sqlite3

    from services.imports.entries import UnreadableFileError
    from services.imports.ledger import Ledger
    from services.imports.run import Import
    from services.verify.progress import steps

    try:
        with contextlib.ExitStack() as stack:
            remembered = stack.enter_context(contextlib.closing(Ledger(place, name, trial=door is None)))
            if door is not None:
                stack.enter_context(door)
            running = Import(report.source, checker, remembered, door, report, per_second=per_second)
            step = stack.enter_context(stack.enter_context(steps()).step(what_is_done(report), report.source.total))
            running.run(step.advance)
    except KeyboardInterrupt:
        report.stopped = "stopped by Ctrl-C"
        return BROKEN_OFF
    except sqlite3.Error as error:
        report.stopped = f"the ledger {place} cannot be used: {error}"
    except UnreadableFileError as error:
        report.stopped = f"{report.source.what} cannot be read any further: {error}"
    return 1 if report.stopped is not None else 0
