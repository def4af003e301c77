"""Opaque keyset cursors: where the next page of a list begins."""

import base64
import binascii
import json
import math
from collections.abc import Sequence
from datetime import datetime

from rapport.domain.times import utc
from services.api.problems import ProblemError, invalid

Part = str | int | float

_LAST_MS = 253_402_300_799_999  # the end of the year 9999, the last that a datetime holds


def encode(kind: str, *parts: Part) -> str:
    """A cursor of a list. `kind` names list and order, so that a cursor of another one is refused."""
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


def place(kind: str, cursor: str | None) -> tuple[datetime, str] | None:
    """The time and the id in a cursor of those two; None without a cursor. Raises ProblemError (422)."""
    if cursor is None:
        return None
    at, last_id = decode(kind, cursor, (int, str))
    return time_of(at), str(last_id)


def _is(part: object, wanted: type) -> bool:
    if wanted is float:
        return isinstance(part, int | float) and not isinstance(part, bool) and math.isfinite(part)
    # What is no 64-bit integer is none in MongoDB either.
    return type(part) is wanted and (not isinstance(part, int) or abs(part) < 2**53)


def _wrong() -> ProblemError:
    return invalid("cursor", "not a cursor that this list gave")
