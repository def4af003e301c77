"""Milliseconds since 1970 and datetimes, to and fro."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def ms(time: datetime) -> int:
    """A datetime with a zone, as UTC milliseconds since 1970; what is finer is cut off."""
    return (time - _EPOCH) // _MS


def utc(time: int) -> datetime:
    """UTC milliseconds since 1970, as a datetime."""
    return _EPOCH + timedelta(milliseconds=time)
