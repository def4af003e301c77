"""One content line of an iCalendar file, in its parts."""

import re
from typing import NamedTuple

_LINE = re.compile(r'([A-Za-z-]+)((?:;(?:[^":;]|"[^"]*")*)*):(.*)', re.DOTALL)

_TIMES = frozenset({"DTSTART", "DTEND", "EXDATE", "RDATE", "RECURRENCE-ID"})


class Line(NamedTuple):
    """A content line."""

    name: str
    parameters: str
    value: str

    @classmethod
    def read(cls, text: str) -> "Line | None":
        """None for what has no name and value."""
        found = _LINE.fullmatch(text)
        if found and found[1].upper() in _TIMES:
            # Some put a zone's name there as they show it, with a colon in it and without quotes.
            head, _, value = text.rpartition(":")
            return cls(found[1].upper(), head[len(found[1]) :], value.strip())
        return cls(found[1].upper(), found[2], found[3].strip()) if found else None

    def __str__(self) -> str:
        return f"{self.name}{self.parameters}:{self.value}"
