"""Whose data a query may touch. Every repository of brands' data is made with one of these and cannot query without."""

from dataclasses import dataclass

from rapport.kit.mongo import Document


@dataclass(frozen=True)
class Tenants:
    """Some brands, or all where `brands` is None."""

    brands: tuple[str, ...] | None

    @classmethod
    def one(cls, brand: str) -> "Tenants":
        """A single brand."""
        return cls((brand,))

    def filter(self, field: str = "brand") -> Document:
        """What a query on `field` adds so that it finds nothing of other brands."""
        if self.brands is None:
            return {}
        if len(self.brands) == 1:
            return {field: self.brands[0]}
        return {field: {"$in": list(self.brands)}}
