"""What the notifier of this installation can send, noted for the API: only the notifier knows its mail server.

One document of `notifier`: `_id` (`abilities`), `mail` (whether there is a mail server), `at`.
"""

from datetime import datetime
from typing import Any

from pymongo.collection import Collection
from pymongo.database import Database

from rapport.kit.mongo import Document

NOTIFIER = "notifier"
ABILITIES = "abilities"


def noted(database: Database[Any]) -> Collection[Document]:
    """The collection."""
    return database[NOTIFIER]


def note(notes: Collection[Document], *, mail: bool, now: datetime) -> None:
    """Notes it, as of now."""
    notes.replace_one({"_id": ABILITIES}, {"mail": mail, "at": now}, upsert=True)
