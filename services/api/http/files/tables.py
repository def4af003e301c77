"""Reads CSV tables as spreadsheets write them: commas, semicolons or tabs; UTF-8, UTF-16 or Windows-1252."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from services.api.http import unknown_fields
from services.api.http.files.sizes import LARGEST_FILE
from services.api.http.problems import ProblemError, invalid

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_WINDOWS = "cp1252"
_WORDS = {
    "unexpected end of data": "a quotation mark is opened here and never closed",
    "',' expected after '\"'": "a closing quotation mark has to be followed by a separator",
}


class Row(NamedTuple):
    """A row: the line on which it begins (from 1), its non-empty cells, and what is wrong with it."""

    line: int
    cells: dict[str, str]
    broken: str | None = None


class Table(NamedTuple):
    """The rows of a file, and how it was read."""

    rows: list[Row]
    separator: str
    encoding: str


def read(raw: bytes, columns: Sequence[str], needed: Sequence[str], most_rows: int) -> Table:
    """The rows of a file whose first line names `columns`, among them all that are `needed`.

    Raises ProblemError (422) for anything else. Broken rows are among the rows.
    """
    if len(raw) > LARGEST_FILE:
        raise invalid("file", f"it has more than {LARGEST_FILE:,} bytes; send it in parts")
    text, encoding = _text(raw)
    lines = text.split("\n", 1)
    skipped = 0
    if lines[0].strip().lower().startswith("sep=") and len(lines) > 1:
        # Excel's own way to name the separator.
        text, skipped = lines[1], 1
    if not text.strip():
        raise invalid("file", "it is empty")
    separator, names = _header(text, columns, skipped)
    _check_header(names, columns, needed, skipped + 1)
    rows: list[Row] = []
    for row in _rows(text, separator, names, skipped):
        if len(rows) == most_rows:
            raise invalid("file", f"it has more than {most_rows:,} rows; send it in parts")
        rows.append(row)
    return Table(rows, SEPARATORS[separator], encoding)


def _text(raw: bytes) -> tuple[str, str]:
    for mark, name in _MARKS.items():
        if raw.startswith(mark):
            try:
                return raw.decode(name), "UTF-8" if name == "utf-8-sig" else "UTF-16"
            except UnicodeDecodeError as error:
                raise _unreadable(name, error) from None
    try:
        return raw.decode("utf-8"), "UTF-8"
    except UnicodeDecodeError as utf8:
        try:
            return raw.decode(_WINDOWS), "Windows-1252"
        except UnicodeDecodeError:
            raise _unreadable("utf-8", utf8) from None


def _unreadable(name: str, error: UnicodeDecodeError) -> ProblemError:
    return invalid("file", f"it is not text: from byte {error.start} on it is neither {name.upper()} nor Windows-1252")


def _header(text: str, columns: Sequence[str], skipped: int) -> tuple[str, list[str]]:
    """The separator, which is the one that gives the most known names in the first line, and these names."""
    found: list[tuple[int, str, list[str]]] = []
    wrong: csv.Error | None = None
    for separator in SEPARATORS:
        try:
            first = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True), [])
        except csv.Error as error:
            wrong = wrong or error
            continue
        names = [name.strip().lower() for name in first]
        found.append((sum(name in columns for name in names), separator, names))
    if not found:
        raise invalid("file", f"line {skipped + 1}: {_said(wrong)}")
    _, separator, names = max(found, key=lambda each: each[0])
    return separator, names


def _check_header(names: Sequence[str], columns: Sequence[str], needed: Sequence[str], line: int) -> None:
    given = [name for name in names if name]
    for name in given:
        if name not in columns:
            raise invalid("file", f"line {line}: {unknown_fields.why(name, columns, what='column')}")
        if given.count(name) > 1:
            raise invalid("file", f"line {line} has the column {name} twice")
    missing = [name for name in needed if name not in given]
    if missing:
        why = f"line {line} has to name the columns {', '.join(columns)}; missing: {', '.join(missing)}"
        raise invalid("file", why)


def _rows(text: str, separator: str, names: Sequence[str], skipped: int) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    next(reader)
    while True:
        line = reader.line_num + skipped + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield Row(line, {}, f"from here on this is not CSV: {_said(error)}")
            return
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        beyond = [cell for place, cell in enumerate(cells) if cell and (place >= len(names) or not names[place])]
        named = {name: cell for name, cell in zip(names, cells, strict=False) if name and cell}
        yield Row(line, named, "it has more cells than the first line" if beyond else None)


def _said(error: csv.Error | None) -> str:
    said = str(error)
    return _WORDS.get(said.replace("';'", "','").replace("'\t'", "','"), said)
