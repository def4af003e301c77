"""`rapport watch`."""

from typing import Annotated

import typer

from rapport.commands.options import Json


def watch(
    handle: Annotated[str, typer.Argument(help="Such as bsky.app, with or without @, or a DID.")],
    jetstream: Annotated[str | None, typer.Option(help="Address of a Jetstream instance, not the public ones.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="End after that many interactions.")] = None,
    as_json: Json = False,
) -> None:
    """Follow any public Bluesky account live, without credentials; nothing is stored."""
    from services.ingest.watch import watch as run

    raise typer.Exit(run(handle, jetstream, as_json=as_json, limit=limit))
