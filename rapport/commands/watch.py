"""`rapport watch`."""

from typing import Annotated

import typer

from rapport.commands.options import Json


def watch(
    handle: Annotated[str, typer.Argument(help="A handle such as bsky.app, with or without @, or a DID.")],
    jetstream: Annotated[
        str | None, typer.Option(help="Address of a Jetstream instance. Default: public ones.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this many interactions.")] = None,
    as_json: Json = False,
) -> None:
    """Follow any public Bluesky account live, without credentials; nothing is stored."""
    from services.ingest.connectors.bluesky.watch import watch as run

    raise typer.Exit(run(handle, jetstream, as_json=as_json, limit=limit))
