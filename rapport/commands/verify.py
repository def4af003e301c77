"""`rapport verify`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from services.verify.app import Summary, Wanted
    from services.verify.compare import Difference


def verify(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="The folder of an installation that runs here. Without it the servers that RAPPORT_KAFKA and "
            "RAPPORT_MONGODB name, else `data`.",
        ),
    ] = None,
    brand: Annotated[str | None, typer.Option(help="Compare this client's only.")] = None,
    grace: Annotated[
        float | None,
        typer.Option(
            min=0,
            envvar="RAPPORT_BREACH_GRACE_SECONDS",
            help="The scorer's, in seconds; with another one other breaches come out. Without it that of the "
            "installation that runs here, else 120.",
        ),
    ] = None,
    settle: Annotated[
        float, typer.Option(min=0, help="Seconds for which what differs must not change before it is a difference.")
    ] = 30.0,
    keep: Annotated[
        Path | None,
        typer.Option(help="A folder for what was recomputed, to go on from there next time; else it is thrown away."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per difference, then one that sums up.")
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
    import os

    from rapport.kit.config import MongoSettings
    from services.scorer.settings import ScorerSettings
    from services.verify.app import UNDONE, Wanted

    settings = MongoSettings(port=0)
    kafka, mongodb = settings.kafka, settings.mongodb.get_secret_value()
    if data is not None or not {"RAPPORT_KAFKA", "RAPPORT_MONGODB"} <= os.environ.keys():
        from rapport.local.line import status

        line = status(data or Path("data"))
        if line is None:
            sys.stderr.write(
                f"rapport: no installation runs on {data or 'data'}: name its folder with --data, or set RAPPORT_KAFKA "
                "and RAPPORT_MONGODB\n"
            )
            raise typer.Exit(UNDONE)
        kafka, mongodb = line.kafka, line.mongodb
        grace = line.breach_grace_seconds if grace is None else grace
        os.environ.update(line.kafka_login().environment())  # where every Kafka client of this process looks for it
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
