"""Options that several commands share, and how they end and print."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

Data = Annotated[
    Path, typer.Option("--data", envvar="RAPPORT_DATA", help="The folder that holds everything of the installation.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")]
DEFAULT_DATA = Path("data")


def fail(message: str) -> NoReturn:
    """Says why on stderr and ends with code 1."""
    sys.stderr.write(f"rapport: {message}\n")
    raise typer.Exit(1)


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
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
