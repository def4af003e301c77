"""`rapport erase`."""

from typing import Annotated, Any

import typer

from rapport.commands import client
from rapport.commands.options import Json, fail, print_json
from rapport.kit.text import one_line

LONGEST_NAME = 100


def erase(
    brand: Annotated[str, typer.Argument(help="The client's id.")],
    platform: Annotated[str, typer.Argument(help="Such as bluesky, or the name that you gave at the generic door.")],
    follower: Annotated[str, typer.Argument(metavar="ID", help="The person's id on that platform.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    unknown: Annotated[
        bool,
        typer.Option("--unknown", help="Also if nobody has this id yet, in case they appear later."),
    ] = False,
    data: client.Place = None,
    as_json: Json = False,
) -> None:
    """Forget a person for a client: their name and all they did, and whatever still comes. This cannot be undone."""
    from services.api.http.ids import follower_ref

    where = client.path("brands", brand, "followers", follower_ref(platform, follower))
    known = client.find(data, where)
    if known is None and not unknown:
        fail(f"nobody with the id {follower!r} on {platform!r} is known for {brand!r}, so nothing was erased")
    if not yes:
        who = _called(known) if known is not None else f"{follower}, who is not known yet,"
        typer.confirm(f"Forget {who} on {platform} for {brand}, for good?", abort=True, err=True)
    erased = client.call(data, "DELETE", where)
    if as_json:
        print_json(erased)
    else:
        typer.echo(f"erased at {erased['at']}; it disappears everywhere within seconds")


def _called(known: dict[str, Any]) -> str:
    """Name, handle and id of a person, where they are known."""
    names = [known.get("name"), f"@{known['handle']}" if known.get("handle") else None, known["platform_id"]]
    shown = [one_line(str(name), LONGEST_NAME) for name in dict.fromkeys(names) if name]
    return f"{shown[0]} ({', '.join(shown[1:])})" if len(shown) > 1 else shown[0]
