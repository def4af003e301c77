"""Reads CSV: a row per interaction, a column per field of an interaction. Pure apart from reading the file."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

import msgspec

from services.api.calendar import times
from services.api.calendar.times import Order
from services.api.http.files import tables
from services.api.http.files.spreadsheet import unguarded
from services.api.http.files.tables import LargeTable, Row
from services.api.http.problems import ProblemError
from services.imports.entries import Entry, LeftOut, Source, UnreadableFileError

FIELDS = {
    "id": ("id",),
    "kind": ("kind",),
    "actor_id": ("actor", "id"),
    "actor_handle": ("actor", "handle"),
    "actor_name": ("actor", "name"),
    "actor_avatar_url": ("actor", "avatar_url"),
    "actor_url": ("actor", "url"),
    "actor_bot": ("actor", "bot"),
    "object_id": ("object", "id"),
    "object_url": ("object", "url"),
    "parent_id": ("parent", "id"),
    "parent_actor": ("parent", "actor"),
    "post": ("post",),
    "thread": ("thread",),
    "conversation": ("conversation",),
    "text": ("text",),
    "media": ("media",),
    "language": ("language",),
    "reaction": ("reaction",),
    "amount": ("amount",),
    "currency": ("currency",),
    "campaign": ("campaign",),
    "automatic": ("automatic",),
    "undo": ("undo",),
    "occurred_at": ("occurred_at",),
}
"""Columns, and the field of an interaction that each one is."""
COLUMNS = tuple(FIELDS)
NEEDED = ("kind", "actor_id", "occurred_at")
_COLUMN_OF = {".".join(field): column for column, field in FIELDS.items()} | {
    whole: f"{whole}_id" for whole in ("actor", "object", "parent")
}
_FOLLOWS = b"account address"
"""How Mastodon's lists of follows, mutes and blocks begin."""
_YES_NO = frozenset({"actor_bot", "automatic", "undo"})
_YES = frozenset({"true", "yes", "1", "x"})
_NO = frozenset({"false", "no", "0"})


class WrongCellError(ValueError):
    """A cell that cannot be what its column says. `column` is its column."""

    def __init__(self, column: str, why: str) -> None:
        super().__init__(why)
        self.column = column


def open_table(file: BinaryIO, size: int, zone: ZoneInfo, order: Order | None) -> Source:
    """A table. Times without a zone are those of `zone`; `order` decides dates such as 3/4/2026 if the file does not.

    Raises UnreadableFileError.
    """
    file.seek(0)
    if file.read(len(_FOLLOWS)).lower() == _FOLLOWS:
        raise UnreadableFileError("it is a list of accounts from Mastodon, which says neither what they did nor when")
    try:
        table = tables.open_large(file, COLUMNS, NEEDED)
    except ProblemError as error:
        raise UnreadableFileError(error.errors[0].why) from None
    slashes = False

    def written() -> Iterator[str]:
        nonlocal slashes
        for row in table.rows():
            cell = row.cells.get("occurred_at", "")
            slashes = slashes or "/" in cell
            yield cell

    order = times.order_of(written()) or order
    notes = [f"{table.separator} between cells, {table.encoding}", f"times without an offset are those of {zone.key}"]
    if slashes:
        notes.append(f"dates with slashes are {order}" if order else "dates with slashes are ambiguous")
    return Source(
        "csv",
        size,
        lambda: _entries(table, zone, order),
        notes=notes,
        name_of_field=lambda field: _COLUMN_OF.get(field, field),
    )


def _entries(table: LargeTable, zone: ZoneInfo, order: Order | None) -> Iterator[Entry]:
    for row in table.rows():
        at, done = f"line {row.line}", table.file.tell()
        if row.broken is not None:
            yield Entry(at, done, left_out=LeftOut("not a row of a table", row.broken))
            continue
        try:
            raw = msgspec.json.encode(interaction(row, zone, order))
        except WrongCellError as error:
            yield Entry(at, done, left_out=LeftOut(f"{error.column} is wrong", str(error)))
        else:
            yield Entry(at, done, raw, written=row.cells.get("occurred_at"))


def interaction(row: Row, zone: ZoneInfo, order: Order | None) -> dict[str, Any]:
    """An interaction as the door takes it. Raises WrongCellError."""
    found: dict[str, Any] = {}
    for column, cell in row.cells.items():
        text = unguarded(cell)
        value: str | bool | list[str] | datetime = text if column == "text" else text.strip()
        if not value:
            continue
        if column == "media":
            value = text.replace(",", " ").split()
        elif column in _YES_NO:
            value = _yes_or_no(column, text.strip())
        elif column == "occurred_at":
            try:
                value = times.read(text, zone, order)
            except ValueError as error:
                raise WrongCellError(column, str(error)) from None
        *outer, field = FIELDS[column]
        (found.setdefault(outer[0], {}) if outer else found)[field] = value
    return found


def _yes_or_no(column: str, text: str) -> bool:
    if text.lower() in _YES:
        return True
    if text.lower() in _NO:
        return False
    raise WrongCellError(column, "has to be true or false")
