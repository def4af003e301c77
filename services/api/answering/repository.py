"""Queries about what answering did."""

from datetime import datetime

from services.api.storage.tenants import Database, Tenants


class Effects:
    """The effects of some tenants' answers."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._effects = database["answer_effects"]
        self._tenants = tenants

    async def counted(self, brand: str, start: datetime, end: datetime) -> dict[tuple[str, str], int]:
        """How many exchanges were due in `[start, end)`, by outcome and direction."""
        query = {"$and": [self._tenants.filter(), {"brand": brand, "due_at": {"$gte": start, "$lt": end}}]}
        found = await self._effects.aggregate(
            [
                {"$match": query},
                {"$group": {"_id": {"outcome": "$outcome", "direction": "$direction"}, "count": {"$sum": 1}}},
            ],
            hint="due",
        )
        return {(each["_id"]["outcome"], each["_id"]["direction"]): each["count"] async for each in found}
