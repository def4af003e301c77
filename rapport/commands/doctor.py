"""`rapport doctor`."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rapport.commands.log.servers import Installed, installed
from rapport.commands.options import Json, print_json, print_table

if TYPE_CHECKING:
    from services.doctor.app import Asked


def doctor(
    data: Installed = None,
    as_json: Json = False,
) -> None:
    """Examine Kafka, MongoDB and the processes, and say what is wrong. Changes nothing.

    Ends with code 1 if anything is wrong, else with 0. What is doubtful may be meant, such as a single broker.
    """
    from services.doctor.app import examine

    found = examine(_asked(data))
    if as_json:
        print_json([{"what": each.what, "state": each.state, "detail": each.detail} for each in found])
    else:
        columns = {"what": "what", "state": "", "detail": "detail"}
        print_table(columns, [{"what": each.what, "state": each.state, "detail": each.detail} for each in found])
    if any(each.state == "wrong" for each in found):
        raise typer.Exit(1)


def _asked(data: Path | None) -> "Asked":
    from rapport.kit.config import MongoSettings
    from services.doctor.app import Asked

    running = installed(data)
    settings = MongoSettings(port=0)
    if running is None:
        return Asked(settings.kafka, settings.mongodb.get_secret_value(), settings.database)
    return Asked(running.kafka, running.mongodb, settings.database, running.internal, data or Path("data"))
