"""What became of an import, for people and for programs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rapport.commands.options import print_json, print_table
from rapport.kit.text import one_line

if TYPE_CHECKING:
    from services.imports.report import Report

BROKEN_OFF = 130
"""The exit code after Ctrl-C, as shells have it."""
LONGEST_LINE = 500
LONGEST_CELL = 200
LONGEST_EXAMPLE = 400
PREVIEW = {"at": "where", "kind": "kind", "who": "who", "written": "time in the file", "occurred_at": "read as"}
LEFT_OUT = {"count": "left out", "reason": "because", "examples": "the first ones"}


def what_is_done(report: "Report") -> str:
    """The words beside the progress bar."""
    unit = "bytes" if report.source.format in ("csv", "ndjson") else "parts"
    return f"{'checking' if report.dry_run else 'importing'} ({unit})"


def show(report: "Report", file: Path | None, as_json: bool) -> None:
    """Prints the report, and on stderr why the import was not finished. Without a file, the platform was asked."""
    if as_json:
        print_json({"file": str(file) if file is not None else None, **report.as_json()})
    else:
        _show_words(report, file)
    if report.stopped is not None:
        then = "nothing was imported" if report.dry_run else "run it again to go on"
        sys.stderr.write(f"rapport: {one_line(report.stopped, LONGEST_LINE)}; {then}\n")


def _show_words(report: "Report", file: Path | None) -> None:
    source = report.source
    whose = f" of {source.of}" if source.of else ""
    where = f"{file}: " if file is not None else ""
    typer.echo(one_line("; ".join([f"{where}{source.format}{whose}", *source.notes]), LONGEST_LINE))
    if report.preview:
        print_table(PREVIEW, [_plain(vars(shown)) for shown in report.preview])
    taken = "would be taken" if report.dry_run else "taken"
    typer.echo(f"{report.taken:,} {taken}, {report.known:,} already known, of {report.read:,} read")
    rows = [
        {
            "count": f"{reason.count:,}",
            "reason": one_line(name, LONGEST_CELL),
            "examples": "\n".join(one_line(f"{at}: {why}", LONGEST_EXAMPLE) for at, why in reason.examples),
        }
        for name, reason in report.sorted_reasons()
    ]
    if rows:
        print_table(LEFT_OUT, rows)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row of what a file says, without characters that a terminal would act on."""
    return {name: value if value is None else one_line(value, LONGEST_CELL) for name, value in row.items()}
