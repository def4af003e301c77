"""Rows of both agents that say who was erased."""

from msgspec import Struct

from rapport.contracts.rows import ERASED, row_key, row_prefix
from rapport.domain.erasing import erased_name
from services.scorer.fenced.batch import Batch

ERASED_ROWS = row_prefix(ERASED)


class ErasedRow(Struct, omit_defaults=True):
    """A follower of a brand was erased. Kept under the name that `rapport.domain.erasing` gives."""

    unsettled: bool = False
    """The exchanges agent has not yet gone through every thread of the brand since."""
    since: int = 0
    """The partition's clock (ms) when it was noted."""


def erased_key(brand: str, platform: str, follower: str) -> bytes:
    """The key of a follower's `ErasedRow`."""
    return row_key(ERASED, brand, erased_name(brand, platform, follower))


def is_erased(batch: Batch, brand: str, platform: str, follower: str) -> bool:
    """Whether a follower was erased."""
    return batch.row(erased_key(brand, platform, follower), ErasedRow) is not None
