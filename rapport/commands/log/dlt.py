"""`rapport dlt`: records that no process could work on, why, and how to try them again."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rapport.commands.log.servers import Kafka, Place, kafka_errors, kafka_servers
from rapport.commands.options import Json, fail, print_json, print_table

if TYPE_CHECKING:
    from rapport.kit.broker.dead_letter_box import Letter, Opened

app = typer.Typer(no_args_is_help=True, help="Dead letters: records that no process could work on.")

MOST = 10_000
SHOWN = 4_000
"""Characters of a key, a header or a value."""

Where = Annotated[str, typer.Argument(help="A letter: <topic>:<partition>:<offset>, as `rapport dlt list` shows it.")]


@app.command("list")
def list_(
    kafka: Kafka = None,
    data: Place = None,
    most: Annotated[int, typer.Option("--most", min=1, max=MOST, help="How many of the latest.")] = 100,
    as_json: Json = False,
) -> None:
    """List the latest dead letters, with their reasons. Exits with code 1 if there are any."""
    from rapport.contracts.topics import DEAD_LETTERS
    from rapport.kit.broker import dead_letter_box

    servers = kafka_servers(kafka, data)
    with _errors(servers):
        found = dead_letter_box.latest(servers, [(topic.name, topic.partitions) for topic in DEAD_LETTERS], most)
    if as_json:
        print_json([_summary(each) for each in found])
    elif found:
        columns = {"letter": "letter", "at": "at", "reason": "reason", "from": "record"}
        print_table(columns, [_summary(each) for each in found])
    else:
        typer.echo("there are no dead letters")
    if found:
        raise typer.Exit(1)


@app.command()
def show(letter: Where, kafka: Kafka = None, data: Place = None, as_json: Json = False) -> None:
    """Show one dead letter: the reason, and the record with its key, headers and value."""
    (found,) = _letters([letter], kafka_servers(kafka, data))
    headers = [(_printable(name), _text(value)) for name, value in found.headers]
    whole = {
        **_summary(found.letter),
        "without": _printable(found.letter.without) or None,
        "key": _text(found.key),
        "headers": dict(headers),
        "value": None if found.value is None else _text(found.value),
    }
    if as_json:
        print_json(whole)
        return
    value = whole.pop("value")
    del whole["headers"]
    for name, content in [*whole.items(), *headers, ("value", value)]:
        if content is not None:
            typer.echo(f"{name}: {content}")


@app.command()
def replay(
    letters: Annotated[list[str], typer.Argument(metavar="LETTER...", help="As `rapport dlt list` shows them.")],
    kafka: Kafka = None,
    data: Place = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Write the records of dead letters to their topics once more, so that they are processed again.

    Worth it after an upgrade that mends what failed. A record that fails again becomes another letter. Processing a
    record twice changes nothing. The letters stay where they are.
    """
    from rapport.kit.broker import dead_letter_box

    servers = kafka_servers(kafka, data)
    found = _letters(letters, servers)
    if not yes:
        for each in found:
            told = _summary(each.letter)
            typer.echo(f"{told['from']}: {told['reason']}", err=True)
        typer.confirm(f"Write {len(found)} to their topics once more?", abort=True, err=True)
    with _errors(servers):
        dead_letter_box.send_again(servers, found)
    if as_json:
        print_json([_summary(each.letter) for each in found])
    else:
        typer.echo(f"written once more: {len(found)}")


def _letters(names: list[str], servers: str) -> "list[Opened]":
    from rapport.kit.broker import dead_letter_box

    places = []
    for name in dict.fromkeys(names):
        try:
            place = dead_letter_box.Place.parse(name)
        except ValueError as error:
            fail(f"{error}; `rapport dlt list` shows them")
        if not place.topic.endswith(".dlt"):
            fail(f"{place.topic} is not a topic of dead letters")
        places.append(place)
    with _errors(servers):
        return dead_letter_box.opened(servers, places)


def _summary(letter: "Letter") -> dict[str, Any]:
    return {
        "letter": str(letter.place),
        "at": _moment(letter.at),
        "reason": _printable(letter.reason),
        "from": _printable(letter.source),
    }


def _moment(at: int) -> str | None:
    try:
        return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, ValueError):  # a writer's clock can say anything
        return None


def _text(value: bytes) -> str:
    """Printable, whatever it is, and not endless."""
    printable = _printable(value[: 4 * SHOWN].decode("utf-8", "backslashreplace"))
    return printable if len(printable) <= SHOWN else f"{printable[:SHOWN]}… ({len(value):,} bytes)"


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


@contextmanager
def _errors(servers: str) -> Iterator[None]:
    from rapport.kit.broker.dead_letter_box import Gone

    with kafka_errors(servers):
        try:
            yield
        except Gone as error:
            fail(str(error))
