"""What the notifier noted about itself when it last started."""

from pymongo.asynchronous.collection import AsyncCollection

from services.api.channels.documents import AbilitiesDocument
from services.api.storage.tenants import Database


async def lacks_mail_server(database: Database) -> bool:
    """Whether the notifier has no mail server. False also if it never ran."""
    notes: AsyncCollection[AbilitiesDocument] = database["notifier"]
    found = await notes.find_one({"_id": "abilities"})
    return found is not None and not found["mail"]
