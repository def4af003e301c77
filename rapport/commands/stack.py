"""`rapport stack`: the local Kafka and MongoDB."""

from typing import TYPE_CHECKING

import typer

from rapport.commands.options import (
    DEFAULT_DATA,
    Data,
    Json,
    PortOption,
    fail,
    print_json,
    print_table,
    stack_errors,
    wanted_ports,
)
from rapport.processes import SERVERS

if TYPE_CHECKING:
    from rapport.local.stack import Running

app = typer.Typer(no_args_is_help=True, help="The local Kafka and MongoDB, without Docker.")


@app.command()
def up(data: Data = DEFAULT_DATA, port: PortOption = None, as_json: Json = False) -> None:
    """Start both and make the topics, or use the servers that RAPPORT_KAFKA and RAPPORT_MONGODB name.

    Both go on in the background until `rapport stack down`. Repeating it is harmless.
    """
    from rapport.local.chosen_ports import ChosenPorts
    from rapport.local.screen import Screen
    from rapport.local.stack import Stack

    wanted = wanted_ports(port, SERVERS)
    with stack_errors(), Screen() as screen:
        running = Stack(data).up(screen.tell, chosen=ChosenPorts(data.absolute(), wanted))
    _show(running, as_json)


@app.command()
def down(data: Data = DEFAULT_DATA, as_json: Json = False) -> None:
    """End what `up` started; what it stored stays."""
    from rapport.local.stack import Stack

    with stack_errors():
        stack = Stack(data)
        if stack.bound_elsewhere():
            fail(f"the servers of {data} belong to a running `rapport up`; end that instead")
        ended = stack.down()
    if as_json:
        print_json({"ended": sorted(ended)})
    else:
        typer.echo(f"ended {' and '.join(sorted(ended))}" if ended else "nothing of it was running")


@app.command()
def status(data: Data = DEFAULT_DATA, as_json: Json = False) -> None:
    """Say whether both run, and where. Ends with code 1 if not."""
    from rapport.local.stack import Stack

    with stack_errors():
        running = Stack(data).status()
    if running is None:
        fail(f"no stack runs on {data}")
    _show(running, as_json)


def _show(running: "Running", as_json: bool) -> None:
    import msgspec

    from rapport.kit.mongo import shown

    if as_json:
        print_json(msgspec.to_builtins(running))
        return
    rows = [
        {"what": "kafka", "address": running.kafka, "pid": running.pids.get("kafka")},
        {"what": "mongodb", "address": shown(running.mongodb), "pid": running.pids.get("mongodb")},
    ]
    print_table({"what": "", "address": "address", "pid": "pid"}, rows)
