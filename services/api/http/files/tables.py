"""Reads CSV tables as spreadsheets write them: commas, semicolons or tabs; UTF-8, UTF-16 or Windows-1252."""

import codecs
import csv
import io
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, TextIO

from services.api.http import unknown_fields
from services.api.http.files.sizes import LARGEST_FILE
from services.api.http.problems import ProblemError, invalid

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
SEPARATORS_BY_NAME = {name: separator for separator, name in SEPARATORS.items()}
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_WINDOWS = "cp1252"
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How files of Excel, LibreOffice and Numbers begin."""
LONGEST_LINE = 262_144
LONGEST_ROW = 1_048_576
"""Characters. A row can span several lines; a quotation mark that is never closed would otherwise swallow the file."""
MOST_RESUMED = 1_000
"""How many broken rows of one file are stepped over. Each can make the reader go back by a row."""
_CHUNK = 1 << 20
_TOO_LONG = "…"
"""Stands for a line that was not kept, because it is too long."""
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
    _check_begin(raw)
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


@dataclass(frozen=True)
class LargeTable:
    """A file of any size whose first line was read. Its rows are read from the file when they are asked for."""

    file: BinaryIO
    codec: str
    separator: str
    encoding: str
    names: Sequence[str]
    skipped: int

    def rows(self) -> Iterator[Row]:
        """All rows, from the beginning. A broken one is among them, and reading goes on with the line after it.

        Holds one row in memory, of at most `LONGEST_ROW` characters. Two iterations at once disturb each other.
        """
        self.file.seek(0)
        text = io.TextIOWrapper(self.file, self.codec, newline="")
        try:
            yield from _resumed(text, SEPARATORS_BY_NAME[self.separator], self.names, self.skipped)
        finally:
            text.detach()


def open_large(file: BinaryIO, columns: Sequence[str], needed: Sequence[str]) -> LargeTable:
    """As `read`, for a file that does not fit into memory. Raises ProblemError (422)."""
    file.seek(0)
    _check_begin(file.read(4))
    codec, encoding = _codec(file)
    file.seek(0)
    text = io.TextIOWrapper(file, codec, newline="")
    try:
        first = text.readline(LONGEST_LINE)
        skipped = 1 if first.strip().lower().startswith("sep=") else 0
        begin = text.read(LONGEST_LINE) if skipped else first + text.read(LONGEST_LINE - len(first))
    finally:
        text.detach()
    if not begin.strip():
        raise invalid("file", "it is empty")
    if len(begin) >= LONGEST_LINE and not any(end in begin for end in "\r\n"):
        raise invalid("file", f"line {skipped + 1} has more than {LONGEST_LINE:,} characters")
    separator, names = _header(begin, columns, skipped)
    _check_header(names, columns, needed, skipped + 1)
    return LargeTable(file, codec, SEPARATORS[separator], encoding, names, skipped)


def _check_begin(raw: bytes) -> None:
    if raw.startswith(_WORKBOOKS):
        raise invalid("file", "it is a workbook of a spreadsheet program; save it there as CSV, and send that file")


def _codec(file: BinaryIO) -> tuple[str, str]:
    """The codec of a whole file, and what people call it."""
    file.seek(0)
    start = file.read(3)
    for mark, name in _MARKS.items():
        if start.startswith(mark):
            if (error := _undecodable(file, name)) is not None:
                raise _unreadable(name, error)
            return name, "UTF-8" if name == "utf-8-sig" else "UTF-16"
    utf8 = _undecodable(file, "utf-8")
    if utf8 is None:
        return "utf-8", "UTF-8"
    if _undecodable(file, _WINDOWS) is not None:
        raise _unreadable("utf-8", utf8)
    return _WINDOWS, "Windows-1252"


def _undecodable(file: BinaryIO, name: str) -> int | None:
    """The first byte, roughly, that a file has and an encoding has not."""
    decoder = codecs.getincrementaldecoder(name)()
    file.seek(0)
    before = 0
    try:
        while chunk := file.read(_CHUNK):
            decoder.decode(chunk)
            before += len(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        return before + error.start
    return None


def _text(raw: bytes) -> tuple[str, str]:
    for mark, name in _MARKS.items():
        if raw.startswith(mark):
            try:
                return raw.decode(name), "UTF-8" if name == "utf-8-sig" else "UTF-16"
            except UnicodeDecodeError as error:
                raise _unreadable(name, error.start) from None
    try:
        return raw.decode("utf-8"), "UTF-8"
    except UnicodeDecodeError as utf8:
        try:
            return raw.decode(_WINDOWS), "Windows-1252"
        except UnicodeDecodeError:
            raise _unreadable("utf-8", utf8.start) from None


def _unreadable(name: str, byte: int) -> ProblemError:
    return invalid("file", f"it is not text: from byte {byte} on it is neither {name.upper()} nor Windows-1252")


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
        if any(cell.strip() for cell in cells):
            yield _row(line, cells, names)


def _row(line: int, cells: Sequence[str], names: Sequence[str]) -> Row:
    beyond = [cell for place, cell in enumerate(cells) if cell and (place >= len(names) or not names[place])]
    named = {name: cell for name, cell in zip(names, cells, strict=False) if name and cell}
    return Row(line, named, "it has more cells than the first line" if beyond else None)


class _Lines:
    """The lines of a file for a CSV reader. Those of the row that is being read can be read again."""

    def __init__(self, file: TextIO, given: int) -> None:
        self._file = file
        self._again: deque[str] = deque()
        self._row: list[str] = []
        self._size = 0
        self.given = given
        """How many lines of the file were given so far."""

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._file.readline(LONGEST_LINE)
        if not line:
            raise StopIteration
        self.given += 1
        if len(line) == LONGEST_LINE and line[-1] not in "\r\n":
            while line and line[-1] not in "\r\n":
                line = self._file.readline(LONGEST_LINE)
            line = _TOO_LONG
        self._row.append(line)
        self._size += len(line)
        if line is _TOO_LONG:
            raise csv.Error(f"a line has more than {LONGEST_LINE:,} characters")
        if self._size > LONGEST_ROW:
            raise csv.Error(f"a row has more than {LONGEST_ROW:,} characters")
        return line

    def next_row(self) -> None:
        """A new row begins with the next line."""
        self._row.clear()
        self._size = 0

    def resume(self) -> None:
        """Goes back to the line after the one on which the row began."""
        rest = self._row[1:]
        self._again.extendleft(reversed(rest))
        self.given -= len(rest)


def _resumed(text: TextIO, separator: str, names: Sequence[str], skipped: int) -> Iterator[Row]:
    for _ in range(skipped):
        text.readline(LONGEST_LINE)
    lines = _Lines(text, skipped)
    reader = csv.reader(lines, delimiter=separator, strict=True)
    resumed = 0
    is_header = True
    while True:
        lines.next_row()
        line = lines.given + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            resumed += 1
            if resumed > MOST_RESUMED:
                yield Row(line, {}, f"from here on this is not CSV: {_said(error)}")
                return
            yield Row(line, {}, f"this is not CSV: {_said(error)}")
            lines.resume()
            reader = csv.reader(lines, delimiter=separator, strict=True)
            continue
        if cells is None:
            return
        if not is_header and any(cell.strip() for cell in cells):
            yield _row(line, cells, names)
        is_header = False


def _said(error: csv.Error | None) -> str:
    said = str(error)
    return _WORDS.get(said.replace("';'", "','").replace("'\t'", "','"), said)
