"""Which brands a query may see. Every repository of brands' data takes one and cannot query without it."""

from dataclasses import dataclass
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from rapport.kit.mongo import Document

Database = AsyncDatabase[Any]


@dataclass(frozen=True)
class Tenants:
    """Some brands, or all if `brands` is None."""

    brands: tuple[str, ...] | None

    @classmethod
    def one(cls, brand: str) -> "Tenants":
        """A single brand."""
        return cls((brand,))

    def filter(self, field: str = "brand") -> Document:
        """The part of a query on `field` that excludes other brands."""
        if self.brands is None:
            return {}
        if len(self.brands) == 1:
            return {field: self.brands[0]}
        return {field: {"$in": list(self.brands)}}
