"""`rapport backup`, `rapport restore`, `rapport rebuild`: what MongoDB holds, and how it comes back."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rapport.commands.log.servers import Installed, servers_of
from rapport.commands.options import Json, fail, print_json

if TYPE_CHECKING:
    from pymongo.database import Database

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The backup.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def backup(folder: Folder, data: Installed = None, as_json: Json = False) -> None:
    """Write all of MongoDB, as it is at one moment, to a new folder. Everything may run meanwhile.

    The secrets of clients in it are sealed if the installation seals them; the rest is readable. Keep it apart.
    """
    from services.backup.take import take

    with _servers(data) as (kafka, database):
        manifest = take(kafka, database, folder, _told)
    many = sum(each.documents for each in manifest.collections.values())
    size = sum(each.bytes for each in manifest.collections.values())
    if as_json:
        print_json({"folder": str(folder), "documents": many, "bytes": size, "taken_at": manifest.taken_at.isoformat()})
    else:
        typer.echo(f"{many:,} documents, {size / 1e6:,.1f} MB, as of {manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC")


def restore(
    folder: Folder,
    data: Installed = None,
    replace: Annotated[bool, typer.Option("--replace", help="Drop what the database has now.")] = False,
    trial: Annotated[
        bool,
        typer.Option(
            "--trial", help="Only fill the database, for a look at the backup; leave Kafka and the processes alone."
        ),
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Restore a backup. Projector, notifier and API have to be stopped; scorer and ingest may go on.

    Projector and notifier are put back to where they were, so they catch up with the log when they start. The database
    is the one that RAPPORT_DATABASE names. All is checked before anything is changed.
    """
    from services.backup.restore import plan
    from services.backup.restore import restore as run

    with _servers(data) as (kafka, database):
        planned = plan(kafka, database, folder, replace=replace, trial=trial)
        for gap in planned.gaps:
            typer.echo(f"{gap.place}: {gap.records:,} records that {gap.group} would read again are gone", err=True)
        if planned.replaced and not yes:
            typer.confirm(f"Drop {planned.replaced:,} documents of {database.name}?", abort=True, err=True)
        newer = run(kafka, database, planned, _told)
    _say(as_json, newer, {"gaps": [vars(each) for each in planned.gaps]}, "restored")


def rebuild(data: Installed = None, yes: Yes = False, as_json: Json = False) -> None:
    """Make the projector read the whole log again, so that it adds what MongoDB lacks. Projectors have to be stopped.

    Nothing is deleted, and nothing that is right changes. What is older than the log, 90 days, cannot come back, nor
    can what never was in it: keys, plans, campaigns, communities, labels, links.
    """
    from services.backup.rebuild import rebuild as run

    if not yes:
        typer.confirm("Read the whole log again? Views are behind until that is done.", abort=True, err=True)
    with _servers(data) as (kafka, database):
        begins, newer = run(kafka, database)
    since = begins.isoformat(timespec="seconds") if begins is not None else None
    _say(as_json, newer, {"since": since}, f"the projector will read from {since or 'the beginning'} when it starts")


def _say(as_json: bool, newer: list[str], more: dict[str, Any], words: str) -> None:
    if as_json:
        print_json({"settings_from_the_log": newer, **more})
        return
    for each in newer:
        typer.echo(f"newer in the log, and taken over: {each}")
    typer.echo(words)


def _told(collection: str, documents: int) -> None:
    sys.stderr.write(f"{collection}: {documents:,}\n")


@contextmanager
def _servers(data: Path | None) -> "Iterator[tuple[str, Database[Any]]]":
    import logging

    from kafka.errors import KafkaError
    from pymongo.errors import PyMongoError

    from rapport.kit import mongo
    from services.backup.archive import BadBackupError
    from services.backup.positions import BusyError, ElsewhereError
    from services.backup.restore import NotEmptyError

    for library in ("kafka", "pymongo"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    kafka, mongodb, name = servers_of(data)
    try:
        with mongo.patient_client(mongodb) as client:
            yield kafka, client[name]
    except NotEmptyError as error:
        fail(f"{error}; --replace drops it")
    except (BadBackupError, BusyError, ElsewhereError) as error:
        fail(str(error))
    except KafkaError as error:
        fail(f"Kafka at {kafka}: {type(error).__name__}: {error}")
    except PyMongoError as error:
        fail(f"MongoDB at {mongo.shown(mongodb)}: {type(error).__name__}: {error}")
    except OSError as error:
        fail(str(error))
