"""`rapport partitions`: more partitions for an installation whose processes are stopped."""

import sys
from typing import Annotated

import typer

from rapport.commands.log.servers import Kafka, Place, kafka_errors, kafka_servers
from rapport.commands.options import Json, fail, print_json


def partitions(
    now: Annotated[int, typer.Argument(metavar="N", help="How many there are to be: a multiple of today's number.")],
    kafka: Kafka = None,
    data: Place = None,
    leave: Annotated[
        bool, typer.Option("--leave", help="Go on although something was written after it had begun.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Give all topics N partitions, so that more scorers can share the work. All processes have to be stopped.

    RAPPORT_PARTITIONS is still the present number; set it to N for every process afterwards. All that was written has
    to be processed: stop ingest and the API first, the scorer last. The scorer's rows move along, and nothing is lost
    or done twice. If it is interrupted, run it again. It cannot be undone, and earlier versions of Rapport cannot read
    the log afterwards.
    """
    from rapport.contracts.topics import CONVERSATIONS
    from services.partitions import change
    from services.partitions.homes import WrongCountError, check
    from services.scorer.fenced.state import RefusedError

    was = CONVERSATIONS.partitions
    try:
        check(was, now)
    except WrongCountError as error:
        fail(str(error))
    servers = kafka_servers(kafka, data)
    if not yes:
        typer.confirm(f"Make the {was} partitions of each topic {now}?", abort=True, err=True)
    try:
        with kafka_errors(servers):
            moved = change.add(servers, was, now, lambda step: sys.stderr.write(f"{step}\n"), leave=leave)
    except (change.NotYetError, RefusedError) as error:
        fail(str(error))
    if as_json:
        print_json({"was": was, "now": now, "moved": moved.rows, "copied": moved.copies})
        return
    typer.echo(f"each topic has {now} partitions; {moved.rows:,} rows moved and {moved.copies:,} copied to all")
    typer.echo(f"set RAPPORT_PARTITIONS to {now} for every process before it starts")
