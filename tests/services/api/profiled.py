"""How much MongoDB looks at."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from pymongo.database import Database

from rapport.kit.mongo import Document

PROFILE_BYTES = 64 * 1024 * 1024
"""MongoDB's own would forget the first queries where their lists are long."""


@dataclass
class Looked:
    """Known once the block is left."""

    looked: int = 0
    """Documents and keys of indexes."""


@contextlib.contextmanager
def profiled(views: Database[Document]) -> Iterator[Looked]:
    """Adds up what every query, update and count in the block looks at."""
    found = Looked()
    views.create_collection("system.profile", capped=True, size=PROFILE_BYTES)
    views.command("profile", 2)
    try:
        yield found
    finally:
        views.command("profile", 0)
    for each in views["system.profile"].find({"ns": {"$ne": f"{views.name}.system.profile"}}):
        found.looked += each.get("docsExamined", 0) + each.get("keysExamined", 0)
    views.drop_collection("system.profile")
