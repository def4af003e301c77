"""`rapport up` and `rapport status`: the installation on this machine."""

import signal
from types import FrameType
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
from rapport.processes import PARTS

if TYPE_CHECKING:
    from rapport.local.running_installation import RunningInstallation

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(data: Data = DEFAULT_DATA, port: PortOption = None, as_json: Json = False) -> None:
    """Run the whole installation on this machine, in the foreground until Ctrl-C.

    Starts Kafka and MongoDB (or uses those that RAPPORT_KAFKA and RAPPORT_MONGODB name) and every service, each with
    its log in the data folder. A service that ends unexpectedly is started again. Ports stay as they were at the first
    start, when the usual ones were taken if they were free.
    """
    from rapport.local.installation import Installation
    from rapport.local.progress_display import ProgressDisplay

    wanted = wanted_ports(port, PARTS)
    for number in _ENDING:
        signal.signal(number, _interrupt)
    installation = Installation()
    display = ProgressDisplay()
    try:
        with stack_errors():
            with display:
                running = installation.start(data, display.tell, wanted_ports=wanted)
            _show(running, as_json)
            installation.wait()
    except KeyboardInterrupt:
        # Everything is being stopped already; a second Ctrl-C would only leave something behind.
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)
        display.tell("rapport", "stopping")
    finally:
        installation.stop()


def status(data: Data = DEFAULT_DATA, as_json: Json = False) -> None:
    """Show what runs on this machine, and where. Exits with code 1 if nothing does."""
    from rapport.local.running_installation import status as find

    running = find(data)
    if running is None:
        fail(f"no installation runs on {data}; `rapport up --data {data}` starts one")
    _show(running, as_json)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _show(running: "RunningInstallation", as_json: bool) -> None:
    import msgspec

    from rapport.kit.mongo import shown

    if as_json:
        print_json(msgspec.to_builtins(running))
        return
    addresses = {
        "portal": running.portal,
        "api": f"{running.api}/v1",
        "ingest": f"{running.ingest}/v1/interactions",
        "kafka": running.kafka,
        "mongodb": shown(running.mongodb),
    }
    rows = [{"what": what, "address": address, "pid": running.pids.get(what)} for what, address in addresses.items()]
    rows += [{"what": name, "pid": pid} for name, pid in running.pids.items() if name not in addresses]
    print_table({"what": "", "address": "address", "pid": "pid"}, rows)
    typer.echo(f"\nadmin key: {running.admin_key}")  # not in the table, which may fold it
    typer.echo(f"\nTo connect an account (docs/connect.md), paste this into another terminal:\n{running.exports()}")
