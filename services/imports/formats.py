"""Which format a file has, by its name and its beginning."""

from pathlib import PurePath
from typing import BinaryIO, Literal, get_args

from services.imports.entries import UnreadableFileError

Format = Literal["csv", "ndjson", "mastodon", "bluesky"]
FORMATS: tuple[Format, ...] = get_args(Format)
_BY_NAME: dict[str, Format] = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".car": "bluesky",
    ".zip": "mastodon", ".tgz": "mastodon", ".gz": "mastodon", ".tar": "mastodon",
}  # fmt: skip


def format_of(name: str, file: BinaryIO) -> Format:
    """The format of a file. Raises UnreadableFileError where neither tells."""
    file.seek(0)
    begin = file.read(512)
    if begin.startswith((b"PK\x03\x04", b"\x1f\x8b")) or begin[257:262] == b"ustar":
        return "mastodon"
    start = begin.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"{"):
        return "mastodon" if b'"@context"' in start or PurePath(name).name == "outbox.json" else "ndjson"
    found = _BY_NAME.get(PurePath(name).suffix.lower())
    if found is None:
        raise UnreadableFileError(f"neither its name nor its beginning says what it is; --format is {one_of()}")
    return found


def one_of() -> str:
    """The formats, for people."""
    return f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
