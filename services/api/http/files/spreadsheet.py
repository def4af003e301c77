"""CSV exports (RFC 4180) that spreadsheets show as text, never compute as formulas."""

import csv
import io
import re
import unicodedata
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime

from starlette.responses import StreamingResponse

from rapport.kit.text import plain, written

_FORMULA = frozenset("=+-@|%")
_OTHER_MINUS = frozenset("\u2010\u2011\u2012\u2013\u2212")
"""Hyphens, dashes and the minus sign: some spreadsheets read them as a minus."""
_PASSED_OVER = frozenset('\u200c\u200d\u2800\u3164\uffa0\u115f\u1160"')
"""More blanks, and the quotation mark, which a reader that splits elsewhere takes for the beginning of a cell."""
_SPLITS = re.compile("([;\t\n])")
"""What separates cells or rows for some spreadsheets: in half of Europe, Excel splits at semicolons."""

Value = str | int | float | datetime | None


def lines(rows: Iterable[Sequence[Value]], *, ours: bool = False) -> str:
    """Rows as lines of CSV. `ours`: the brand's own people wrote them, and read them back."""
    file = io.StringIO()
    csv.writer(file).writerows([cell(value, ours=ours) for value in row] for row in rows)
    return file.getvalue()


def cell(value: Value, *, ours: bool = False) -> str:
    """A value as a cell. What could be a formula gets an apostrophe in front; `unguarded` removes it.

    So does what comes after a character at which some spreadsheets split a line, whether it is quoted or not.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        return value.isoformat() if isinstance(value, datetime) else str(value)
    text = written(value) if ours else plain(value)
    guarded = "".join(f"'{part}" if _is_guarded(part) else part for part in _SPLITS.split(text))
    return f"'{guarded}" if guarded.startswith(("\t", "\n")) else guarded


def unguarded(text: str) -> str:
    """A cell of one of our exports without the apostrophes that `cell` added."""
    text = text.removeprefix("'") if text.startswith(("'\t", "'\n")) else text
    parts = _SPLITS.split(text)
    return "".join(part[1:] if part.startswith("'") and _is_guarded(part[1:]) else part for part in parts)


def _is_guarded(text: str) -> bool:
    """Whether a spreadsheet could compute it, after spaces or with full-width or raised signs; or as if guarded."""
    if text.startswith("'"):
        return True
    for character in plain(text):
        if not character.isspace() and character not in _PASSED_OVER:
            return unicodedata.normalize("NFKC", character)[:1] in _FORMULA | _OTHER_MINUS
    return False


CSV = "text/csv; charset=utf-8"


def exported(rows: AsyncIterator[str], name: str) -> StreamingResponse:
    """A response that a browser saves as a file."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "no-store"}
    return StreamingResponse(rows, media_type=CSV, headers=headers)
