"""When somebody answers: the calendars that a policy's rules name."""

from typing import Literal, TypeAlias, get_args

from msgspec import Struct

Weekday: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
Hours: TypeAlias = tuple[tuple[str, str], ...]
"""Intervals of wall time, `HH:MM` to `HH:MM`, the last end being `24:00`. They may touch."""


class Override(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The hours of one date, in place of its weekday's; none mean closed all day. `name`: why, for people."""

    hours: Hours = ()
    name: str | None = None


class Calendar(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """When somebody answers, in an IANA zone: by weekday (absent: closed), and by date (`YYYY-MM-DD`)."""

    timezone: str
    week: dict[Weekday, Hours]
    overrides: dict[str, Override] = {}

    def __hash__(self) -> int:
        # Calendars that differ only in their overrides may share a hash: comparing them costs less than hashing all.
        return hash((self.timezone, frozenset(self.week.items()), len(self.overrides)))
