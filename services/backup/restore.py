"""Restores a backup, and puts the groups that write to MongoDB back to where they were when it was taken."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo.database import Database

from rapport.contracts.topics import CONVERSATIONS, NOTIFIER_GROUP, PROJECTOR_GROUP
from rapport.kit.parts import parts
from services.api.storage import indexes
from services.backup import positions, settings
from services.backup.archive import RAW, Manifest, checked, documents
from services.backup.positions import ElsewhereError, Gap, Positions
from services.notifier import outbox, readings
from services.notifier.abilities import noted

AT_ONCE = 1_000


class NotEmptyError(Exception):
    """There is something in the database already."""


@dataclass(frozen=True)
class Plan:
    """A restore of which everything was checked and nothing is done yet."""

    folder: Path
    manifest: Manifest
    positions: Positions | None
    """None leaves the groups alone, for a trial in another database."""
    gaps: Sequence[Gap]
    replaced: int
    """Documents that are there now, and will be gone."""


def plan(kafka: str, database: Database[Any], folder: Path, *, replace: bool, trial: bool) -> Plan:
    """Checks everything and changes nothing. With `trial` the log is left alone, and so are the groups.

    Raises BadBackupError, NotEmptyError, BusyError, ElsewhereError, KafkaError, PyMongoError.
    """
    manifest = checked(folder)
    there = {name: database[name].estimated_document_count() for name in database.list_collection_names()}
    if any(there.values()) and not replace:
        name = max(there, key=lambda each: there[each])
        raise NotEmptyError(f"the database {database.name} is not empty: {name} has {there[name]:,} documents")
    wanted: Positions | None = None
    gaps: list[Gap] = []
    if not trial:
        if positions.cluster_id(kafka) != manifest.kafka:
            raise ElsewhereError(
                f"the backup goes with another Kafka ({manifest.kafka}). Restore it as a trial; after that "
                "`rapport rebuild` adds what this log has"
            )
        positions.check_idle(kafka)
        wanted, gaps = positions.fitting(kafka, manifest.positions)
    return Plan(folder, manifest, wanted, gaps, sum(there.values()))


def restore(kafka: str, database: Database[Any], planned: Plan, told: Callable[[str, int], object]) -> list[str]:
    """Does what was planned, and gives the settings that were newer in the log, in words.

    Raises what `plan` raises. Where it fails, the groups are as before, and it can be done again with `replace`.
    """
    database.client.drop_database(database.name)
    for name in planned.manifest.collections:
        collection = database.get_collection(name, codec_options=RAW)
        for some in parts(documents(planned.folder, name), AT_ONCE):
            collection.insert_many(some, ordered=False)
        told(name, planned.manifest.collections[name].documents)
    indexes.create(database)
    outbox.prepare(outbox.deliveries(database))
    # A backup has no leases, so their numbers start over, and a token with a higher number would never be renewed.
    database["account_tokens"].update_many({}, {"$set": {"number": 0, "asked_at": None}})
    if planned.positions is None:
        return []
    # What the notifier had read by now is no news: a channel that was added since must not hear of it.
    readings.note(noted(database), positions.committed(kafka)[NOTIFIER_GROUP])
    newer = settings.take_newer(kafka, database, planned.positions[PROJECTOR_GROUP][f"{CONVERSATIONS.name}:0"])
    positions.put(kafka, planned.positions)
    return newer
