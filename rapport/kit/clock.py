"""The machine's clock, for services that may read it."""

from datetime import UTC, datetime, timedelta

BOGUS = timedelta(hours=1)
"""A time in a lease that is so far ahead was written by a wrong clock."""


def now() -> datetime:
    """The UTC time in whole milliseconds, as MongoDB stores it."""
    at = datetime.now(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
