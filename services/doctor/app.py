"""Looks at everything that an installation stands on."""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kafka.errors import KafkaError

from services.doctor import brokers, database, processes, rights
from services.doctor.finding import Finding, Findings


@dataclass(frozen=True)
class Asked:
    """Where to look."""

    kafka: str
    mongodb: str
    database: str
    internal: Mapping[str, str] = field(default_factory=dict)
    """Where processes have their probes, by name."""
    data: Path | None = None


def examine(asked: Asked) -> list[Finding]:
    """All findings. Nothing is changed anywhere."""
    for library in ("aiokafka", "kafka", "pymongo", "httpx"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    found = Findings()
    brokers.look(asked.kafka, found)
    with found.about("rights", KafkaError, OSError):
        rights.look(asked.kafka, found)
    database.look(asked.mongodb, asked.database, found)
    if asked.internal:
        processes.look(asked.internal, found)
    if asked.data is not None:
        usage = shutil.disk_usage(asked.data)
        found.room("disk", usage.free, usage.total)
    return found.each
