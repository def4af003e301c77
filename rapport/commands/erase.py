"""`rapport erase`."""

from typing import Annotated, Any

import typer

from rapport.commands import client
from rapport.commands.options import Json, fail, print_json
from rapport.kit.text import one_line

LONGEST_NAME = 100


def erase(
    brand: Annotated[str, typer.Argument(help="The client's id.")],
    platform: Annotated[str, typer.Argument(help="Such as bluesky, or the generic door's own name.")],
    follower: Annotated[str, typer.Argument(metavar="ID", help="The person's id on that platform.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Also where nobody of that id is known yet: should they come, they count.")
    ] = False,
    data: client.Place = None,
    as_json: Json = False,
) -> None:
    """Forget a person for a client: what they did and are called, now and whatever still comes. Nothing undoes it."""
    from services.api.ids import follower_ref

    where = client.path("brands", brand, "followers", follower_ref(platform, follower))
    known = client.find(data, where)
    if known is None and not unknown:
        fail(f"nobody with the id {follower!r} on {platform!r} is known for {brand!r}, so nothing was erased")
    if not yes:
        who = _called(known) if known is not None else f"{follower}, who is not known yet,"
        typer.confirm(f"Forget {who} on {platform} for {brand}, for good?", abort=True)
    erased = client.call(data, "DELETE", where)
    if as_json:
        print_json(erased)
    else:
        typer.echo(f"erased at {erased['at']}; within seconds nothing shows it any more")


def _called(known: dict[str, Any]) -> str:
    """Name, handle and id of a person, as far as they are known."""
    names = [known.get("name"), f"@{known['handle']}" if known.get("handle") else None, known["platform_id"]]
    shown = [one_line(str(name), LONGEST_NAME) for name in dict.fromkeys(names) if name]
    return f"{shown[0]} ({', '.join(shown[1:])})" if len(shown) > 1 else shown[0]
