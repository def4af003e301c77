"""Reads the frames of Bluesky's streams: subscribeRepos of a relay or PDS, and both versions of Jetstream.

Pure. subscribeRepos is DAG-CBOR with the records in a CAR file (https://atproto.com/specs/event-stream); Jetstream is
JSON, version 1 with the event bare, version 2 with it as the payload of a message.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

import libipld
import msgspec
from msgspec import Struct

from rapport.contracts.controls import Absence
from rapport.domain.times import in_range

POST = "app.bsky.feed.post"
LIKE = "app.bsky.feed.like"
REPOST = "app.bsky.feed.repost"
FOLLOW = "app.bsky.graph.follow"
BLOCK = "app.bsky.graph.block"
THREADGATE = "app.bsky.feed.threadgate"
COLLECTIONS = (POST, LIKE, REPOST, FOLLOW, BLOCK, THREADGATE)
"""The collections that say something about a relationship, or what the brand shows of it."""

Operation: TypeAlias = Literal["create", "update", "delete"]
_OPERATIONS = frozenset({"create", "update", "delete"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_POSITIONS = range(2**63)
"""The positions that the ledger can store."""
SEQUENCE = range(1, 10**15)
"""Sequence numbers of Jetstream version 2. It takes larger cursors for times in microseconds."""
DID = re.compile(r"did:[a-z]{1,32}:[A-Za-z0-9._:%-]{0,255}[A-Za-z0-9._-]")
"""Shorter than DIDs may be, by their specification: those that there are have 32 characters, or are domain names."""
_KEY = re.compile(r"[A-Za-z0-9._:~-]{1,512}")
AT_URI = re.compile(rf"at://({DID.pattern})/([A-Za-z0-9.-]{{1,317}})/({_KEY.pattern})")
"""A record's address: whose it is, its collection, its key.

Source: https://atproto.com/specs/did, …/nsid, …/record-key and …/at-uri-scheme
"""


class FrameError(ValueError):
    """A frame that is not as documented."""


class StreamError(Exception):
    """The server ended the stream. `name` is its error code, such as `FutureCursor`."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}" if message else name)
        self.name = name


@dataclass(frozen=True, slots=True)
class Change:
    """One record that someone created, updated or deleted. `record` and `cid` are None on a delete."""

    did: str
    operation: Operation
    collection: str
    rkey: str
    rev: str
    at: datetime
    cid: str | None = None
    record: dict[str, Any] | None = None
    again: bool = False
    """Whether the server only tells what stands in the repository, whenever that was written: see `Frame.synced`."""

    @property
    def uri(self) -> str:
        """The record's at-uri."""
        return f"at://{self.did}/{self.collection}/{self.rkey}"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of somebody's account."""

    did: str
    how: Absence
    at: datetime


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `position` is the cursor after it; None if the frame does not move it.

    `seq` is its number at this server, where that is another one than the position (version 2 of Jetstream).
    """

    position: int | None
    at: datetime | None
    changes: tuple[Change, ...] = ()
    fate: Fate | None = None
    renamed: str | None = None
    """Somebody whose handle or server may have changed."""
    synced: str | None = None
    """Somebody whose repository does not go on from what was known of it.

    Version 2 of Jetstream reads it as a whole, and tells each record in it as created now: all under one version of the
    repository.
    """
    notice: str | None = None
    """A message of the server, for instance that the cursor is older than what it keeps."""
    seq: int | None = None


class _Commit(Struct):
    rev: str
    operation: str
    collection: str
    rkey: str
    cid: str | None = None
    record: dict[str, Any] | None = None


class _Account(Struct):
    active: bool | None = None
    status: str | None = None


class _Event(Struct):
    did: str
    time_us: int
    kind: str
    commit: _Commit | None = None
    account: _Account | None = None


class _Payload(Struct, rename={"type": "$type"}):
    type: str
    seq: int | None = None
    did: str | None = None
    time: datetime | None = None
    witnessed_at: datetime | None = msgspec.field(default=None, name="witnessedAt")
    rev: str | None = None
    operation: str | None = None
    collection: str | None = None
    rkey: str | None = None
    cid: str | None = None
    record: dict[str, Any] | None = None
    name: str | None = None
    message: str | None = None
    account: _Account | None = None
    """What the relay said of it, as it came."""


class _Message(Struct, rename={"type": "$type"}):
    type: str
    payload: _Payload | None = None
    error: str | None = None
    message: str | None = None


_EVENT = msgspec.json.Decoder(_Event)
_MESSAGE = msgspec.json.Decoder(_Message)


def from_jetstream(raw: str | bytes) -> Frame:
    """A frame of Jetstream version 1; its position is its time in microseconds. Raises FrameError."""
    try:
        event = _EVENT.decode(raw)
        at = _checked(_EPOCH + timedelta(microseconds=event.time_us), event.time_us)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise FrameError(f"not a Jetstream event: {error}") from error
    commit = event.commit
    if commit is None:
        if event.kind == "identity":
            return Frame(event.time_us, at, renamed=event.did)
        account = event.account or _Account()
        return Frame(event.time_us, at, fate=_fate(event.did, account.active, account.status, at))
    return Frame(
        event.time_us,
        at,
        _changes(
            event.did, commit.operation, commit.collection, commit.rkey, commit.rev, at, commit.cid, commit.record
        ),
    )


def from_jetstream_v2(raw: str | bytes) -> Frame:
    """A frame of Jetstream version 2. Its position, too, is a time in microseconds, which version 2 takes as a cursor
    and which means the same on every instance; its own sequence number (`seq`) does not. Raises FrameError and
    StreamError.
    """
    try:
        message = _MESSAGE.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"not a Jetstream message: {error}") from error
    if message.type == "error":
        raise StreamError(message.error or "unnamed error", message.message or "")
    payload = message.payload
    if payload is None:
        raise FrameError(f"a Jetstream {message.type!r} without a payload")
    if payload.type.endswith("#info"):
        return Frame(None, None, notice=f"{payload.name}: {payload.message}")
    at = payload.witnessed_at or payload.time
    if at is None or at.tzinfo is None:
        raise FrameError(f"a Jetstream {payload.type!r} without its time")
    position = (at - _EPOCH) // timedelta(microseconds=1)
    at = _checked(at, position)
    # A range is searched item by item for a value that is not a number, so None must not get there.
    seq = payload.seq if payload.seq is not None and payload.seq in SEQUENCE else None
    if payload.type.endswith("#account") and payload.did:
        account = payload.account or _Account()
        return Frame(position, at, fate=_fate(payload.did, account.active, account.status, at), seq=seq)
    if payload.type.endswith("#identity"):
        return Frame(position, at, renamed=payload.did, seq=seq)
    if payload.type.endswith("#sync"):
        return Frame(position, at, synced=payload.did, seq=seq)
    if not payload.type.endswith("#commit"):
        return Frame(position, at, seq=seq)
    if not (payload.did and payload.operation and payload.collection and payload.rkey and payload.rev):
        raise FrameError("a Jetstream commit without did, operation, collection, rkey or rev")
    return Frame(
        position,
        at,
        _changes(
            payload.did,
            payload.operation,
            payload.collection,
            payload.rkey,
            payload.rev,
            at,
            payload.cid,
            payload.record,
        ),
        seq=seq,
    )


def from_repos(raw: bytes) -> Frame:
    """A frame of com.atproto.sync.subscribeRepos; its position is its sequence number.

    Raises FrameError, and StreamError for an error frame. Records of a frame that was too big to carry them are left
    out.
    """
    try:
        header, body = libipld.decode_dag_cbor_multi(raw)
        if header.get("op") == -1:
            raise StreamError(str(body.get("error")), str(body.get("message") or ""))
        kind = header.get("t")
        if kind == "#info":
            return Frame(None, None, notice=f"{body.get('name')}: {body.get('message')}")
        position = int(body["seq"])
        at = _checked(datetime.fromisoformat(body["time"]), position)
        if kind == "#account":
            return Frame(position, at, fate=_fate(str(body["did"]), body.get("active"), body.get("status"), at))
        if kind == "#identity":
            return Frame(position, at, renamed=str(body["did"]))
        if kind != "#commit":
            return Frame(position, at)
        return Frame(position, at, tuple(_from_commit(body, at)))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise FrameError(f"not a subscribeRepos frame: {type(error).__name__}: {error}") from error


def listed(uri: str, cid: str, record: dict[str, Any], at: datetime) -> Change | None:
    """A record that stands in a repository, as lists of records have it. None for a collection that is not read.

    Raises FrameError where no record has that address.
    """
    did, _, path = uri.removeprefix("at://").partition("/")
    collection, _, rkey = path.partition("/")
    found = _changes(did, "create", collection, rkey, "", at, cid, record)
    return found[0] if found else None


def _from_commit(body: dict[str, Any], at: datetime) -> list[Change]:
    wanted = [op for op in body["ops"] if op["path"].partition("/")[0] in COLLECTIONS]
    if not wanted:
        return []
    did, rev = body["repo"], body["rev"]
    if not isinstance(did, str) or not isinstance(rev, str):
        raise FrameError("a commit whose repo or rev is not text")
    blocks: dict[bytes, Any] = {}
    if any(op["action"] != "delete" for op in wanted):
        _, blocks = libipld.decode_car(body["blocks"])
    found: list[Change] = []
    for op in wanted:
        collection, _, rkey = op["path"].partition("/")
        cid = op.get("cid")
        record = blocks.get(cid) if cid is not None else None
        text = libipld.encode_cid(cid) if cid is not None else None
        found.extend(_changes(did, op["action"], collection, rkey, rev, at, text, record))
    return found


def _changes(
    did: str,
    operation: str,
    collection: str,
    rkey: str,
    rev: str,
    at: datetime,
    cid: str | None,
    record: dict[str, Any] | None,
) -> tuple[Change, ...]:
    """The change if it matters here: a known operation, one of our collections, and complete.

    Raises FrameError where repository and key make no address: what is known of one record could be said of another.
    """
    if collection not in COLLECTIONS or operation not in _OPERATIONS:
        return ()
    if DID.fullmatch(did) is None or _KEY.fullmatch(rkey) is None:
        raise FrameError(f"no record has the address {did:.100}, {collection}, {rkey:.100}")
    if operation == "delete":
        return (Change(did, "delete", collection, rkey, rev, at),)
    if cid is None or not isinstance(record, dict):
        return ()
    known: Operation = "create" if operation == "create" else "update"
    return (Change(did, known, collection, rkey, rev, at, cid, record),)


_FATES: dict[str | None, Absence] = {
    "deleted": "deleted",
    "takendown": "deleted",
    "suspended": "suspended",
    "deactivated": "suspended",
}


def _fate(did: str, active: object, status: object, at: datetime) -> Fate | None:
    """The meaning of an account event. Other statuses (`desynchronized`, `throttled`) are about servers, not people."""
    if active is True:
        return Fate(did, "back", at)
    how = _FATES.get(status) if isinstance(status, str) and active is False else None
    return Fate(did, how, at) if how is not None else None


def _checked(at: datetime, position: int) -> datetime:
    """The time of a frame in UTC. Raises FrameError if the time or the position is impossible."""
    if at.tzinfo is None or not in_range(at):
        raise FrameError(f"its time is {at}")
    if position not in _POSITIONS:
        raise FrameError(f"its position is {position}")
    return at.astimezone(UTC)
