"""Reads NDJSON: one interaction per line, as the generic door takes them. Pure apart from reading the file."""

from collections.abc import Iterator
from typing import BinaryIO

from services.imports.entries import LONGEST, Entry, LeftOut, Source, UnreadableFileError

TOO_LONG = LeftOut("too long", f"the line has more than {LONGEST:,} bytes")
_MARK = b"\xef\xbb\xbf"


def open_lines(file: BinaryIO, size: int) -> Source:
    """A file of lines. Raises UnreadableFileError where it is something else."""
    file.seek(0)
    start = file.read(64).removeprefix(_MARK).lstrip()
    if not start:
        raise UnreadableFileError("it is empty")
    if start[:1] != b"{":
        more = "; an array can be converted with `jq -c '.[]'`" if start[:1] == b"[" else ""
        raise UnreadableFileError(f"it is not NDJSON: each line has to be one JSON object{more}")
    return Source("ndjson", size, lambda: _entries(file))


def _entries(file: BinaryIO) -> Iterator[Entry]:
    file.seek(0)
    number = done = 0
    while line := file.readline(LONGEST + 1):
        number += 1
        done += len(line)
        at = f"line {number}"
        if len(line) > LONGEST and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = file.readline(LONGEST)
                done += len(line)
            yield Entry(at, done, left_out=TOO_LONG)
            continue
        line = (line.removeprefix(_MARK) if number == 1 else line).strip()
        if line:
            yield Entry(at, done, line)
