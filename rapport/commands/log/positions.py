"""`rapport positions`: where the scorer is in the log, and how to make it go on when it refuses to."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rapport.commands.log.servers import Kafka, Place, kafka_errors, kafka_servers
from rapport.commands.options import Json, fail, print_json, print_table

if TYPE_CHECKING:
    from services.scorer.positions import Found

app = typer.Typer(no_args_is_help=True, help="Where the scorer is in the log, and how to make it go on.")


@app.command("list")
def list_(kafka: Kafka = None, data: Place = None, as_json: Json = False) -> None:
    """Compare the scorer's rows, its group and the log, partition by partition. Changes nothing.

    Exits with code 1 if the scorer would refuse to go on.
    """
    found = _look(kafka_servers(kafka, data))
    if as_json:
        print_json([_plain(each) for each in found])
    else:
        columns = {"partition": "partition", "rows": "rows at", "group": "group at", "log": "log", "trouble": "trouble"}
        print_table(
            columns, [{**_plain(each), "log": f"{each.standing.first} to {each.standing.end}"} for each in found]
        )
    if any(each.standing.trouble for each in found):
        raise typer.Exit(1)


@app.command()
def accept(
    kafka: Kafka = None,
    data: Place = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Give up what stops the scorer, so that it goes on. What that costs is printed first.

    Records that were deleted before they were processed stay unprocessed: comments among them get no clock, and answers
    among them answer nothing. If somebody moved the group's offsets, they go back to where the rows are. If a topic was
    recreated, all that it holds now is processed. This does not bring back lost rows: restore the changelog for that.
    Nothing is changed if the scorer would go on anyway. This cannot be undone.
    """
    servers = kafka_servers(kafka, data)
    found = _look(servers)
    hopeless = [each.standing.refusal() for each in found if each.standing.trouble and each.cost() is None]
    wanted = [each for each in found if each.cost() is not None]
    if not as_json:
        for each in wanted:
            typer.echo(each.cost())
    if wanted and not yes:
        typer.confirm("Give this up?", abort=True, err=True)
    if wanted:
        from services.scorer import positions

        with (
            kafka_errors(servers),
            _bar("accepting", len({(e.agent, e.standing.source.partition) for e in wanted})) as on,
        ):
            positions.accept(servers, wanted, on)
    if as_json:
        print_json([{**_plain(each), "given_up": each.cost()} for each in wanted])
    elif not wanted and not hopeless:
        typer.echo("nothing stops the scorer")
    if hopeless:
        fail("; ".join(hopeless))


def _look(servers: str) -> "list[Found]":
    from rapport.contracts.topics import CONVERSATIONS
    from services.scorer import positions

    with kafka_errors(servers), _bar("reading positions", 2 * CONVERSATIONS.partitions) as on:
        return positions.look(servers, on)


def _plain(found: "Found") -> dict[str, Any]:
    standing = found.standing
    return {
        "agent": found.agent,
        "partition": f"{standing.source.topic}:{standing.source.partition}",
        "rows": standing.rows,
        "group": standing.committed,
        "first": standing.first,
        "end": standing.end,
        "trouble": standing.trouble and standing.trouble.value,
    }


@contextmanager
def _bar(what: str, steps: int) -> Iterator[Callable[[], None]]:
    with typer.progressbar(length=steps, label=what, file=sys.stderr) as bar:
        yield lambda: bar.update(1)
