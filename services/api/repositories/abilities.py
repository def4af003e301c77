"""What the notifier can send, as it noted when it last started; see `services.notifier.abilities`."""

from pymongo.asynchronous.database import AsyncDatabase

from rapport.kit.mongo import Document


async def lacks_mail_server(database: AsyncDatabase[Document]) -> bool:
    """Whether the notifier said that it has no mail server. False also where it never ran."""
    found = await database["notifier"].find_one({"_id": "abilities"})
    return found is not None and not found["mail"]
