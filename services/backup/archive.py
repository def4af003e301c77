"""The files of a backup: a folder with a manifest, and one file of compressed BSON per collection.

Nothing of a backup is believed before all of it was read: its manifest has the size, the count and the SHA-256 of each
file. The files are as `mongodump --gzip` writes them.
"""

import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
from bson import CodecOptions
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from msgspec import Struct

FORMAT = 1
MANIFEST = "manifest.json"
RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
"""Documents stay as they are stored, with every type and the order of their fields."""
LARGEST_MANIFEST = 4 * 1024 * 1024
LARGEST_DOCUMENT = 16 * 1024 * 1024 + 16 * 1024
"""Bytes. MongoDB stores none that are larger."""
_COLLECTION = re.compile("[a-z][a-z_]{0,62}")
_CHUNK = 1 << 20


class BadBackupError(Exception):
    """What is given as a backup is none, or not whole. The message says where and why."""


class Collected(Struct, kw_only=True, frozen=True):
    """A collection in a backup."""

    documents: int
    bytes: int
    """Of the compressed file."""
    sha256: str
    """Of the compressed file, in hex."""


class Manifest(Struct, kw_only=True, frozen=True):
    """What a backup is of."""

    what: Literal["rapport backup"] = "rapport backup"
    format: int = FORMAT
    rapport: str
    """The version that took it."""
    taken_at: datetime
    kafka: str
    """The id of the Kafka cluster that the positions are of."""
    positions: dict[str, dict[str, int]]
    """By group and `<topic>:<partition>`. They were noted first, so the views have all that lies before them."""
    collections: dict[str, Collected]


class Writer:
    """A backup that is being written, below a name of its own until it is whole."""

    def __init__(self, folder: Path) -> None:
        """Raises FileExistsError if there is something at `folder`, and OSError."""
        if folder.exists():
            raise FileExistsError(f"{folder} exists already")
        self._folder = folder
        self._partial = folder.with_name(f"{folder.name}.partial")
        self._partial.mkdir(parents=True, mode=0o700)
        self._collections: dict[str, Collected] = {}

    def write(self, collection: str, documents: Iterable[RawBSONDocument]) -> int:
        """Writes a collection, and gives the number of its documents. Raises OSError."""
        path, many = _file(self._partial, collection), 0
        with path.open("xb") as raw:
            with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=3, mtime=0) as packed:
                for many, each in enumerate(documents, 1):  # noqa: B007 - it is the count
                    packed.write(each.raw)
            raw.flush()
            os.fsync(raw.fileno())
        self._collections[collection] = Collected(documents=many, bytes=path.stat().st_size, sha256=_sha256(path))
        return many

    def finish(self, *, rapport: str, taken_at: datetime, kafka: str, positions: dict[str, dict[str, int]]) -> Manifest:
        """Writes the manifest, and gives the folder its name. Raises OSError."""
        manifest = Manifest(
            rapport=rapport, taken_at=taken_at, kafka=kafka, positions=positions, collections=self._collections
        )
        with (self._partial / MANIFEST).open("xb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
            file.flush()
            os.fsync(file.fileno())
        self._partial.rename(self._folder)
        return manifest


def checked(folder: Path) -> Manifest:
    """The manifest of a backup of which every file was read and is as it was written. Raises BadBackupError."""
    try:
        with (folder / MANIFEST).open("rb") as file:
            content = file.read(LARGEST_MANIFEST + 1)
    except OSError as error:
        raise BadBackupError(f"{folder} is not a backup: {MANIFEST} cannot be read ({error.strerror})") from error
    if len(content) > LARGEST_MANIFEST:
        raise BadBackupError(f"{folder / MANIFEST} is not the manifest of a backup: it is larger than 4 MiB")
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBackupError(f"{folder / MANIFEST} is not the manifest of a backup: {error}") from error
    if manifest.format != FORMAT:
        raise BadBackupError(f"{folder} has the format {manifest.format}, and this version reads {FORMAT} only")
    if wrong := [name for name in manifest.collections if not _COLLECTION.fullmatch(name)]:
        raise BadBackupError(f"{folder / MANIFEST} names the collection {wrong[0]!r}, which Rapport cannot have")
    for name, collected in manifest.collections.items():
        _check(_file(folder, name), collected)
        many = sum(1 for _ in documents(folder, name))
        if many != collected.documents:
            raise BadBackupError(f"{name} has {many:,} documents, and the manifest says {collected.documents:,}")
    return manifest


def documents(folder: Path, collection: str) -> Iterator[RawBSONDocument]:
    """The documents of a collection. Raises BadBackupError where the file ends or goes wrong."""
    path = _file(folder, collection)
    try:
        with gzip.open(path, "rb") as file:
            while length := file.read(4):
                size = int.from_bytes(length, "little")
                if not 5 <= size <= LARGEST_DOCUMENT:
                    raise BadBackupError(f"{path} cannot be read: a document of {size:,} bytes")
                yield RawBSONDocument(length + file.read(size - 4))
    except (OSError, EOFError, zlib.error, BSONError) as error:
        raise BadBackupError(f"{path} cannot be read: {type(error).__name__}: {error}") from error


def _check(path: Path, collected: Collected) -> None:
    try:
        size, digest = path.stat().st_size, _sha256(path)
    except OSError as error:
        raise BadBackupError(f"{path} cannot be read ({error.strerror})") from error
    if size != collected.bytes:
        raise BadBackupError(f"{path} has {size:,} bytes, and the manifest says {collected.bytes:,}")
    if digest != collected.sha256:
        raise BadBackupError(f"{path} is not as it was written: its SHA-256 differs")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _file(folder: Path, collection: str) -> Path:
    return folder / f"{collection}.bson.gz"
