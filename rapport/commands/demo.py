"""`rapport demo`."""

from typing import Annotated

import typer

from rapport.commands.options import DEFAULT_DATA, Data


def demo(
    data: Data = DEFAULT_DATA / "demo",
    check: Annotated[bool, typer.Option("--check", help="Needs no person: verify what came out, then end.")] = False,
) -> None:
    """Run an agency with three invented clients, and watch clocks run out."""
    from rapport.demo.command import demo as run

    raise typer.Exit(run(data, check))
