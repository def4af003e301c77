"""Takes a backup of MongoDB while everything goes on: all collections as they were at one moment."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pymongo.database import Database

from services.backup import positions
from services.backup.archive import RAW, Manifest, Writer

LEFT_OUT = frozenset({"connection_attempts", "leases", "probes", "sessions"})
"""Restored, the lease of a process that is gone would hold up another one's work, and sessions of the portal that were
logged out since would be valid again. Attempts to connect an account last an hour, and have tokens in them."""


def take(kafka: str, database: Database[Any], folder: Path, told: Callable[[str, int], object]) -> Manifest:
    """Writes a backup to `folder`, which must not exist; `told` hears of each collection and its documents.

    Raises KafkaError, PyMongoError, OSError. What is unfinished then stays at `<folder>.partial`.
    """
    cluster = positions.cluster_id(kafka)
    # Before the moment of the snapshot: a group commits after it has written, so the views have all that lies before.
    where = positions.committed(kafka)
    with database.client.start_session(snapshot=True) as session:
        database["brands"].find_one({}, session=session)  # fixes the moment
        taken_at = datetime.now(UTC)
        names = sorted(set(database.list_collection_names(filter={"type": "collection"})) - LEFT_OUT)
        writer = Writer(folder)
        for name in names:
            if not name.startswith("system."):
                collection = database.get_collection(name, codec_options=RAW)
                told(name, writer.write(name, collection.find({}, session=session, batch_size=1_000)))
    return writer.finish(rapport=version("rapport"), taken_at=taken_at, kafka=cluster, positions=where)
