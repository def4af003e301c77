"""Queries about errands."""

from collections.abc import Sequence

from pymongo.asynchronous.collection import AsyncCollection

from services.api.errands.documents import ErrandDocument, ErrandStateDocument
from services.api.storage.tenants import Database, Tenants

MOST = 100
"""Of one exchange; more are not shown."""


class Errands:
    """The errands of some tenants."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._errands: AsyncCollection[ErrandDocument] = database["errands"]
        self._states: AsyncCollection[ErrandStateDocument] = database["errand_states"]
        self._tenants = tenants

    async def of_exchange(self, exchange: str) -> list[ErrandDocument]:
        """What was asked for in an exchange, the latest first."""
        query = {**self._tenants.filter(), "exchange": exchange}
        return await self._errands.find(query).sort([("at", -1), ("_id", -1)]).limit(MOST).to_list()

    async def find(self, id: str) -> ErrandDocument | None:
        """One errand."""
        return await self._errands.find_one({"_id": id, **self._tenants.filter()})

    async def states(self, errands: Sequence[ErrandDocument]) -> dict[str, ErrandStateDocument]:
        """How errands stand, by id. One that nobody has begun has none."""
        found = self._states.find({"_id": {"$in": [each["_id"] for each in errands]}, **self._tenants.filter()})
        return {each["_id"]: each async for each in found}
