"""What the notifier of this installation can send, noted for the API: only the notifier knows its mail server.

One document: `_id` (`abilities`), `mail` (whether there is a mail server), `at`.
"""

from datetime import datetime

from pymongo.collection import Collection

from rapport.kit.mongo import Document

NOTIFIER = "notifier"
ABILITIES = "abilities"


def note(notes: Collection[Document], *, mail: bool, now: datetime) -> None:
    """Notes it, as of now."""
    notes.replace_one({"_id": ABILITIES}, {"mail": mail, "at": now}, upsert=True)
