"""`rapport secrets`: how secrets at rest are sealed."""

from typing import Annotated

import typer

from rapport.commands import client
from rapport.commands.options import Json, fail, print_json

app = typer.Typer(no_args_is_help=True, help="How secrets at rest are sealed.")


@app.command()
def key(name: Annotated[str, typer.Argument(help="The new key's id: small letters, digits and dashes.")]) -> None:
    """Print a new line for the file that RAPPORT_SEALING_KEYS names."""
    import re

    from rapport.kit.sealing import new_key

    if not re.fullmatch(r"[a-z0-9-]{1,32}", name):
        fail("the id has 1 to 32 small letters, digits and dashes")
    typer.echo(new_key(name))


@app.command()
def seal(data: client.Place = None, as_json: Json = False) -> None:
    """Seal every secret with the first key of the API, where it is sealed with another one or not at all."""
    done = client.call(data, "POST", "/secrets/seal", {})
    if as_json:
        print_json(done)
    else:
        many = "1 secret" if done["secrets"] == 1 else f"{done['secrets']} secrets"
        typer.echo(f"{many} sealed again, with the key {done['sealed_with']}")
        for brand, why in done["failed"].items():
            typer.echo(f"but those of {brand} are as they were: {why}", err=True)
    if done["failed"]:
        raise typer.Exit(1)
