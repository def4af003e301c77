"""A platform's daily quota, which all accounts share: how often each is asked, so that it lasts until midnight."""

import weakref
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

SOONEST_SECONDS = 60.0
LATEST_SECONDS = 6 * 3_600.0
_WEIGHTS = ((timedelta(days=1), 8.0), (timedelta(days=7), 2.0))
"""How much more an account counts than one where nothing happens, by how old its newest interaction is. Where somebody
has just commented, the next comment, and the answer, are most likely."""
_WRITING = 0.5
"""The part of a day's units that answers may cost. They cost 50 times as much as reading, and whoever writes a
thousand of them must not leave all channels unread."""


class Quota:
    """So many units a day. For one event loop."""

    def __init__(self, units: int, zone: str, now: Callable[[], datetime], share: Callable[[], float]) -> None:
        """A day begins at midnight in `zone`. `share` is the part that this process may spend, from 0 to 1."""
        self._units = units
        self._zone = ZoneInfo(zone)
        self._now = now
        self._share = share
        self._day = self._today()
        self._spent = 0
        self._over = False
        self._written: dict[str, int] = {}
        self._readers: weakref.WeakKeyDictionary[object, tuple[float, float]] = weakref.WeakKeyDictionary()

    def left(self) -> int:
        """How many units this process may still spend today."""
        if (today := self._today()) != self._day:
            self._day, self._spent, self._over, self._written = today, 0, False, {}
        return 0 if self._over else max(0, int(self._units * self._share()) - self._spent)

    def wait(self) -> float:
        """Seconds until one more is allowed."""
        return 0.0 if self.left() > 0 else self.seconds_left()

    def spend(self, units: int = 1) -> None:
        """Notes a request of so many units."""
        self.left()
        self._spent += units

    def writing(self, units: int, account: str) -> "Writing":
        """The same quota for what an account writes, which costs so many units each."""
        return Writing(self, units, account)

    def may_write(self, units: int, account: str) -> bool:
        """Whether so many units are left for writing, and for this account: where there are others, it may use up as
        much as it leaves to them.
        """
        if self.left() < units:
            return False
        left = int(self._units * self._share() * _WRITING) - sum(self._written.values())
        return left >= units + (self._written.get(account, 0) if len(self._readers) > 1 else 0)

    def write(self, units: int, account: str) -> None:
        """Notes that an account has written something."""
        self.spend(units)
        self._written[account] = self._written.get(account, 0) + units

    def exhaust(self) -> None:
        """The platform says that nothing is left, whatever was counted here."""
        self.left()
        self._over = True

    def seconds_left(self) -> float:
        """Until the next day begins."""
        now = self._now().astimezone(self._zone)
        tomorrow = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), self._zone)
        # In UTC: within one zone Python takes the hours that clocks skip or repeat for any others.
        return max(1.0, (tomorrow.astimezone(UTC) - now.astimezone(UTC)).total_seconds())

    def every(self, reader: object, latest_at: datetime | None, cost: float) -> float:
        """How long to wait before a reader asks again: until the next day begins, at most. Its last reading took `cost`
        units.
        """
        age = self._now() - latest_at if latest_at is not None else None
        weight = next((many for within, many in _WEIGHTS if age is not None and age < within), 1.0)
        self._readers[reader] = (weight, max(1.0, cost))
        wanted = sum(each * units for each, units in self._readers.values())
        left = self.seconds_left()
        seconds = left * wanted / (max(1, self.left()) * weight)
        return max(SOONEST_SECONDS, min(LATEST_SECONDS, left, seconds))

    def _today(self) -> object:
        return self._now().astimezone(self._zone).date()


class Writing:
    """What an account may write of a quota."""

    def __init__(self, quota: Quota, units: int, account: str) -> None:
        self._quota = quota
        self._units = units
        self._account = account

    def wait(self) -> float:
        """Seconds until one more is allowed."""
        return 0.0 if self._quota.may_write(self._units, self._account) else self._quota.seconds_left()

    def spend(self) -> None:
        """Notes a request."""
        self._quota.write(self._units, self._account)
