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
    from rapport.local.servers.stack import Running

app = typer.Typer(no_args_is_help=True, help="The local Kafka and MongoDB, without Docker.")


@app.command()
def up(data: Data = DEFAULT_DATA, port: PortOption = None, as_json: Json = False) -> None:
    """Start both and create the topics, or use the servers that RAPPORT_KAFKA and RAPPORT_MONGODB name.

    Both go on in the background until `rapport stack down`. Repeating it is harmless.
    """
    from rapport.local.chosen_ports import ChosenPorts
    from rapport.local.progress_display import ProgressDisplay
    from rapport.local.servers.stack import Stack

    wanted = wanted_ports(port, SERVERS)
    with stack_errors(), ProgressDisplay() as display:
        running = Stack(data).up(display.tell, chosen=ChosenPorts(data.absolute(), wanted))
    _show(running, as_json)


@app.command()
def down(data: Data = DEFAULT_DATA, as_json: Json = False) -> None:
    """Stop what `up` started. The data stays."""
    from rapport.local.servers.stack import Stack

    with stack_errors():
        stack = Stack(data)
        if stack.bound_elsewhere():
            fail(f"the servers of {data} belong to a running `rapport up`; stop that instead")
        ended = stack.down()
    if as_json:
        print_json({"ended": sorted(ended)})
    else:
        typer.echo(f"stopped {' and '.join(sorted(ended))}" if ended else "nothing was running")


@app.command()
def status(data: Data = DEFAULT_DATA, as_json: Json = False) -> None:
    """Show whether both run, and where. Exits with code 1 if not."""
    from rapport.local.servers.stack import Stack

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
