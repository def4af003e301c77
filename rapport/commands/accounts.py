"""`rapport accounts`: a client's accounts on the platforms."""

import getpass
import sys
from typing import Annotated, Any

import typer

from rapport.commands import client
from rapport.commands.options import Json, print_json, print_table

MOST_TOKEN = 2_048
"""Characters."""

app = typer.Typer(no_args_is_help=True, help="A client's accounts on the platforms.")

Brand = Annotated[str, typer.Argument(help="The client's id.")]


@app.command()
def add(
    brand: Brand,
    account: Annotated[str, typer.Argument(metavar="ID", help="Unique in the installation.")],
    platform: Annotated[str, typer.Option(help="Such as bluesky, or a name of your choice for the generic door.")],
    handle: Annotated[str, typer.Option(help="As people write it.")],
    connected_at: Annotated[
        str | None, typer.Option(help="RFC 3339; older comments alert nobody. Default: now.")
    ] = None,
    connection: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="What the platform's connector needs; repeatable.")
    ] = None,
    ask_token: Annotated[
        bool,
        typer.Option("--ask-token", help="Ask for the platform's access token, so that it is in no shell's history."),
    ] = False,
    staff: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Somebody of the staff, by their id on the platform; repeatable."),
    ] = None,
    data: client.Place = None,
    as_json: Json = False,
) -> None:
    """Connect an account, and print the secret that signs its interactions. It is shown only once."""
    body: dict[str, Any] = {"id": account, "platform": platform, "handle": handle}
    if connected_at is not None:
        body["connected_at"] = connected_at
    if connection:
        pairs = [pair.partition("=") for pair in connection]
        if wrong := [name for name, equals, _ in pairs if not equals]:
            raise typer.BadParameter(f"{wrong[0]!r} is not NAME=VALUE", param_hint="--connection")
        body["connection"] = {name: value for name, _, value in pairs}
    if ask_token:
        body.setdefault("connection", {})["token"] = _asked_token()
    if staff:
        body["staff"] = staff
    made = client.call(data, "POST", client.path("brands", brand, "accounts"), body)
    if as_json:
        print_json(made)
    else:
        typer.echo(f"connected {made['id']}; its secret for the generic door is {made['door_secret']}")


@app.command()
def disconnect(
    brand: Brand,
    account: Annotated[str, typer.Argument(metavar="ID", help="The account's id.")],
    data: client.Place = None,
    as_json: Json = False,
) -> None:
    """Disconnect an account: it is no longer read, and its open exchanges are cancelled."""
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
        int, typer.Option(min=0, metavar="SECONDS", help="How long the old secret stays valid; at most a week.")
    ] = 86_400,
    data: client.Place = None,
    as_json: Json = False,
) -> None:
    """Create a new secret for an account, and print it. It is shown only once. The old one stays valid for a while."""
    where = client.path("brands", brand, "accounts", account, "rotate-secret")
    made = client.call(data, "POST", where, {"overlap_seconds": overlap})
    if as_json:
        print_json(made)
    else:
        typer.echo(f"the new secret of {made['id']} is {made['door_secret']}")
        typer.echo(f"the old one is valid until {made['old_secret_until']}")


@app.command("list")
def list_(brand: Brand, data: client.Place = None, as_json: Json = False) -> None:
    """List a client's accounts."""
    found = client.items(data, client.path("brands", brand, "accounts"))
    if as_json:
        print_json(found)
    else:
        for each in found:
            each["state"] = (each.get("standing") or {}).get("state")
        columns = {
            "id": "id", "platform": "platform", "handle": "handle", "connected_at": "connected at", "state": "state"
        }  # fmt: skip
        print_table(columns, found)


def _asked_token() -> str:
    """A token that somebody types, unseen; from standard input where that is no terminal."""
    if sys.stdin.isatty():
        return getpass.getpass("Access token: ").strip()
    return sys.stdin.readline(MOST_TOKEN).strip()
