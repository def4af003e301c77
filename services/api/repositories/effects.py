"""What became of followers after the outcome of an exchange."""

from datetime import datetime

from pymongo.asynchronous.database import AsyncDatabase

from rapport.kit.mongo import Document
from services.api.repositories.tenants import Tenants


class Effects:
    """Of some tenants."""

    def __init__(self, database: AsyncDatabase[Document], tenants: Tenants) -> None:
        self._effects = database["answer_effects"]
        self._tenants = tenants

    async def counted(self, brand: str, start: datetime, end: datetime) -> dict[tuple[str, str], int]:
        """How many of those due in `[start, end)`, by outcome and direction."""
        query = {"$and": [self._tenants.filter(), {"brand": brand, "due_at": {"$gte": start, "$lt": end}}]}
        found = await self._effects.aggregate(
            [
                {"$match": query},
                {"$group": {"_id": {"outcome": "$outcome", "direction": "$direction"}, "count": {"$sum": 1}}},
            ],
            hint="due",
        )
        return {(each["_id"]["outcome"], each["_id"]["direction"]): each["count"] async for each in found}
