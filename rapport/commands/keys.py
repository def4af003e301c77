"""`rapport keys`: who may use the API."""

from typing import Annotated, Any

import typer

from rapport.commands import client
from rapport.commands.options import Json, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="Who may use the API and the portal.")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Who will use it.")],
    brands: Annotated[str | None, typer.Option(help="Ids separated by commas. Default: all brands.")] = None,
    scopes: Annotated[str, typer.Option(help="Separated by commas: read, write, admin.")] = "read",
    expires_at: Annotated[str | None, typer.Option(help="RFC 3339. Default: never.")] = None,
    data: client.Place = None,
    as_json: Json = False,
) -> None:
    """Create a key, and print it. It is shown only once."""
    body: dict[str, Any] = {"name": name, "scopes": _parts(scopes)}
    if brands is not None:
        body["brands"] = _parts(brands)
    if expires_at is not None:
        body["expires_at"] = expires_at
    made = client.call(data, "POST", "/keys", body)
    if as_json:
        print_json(made)
    else:
        typer.echo(made["key"])


@app.command("list")
def list_(data: client.Place = None, as_json: Json = False) -> None:
    """List the keys, without their secrets."""
    found = client.items(data, "/keys")
    if as_json:
        print_json(found)
    else:
        rows = [{**key, "brands": key["brands"] if key["brands"] is not None else "all"} for key in found]
        columns = {"id": "id", "name": "name", "brands": "brands", "scopes": "scopes", "expires_at": "expires at"}
        print_table(columns, rows)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `rapport keys list` shows it.")],
    data: client.Place = None,
    as_json: Json = False,
) -> None:
    """Revoke a key at once, including its sessions in the portal."""
    client.call(data, "DELETE", client.path("keys", key))
    if as_json:
        print_json({"revoked": key})
    else:
        typer.echo(f"revoked {key}")


def _parts(given: str) -> list[str]:
    return [part.strip() for part in given.split(",") if part.strip()]
