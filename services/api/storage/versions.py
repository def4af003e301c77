"""Versions of stored documents: the epoch of the scorer above the revision of its row."""

from datetime import datetime

import msgspec

from rapport.kit.mongo import Document

_REVISION_BITS = 40
"""Enough for a thousand changes a second for 34 years."""


def version_of(epoch: int, revision: int) -> int:
    """A number that grows with (epoch, revision) and fits a signed 64-bit integer."""
    return epoch << _REVISION_BITS | revision


def plain(event: object) -> Document:
    found: Document = msgspec.to_builtins(event, builtin_types=(datetime,))
    return found
