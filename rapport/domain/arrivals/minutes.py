"""Minutes of an hour as bits of a number: bit 7 says that something happened in the minute that begins at :07.

Setting a bit twice, or in another order, changes nothing. So what is kept this way is the same after a repetition, a
replay and a restart. A burst counts once a minute, so one busy post does not become the rhythm of an account.
"""

from datetime import UTC, datetime, timedelta

HOUR = timedelta(hours=1)
IN_AN_HOUR = 60
WHOLE_HOUR = (1 << IN_AN_HOUR) - 1


def hour_of(at: datetime) -> datetime:
    """The full UTC hour that a time lies in."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def day_of(at: datetime) -> datetime:
    """The UTC midnight before a time."""
    return hour_of(at).replace(hour=0)


def bit_of(at: datetime) -> int:
    """The minute of a time, as a bit of its hour."""
    return 1 << at.minute


def until(at: datetime) -> int:
    """The bits of the minutes of its hour that are over at a time."""
    return (1 << at.minute) - 1


def since(at: datetime) -> int:
    """The bits of the minutes of its hour that begin after a time. The minute that it lies in is not one of them."""
    return WHOLE_HOUR & ~((1 << (at.minute + 1)) - 1)


def first_of(bits: int) -> int:
    """The first minute of some; there has to be one."""
    return (bits & -bits).bit_length() - 1


def last_of(bits: int) -> int:
    """The last minute of some; there has to be one."""
    return bits.bit_length() - 1
