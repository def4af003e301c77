"""The files of a backup: what is not whole, or not a backup, is refused before anything is done with it."""

import gzip
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument

from services.backup import archive
from services.backup.archive import MANIFEST, BadBackupError, Writer

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CARDS = [{"_id": number, "n": bson.Int64(number), "at": NOW} for number in range(500)]


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A backup of two collections."""
    folder = tmp_path / "backup"
    writer = Writer(folder)
    assert writer.write("cards", [RawBSONDocument(bson.encode(each)) for each in CARDS]) == len(CARDS)
    assert writer.write("empty", []) == 0
    writer.finish(rapport="1", taken_at=NOW, kafka="k", positions={"g": {"t:0": 4}})
    return folder


def test_what_was_written_is_read_back(backup: Path) -> None:
    manifest = archive.checked(backup)
    assert {name: each.documents for name, each in manifest.collections.items()} == {"cards": 500, "empty": 0}
    assert manifest.positions == {"g": {"t:0": 4}}
    assert [bson.decode(each.raw) for each in archive.documents(backup, "cards")] == [
        {**each, "at": NOW.replace(tzinfo=None)} for each in CARDS
    ]


def _truncate(folder: Path) -> None:
    path = folder / "cards.bson.gz"
    path.write_bytes(path.read_bytes()[:-100])


def _flip(folder: Path) -> None:
    content = bytearray((folder / "cards.bson.gz").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "cards.bson.gz").write_bytes(content)


def _lose(folder: Path) -> None:
    (folder / "cards.bson.gz").unlink()


def _half_a_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_bytes((folder / MANIFEST).read_bytes()[:-30])


def _no_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def _changed(folder: Path, **fields: Any) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, **fields}))


def _endless_manifest(folder: Path) -> None:
    with (folder / MANIFEST).open("ab") as file:
        file.truncate(archive.LARGEST_MANIFEST + 1)


def _deep_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


def _foreign(folder: Path) -> None:
    _changed(folder, what="holiday pictures")


def _later(folder: Path) -> None:
    _changed(folder, format=2)


def _elsewhere(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    _changed(folder, collections={"../cards": manifest["collections"]["cards"]})


def _rewritten(content: bytes) -> Callable[[Path], None]:
    """Replaces a file, and makes the manifest fit."""

    def damage(folder: Path) -> None:
        packed = gzip.compress(content)
        (folder / "cards.bson.gz").write_bytes(packed)
        collected = {"documents": 1, "bytes": len(packed), "sha256": hashlib.sha256(packed).hexdigest()}
        _changed(folder, collections={"cards": collected})

    return damage


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_truncate, "bytes, and the manifest says"),
        (_flip, "is not as it was written"),
        (_lose, "cannot be read"),
        (_half_a_manifest, "is not the manifest of a backup"),
        (_no_manifest, "is not a backup"),
        (_endless_manifest, "is larger than 4 MiB"),
        (_deep_manifest, "is not the manifest of a backup"),
        (_foreign, "is not the manifest of a backup"),
        (_later, "has the format 2"),
        (_elsewhere, "which Rapport cannot have"),
        (_rewritten(b"no BSON at all"), "cannot be read"),
        (_rewritten(b"\xff\xff\xff\x7f"), "a document of 2,147,483,647 bytes"),
        (_rewritten(b"\x00\x00\x00\x00"), "a document of 0 bytes"),
        (_rewritten(bson.encode({"_id": 1}) + b"\x05"), "cannot be read"),
        (_rewritten(bson.encode({"_id": 1}) * 2), "has 2 documents, and the manifest says 1"),
    ],
)
def test_what_is_not_whole_or_no_backup_is_refused(backup: Path, damage: Callable[[Path], None], says: str) -> None:
    damage(backup)
    with pytest.raises(BadBackupError, match=says):
        archive.checked(backup)


def test_nothing_is_overwritten_and_what_is_unfinished_is_no_backup(backup: Path, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        Writer(backup)
    Writer(tmp_path / "second").write("cards", [])
    assert not (tmp_path / "second").exists()
    with pytest.raises(BadBackupError):
        archive.checked(tmp_path / "second.partial")
