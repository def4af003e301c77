"""Keyset pagination: opaque cursors, and the rows a page shows of those that were read for it.

A page reads one row more than it shows; that row tells whether another page follows:

    rows = await alerts.page(position("alerts", query.cursor), rows_to_read(query.limit))
    shown, following = page(rows, query.limit, lambda row: cursor_after("alerts", row["created_at"], row["_id"]))
"""

import base64
import binascii
import json
import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from rapport.domain.times import ms, utc
from services.api.http.problems import ProblemError, invalid

Part = str | int | float
Position = tuple[datetime, str]
"""Where a list by time stands: the time and the id of the last row that was shown."""
Row = TypeVar("Row")

_LAST_MS = 253_402_300_799_999  # the end of the year 9999, the last that a datetime holds


def rows_to_read(limit: int) -> int:
    """How many rows to read for a page that shows at most `limit`."""
    return limit + 1


def page(rows: Sequence[Row], limit: int, cursor_of: Callable[[Row], str]) -> tuple[list[Row], str | None]:
    """The rows to show, and the cursor of the next page (None on the last one).

    `rows` were read with `rows_to_read(limit)`. `cursor_of` gives the cursor that continues after a row.
    """
    shown = list(rows[:limit])
    return shown, cursor_of(shown[-1]) if len(rows) > limit else None


def cursor_after(kind: str, at: datetime, id: str) -> str:
    """The cursor that continues after this time and id; `position` reads it."""
    return encode(kind, ms(at), id)


def position(kind: str, cursor: str | None) -> Position | None:
    """The time and the id in a cursor; None without a cursor. Raises ProblemError (422)."""
    if cursor is None:
        return None
    at, last_id = decode(kind, cursor, (int, str))
    return time_of(at), str(last_id)


def encode(kind: str, *parts: Part) -> str:
    """A cursor. `kind` names list and order, so that a cursor of another one is refused."""
    return base64.urlsafe_b64encode(json.dumps([kind, *parts], separators=(",", ":")).encode()).decode().rstrip("=")


def decode(kind: str, cursor: str, types: Sequence[type]) -> list[Part]:
    """The parts of a cursor, of these types. Raises ProblemError (422) for anything that `encode` did not make."""
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        raise _wrong() from None
    if not isinstance(found, list) or len(found) != len(types) + 1 or found[0] != kind:
        raise _wrong()
    parts = found[1:]
    if not all(_is(part, wanted) for part, wanted in zip(parts, types, strict=True)):
        raise _wrong()
    return parts


def time_of(part: Part) -> datetime:
    """The time in a cursor. Raises ProblemError (422)."""
    if not 0 <= int(part) <= _LAST_MS:
        raise _wrong()
    return utc(int(part))


def _is(part: object, wanted: type) -> bool:
    # MongoDB takes no integer beyond 64 bits either, and `isfinite` raises for one beyond a float's range.
    if isinstance(part, int) and abs(part) >= 2**53:
        return False
    if wanted is float:
        return isinstance(part, int | float) and not isinstance(part, bool) and math.isfinite(part)
    return type(part) is wanted


def _wrong() -> ProblemError:
    return invalid("cursor", "not a cursor from this list")
