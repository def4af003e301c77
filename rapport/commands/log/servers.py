"""Which servers a command talks to."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rapport.commands.options import fail

if TYPE_CHECKING:
    from rapport.local.running_installation import RunningInstallation

Kafka = Annotated[
    str | None,
    typer.Option(envvar="RAPPORT_KAFKA", help="Bootstrap servers, separated by commas. Default: those of --data."),
]
Place = Annotated[Path, typer.Option("--data", help="The folder of an installation that runs here.")]
Installed = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="The folder of an installation that runs here. Default: the servers that RAPPORT_KAFKA and "
        "RAPPORT_MONGODB name if both are set, else `data`.",
    ),
]


def kafka_servers(kafka: str | None, data: Path) -> str:
    """The bootstrap servers that were named, else those of an installation that runs here."""
    if kafka is not None:
        return kafka
    import os

    from rapport.local.servers.stack import Stack

    running = Stack(data).status()
    if running is None:
        fail(f"no Kafka runs on {data}: start it with `rapport stack up --data {data}`, or set RAPPORT_KAFKA")
    os.environ.update(running.kafka_login().variables())  # where every Kafka client of this process looks for it
    return running.kafka


def installed(data: Path | None, code: int = 1) -> "RunningInstallation | None":
    """The installation that runs here; None if the environment names the servers. Exits with `code` without one."""
    import os

    if data is None and {"RAPPORT_KAFKA", "RAPPORT_MONGODB"} <= os.environ.keys():
        return None
    from rapport.local.running_installation import status

    folder = data or Path("data")
    running = status(folder)
    if running is None:
        fail(
            f"no installation runs on {folder}: name its folder with --data, or set RAPPORT_KAFKA and RAPPORT_MONGODB",
            code,
        )
    os.environ.update(running.kafka_login().variables())  # where every Kafka client of this process looks for it
    return running


def servers_of(data: Path | None) -> tuple[str, str, str]:
    """Kafka's bootstrap servers, MongoDB's URI and the database's name; the services need not run."""
    import os

    from rapport.kit.config import MongoSettings
    from rapport.local.servers.stack import Stack

    settings = MongoSettings(port=0)
    if data is None and {"RAPPORT_KAFKA", "RAPPORT_MONGODB"} <= os.environ.keys():
        return settings.kafka, settings.mongodb.get_secret_value(), settings.database
    folder = data or Path("data")
    running = Stack(folder).status()
    if running is None:
        fail(
            f"no Kafka and MongoDB run on {folder}: start them with `rapport stack up --data {folder}`, or set "
            "RAPPORT_KAFKA and RAPPORT_MONGODB"
        )
    os.environ.update(running.kafka_login().variables())  # where every Kafka client of this process looks for it
    return running.kafka, running.mongodb, settings.database
