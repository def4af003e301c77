"""Finds one file in an archive that anybody can have made: nothing is written to disk, and every size has a limit."""

import gzip
import posixpath
import struct
import zipfile
import zlib
from typing import BinaryIO

from services.imports.entries import UnreadableFileError

LARGEST_FOUND = 512 << 20
"""Bytes of the file that is looked for. An outbox has about 2,000 bytes per post."""
LARGEST_DIRECTORY = 32 << 20
"""Bytes of a zip's list of its files: some 300,000 of them."""
UNPACKED_TIMES, UNPACKED_AT_LEAST = 100, 8 << 20
"""How much larger than an archive its content may be. Pictures do not shrink, JSON shrinks to a tenth."""
_BLOCK = 512
_CHUNK = 1 << 20
_PLAIN_FILE = (b"0", b"\0")
_STORED_OR_DEFLATED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BROKEN = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    zlib.error,
    EOFError,
    struct.error,
    ValueError,
    OSError,
)


def find(file: BinaryIO, size: int, name: str) -> bytes:
    """The content of the file `name` in a zip, a tar or a tar.gz of `size` bytes. Raises UnreadableFileError."""
    file.seek(0)
    start = file.read(_BLOCK)
    file.seek(0)
    try:
        if start.startswith(b"PK"):
            return _in_zip(file, size, name)
        if start.startswith(b"\x1f\x8b"):
            most = max(size * UNPACKED_TIMES, UNPACKED_AT_LEAST)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _in_tar(_Limited(unpacked, most), name)
        if start[257:262] == b"ustar":
            return _in_tar(_Limited(file, size), name)
    except UnreadableFileError:
        raise
    except _BROKEN as error:
        raise UnreadableFileError(f"the archive is damaged: {error or type(error).__name__}") from None
    raise UnreadableFileError("it is neither a zip nor a tar archive")


class _Limited:
    """Reads forward, and no more than `most` bytes in all."""

    def __init__(self, file: BinaryIO | gzip.GzipFile, most: int) -> None:
        self._file = file
        self._left = most

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, in one piece."""
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise UnreadableFileError(f"its content is more than {UNPACKED_TIMES} times as large as the archive")
        return data

    def exactly(self, size: int, *, kept: bool) -> bytes:
        """The next `size` bytes, or nothing if they are not to be kept."""
        parts: list[bytes] = []
        while size > 0:
            data = self.read(min(size, _CHUNK))
            if not data:
                raise EOFError("it ends too early")
            size -= len(data)
            if kept:
                parts.append(data)
        return b"".join(parts)


def _in_tar(stream: _Limited, name: str) -> bytes:
    """Python's own reader would trust what an entry says of its size and of the size of its name."""
    while True:
        header = stream.read(_BLOCK)
        if len(header) < _BLOCK or not any(header):
            raise _missing(name)
        size, checksum = _octal(header[124:136]), _octal(header[148:156])
        if checksum != sum(header) - sum(header[148:156]) + 8 * ord(" "):
            raise UnreadableFileError("it is not a tar archive, or damaged")
        its_name = header[:100].partition(b"\0")[0].decode("utf-8", "replace")
        if header[156:157] in _PLAIN_FILE and posixpath.basename(its_name) == name:
            _check(name, size)
            return stream.exactly(size, kept=True)
        stream.exactly(-(-size // _BLOCK) * _BLOCK, kept=False)


def _octal(field: bytes) -> int:
    if field[:1] == b"\x80":  # too large for digits
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise UnreadableFileError("it is not a tar archive, or damaged")
    return int(digits or b"0", 8)


class _SmallReads:
    """A file of which nobody reads more than a zip's directory at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        """As of a file. Without a size, at most as much as a directory may have."""
        if size > LARGEST_DIRECTORY:
            raise UnreadableFileError(f"it has a directory of more than {LARGEST_DIRECTORY >> 20} MiB")
        return self._file.read(size if size >= 0 else LARGEST_DIRECTORY)


def _in_zip(file: BinaryIO, packed: int, name: str) -> bytes:
    with zipfile.ZipFile(_SmallReads(file)) as archive:
        named = [each for each in archive.infolist() if posixpath.basename(each.filename) == name]
        if not named:
            raise _missing(name)
        info = min(named, key=lambda each: (each.filename.count("/"), each.filename))
        if info.flag_bits & 1:
            raise UnreadableFileError(f"{name} is encrypted")
        if info.compress_type not in _STORED_OR_DEFLATED:
            raise UnreadableFileError(f"{name} is packed in a way that is not read here")
        _check(name, info.file_size)
        if info.file_size > max(packed * UNPACKED_TIMES, UNPACKED_AT_LEAST):
            raise UnreadableFileError(f"{name} is more than {UNPACKED_TIMES} times as large as the archive")
        with archive.open(info) as unpacked:
            return unpacked.read()  # at most as much as it says that it has


def _check(name: str, size: int) -> None:
    if size > LARGEST_FOUND:
        raise UnreadableFileError(f"{name} has more than {LARGEST_FOUND >> 20} MiB")


def _missing(name: str) -> UnreadableFileError:
    return UnreadableFileError(f"there is no {name} in the archive")
