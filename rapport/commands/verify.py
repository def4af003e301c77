"""`rapport verify`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rapport.commands.log.servers import Installed, installed

if TYPE_CHECKING:
    from services.verify.app import Summary, Wanted
    from services.verify.compare import Difference


def verify(
    data: Installed = None,
    brand: Annotated[str | None, typer.Option(help="Compare only this client.")] = None,
    grace: Annotated[
        float | None,
        typer.Option(
            min=0,
            envvar="RAPPORT_BREACH_GRACE_SECONDS",
            help="The scorer's breach grace in seconds; another one gives other breaches. Default: that of the "
            "installation that runs here, else 120.",
        ),
    ] = None,
    settle: Annotated[
        float,
        typer.Option(min=0, help="How many seconds something must differ to count as a difference."),
    ] = 30.0,
    keep: Annotated[
        Path | None,
        typer.Option(
            help="A folder for what was recomputed; the next run goes on from there. Default: it is discarded."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per difference, then a summary.")
    ] = False,
) -> None:
    """Recompute exchanges, alerts, relationships and counts from the log; print each difference from MongoDB.

    Writes nothing to Kafka or MongoDB. Ends with code 0 without differences, 1 with any, 2 where it could not be done.
    """
    from services.verify.app import Summary
    from services.verify.app import verify as run

    def tell(told: "Difference | Summary") -> None:
        (_tell_json if as_json else _tell_words)(told)
        if isinstance(told, Summary) and told.why is not None:
            sys.stderr.write(f"rapport: not verified: {told.why}\n")

    raise typer.Exit(run(_wanted(data, brand, grace, settle, keep), tell))


def _wanted(data: Path | None, brand: str | None, grace: float | None, settle: float, keep: Path | None) -> "Wanted":
    from rapport.kit.config import MongoSettings
    from services.scorer.settings import ScorerSettings
    from services.verify.app import UNDONE, Wanted

    running = installed(data, UNDONE)
    settings = MongoSettings(port=0)
    kafka, mongodb = settings.kafka, settings.mongodb.get_secret_value()
    if running is not None:
        kafka, mongodb = running.kafka, running.mongodb
        grace = running.breach_grace_seconds if grace is None else grace
    if grace is None:
        grace = ScorerSettings.model_fields["breach_grace_seconds"].default
    return Wanted(
        kafka=kafka, mongodb=mongodb, database=settings.database, grace=grace, settle=settle, brand=brand, keep=keep
    )


def _tell_json(told: "Difference | Summary") -> None:
    import msgspec

    _say(msgspec.json.encode(told, enc_hook=str).decode())


def _tell_words(told: "Difference | Summary") -> None:
    from services.verify import words
    from services.verify.app import Summary

    if not isinstance(told, Summary):
        _say(words.difference(told))
    elif told.why is None:
        for line in words.summary(told):
            _say(line)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
