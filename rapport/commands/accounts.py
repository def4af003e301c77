"""`rapport accounts`: a client's accounts on the platforms."""

from typing import Annotated, Any

import typer

from rapport.commands import client
from rapport.commands.options import Json, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="A client's accounts on the platforms.")

Brand = Annotated[str, typer.Argument(help="The client's id.")]


@app.command()
def add(
    brand: Brand,
    account: Annotated[str, typer.Argument(metavar="ID", help="Unique in the installation.")],
    platform: Annotated[str, typer.Option(help="Such as bluesky, or any name of your own for the generic door.")],
    handle: Annotated[str, typer.Option(help="As people write it.")],
    connected_at: Annotated[
        str | None, typer.Option(help="RFC 3339; what is older alerts nobody. Now, if not given.")
    ] = None,
    connection: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="What the platform's connector needs; repeatable.")
    ] = None,
    staff: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Somebody of the brand, by the platform's id; repeatable.")
    ] = None,
    data: client.Place = None,
    as_json: Json = False,
) -> None:
    """Connect an account; prints, this once, the secret that signs its interactions at the generic door."""
    body: dict[str, Any] = {"id": account, "platform": platform, "handle": handle}
    if connected_at is not None:
        body["connected_at"] = connected_at
    if connection:
        pairs = [pair.partition("=") for pair in connection]
        if wrong := [name for name, equals, _ in pairs if not equals]:
            raise typer.BadParameter(f"{wrong[0]!r} is not NAME=VALUE", param_hint="--connection")
        body["connection"] = {name: value for name, _, value in pairs}
    if staff:
        body["staff"] = staff
    made = client.call(data, "POST", client.path("brands", brand, "accounts"), body)
    if as_json:
        print_json(made)
    else:
        typer.echo(f"connected {made['id']}; the secret of its door is {made['door_secret']}")


@app.command()
def disconnect(
    brand: Brand,
    account: Annotated[str, typer.Argument(metavar="ID", help="The account's id.")],
    data: client.Place = None,
    as_json: Json = False,
) -> None:
    """Disconnect an account: nothing of it is read any more, and what waits on it waits no more."""
    ended = client.call(data, "DELETE", client.path("brands", brand, "accounts", account))
    if as_json:
        print_json(ended)
    else:
        typer.echo(f"disconnected {ended['id']} at {ended['disconnected_at']}")


@app.command("rotate-secret")
def rotate_secret(
    brand: Brand,
    account: Annotated[str, typer.Argument(metavar="ID", help="The account's id.")],
    overlap: Annotated[
        int, typer.Option(min=0, metavar="SECONDS", help="How long the secret before stays good; at most a week.")
    ] = 86_400,
    data: client.Place = None,
    as_json: Json = False,
) -> None:
    """Make a new secret for the account's door and print it, this once. The one before stays good for the overlap."""
    where = client.path("brands", brand, "accounts", account, "rotate-secret")
    made = client.call(data, "POST", where, {"overlap_seconds": overlap})
    if as_json:
        print_json(made)
    else:
        typer.echo(f"the new secret of {made['id']} is {made['door_secret']}")
        typer.echo(f"the one before is taken until {made['old_secret_until']}")


@app.command("list")
def list_(brand: Brand, data: client.Place = None, as_json: Json = False) -> None:
    """List a client's accounts."""
    found = client.items(data, client.path("brands", brand, "accounts"))
    if as_json:
        print_json(found)
    else:
        columns = {"id": "id", "platform": "platform", "handle": "handle", "connected_at": "connected at"}
        print_table(columns, found)
