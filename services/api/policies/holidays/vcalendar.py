"""Translates rules and lists of vCalendar 1.0, the predecessor of iCalendar."""

import re
from collections.abc import Callable, Mapping, Sequence

from services.api.policies.holidays.line import Line

_FREQUENCIES = {"D": "DAILY", "W": "WEEKLY", "MP": "MONTHLY", "MD": "MONTHLY", "YM": "YEARLY", "YD": "YEARLY"}
_RULE = re.compile(r"(D|W|MP|MD|YM|YD)(\d{1,4})((?:\s+\S+)*)", re.IGNORECASE)
_PLACE = re.compile(r"([1-5])([+-])")
_WEEKDAYS = frozenset({"SU", "MO", "TU", "WE", "TH", "FR", "SA"})
_USUAL_COUNT = 2
"""The standard's default for a rule without a count."""


def translated(line: Line) -> Line:
    """The line in iCalendar. An invalid one stays as it is and is refused later."""
    if line.name == "RRULE":
        return line._replace(parameters="", value=_rule(line.value) or line.value)
    if line.name in ("EXDATE", "RDATE"):
        return line._replace(value=line.value.replace(";", ","))
    return line


def _rule(value: str) -> str | None:
    found = _RULE.fullmatch(value.strip())
    if found is None:
        return None
    kind, parts = found[1].upper(), found[3].upper().split()
    end = f"COUNT={_USUAL_COUNT}"
    if parts and parts[-1].startswith("#"):
        times = parts.pop()[1:]
        if not times.isdecimal():
            return None
        end = f"COUNT={int(times)}" if int(times) else ""
    elif parts and re.fullmatch(r"\d{8}(T\d{6}Z?)?", parts[-1]):
        end = f"UNTIL={parts.pop()}"
    try:
        chosen = _CHOSEN[kind](parts) if parts else ""
    except ValueError:
        return None
    return ";".join(filter(None, [f"FREQ={_FREQUENCIES[kind]}", f"INTERVAL={int(found[2])}", chosen, end]))


def _nothing(_parts: Sequence[str]) -> str:
    raise ValueError("a rule by days chooses none")


def _weekdays(parts: Sequence[str]) -> str:
    if not _WEEKDAYS.issuperset(parts):
        raise ValueError("not a weekday")
    return f"BYDAY={','.join(parts)}"


def _places(parts: Sequence[str]) -> str:
    """`1+ MO TU 2- FR`: places in the month, each before its weekdays."""
    days: list[str] = []
    place = ""
    for part in parts:
        if found := _PLACE.fullmatch(part):
            place = f"{'-' if found[2] == '-' else ''}{found[1]}"
        elif part in _WEEKDAYS and place:
            days.append(place + part)
        else:
            raise ValueError("neither a place nor a weekday")
    return f"BYDAY={','.join(days)}"


def _days_of_the_month(parts: Sequence[str]) -> str:
    numbers = ["-1" if part == "LD" else str(int(part.removesuffix("+"))) for part in parts]
    return f"BYMONTHDAY={','.join(numbers)}"


def _months(parts: Sequence[str]) -> str:
    return f"BYMONTH={','.join(str(int(part)) for part in parts)}"


def _days_of_the_year(parts: Sequence[str]) -> str:
    return f"BYYEARDAY={','.join(str(int(part)) for part in parts)}"


_CHOSEN: Mapping[str, Callable[[Sequence[str]], str]] = {
    "D": _nothing,
    "W": _weekdays,
    "MP": _places,
    "MD": _days_of_the_month,
    "YM": _months,
    "YD": _days_of_the_year,
}
