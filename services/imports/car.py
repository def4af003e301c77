"""Reads a repository of the AT Protocol from a CAR file: blocks by their content id, records in a search tree.

https://atproto.com/specs/repository. Only ids with SHA-256 are read, the only ones that the protocol uses. Each block
is compared with its id. Whoever made the file may be anybody.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import libipld

from services.imports.entries import UnreadableFileError

MOST_BLOCKS = 1_000_000
"""Each costs some 200 bytes of memory. A million records of one account is more than twenty a day for a century."""
LARGEST_BLOCK = 2 << 20
"""Bytes. The protocol's servers take records of 1 MiB."""
DEEPEST = 64
"""Levels of the tree. It has about one for each factor of 4 in the number of records."""
_LARGEST_HEADER = 4_096
_SHA_256 = b"\x12\x20"
_CID_BYTES = 36
_UNDECODABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


class Record(NamedTuple):
    """A place in the repository. `cid` is the record's content id; `block` is how many blocks were seen before it."""

    collection: str
    rkey: str
    cid: bytes
    block: int


class Car:
    """A CAR file. Raises UnreadableFileError wherever it is not one."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._blocks: dict[bytes, int] = {}
        self._seen: set[bytes] = set()
        file.seek(0)
        header = self._decoded(self._piece(_LARGEST_HEADER), "its header")
        self._index()
        try:
            self._root = bytes(header["roots"][0])
            commit = self.block(self._root)
            self.did, self.rev, self._tree = str(commit["did"]), str(commit["rev"]), bytes(commit["data"])
        except _UNDECODABLE as error:
            raise UnreadableFileError("it is a CAR file, but holds no repository of an account") from error

    @property
    def count(self) -> int:
        """How many blocks it has."""
        return len(self._blocks)

    def records(self) -> Iterator[Record]:
        """Everything in the repository, in the order of paths. Each branch of the tree is visited once."""
        self._seen.clear()
        yield from self._below(self._tree, 0)

    def block(self, cid: bytes) -> Any:
        """The content of a block."""
        place = self._blocks.get(cid)
        if place is None:
            raise UnreadableFileError("a block that another one refers to is missing")
        offset, length = divmod(place, LARGEST_BLOCK + 1)
        self._file.seek(offset)
        data = self._file.read(length)
        if hashlib.sha256(data).digest() != cid[4:]:
            raise UnreadableFileError("a block does not have the content that its id says: the file is damaged")
        return self._decoded(data, "a block")

    def _below(self, cid: bytes, depth: int) -> Iterator[Record]:
        if depth > DEEPEST or cid in self._seen:
            raise UnreadableFileError("its tree is not one")
        self._seen.add(cid)
        node = self.block(cid)
        path = b""
        try:
            left, entries = node.get("l"), [(each["p"], each["k"], each["v"], each.get("t")) for each in node["e"]]
        except _UNDECODABLE as error:
            raise UnreadableFileError("a node of its tree is not one") from error
        if left is not None:
            yield from self._below(_cid(left), depth + 1)
        for shared, rest, value, right in entries:
            if not isinstance(shared, int) or not isinstance(rest, bytes) or not 0 <= shared <= len(path):
                raise UnreadableFileError("a node of its tree is not one")
            path = path[:shared] + rest
            collection, _, rkey = path.decode("ascii", "replace").partition("/")
            yield Record(collection, rkey, _cid(value), len(self._seen))
            if right is not None:
                yield from self._below(_cid(right), depth + 1)

    def _index(self) -> None:
        """Notes where each block begins, without reading it."""
        while (length := self._length()) is not None:
            cid = self._file.read(_CID_BYTES)
            size = length - _CID_BYTES
            offset = self._file.tell()
            if cid[2:4] != _SHA_256 or size < 0 or size > LARGEST_BLOCK or offset + size > self._size:
                raise UnreadableFileError("it is cut short, or has a block that is not one of the AT Protocol")
            if len(self._blocks) >= MOST_BLOCKS:
                raise UnreadableFileError(f"it has more than {MOST_BLOCKS:,} blocks")
            self._blocks[cid] = offset * (LARGEST_BLOCK + 1) + size
            self._file.seek(size, 1)

    def _piece(self, most: int) -> bytes:
        length = self._length()
        if length is None or length > most:
            raise UnreadableFileError("it is not a CAR file")
        return self._file.read(length)

    def _length(self) -> int | None:
        """The next number (unsigned LEB128). None at the end of the file."""
        found = 0
        for shift in range(0, 35, 7):
            byte = self._file.read(1)
            if not byte:
                if shift == 0:
                    return None
                break
            found |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                return found
        raise UnreadableFileError("it is not a CAR file")

    def _decoded(self, data: bytes, what: str) -> Any:
        try:
            return libipld.decode_dag_cbor(data)
        except _UNDECODABLE as error:
            raise UnreadableFileError(f"it is not a CAR file: {what} is not DAG-CBOR") from error


def _cid(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise UnreadableFileError("a node of its tree is not one")
    return value
