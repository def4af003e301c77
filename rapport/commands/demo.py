"""`rapport demo`."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    data: Annotated[
        Path | None,
        typer.Option("--data", help="An empty folder for its data. Default: a temporary one, removed at the end."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Check the outcome, then exit.")] = False,
) -> None:
    """Run an agency with three invented clients, and watch clocks run out."""
    from rapport.demo.command import demo as run

    raise typer.Exit(run(data, check))
