"""`rapport brands`: the agency's clients."""

from typing import Annotated

import typer

from rapport.commands import client
from rapport.commands.options import Json, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="The agency's clients.")


@app.command()
def add(
    brand: Annotated[str, typer.Argument(metavar="ID", help="Lower-case letters, digits, `_` and `-`.")],
    name: Annotated[str, typer.Option(help="The name that people read.")],
    timezone: Annotated[str, typer.Option(help="The zone of its business hours, such as Europe/Berlin.")],
    data: client.Place = None,
    as_json: Json = False,
) -> None:
    """Add a client."""
    made = client.call(data, "POST", "/brands", {"id": brand, "name": name, "timezone": timezone})
    if as_json:
        print_json(made)
    else:
        typer.echo(f"added {made['id']}")


@app.command("list")
def list_(data: client.Place = None, as_json: Json = False) -> None:
    """List the clients that the key can see."""
    found = client.items(data, "/brands")
    if as_json:
        print_json(found)
    else:
        print_table({"id": "id", "name": "name", "timezone": "time zone"}, found)
