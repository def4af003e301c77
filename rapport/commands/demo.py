"""`rapport demo`."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    data: Annotated[
        Path | None,
        typer.Option("--data", help="An empty folder to keep everything in; else a temporary one, removed at the end."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Needs no person: verify what came out, then end.")] = False,
) -> None:
    """Run an agency with three invented clients, and watch clocks run out."""
    from rapport.demo.command import demo as run

    raise typer.Exit(run(data, check))
