"""Options and output that several commands share."""

import json
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from rapport.kit.text import plain

Data = Annotated[
    Path, typer.Option("--data", envvar="RAPPORT_DATA", help="The folder that holds all data of the installation.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")]
PortOption = Annotated[
    list[str] | None,
    typer.Option(
        "--port",
        metavar="NAME=NUMBER",
        envvar="RAPPORT_PORTS",
        help="The port of one part: kafka, mongodb, or a service's name; repeatable. It is kept for the next start. In "
        "RAPPORT_PORTS they are separated by blanks.",
    ),
]
DEFAULT_DATA = Path("data")
LARGEST_PORT = 65_535


def fail(message: str, code: int = 1) -> NoReturn:
    """Prints the reason on stderr and exits."""
    sys.stderr.write(f"rapport: {plain(message)}\n")
    raise typer.Exit(code)


def secret(name: str, unset: str, asked: str) -> str:
    """A secret from the variable `name`, else typed in where somebody can: `asked` says what it is.

    Ends the command with `unset` where nobody can.
    """
    given = os.environ.get(name)
    if given:
        return given
    if not sys.stdin.isatty():
        fail(unset)
    typed: str = typer.prompt(asked, hide_input=True, err=True)
    return typed


def say(message: str, *, err: bool = False) -> None:
    """Prints what may repeat what people or servers wrote, without characters that a terminal would act on."""
    typer.echo(plain(message), err=err)


def print_json(value: Any) -> None:
    """One line of JSON on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_table(columns: dict[str, str], rows: list[dict[str, Any]]) -> None:
    """A table on stdout. `columns`: field to heading."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in columns.values():
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_shown(row.get(field))) for field in columns))
    Console(highlight=False).print(table)


def wanted_ports(given: list[str] | None, names: Collection[str]) -> dict[str, int]:
    """The options as numbers by name. Raises typer.BadParameter."""
    wanted: dict[str, int] = {}
    for option in given or []:
        name, _, number = option.partition("=")
        if name not in names:
            raise typer.BadParameter(f"{option!r}: {name!r} is not one of {', '.join(names)}", param_hint="--port")
        if not number.isdecimal() or not 1 <= int(number) <= LARGEST_PORT:
            raise typer.BadParameter(f"{option!r} is not NAME=NUMBER, from 1 to {LARGEST_PORT}", param_hint="--port")
        wanted[name] = int(number)
    return wanted


@contextmanager
def stack_errors() -> Iterator[None]:
    """Turns a StackError into its message, and silences the Kafka client, whose own words say less."""
    import logging

    from rapport.local.errors import StackError

    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        yield
    except StackError as error:
        fail(str(error))


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return plain(", ".join(map(str, value)) if isinstance(value, list) else str(value))
