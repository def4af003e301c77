"""When people are active: the curve of a day and a week in a brand's zone."""

import random
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

# Activity by local hour, 1 at its busiest: a dip at night, a lunch break, the evening on the sofa.
BY_HOUR = (
    0.12, 0.06, 0.04, 0.03, 0.03, 0.06, 0.18, 0.38, 0.52, 0.55, 0.56, 0.62,
    0.74, 0.66, 0.55, 0.53, 0.57, 0.66, 0.78, 0.92, 1.00, 0.94, 0.66, 0.32,
)  # fmt: skip
WEEKEND = (0.9, 1.25)  # mornings are slower, afternoons fuller
OFFICE_OPENS, OFFICE_CLOSES = 8, 19


class Day:
    """Draws times in one zone."""

    def __init__(self, draw: random.Random, zone: str) -> None:
        self._draw = draw
        self._zone = ZoneInfo(zone)

    def lively(self, at: datetime) -> float:
        """How much happens at a time, from 0 to 1."""
        local = at.astimezone(self._zone)
        weekend = WEEKEND[local.hour >= 11] if local.weekday() >= 5 else 1.0
        return min(1.0, BY_HOUR[local.hour] * weekend)

    def between(self, start: datetime, end: datetime) -> datetime:
        """A time in a period; busy times are more likely."""
        length = (end - start).total_seconds()
        while True:
            at = start + timedelta(seconds=round(self._draw.uniform(0, length), 3))
            if self._draw.random() < self.lively(at):
                return at

    def after(self, start: datetime, end: datetime, mean: timedelta) -> datetime:
        """A time after something happened, fading with `mean`, but before `end`."""
        while True:
            long_tail = 6.0 if self._draw.random() < 0.15 else 1.0
            wait = self._draw.expovariate(1 / (mean.total_seconds() * long_tail))
            at = start + timedelta(seconds=round(wait + 20, 3))
            if at < end and self._draw.random() < self.lively(at):
                return at
            # Near the end hardly any wait fits, so the curve alone decides.
            if end - start < mean:
                return self.between(start, end)

    def office_hours(self, at: datetime) -> datetime:
        """The time itself, or the next morning if nobody is there to write."""
        local = at.astimezone(self._zone)
        if OFFICE_OPENS <= local.hour < OFFICE_CLOSES:
            return at
        morning = local.replace(hour=OFFICE_OPENS, minute=0, second=0) + timedelta(
            days=1 if local.hour >= OFFICE_CLOSES else 0, minutes=round(self._draw.uniform(5, 150), 2)
        )
        return morning.astimezone(at.tzinfo)
