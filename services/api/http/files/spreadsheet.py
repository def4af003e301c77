"""CSV exports (RFC 4180) that spreadsheets show as text, never compute as formulas."""

import csv
import io
import unicodedata
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime

from starlette.responses import StreamingResponse

from rapport.kit.text import plain, written

_FORMULA = frozenset("=+-@|%")
_OTHER_MINUS = frozenset("\u2010\u2011\u2012\u2013\u2212")
"""Hyphens, dashes and the minus sign: some spreadsheets read them as a minus."""
_ALSO_BLANK = frozenset("\u200c\u200d\u2800\u3164\uffa0\u115f\u1160")

Value = str | int | float | datetime | None


def lines(rows: Iterable[Sequence[Value]], *, ours: bool = False) -> str:
    """Rows as lines of CSV. `ours`: the brand's own people wrote them, and read them back."""
    file = io.StringIO()
    csv.writer(file).writerows([cell(value, ours=ours) for value in row] for row in rows)
    return file.getvalue()


def cell(value: Value, *, ours: bool = False) -> str:
    """A value as a cell. A text that could be a formula gets an apostrophe in front; `unguarded` removes it."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return value.isoformat() if isinstance(value, datetime) else str(value)
    text = written(value) if ours else plain(value)
    return f"'{text}" if _is_risky(text) or text.startswith("'") else text


def unguarded(text: str) -> str:
    """A cell of one of our exports without the apostrophe that `cell` added."""
    return text[1:] if text.startswith("'") and (_is_risky(text[1:]) or text[1:].startswith("'")) else text


def _is_risky(text: str) -> bool:
    """Whether a spreadsheet could compute it, also after spaces and line breaks or with full-width or raised signs."""
    if text[:1] in ("\t", "\n", "\r"):
        return True
    for character in plain(text):
        if not character.isspace() and character not in _ALSO_BLANK:
            return unicodedata.normalize("NFKC", character)[:1] in _FORMULA | _OTHER_MINUS
    return False


CSV = "text/csv; charset=utf-8"


def exported(rows: AsyncIterator[str], name: str) -> StreamingResponse:
    """A response that a browser saves as a file."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "no-store"}
    return StreamingResponse(rows, media_type=CSV, headers=headers)
