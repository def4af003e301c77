"""Which servers a command talks to."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rapport.commands.options import fail

if TYPE_CHECKING:
    from rapport.kit.broker.kafka_login import KafkaLogin
    from rapport.local.running_installation import RunningInstallation
    from rapport.local.servers.stack import Running

Kafka = Annotated[
    str | None,
    typer.Option(
        help="Bootstrap servers, separated by commas. Default: those of --data, else RAPPORT_KAFKA, else those of the "
        "folder `data`."
    ),
]
Place = Annotated[Path | None, typer.Option("--data", help="The folder of an installation that runs here.")]
Installed = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="The folder of an installation that runs here. Default: the servers that RAPPORT_KAFKA and "
        "RAPPORT_MONGODB name if both are set, else `data`.",
    ),
]


def kafka_servers(kafka: str | None, data: Path | None) -> str:
    """The bootstrap servers that were named: on the command line, by the folder there, or in the environment."""
    named = kafka or (os.environ.get("RAPPORT_KAFKA") if data is None else None)
    return named or _stack(data or Path("data"), "no Kafka runs", "set RAPPORT_KAFKA").kafka


def installed(data: Path | None, code: int = 1) -> "RunningInstallation | None":
    """The installation that runs here; None if the environment names the servers. Exits with `code` without one."""
    if _environment_names_them(data):
        return None
    from rapport.local.running_installation import status

    folder = data or Path("data")
    running = status(folder)
    if running is None:
        fail(
            f"no installation runs on {folder}: name its folder with --data, or set RAPPORT_KAFKA and RAPPORT_MONGODB",
            code,
        )
    _log_in(running.kafka_login())
    return running


def servers_of(data: Path | None) -> tuple[str, str, str]:
    """Kafka's bootstrap servers, MongoDB's URI and the database's name; the services need not run."""
    from rapport.kit.config import MongoSettings

    settings = MongoSettings(port=0)
    if _environment_names_them(data):
        return settings.kafka, settings.mongodb.get_secret_value(), settings.database
    running = _stack(data or Path("data"), "no Kafka and MongoDB run", "set RAPPORT_KAFKA and RAPPORT_MONGODB")
    return running.kafka, running.mongodb, settings.database


def _environment_names_them(data: Path | None) -> bool:
    return data is None and {"RAPPORT_KAFKA", "RAPPORT_MONGODB"} <= os.environ.keys()


def _stack(folder: Path, lacking: str, otherwise: str) -> "Running":
    from rapport.local.servers.stack import Stack

    running = Stack(folder).status()
    if running is None:
        fail(f"{lacking} on {folder}: run `rapport stack up --data {folder}`, or {otherwise}")
    _log_in(running.kafka_login())
    return running


def _log_in(login: "KafkaLogin") -> None:
    os.environ.update(login.variables())  # where every Kafka client of this process looks for it


@contextmanager
def kafka_errors(servers: str) -> Iterator[None]:
    """Says in one sentence what Kafka's errors mean, whichever client they come from, and ends with code 1."""
    import logging

    import aiokafka.errors
    import kafka.errors

    # asyncio logs what aiokafka left in futures that nobody asks.
    for library in ("kafka", "aiokafka", "asyncio"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    try:
        yield
    except (
        aiokafka.errors.KafkaConnectionError,
        kafka.errors.KafkaConnectionError,
        kafka.errors.KafkaTimeoutError,
    ):
        fail(f"Kafka at {servers} does not answer")
    except (
        aiokafka.errors.CoordinatorNotAvailableError,
        aiokafka.errors.GroupCoordinatorNotAvailableError,
        kafka.errors.CoordinatorNotAvailableError,
    ):
        fail(
            f"Kafka at {servers} keeps no positions of groups yet: no scorer has run there, or the topic "
            "__consumer_offsets has too few brokers. Start the scorer, or see to the brokers, and try again"
        )
    except (aiokafka.errors.ProducerFenced, aiokafka.errors.InvalidProducerEpoch):
        fail("a scorer that runs has taken a partition back: stop all scorers, and try again")
    except (aiokafka.errors.KafkaError, kafka.errors.KafkaError, OSError) as error:
        fail(f"Kafka at {servers} does not answer properly: {type(error).__name__}: {error}")
