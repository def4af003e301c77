"""`rapport erase`."""

from typing import Annotated

import typer

from rapport.commands import client
from rapport.commands.options import Json, print_json


def erase(
    brand: Annotated[str, typer.Argument(help="The client's id.")],
    platform: Annotated[str, typer.Argument(help="Such as bluesky, or the generic door's own name.")],
    follower: Annotated[str, typer.Argument(metavar="ID", help="The person's id on that platform.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: client.Place = None,
    as_json: Json = False,
) -> None:
    """Forget a person for a client: what they did and are called, now and whatever still comes. Nothing undoes it."""
    from services.api.ids import follower_ref

    if not yes:
        typer.confirm(f"Forget {follower} on {platform} for {brand}, for good?", abort=True)
    erased = client.call(data, "DELETE", f"/brands/{brand}/followers/{follower_ref(platform, follower)}")
    if as_json:
        print_json(erased)
    else:
        typer.echo(f"erased at {erased['at']}; within seconds nothing shows it any more")
