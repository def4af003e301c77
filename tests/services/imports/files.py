"""Small files as platforms give them, made here."""

import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import libipld

from rapport.contracts.events import Account

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
CONNECTED = datetime(2026, 11, 20, tzinfo=UTC)
ACCOUNT = Account(id="acme-desk", platform="desk", handle="Acme", connected_at=CONNECTED, door_secrets=())
ACME, FAN = "did:plc:acme", "did:plc:fan"
BLUESKY = Account(id="acme-bluesky", platform="bluesky", handle="acme.test", connected_at=CONNECTED, door_secrets=())
OWNER = "https://social.example/users/acme"
PUBLIC = "https://www.w3.org/ns/activitystreams#Public"


def cid_of(block: bytes) -> bytes:
    """The content id of a DAG-CBOR block."""
    return b"\x01\x71\x12\x20" + hashlib.sha256(block).digest()


def number(value: int) -> bytes:
    """Unsigned LEB128."""
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


class Blocks:
    """The blocks of a CAR file."""

    def __init__(self) -> None:
        self.all: dict[bytes, bytes] = {}

    def add(self, content: Any) -> bytes:
        """Adds a block, and gives its id."""
        block = dag_cbor(content)
        cid = cid_of(block)
        self.all[cid] = block
        return cid

    def car(self, root: bytes) -> bytes:
        """The file."""
        header = dag_cbor({"roots": [root], "version": 1})
        parts = [number(len(header)), header]
        for cid, block in self.all.items():
            parts += [number(len(cid) + len(block)), cid, block]
        return b"".join(parts)


def dag_cbor(content: Any) -> bytes:
    """DAG-CBOR; bytes that are a content id become links."""
    return bytes(libipld.encode_dag_cbor(content))


def repository(records: Mapping[str, Any], did: str = ACME, split: bool = False) -> bytes:
    """A repository with records by path. `split` puts half of them into a node of their own."""
    blocks = Blocks()
    paths = sorted(records)
    cids = {path: blocks.add(records[path]) for path in paths}

    def node(some: list[str], left: bytes | None, right: bytes | None) -> bytes:
        entries: list[dict[str, Any]] = []
        before = b""
        for path in some:
            key = path.encode()
            shared = next(
                (i for i, (a, b) in enumerate(zip(key, before, strict=False)) if a != b), min(len(key), len(before))
            )
            entries.append({"p": shared, "k": key[shared:], "v": cids[path], "t": None})
            before = key
        if right is not None:
            entries[-1]["t"] = right
        return blocks.add({"l": left, "e": entries})

    if split and len(paths) > 2:
        middle = len(paths) // 2
        tree = node([paths[middle]], node(paths[:middle], None, None), node(paths[middle + 1 :], None, None))
    else:
        tree = node(paths, None, None)
    root = blocks.add({"did": did, "version": 3, "data": tree, "rev": "3kaaaaaaaaaaa", "prev": None, "sig": b"s"})
    return blocks.car(root)


def bluesky_post(
    text: str, reply: tuple[str, str] | None = None, at: str = "2026-11-01T10:00:00.000Z"
) -> dict[str, Any]:
    """A post's record; `reply` are the at-uris of root and parent."""
    record: dict[str, Any] = {"$type": "app.bsky.feed.post", "text": text, "createdAt": at, "langs": ["en"]}
    if reply:
        record["reply"] = {"root": {"uri": reply[0], "cid": "r"}, "parent": {"uri": reply[1], "cid": "p"}}
    return record


def note(id: int, text: str, answers: str | None = None, mentions: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """An activity of the outbox that made a post."""
    address = f"{OWNER}/statuses/{id}"
    return {
        "id": f"{address}/activity",
        "type": "Create",
        "actor": OWNER,
        "published": "2026-11-01T10:00:00Z",
        "to": [PUBLIC],
        "object": {
            "id": address,
            "type": "Note",
            "summary": None,
            "inReplyTo": answers,
            "published": "2026-11-01T10:00:00Z",
            "url": f"https://social.example/@acme/{id}",
            "attributedTo": OWNER,
            "to": [PUBLIC],
            "cc": [f"{OWNER}/followers"],
            "sensitive": False,
            "content": f"<p>{text}</p>",
            "contentMap": {"en": f"<p>{text}</p>"},
            "attachment": [],
            "tag": [{"type": "Mention", "href": each, "name": "@x"} for each in mentions],
            **more,
        },
    }


def outbox(*activities: Any) -> bytes:
    """`outbox.json`."""
    whole = {
        "@context": "https://www.w3.org/ns/activitystreams",
        "id": "outbox.json",
        "type": "OrderedCollection",
        "totalItems": len(activities),
        "orderedItems": list(activities),
    }
    return json.dumps(whole).encode()


def zipped(**files: bytes) -> bytes:
    """A zip; `_json` in a name stands for `.json`."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            # Whenever it is made, it is the same: tests are named by it.
            archive.writestr(zipfile.ZipInfo(name.replace("_json", ".json")), content, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def tarred(**files: bytes) -> bytes:
    """A tar.gz, as older servers make it."""
    return gzip.compress(tar(**files), mtime=0)


def tar(**files: bytes) -> bytes:
    """A tar."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name.replace("_json", ".json"))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()
